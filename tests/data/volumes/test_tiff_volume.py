"""Multi-page TIFFs: voxel size, refusals, truncation."""

import numpy as np
import pytest
import tifffile
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gpemsr.data.volumes.ids import read_ids
from gpemsr.data.volumes.reader import open_volume
from gpemsr.errors import InputError, InputWarning

STACK = np.random.default_rng(0).integers(0, 65535, (5, 20, 17), np.uint16)
SCHEMA = "http://www.openmicroscopy.org/Schemas/OME/2016-06"
NM = {"PhysicalSizeXUnit": "nm", "PhysicalSizeYUnit": "nm", "PhysicalSizeZUnit": "nm"}
KINDS = {
    "plain": {},
    "pages": {"metadata": None},
    "big": {"bigtiff": True},
    "big-endian": {"byteorder": ">"},
    "zlib": {"compression": "zlib", "metadata": None},
    "imagej": {"imagej": True, "metadata": {"axes": "ZYX", "spacing": 0.05, "unit": "um"}, "resolution": (250, 200)},
    "micro sign": {
        "imagej": True,
        "metadata": {"axes": "ZYX", "spacing": 0.05, "unit": "\\u00B5m"},
        "resolution": (250, 200),
    },
    "ome": {
        "ome": True,
        "metadata": {"axes": "ZYX", "PhysicalSizeX": 4, "PhysicalSizeY": 5, "PhysicalSizeZ": 50, **NM},
    },
}


def read(path) -> np.ndarray:
    with open_volume(path) as volume:
        return volume.read(range(volume.shape[0]))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_sections_come_as_written(tmp_path, kind, dtype):
    stack = (STACK >> 8).astype(dtype) if dtype == np.uint8 else STACK
    tifffile.imwrite(tmp_path / "a.tif", stack, **KINDS[kind])
    with open_volume(tmp_path / "a.tif") as volume:
        assert volume.shape == stack.shape
        assert volume.dtype == dtype
        assert volume.dtype.isnative
    np.testing.assert_array_equal(read(tmp_path / "a.tif"), stack)


@pytest.mark.parametrize(
    ("kind", "voxel_size"),
    [("imagej", (50, 5, 4)), ("micro sign", (50, 5, 4)), ("ome", (50, 5, 4)), ("plain", None)],
)
def test_voxel_size_is_that_of_the_metadata(tmp_path, kind, voxel_size):
    tifffile.imwrite(tmp_path / "a.tif", STACK, **KINDS[kind])
    with open_volume(tmp_path / "a.tif") as volume:
        assert volume.voxel_size == (voxel_size and pytest.approx(voxel_size))


def test_a_given_voxel_size_goes_before_the_metadata(tmp_path):
    tifffile.imwrite(tmp_path / "a.tif", STACK, **KINDS["imagej"])
    with open_volume(tmp_path / "a.tif", voxel_size=(40, 3, 2)) as volume:
        assert volume.voxel_size == (40, 3, 2)
    with pytest.raises(InputError, match="three positive lengths"):
        open_volume(tmp_path / "a.tif", voxel_size=(40, float("nan"), 2))


def test_a_stack_of_one_page_as_imagej_saves_beyond_4_gb(tmp_path):
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, STACK[0], metadata=None, description="ImageJ=1.53t\nimages=5\nslices=5\n")
    assert tifffile.TiffFile(path).pages[0].dataoffsets[0] + STACK[0].nbytes == path.stat().st_size
    with open(path, "ab") as file:
        file.write(STACK[1:].tobytes())
    np.testing.assert_array_equal(read(path), STACK)
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(InputError, match="truncated"):
        open_volume(path)


@settings(deadline=None, max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.sampled_from(sorted(KINDS)), st.floats(0, 1, exclude_max=True, allow_subnormal=False))
def test_a_truncated_file_is_refused_or_complete(tmp_path, kind, part):
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, STACK, **KINDS[kind])
    content = path.read_bytes()
    path.write_bytes(content[: int(part * len(content))])
    try:
        stack = read(path)
    except InputError as error:
        assert "\n" not in str(error)
    else:  # a few bytes of padding were cut
        np.testing.assert_array_equal(stack, STACK)


@pytest.mark.parametrize(
    ("stack", "options", "text"),
    [
        (np.zeros((5, 20, 17, 3), np.uint8), {"photometric": "rgb"}, "colour"),
        (np.zeros((5, 20, 17), np.float64), {}, "float64 voxels; expected uint8, uint16, int8, int16 or float32"),
        (np.zeros((5, 20, 17), np.int32), {}, "int32 voxels"),
        (np.zeros((5, 3, 20, 17), np.uint8), {"imagej": True, "metadata": {"axes": "ZCYX"}}, "--channel 0 to 2"),
        (
            np.zeros((4, 20, 17), np.uint8),
            {"imagej": True, "metadata": {"axes": "CYX"}},
            "axis c of length 4 .* takes one; sections have to be saved with axes z, y, x",
        ),
    ],
)
def test_other_images_are_refused(tmp_path, stack, options, text):
    tifffile.imwrite(tmp_path / "a.tif", stack, **options)
    with pytest.raises(InputError, match=text):
        open_volume(tmp_path / "a.tif")


def one_by_one(path, compression=None):
    with tifffile.TiffWriter(path) as writer:
        for section in STACK:
            writer.write(section, compression=compression)


@pytest.mark.parametrize("compression", [None, "zlib"])
@pytest.mark.parametrize("name", ["a.tif", "a.ome.tif"])
def test_sections_written_one_by_one_are_a_stack(tmp_path, name, compression):
    one_by_one(tmp_path / name, compression)
    np.testing.assert_array_equal(read(tmp_path / name), STACK)


def test_sections_appended_are_a_stack(tmp_path):
    for section in STACK:
        tifffile.imwrite(tmp_path / "a.tif", section, append=True)
    np.testing.assert_array_equal(read(tmp_path / "a.tif"), STACK)


def test_stacks_written_one_after_the_other_are_refused(tmp_path):
    for _ in range(2):
        tifffile.imwrite(tmp_path / "a.tif", STACK, append=True, photometric="minisblack")
    with pytest.raises(InputError, match="holds 2 image series"):
        open_volume(tmp_path / "a.tif")


@pytest.mark.parametrize("compression", [None, "zlib"])
def test_sections_written_one_by_one_and_cut_are_truncated(tmp_path, compression):
    path = tmp_path / "a.tif"
    one_by_one(path, compression)
    content = path.read_bytes()
    for size in range(0, len(content) - 8, 97):
        path.write_bytes(content[:size])
        with pytest.raises(InputError, match="truncated"):
            read(path)


@pytest.mark.parametrize("kind", ["imagej", "ome"])
def test_many_channels_are_sections(tmp_path, kind):
    tifffile.imwrite(tmp_path / "a.tif", STACK, **{kind: True}, metadata={"axes": "CYX"})
    with pytest.warns(InputWarning, match="5 channels, taken as sections"):
        np.testing.assert_array_equal(read(tmp_path / "a.tif"), STACK)
    with open_volume(tmp_path / "a.tif", channel=3) as volume:
        np.testing.assert_array_equal(volume.read(range(1)), STACK[3:4])


def test_a_section_of_another_size_is_named(tmp_path):
    with tifffile.TiffWriter(tmp_path / "a.tif") as writer:
        for height in (20, 20, 21, 20):
            writer.write(np.zeros((height, 17), np.uint8), contiguous=False, metadata=None)
    with pytest.raises(InputError, match="section 2 is 21 x 17, the first one is 20 x 17"):
        open_volume(tmp_path / "a.tif")


def test_ome_planes_are_put_in_the_order_of_z(tmp_path):
    path = tmp_path / "a.ome.tif"
    tifffile.imwrite(path, STACK, ome=True, metadata={"axes": "ZYX"})
    xml = tifffile.TiffFile(path).ome_metadata
    planes = "".join(f'<TiffData FirstZ="{4 - page}" IFD="{page}" PlaneCount="1"/>' for page in range(5))
    swapped = xml[: xml.index("<TiffData")] + planes + xml[xml.index("</Pixels>") :]
    tifffile.imwrite(path, STACK, metadata=None, description=swapped)
    np.testing.assert_array_equal(read(path), STACK[::-1])


@pytest.mark.parametrize("dtype", ["uint8", "uint16", "int16"])
def test_white_is_zero_is_inverted_section_by_section(tmp_path, dtype):
    stack = (STACK >> 8).astype(dtype)
    with tifffile.TiffWriter(tmp_path / "a.tif") as writer:
        for z, section in enumerate(stack):
            kind = "miniswhite" if z in (1, 3) else "minisblack"
            writer.write(~section if z in (1, 3) else section, photometric=kind, metadata=None, contiguous=False)
    np.testing.assert_array_equal(read(tmp_path / "a.tif"), stack)


def test_ids_are_not_inverted(tmp_path):
    tifffile.imwrite(tmp_path / "a.tif", STACK, photometric="miniswhite")
    np.testing.assert_array_equal(read_ids(tmp_path / "a.tif"), STACK)


@pytest.mark.parametrize("odd", ["palette", "uint16", "rgb"])
def test_a_section_unlike_the_others_is_named(tmp_path, odd):
    with tifffile.TiffWriter(tmp_path / "a.tif") as writer:
        for z, section in enumerate((STACK >> 8).astype(np.uint8)):
            options = {"photometric": "minisblack"}
            if z == 2 and odd == "palette":
                options = {"photometric": "palette", "colormap": np.zeros((3, 256), np.uint16)}
            if z == 2 and odd == "uint16":
                section = section.astype(np.uint16)
            if z == 2 and odd == "rgb":
                section, options = np.stack([section] * 3, -1), {"photometric": "rgb"}
            writer.write(section, metadata=None, contiguous=False, **options)
    with pytest.raises(InputError, match=r"section 2|image series"):
        open_volume(tmp_path / "a.tif")


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("unit=nm\nzunit=um\nspacing=0.05\n", (50, 5, 4)),
        ("unit=nm\nyunit=um\nspacing=50\n", (50, 5000, 4)),
        ("unit=nm\nspacing=50\n", (50, 5, 4)),
        ("unit=pixel\nspacing=1\n", None),
    ],
)
def test_imagej_may_have_a_unit_for_each_axis(tmp_path, text, size):
    with tifffile.TiffWriter(tmp_path / "a.tif") as writer:
        for z, section in enumerate(STACK):
            writer.write(
                section, photometric="minisblack", metadata=None, contiguous=False, resolution=(1 / 4, 1 / 5),
                resolutionunit="NONE", description=f"ImageJ=1.54f\nimages=5\nslices=5\n{text}" if z == 0 else None,
            )  # fmt: skip
    with open_volume(tmp_path / "a.tif") as volume:
        assert volume.voxel_size == (size and pytest.approx(size))


def test_ome_xml_that_no_parser_takes_costs_the_voxel_size_only(tmp_path):
    xml = f'<?xml version="1.0"?><OME xmlns="{SCHEMA}"><Image Name="a & b"/></OME>'
    with tifffile.TiffWriter(tmp_path / "a.ome.tif") as writer:
        for z, section in enumerate(STACK):
            writer.write(section, photometric="minisblack", description=xml if z == 0 else None, metadata=None)
    with open_volume(tmp_path / "a.ome.tif") as volume:
        assert volume.voxel_size is None
    np.testing.assert_array_equal(read(tmp_path / "a.ome.tif"), STACK)


def fileset(folder):
    """OME-TIFF with a file for each section, each of which names all the others."""
    blocks = "".join(
        f'<TiffData FirstZ="{z}" IFD="0" PlaneCount="1"><UUID FileName="s_{z}.ome.tif">urn:uuid:{z}</UUID></TiffData>'
        for z in range(5)
    )
    sizes = " ".join(f'PhysicalSize{a}="{s}" PhysicalSize{a}Unit="nm"' for a, s in (("X", 4), ("Y", 5), ("Z", 50)))
    for z, section in enumerate(STACK):
        xml = (
            f'<?xml version="1.0"?><OME xmlns="{SCHEMA}" UUID="urn:uuid:{z}"><Image ID="Image:0">'
            f'<Pixels DimensionOrder="XYZCT" ID="Pixels:0" SizeC="1" SizeT="1" SizeX="17" SizeY="20" SizeZ="5" '
            f'Type="uint16" {sizes}>{blocks}</Pixels></Image></OME>'
        )
        tifffile.imwrite(folder / f"s_{z}.ome.tif", section, description=xml, metadata=None, photometric="minisblack")
    return folder / "s_0.ome.tif"


@pytest.mark.filterwarnings("error")
def test_an_ome_set_is_read_by_its_first_file_and_by_its_folder(tmp_path):
    path = fileset(tmp_path)
    with open_volume(path) as volume:
        assert volume.voxel_size == (50, 5, 4)
        np.testing.assert_array_equal(volume.read(range(5)), STACK)
    with open_volume(tmp_path) as volume:
        assert volume.voxel_size == (50, 5, 4)
        np.testing.assert_array_equal(volume.read(range(5)), STACK)


def test_a_file_that_an_ome_set_lacks_is_a_missing_section(tmp_path):
    path = fileset(tmp_path)
    (tmp_path / "s_3.ome.tif").unlink()
    with pytest.raises(InputError, match=r"section 3 is missing"):
        open_volume(path)
    with open_volume(path, on_missing="replace") as volume:
        np.testing.assert_array_equal(volume.section(3), STACK[2])


def test_what_is_no_tiff_is_refused(tmp_path):
    (tmp_path / "a.tif").write_bytes(b"no tiff at all")
    with pytest.raises(InputError, match="TIFF"):
        open_volume(tmp_path / "a.tif")


@pytest.mark.realdata
def test_real_stacks_open(em_data):
    with open_volume(em_data / "fib25_sample1" / "raw.tif") as volume:
        assert volume.shape == (250, 250, 250)
        assert volume.voxel_size == (10, 10, 10)
