import pickle
import shutil
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from gpemsr.data.section_options import DegradationOptions
from gpemsr.data.section_pairs import SectionPairs
from gpemsr.errors import InputError
from gpemsr.options.schema import IOBackend


def pairs_of(stores: dict, gt_size=None, degradation: dict | None = None, **changes) -> SectionPairs:
    keys = {**stores, "degradations": [], **changes}
    if degradation is not None:
        keys |= {"dataroot_lq": None, "degradations": [DegradationOptions(**degradation)]}
    keys["io_backend"] = IOBackend(**keys["io_backend"])
    return SectionPairs(SimpleNamespace(**keys), gt_size)


def test_hr_beyond_whole_lr_pixels_is_left_out(make_stores):
    pairs = pairs_of(make_stores(shape=(192, 256)), degradation={"kind": "area"}, scale=10)
    assert pairs.lq_info("vol").shape == (19, 25)
    assert pairs.read_lq("vol", 0, (0, 0, 19, 25)).shape == (19, 25)
    assert pairs.read_gt("vol", 0, (0, 0, 19, 25)).shape == (190, 250)


def test_window_takes_neighbours_in_the_list_across_gaps(make_stores):
    pairs = pairs_of(make_stores({"vol": [2, 3, 7, 12]}))
    assert pairs.window("vol", 2, 5) == [2, 2, 2, 3, 7]
    assert pairs.window("vol", 7, 5) == [2, 3, 7, 12, 12]


def test_pairs_can_be_pickled_after_reading(make_stores):
    pairs = pairs_of(make_stores(backend="lmdb"))
    rectangle = ("vol", 0, (0, 0, 4, 4))
    first = pairs.read_lq(*rectangle)
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(pairs)).read_lq(*rectangle), first)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda hr, lr: shutil.copytree(lr / "vol", lr / "more"), "volume more is not in both"),
        (lambda hr, lr: (lr / "vol" / "2.png").unlink(), "section 2 of vol is not in both"),
        (lambda hr, lr: shutil.rmtree(lr), "no such folder"),
    ],
    ids=["volume", "section", "folder"],
)
def test_stores_that_do_not_match_are_refused(make_stores, change, message):
    stores = make_stores()
    change(Path(stores["dataroot_gt"]), Path(stores["dataroot_lq"]))
    with pytest.raises(InputError, match=message):
        pairs_of(stores)


def test_sizes_that_do_not_match_the_scale_are_refused(make_stores):
    with pytest.raises(InputError, match=r"24 x 32 .* 192 x 256; expected HR = scale 16 x LR"):
        pairs_of(make_stores(), scale=16)


def test_missing_scale_is_refused(make_stores):
    with pytest.raises(InputError, match="scale"):
        pairs_of(make_stores(), scale=None)


def test_crop_larger_than_a_section_is_refused(make_stores):
    with pytest.raises(InputError, match="expected gt_size <= 192"):
        pairs_of(make_stores(), gt_size=208)
