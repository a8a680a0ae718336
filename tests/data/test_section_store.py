"""Reading sections from LMDBs and folders."""

import json
import multiprocessing
import os
import pickle
import shutil
from functools import partial

import cv2
import lmdb
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gpemsr.data.em_lmdb import LmdbWriter
from gpemsr.data.section_store import open_section_store
from gpemsr.errors import InputError, InputWarning

NUMBERS = (3, 7, 11)
STACK = np.random.default_rng(0).integers(0, 65535, (3, 40, 50), np.uint16)


@pytest.fixture(scope="module")
def roots(tmp_path_factory):
    folder = tmp_path_factory.mktemp("stores")
    for name, tile in (("whole", None), ("tiles", 16)):
        with LmdbWriter(folder / f"{name}.lmdb", tile, {"scale": 1}) as writer:
            for number, section in zip(NUMBERS, STACK, strict=True):
                writer.put("cell", number, section)
            writer.finish_volume("cell", STACK[0], {"sections": list(NUMBERS), "voxel_size": [50, 4, 4]})
            writer.close()
            writer.publish(overwrite=False)
    (folder / "disk" / "cell").mkdir(parents=True)
    for number, section in zip(NUMBERS, STACK, strict=True):
        cv2.imwrite(str(folder / "disk" / "cell" / f"{number}.png"), section)
    return {
        "whole": (folder / "whole.lmdb", "lmdb"),
        "tiles": (folder / "tiles.lmdb", "lmdb"),
        "disk": (folder / "disk", "disk"),
    }


KINDS = ("whole", "tiles", "disk")


@pytest.mark.parametrize("kind", KINDS)
def test_what_it_says_of_a_volume(roots, kind):
    info = open_section_store(*roots[kind]).volumes["cell"]
    assert (info.sections, info.height, info.width, info.dtype) == (NUMBERS, 40, 50, np.uint16)
    assert info.voxel_size == (None if kind == "disk" else (50, 4, 4))


@pytest.mark.parametrize("kind", KINDS)
def test_fingerprint_is_of_the_sections_and_not_of_their_folder(roots, kind, tmp_path):
    root, backend = roots[kind]
    first = open_section_store(root, backend).fingerprint()
    copy = shutil.copytree(root, tmp_path / "copy")
    assert open_section_store(copy, backend).fingerprint() == first
    if kind == "disk":
        assert open_section_store(copy, backend, (0, 4095)).fingerprint() != first
        cv2.imwrite(str(copy / "cell" / "7.png"), STACK[0])
    else:
        metadata = json.loads((copy / "volume.json").read_text())
        metadata["volumes"]["cell"]["sha256"] = None  # of the whole file then
        (copy / "volume.json").write_text(json.dumps(metadata))
    assert open_section_store(copy, backend).fingerprint() != first


@pytest.mark.parametrize("kind", KINDS)
@settings(deadline=None, max_examples=25)
@given(data=st.data())
def test_a_region_is_that_part_of_the_section(roots, kind, data):
    y, x = data.draw(st.integers(0, 39)), data.draw(st.integers(0, 49))
    height, width = data.draw(st.integers(1, 40 - y)), data.draw(st.integers(1, 50 - x))
    index = data.draw(st.integers(0, 2))
    region = open_section_store(*roots[kind]).read("cell", NUMBERS[index], y, x, height, width)
    np.testing.assert_array_equal(region, STACK[index, y : y + height, x : x + width])
    assert region.flags.writeable
    assert region.base is None


def test_only_the_tiles_touched_are_decoded(roots, monkeypatch):
    store, decoded, decode = open_section_store(*roots["tiles"]), [], cv2.imdecode
    monkeypatch.setattr(cv2, "imdecode", lambda *arguments: decoded.append(1) or decode(*arguments))
    store.read("cell", 3, 17, 17, 10, 10)
    assert len(decoded) == 1
    store.read("cell", 3, 15, 15, 2, 2)
    assert len(decoded) == 5


def test_floats_are_fractions_of_the_full_range(roots):
    values = open_section_store(*roots["whole"]).read_float("cell", 7)
    assert values.dtype == np.float32
    np.testing.assert_allclose(values, STACK[1] / 65535, rtol=1e-6)


@pytest.mark.parametrize("kind", KINDS)
def test_it_can_be_pickled_after_reading(roots, kind):
    store = open_section_store(*roots[kind])
    store.read("cell", 3)
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(store)).read("cell", 11), STACK[2])


@pytest.mark.parametrize("kind", KINDS)
def test_two_stores_of_one_root_work_side_by_side(roots, kind):
    first, second = open_section_store(*roots[kind]), open_section_store(*roots[kind])
    np.testing.assert_array_equal(first.read("cell", 3), second.read("cell", 3))


@pytest.mark.parametrize(
    ("kind", "start", "read_before"),
    [*((kind, "fork", before) for kind in KINDS for before in (False, True)), ("tiles", "spawn", True)],
)
def test_worker_processes_read_it(roots, kind, start, read_before):
    store = open_section_store(*roots[kind])
    if read_before:
        store.read("cell", 3)
    with multiprocessing.get_context(start).Pool(2) as pool:
        sections = pool.map(partial(store.read, "cell"), NUMBERS, chunksize=1)
    np.testing.assert_array_equal(np.stack(sections), STACK)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (("other", 3), "no volume 'other'; it holds cell"),
        (("cell", 4), "no section cell/0*4"),
        (("cell", 3, 0, 0, 41, 5), "outside sections of 40 x 50"),
        (("cell", 3, -1, 0, 5, 5), "outside"),
    ],
)
def test_what_is_not_there_is_refused(roots, kind, arguments, text):
    with pytest.raises(InputError, match=text):
        open_section_store(*roots[kind]).read(*arguments)


@pytest.mark.parametrize(
    ("backend", "text"), [("lmdb", "gpemsr-lmdb"), ("disk", "no such folder"), ("zip", "lmdb or disk")]
)
def test_an_absent_root_is_refused(tmp_path, backend, text):
    with pytest.raises(InputError, match=text):
        open_section_store(tmp_path / "absent", backend)


def test_a_folder_that_is_no_store_is_refused(tmp_path):
    for backend in ("lmdb", "disk"):
        with pytest.raises(InputError, match=str(tmp_path)):
            open_section_store(tmp_path, backend)


def test_a_disk_section_of_another_size_is_named(tmp_path):
    (tmp_path / "cell").mkdir()
    for number, height in enumerate((8, 9)):
        cv2.imwrite(str(tmp_path / "cell" / f"{number}.png"), np.zeros((height, 8), np.uint8))
    with pytest.raises(InputError, match=r"1\.png"):
        open_section_store(tmp_path, "disk")


def test_a_damaged_section_is_named(tmp_path, roots):
    path = shutil.copytree(roots["whole"][0], tmp_path / "a.lmdb")
    environment = lmdb.open(os.fspath(path))
    with environment.begin(write=True) as transaction:
        transaction.put(b"cell/00000007", b"no PNG")
    environment.close()
    store = open_section_store(path, "lmdb")
    with pytest.raises(InputError, match="cell/00000007 is damaged"):
        store.read("cell", 7)


def test_folders_may_have_a_range_of_grey_values(tmp_path):
    (tmp_path / "v").mkdir()
    pixels = np.arange(1000, 5096, dtype=np.uint16).reshape(64, 64)
    cv2.imwrite(str(tmp_path / "v" / "0.png"), pixels)
    with pytest.warns(InputWarning, match="1000 to 5095 use 6% of the range 0 to 65535"):
        open_section_store(tmp_path, "disk")
    store = open_section_store(tmp_path, "disk", (1000, 5095))
    np.testing.assert_allclose(store.read_float("v", 0).ravel(), np.linspace(0, 1, 4096), atol=1e-6)


def test_a_record_gives_folders_their_voxel_size_and_range(tmp_path):
    (tmp_path / "v").mkdir()
    cv2.imwrite(str(tmp_path / "v" / "0.png"), np.eye(8, dtype=np.uint16) * 100)
    entry = {"voxel_size": [50, 4, 4], "intensity_range": [0, 200]}
    (tmp_path / "volume.json").write_text(json.dumps({"volumes": {"v": entry}}))
    store = open_section_store(tmp_path, "disk")
    assert store.volumes["v"].voxel_size == (50, 4, 4)
    np.testing.assert_allclose(store.read_float("v", 0), np.eye(8) / 2)
