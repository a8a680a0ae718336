"""Labels of a test set, cut out of those of the volume that it came from."""

import json
import re
from pathlib import Path

import cv2
import numpy as np
import pytest
import tifffile

from gpemsr.data.lmdb_job import LmdbJob, make_lmdbs
from gpemsr.data.section_store import open_section_store
from gpemsr.data.volumes.reader import open_volume
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


@pytest.fixture
def ids(tmp_path) -> np.ndarray:
    """Ids of a volume in which every section is split elsewhere along y, at the row of its place."""
    ids = np.ones((12, 16, 16), np.uint16)
    for z, section in enumerate(ids):
        section[z + 1] = 0
        section[z + 2 :] = 2
    tifffile.imwrite(tmp_path / "ids.tif", ids)
    return ids


def cut(tmp_path: Path, missing: tuple[int, ...] = (), first: int = 1, **options):
    """The HR store cut from a folder of section images numbered from ``first``, some of which are missing."""
    (tmp_path / "raw").mkdir()
    for number in range(first, first + 12):
        if number not in missing:
            cv2.imwrite(str(tmp_path / "raw" / f"{number}.png"), np.eye(16, dtype=np.uint8))
    job = LmdbJob(tmp_path, "v", "v", degradation="area", **options)
    hr, _ = make_lmdbs(open_volume(tmp_path / "raw", on_missing="replace"), job, progress=False)
    return open_section_store(hr, "lmdb")


def labels_of(folder: Path, store, ids: str | None = None, **options) -> np.ndarray:
    return read_labels(ids or folder / "ids.tif", store, **options)


def split_rows(labels: np.ndarray) -> list[int]:
    """The row at which each section is split."""
    return [int(np.flatnonzero(section[:, 0] == 0)[0]) for section in labels]


@pytest.mark.parametrize("first", [0, 1, 1204])
def test_the_numbers_of_the_volume_may_begin_anywhere(ids, tmp_path, first):
    store = cut(tmp_path, first=first, splits={"test": (first + 4, first + 8)})
    assert split_rows(labels_of(tmp_path, store)) == [5, 6, 7, 8, 9]
    assert split_rows(labels_of(tmp_path, store, sections=[1, 3])) == [6, 7]


def test_a_section_that_was_missing_has_the_labels_of_what_replaces_it(ids, tmp_path):
    store = cut(tmp_path, missing=(4, 5), crop=((2, 8), (None, None), (None, None)))
    assert split_rows(labels_of(tmp_path, store)) == [2, 3, 3, 3, 6, 7]


@pytest.mark.parametrize("first", [0, 1])
def test_a_folder_of_ids_goes_with_a_folder_of_sections_by_number(ids, tmp_path, first):
    for kind in ("ids", "hr/v"):
        (tmp_path / kind).mkdir(parents=True)
    for number, section in enumerate(ids, first):
        tifffile.imwrite(tmp_path / "ids" / f"{number}.tif", section)
    for number in (6, 8, 9):
        cv2.imwrite(str(tmp_path / "hr" / "v" / f"{number}.png"), np.zeros((16, 16), np.uint8))
    labels = labels_of(tmp_path, open_section_store(tmp_path / "hr", "disk"), ids=str(tmp_path / "ids"))
    assert split_rows(labels) == [7 - first, 9 - first, 10 - first]


def test_a_stack_of_ids_goes_with_a_whole_folder_numbered_from_1(ids, tmp_path):
    cut(tmp_path)
    (tmp_path / "hr").mkdir()
    (tmp_path / "raw").rename(tmp_path / "hr" / "v")
    labels = labels_of(tmp_path, open_section_store(tmp_path / "hr", "disk"))
    assert split_rows(labels) == [z + 1 for z in range(12)]


def test_ids_of_fewer_sections_than_the_volume_are_refused_in_one_line(ids, tmp_path):
    tifffile.imwrite(tmp_path / "ids.tif", ids[:11])
    store = cut(tmp_path, splits={"test": (5, 9)})
    shapes = re.escape("ids (11, 16, 16); expected those of the volume (12, 16, 16)")
    with pytest.raises(InputError, match=rf"ids\.tif: {shapes}") as refused:
        labels_of(tmp_path, store)
    assert "\n" not in str(refused.value)


def test_ids_of_fewer_sections_than_a_folder_are_refused(source, tmp_path):
    tifffile.imwrite(tmp_path / "ids.tif", source[:8])
    with pytest.raises(InputError, match=r"ids\.tif: 8 sections, but the test set has section 8$"):
        labels_of(tmp_path, open_section_store(tmp_path / "hr", "disk"))


def test_an_lmdb_that_does_not_say_where_its_folder_begins_is_refused(ids, tmp_path):
    store = cut(tmp_path)
    del store.metadata["volumes"]["v"]["source"]["first_section"]
    with pytest.raises(InputError, match="does not say which section its source begins with; make it again"):
        labels_of(tmp_path, store)
