"""Labels of a test set, cut out of those of the volume that it came from."""

import json

import cv2
import numpy as np
import pytest
import tifffile

from gpemsr.data.section_store import open_section_store
from gpemsr.errors import InputError
from gpemsr.segmentation.true_labels import read_labels

pytest.importorskip("cc3d", reason="the extra 'benchmark' is not installed")
SHAPE = (12, 20, 24)
SECTIONS = [4, 6, 8]
TOP, LEFT, HEIGHT, WIDTH = 3, 5, 12, 16


@pytest.fixture
def source(tmp_path) -> np.ndarray:
    """Ids of a volume of blocks, and a test set of every second section and a rectangle of it."""
    _, y, x = np.indices(SHAPE)
    ids = (1 + y // 5 + 10 * (x // 6)).astype(np.uint16)
    ids[:, ::7] = 0
    tifffile.imwrite(tmp_path / "ids.tif", ids)
    (tmp_path / "hr" / "v").mkdir(parents=True)
    for number in SECTIONS:
        cv2.imwrite(str(tmp_path / "hr" / "v" / f"{number}.png"), np.zeros((HEIGHT, WIDTH), np.uint8))
    crop = {"z": [4, 9], "y": [TOP, TOP + HEIGHT], "x": [LEFT, LEFT + WIDTH]}
    (tmp_path / "hr" / "volume.json").write_text(json.dumps({"volumes": {"v": {"crop": crop}}}))
    return ids


def same_partition(a: np.ndarray, b: np.ndarray) -> bool:
    pairs = set(zip(a.ravel().tolist(), b.ravel().tolist(), strict=True))
    return len(pairs) == len(set(a.ravel().tolist())) == len(set(b.ravel().tolist()))


def test_they_are_of_the_same_sections_and_rectangle(source, tmp_path):
    labels = read_labels(tmp_path / "ids.tif", open_section_store(tmp_path / "hr", "disk"))
    part = source[SECTIONS, TOP : TOP + HEIGHT, LEFT : LEFT + WIDTH]
    assert np.array_equal(labels == 0, part == 0)
    assert len(np.unique(labels)) == 1 + sum(_pieces(part == i) for i in np.unique(part) if i)


def _pieces(mask: np.ndarray) -> int:
    from skimage.measure import label

    return int(label(mask, connectivity=1).max())


def test_some_sections_of_the_test_set(source, tmp_path):
    store = open_section_store(tmp_path / "hr", "disk")
    some = read_labels(tmp_path / "ids.tif", store, [1, 3])
    assert some.shape == (2, HEIGHT, WIDTH)
    assert same_partition(some[0], read_labels(tmp_path / "ids.tif", store, [1, 2])[0])


def test_membranes_are_regions_of_each_section(source, tmp_path):
    labels = read_labels(tmp_path / "ids.tif", open_section_store(tmp_path / "hr", "disk"), by_section=True)
    for one, other in ((0, 1), (1, 2), (0, 2)):
        assert set(np.unique(labels[one])) & set(np.unique(labels[other])) <= {0}


def test_sections_that_the_test_set_lacks_are_refused(source, tmp_path):
    with pytest.raises(InputError, match=r"too few for segmentation\.sections"):
        read_labels(tmp_path / "ids.tif", open_section_store(tmp_path / "hr", "disk"), [1, 4])


def test_labels_smaller_than_the_test_set_are_refused(source, tmp_path):
    tifffile.imwrite(tmp_path / "ids.tif", source[:, :10])
    with pytest.raises(InputError, match="do not hold"):
        read_labels(tmp_path / "ids.tif", open_section_store(tmp_path / "hr", "disk"))
