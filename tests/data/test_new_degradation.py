"""A degradation that is added to the registry is known to the command, the option check and the data sets."""

import numpy as np
import pytest

from gpemsr.cli.lmdb import main, parser
from gpemsr.data.degradations import DEGRADATIONS, Degradation, Parameter
from gpemsr.data.section_pair_dataset import SectionPairDataset
from gpemsr.data.section_store import open_section_store
from gpemsr.options.place import Place, check_own, check_schema


@pytest.fixture(autouse=True)
def corner(monkeypatch):
    """One HR pixel per LR pixel, brightened."""

    def function(section, scale, seed, gain):
        return gain * section[::scale, ::scale]

    added = Degradation(function, "the first HR pixel under each LR pixel", {"gain": Parameter(1.0, "of brightness")})
    monkeypatch.setitem(DEGRADATIONS, "corner", added)


def test_the_command_makes_lmdbs_with_it(make_stores, tmp_path):
    folder = tmp_path / "hr" / "vol"
    make_stores()
    arguments = [str(folder), "--out", str(tmp_path / "o"), "--degradation", "corner", "--gain", "0.5"]
    assert main(arguments) == 0
    hr, lr = (open_section_store(tmp_path / "o" / f"vol_{kind}.lmdb", "lmdb") for kind in ("hr", "lr_x8"))
    assert lr.metadata["degradation"] == {"kind": "corner", "seed": 0, "gain": 0.5}
    np.testing.assert_array_equal(lr.read("vol", 2), np.rint(hr.read("vol", 2)[::8, ::8] * np.float32(0.5)))


def test_the_help_describes_it():
    text = " ".join(parser().format_help().split())
    assert "corner: the first HR pixel under each LR pixel" in text
    assert "corner: of brightness (default 1)" in text


def options(stores: dict, **degradation) -> dict:
    return {**stores, "type": "SectionPairDataset", "dataroot_lq": None, "degradation": degradation}


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        ({}, None),
        ({"gain": 2}, None),
        ({"gain": -1.0}, "a.yml: train.degradation.gain=-1.0: expected a number >= 0"),
        ({"dose": 3.0}, "a.yml: train.degradation.dose=3.0: degradation corner takes gain"),
    ],
)
def test_the_option_check_knows_its_parameters(make_stores, keys, message):
    section, place = options(make_stores(), kind="corner", **keys), Place("a.yml", "train")

    def check() -> str | None:
        try:
            check_schema(SectionPairDataset.Options, section, place)
            check_own(lambda: SectionPairDataset.check_options(section), place)
        except ValueError as error:
            return str(error)
        return None

    assert check() == message


def test_a_data_set_makes_lr_with_it(make_stores):
    item = SectionPairDataset(options(make_stores(), kind="corner", gain=0.5) | {"gt_size": 64})[1]
    np.testing.assert_allclose(item["lq"][0], 0.5 * item["gt"][0, ::8, ::8], atol=1 / 255)
