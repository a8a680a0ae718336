import pytest

from gpemsr.data.section_options import check_crop, check_num_frame, check_pair


@pytest.mark.parametrize(
    ("check", "message"),
    [
        (lambda: check_crop({"gt_size": 100}, paired=False), "gt_size=100: a multiple of 16 is expected"),
        (lambda: check_crop({"gt_size": 48, "scale": 32}, paired=True), "gt_size=48: a multiple of the scale 32"),
        (lambda: check_crop({"gt_size": None, "use_rot": True}, paired=True), "use_rot=true: false is expected"),
        (lambda: check_crop({"gt_size": None, "use_shift": True}, paired=True), "use_shift=true: false is expected"),
        (lambda: check_pair({"dataroot_gt": "a"}), "dataroot_lq=null"),
        (
            lambda: check_pair({"dataroot_gt": "a", "dataroot_lq": "b", "degradation": {}}),
            "dataroot_lq=b: null",
        ),
        (lambda: check_pair({"dataroot_gt": None, "degradation": {"kind": "area"}}), "dataroot_gt=null"),
        (lambda: check_pair({"dataroot_gt": "a", "degradation": {"kind": "area", "dose": 3.0}}), "degradation.dose=3"),
        (
            lambda: check_pair({"dataroot_gt": "a", "degradation": {"kind": "em", "seed": 1, "dose": "high"}}),
            "degradation.dose=high: expected a number > 0",
        ),
        (lambda: check_num_frame({"num_frame": 4}), "num_frame=4: an odd number is expected"),
    ],
)
def test_impossible_combinations_name_key_value_and_what_fits(check, message):
    with pytest.raises(ValueError, match=message):
        check()
