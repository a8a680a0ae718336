"""Zarr, OME-Zarr, N5 and precomputed stores: what their metadata say, what is missing, where they lie."""

import functools
import http.server
import itertools
import json
import shutil
import socket
import threading
from pathlib import Path

import numpy as np
import pytest
import zarr
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from volume_samples import KINDS, ome_zarr, write

from gpemsr.data.volumes.ids import read_ids
from gpemsr.data.volumes.reader import open_volume
from gpemsr.errors import InputError

STACK = np.random.default_rng(0).integers(1, 65535, (12, 10, 14), np.uint16)
STORES = ("zarr", "zarr3", "ome_zarr", "n5", "precomputed")


def read(path, **options):
    with open_volume(path, **options) as volume:
        return volume.read(range(volume.shape[0]))


def multiscale(axes, scale, path="0", unit="nanometer"):
    named = [{"name": a, "type": KINDS[a], **({"unit": unit} if a in "zyx" else {})} for a in axes]
    level = {"path": path, "coordinateTransformations": [{"type": "scale", "scale": list(scale)}]}
    return {"multiscales": [{"version": "0.4", "axes": named, "datasets": [level]}]}


def image(folder, group="", level="0", stack=STACK):
    """An OME-Zarr image at ``group`` of a store."""
    root = zarr.open_group(str(folder), mode="a", zarr_format=2)
    node = root.require_group(group) if group else root
    node.create_array(level, shape=stack.shape, dtype=stack.dtype, chunks=(2, 5, 6))[...] = stack
    node.attrs.update(multiscale("zyx", (50, 5, 4), level))
    return root


@settings(deadline=None, max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(order=st.sampled_from(list(itertools.permutations("zyxc"))), channels=st.integers(1, 3), data=st.data())
def test_axes_are_taken_by_their_names(tmp_path_factory, order, channels, data):
    channel = data.draw(st.integers(0, channels - 1))
    several = np.stack([STACK + number for number in range(channels)], axis=-1)  # z, y, x, c
    array = several.transpose(["zyxc".index(axis) for axis in order])
    path = tmp_path_factory.mktemp("a") / "a.zarr"
    ome_zarr("0.4")(path, array, "".join(order), (50.0, 5.0, 4.0))
    with open_volume(path, channel=channel if channels > 1 else None) as volume:
        np.testing.assert_array_equal(volume.read(range(12)), STACK + channel)
        assert volume.voxel_size == pytest.approx((50, 5, 4))
    if channels > 1:
        with pytest.raises(InputError, match=f"axis c of length {channels} .*--channel 0 to {channels - 1} takes one"):
            open_volume(path)


def test_time_points_are_no_sections(tmp_path):
    ome_zarr("0.5")(tmp_path / "a.zarr", np.stack([STACK, STACK + 1]), "tzyx", (50.0, 5.0, 4.0))
    with pytest.raises(InputError, match="--time 0 to 1"):
        open_volume(tmp_path / "a.zarr")
    np.testing.assert_array_equal(read(tmp_path / "a.zarr", time=1), STACK + 1)
    with pytest.raises(InputError, match="--time 2; expected 0 to 1"):
        open_volume(tmp_path / "a.zarr", time=2)


@pytest.mark.parametrize("image", [{"version": "0.3", "axes": ["z", "y", "x"]}, {"version": "0.1"}])
def test_images_of_older_versions(tmp_path, image):
    root = zarr.open_group(str(tmp_path / "a.zarr"), mode="w", zarr_format=2)
    root.create_array("0", shape=STACK.shape, dtype="u2", chunks=(4, 5, 5))[...] = STACK
    root.attrs["multiscales"] = [{**image, "datasets": [{"path": "0"}]}]
    with open_volume(tmp_path / "a.zarr") as volume:
        np.testing.assert_array_equal(volume.read(range(12)), STACK)
        assert volume.voxel_size is None


def test_names_of_the_dimensions_of_zarr_3(tmp_path):
    made = zarr.create_array(
        str(tmp_path / "a.zarr"), shape=(14, 10, 12), dtype="u2", chunks=(4, 4, 4), dimension_names=["x", "y", "z"]
    )
    made[...] = STACK.transpose()
    np.testing.assert_array_equal(read(tmp_path / "a.zarr"), STACK)


@pytest.mark.parametrize("name", STORES)
def test_a_chunk_that_is_not_there_is_named_by_its_sections(name, tmp_path):
    path = write(name, tmp_path, STACK)
    files = sorted(
        file for file in path.rglob("*") if file.is_file() and file.suffix != ".json" and file.name[0] != "."
    )
    lost = [file for file in files if file.name != "info"][-1]
    lost.unlink()
    with open_volume(path) as volume, pytest.raises(InputError, match=r"sections? .*missing.*--on-missing"):
        volume.read(range(12))
    with open_volume(path, on_missing="replace") as volume:
        found = volume.read(range(12))
        gone = {int(z) for z in np.flatnonzero((found != STACK).any(axis=(1, 2)))}
        assert gone == set(volume.replaced)
        for number, other in volume.replaced.items():
            np.testing.assert_array_equal(found[number], STACK[other])
    kept = read(path, on_missing="keep")
    assert ((kept == STACK) | (kept == 0)).all()
    assert (kept == 0).any()
    np.testing.assert_array_equal(read_ids(path, dataset=None), kept)  # ids may be sparse


def test_the_image_of_bioformats2raw_is_one_group_below(tmp_path):
    root = image(tmp_path / "a.zarr", "0")
    root.attrs["bioformats2raw.layout"] = 3
    root.create_group("OME").attrs["series"] = ["0"]
    with open_volume(tmp_path / "a.zarr") as volume:
        assert volume.voxel_size == (50, 5, 4)
        assert volume.dataset == "0/0"
    image(tmp_path / "a.zarr", "1")
    with pytest.raises(InputError, match=r"--dataset names it; it holds 0, 1"):
        open_volume(tmp_path / "a.zarr")


def test_plates_are_refused_by_name(tmp_path):
    root = image(tmp_path / "a.zarr", "A/1/0")
    root.attrs["plate"] = {"wells": [{"path": "A/1"}]}
    with pytest.raises(InputError, match="a plate of many images; --dataset names one"):
        open_volume(tmp_path / "a.zarr")
    np.testing.assert_array_equal(read(tmp_path / "a.zarr", dataset="A/1/0"), STACK)


@pytest.mark.parametrize(
    ("inside", "dataset"),
    [
        ("", None),
        ("", "recon-1/em"),
        ("", "recon-1/em/s0"),
        ("recon-1/em", None),
        ("recon-1/em", "s0"),
        ("recon-1/em/s0", None),
    ],
)
def test_a_level_has_its_scale_however_it_is_named(tmp_path, inside, dataset):
    image(tmp_path / "a.zarr", "recon-1/em", "s0")
    with open_volume(tmp_path / "a.zarr" / inside, dataset) as volume:
        assert volume.voxel_size == (50, 5, 4)
        np.testing.assert_array_equal(volume.read(range(12)), STACK)


def test_stale_consolidated_metadata_do_not_hide_an_array(tmp_path):
    root = zarr.open_group(str(tmp_path / "a.zarr"), mode="w", zarr_format=2)
    root.create_array("old", shape=(3, 4, 5), dtype="u1", chunks=(1, 4, 5))
    zarr.consolidate_metadata(str(tmp_path / "a.zarr"))
    late = zarr.open_group(str(tmp_path / "a.zarr"), mode="a", use_consolidated=False)
    late.create_array("raw", shape=STACK.shape, dtype="u2", chunks=(2, 5, 6))[...] = STACK
    np.testing.assert_array_equal(read(tmp_path / "a.zarr", dataset="raw"), STACK)


@pytest.mark.parametrize("place", ["array", "group"])
def test_attributes_of_the_array_or_of_a_group_above_say_the_voxel_size(tmp_path, place):
    root = zarr.open_group(str(tmp_path / "a.zarr"), mode="w")
    array = root.create_array("em/raw", shape=STACK.shape, dtype="u2", chunks=(2, 5, 6))
    array[...] = STACK
    (array if place == "array" else root["em"]).attrs["voxel_size"] = [50, 5, 4]
    with open_volume(tmp_path / "a.zarr") as volume:
        assert volume.voxel_size == (50, 5, 4)


def test_coarser_levels_of_n5_have_larger_voxels(tmp_path):
    path = write("n5", tmp_path, STACK)
    shutil.copytree(path / "s0", path / "s1")
    attributes = json.loads((path / "s1" / "attributes.json").read_text())
    (path / "s1" / "attributes.json").write_text(json.dumps({**attributes, "downsamplingFactors": [2, 2, 1]}))
    with open_volume(path, "s1") as volume:
        assert volume.voxel_size == (50, 10, 8)


@pytest.mark.parametrize("key", ["scales", "downsamplingFactors"])
@pytest.mark.parametrize(("inside", "dataset"), [("", "s1"), ("/s1", None)])
def test_a_group_above_lists_how_coarse_the_levels_of_n5_are(tmp_path, key, inside, dataset):
    path = write("n5", tmp_path, STACK)
    shutil.copytree(path / "s0", path / "s1")
    for level in ("s0", "s1"):
        attributes = json.loads((path / level / "attributes.json").read_text())
        attributes.pop("pixelResolution", None)
        (path / level / "attributes.json").write_text(json.dumps(attributes))
    size = {"unit": "nm", "dimensions": [4, 5, 50]}
    (path / "attributes.json").write_text(
        json.dumps({"n5": "2.0.0", "pixelResolution": size, key: [[1, 1, 1], [2, 4, 1]]})
    )
    with open_volume(f"{path}{inside}", dataset) as volume:
        assert volume.voxel_size == (50, 20, 8)
    with open_volume(path, "s0") as volume:
        assert volume.voxel_size == (50, 5, 4)


def group(multiscales):
    return {"zarr_format": 3, "node_type": "group", "attributes": {"ome": {"multiscales": multiscales}}}


def scaled(scale):
    level = {"path": "0", "coordinateTransformations": [{"type": "scale", "scale": scale}]}
    return group([{"axes": ["z", "y", "x"], "datasets": [level]}])


@pytest.mark.parametrize(
    ("file", "content", "text"),
    [
        ("zarr.json", [1, 2], r"zarr.json is \[1, 2\]; expected an object"),
        ("zarr.json", group("x"), 'multiscales is "x"; expected a list of objects'),
        ("zarr.json", scaled(["a", 5, 4]), r'scale is \["a", 5, 4\]; expected a list of numbers'),
        ("zarr.json", scaled(None), "scale is null; expected a list of numbers"),
        ("info", {"scales": []}, r"scales is \[\]; expected a list of objects"),
        ("info", {"scales": 5}, "scales is 5; expected a list of objects"),
        ("info", {"scales": [{"key": "a"}]}, "resolution is null; expected three lengths"),
    ],
)
def test_damaged_metadata_are_named(tmp_path, file, content, text):
    (tmp_path / file).write_text(json.dumps(content))
    with pytest.raises(InputError, match=f"metadata are damaged: {text}"):
        open_volume(tmp_path)


@pytest.mark.parametrize("name", STORES)
def test_damaged_metadata_are_one_line(name, tmp_path):
    path = write(name, tmp_path, STACK)
    for file in [*path.rglob("*.json"), *path.rglob(".z*"), *path.rglob("info")]:
        whole = file.read_text()
        for text in (whole[: len(whole) // 2], "[]", "{}", whole.replace("50", "1e999"), whole.replace("[", "{")):
            file.write_text(text)
            try:
                read(path)
            except InputError as error:
                assert "\n" not in str(error)
        file.write_text(whole)
    np.testing.assert_array_equal(read(path), STACK)


class Ranges(http.server.SimpleHTTPRequestHandler):
    """Serves parts of files too, as servers of stores do."""

    def do_GET(self):
        file = Path(self.translate_path(self.path))
        if not file.is_file():
            return self.send_error(404)
        content = file.read_bytes()
        first, _, last = (self.headers.get("Range") or "bytes=0-").removeprefix("bytes=").partition("-")
        start = int(first) if first else len(content) - int(last)
        part = content[start : int(last) + 1] if first and last else content[start:]
        self.send_response(206 if "Range" in self.headers else 200)
        self.send_header("Content-Length", str(len(part)))
        if "Range" in self.headers:
            self.send_header("Content-Range", f"bytes {start}-{start + len(part) - 1}/{len(content)}")
        self.end_headers()
        self.wfile.write(part)
        return None

    def log_message(self, *_):
        pass


@pytest.fixture
def served(tmp_path):
    """The address of the folder by http."""
    handler = functools.partial(Ranges, directory=str(tmp_path))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


@pytest.mark.parametrize("name", STORES)
def test_stores_are_read_by_http(name, tmp_path, served):
    path = write(name, tmp_path, STACK[:5, :5, :5])
    address = f"{served}/{path.name}" + ("/s0" if name == "n5" else "")
    with open_volume(address) as volume:
        np.testing.assert_array_equal(volume.read(range(5)), STACK[:5, :5, :5])
        assert volume.voxel_size == pytest.approx((50, 5, 4))


def test_an_address_where_nothing_is_is_refused(served):
    with pytest.raises(InputError, match="no Zarr, N5 or precomputed volume"):
        open_volume(f"{served}/absent.zarr")


def test_a_server_that_does_not_answer_is_one_line_soon():
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"http://127.0.0.1:{free.getsockname()[1]}/a.zarr"
    with pytest.raises(InputError, match=r"a\.zarr"):
        open_volume(address)
