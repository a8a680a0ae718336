"""Stored codes are those of whole sections as they are turned, cropped like the images beside them."""

import random
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.numpy import save_file
from tiny_stages import tiny_network

from gpemsr.data import section_store
from gpemsr.data.section_pair_dataset import SectionPairDataset
from gpemsr.data.section_sampling import Augmentation, to_tensor
from gpemsr.data.section_store import open_section_store
from gpemsr.data.stored_codes import StoredCodes, check_weights, write_codes
from gpemsr.errors import InputError
from gpemsr.files import sha256

TURNS = {"use_hflip": True, "use_rot": True}
STATE = {"a": torch.arange(3.0)}


@pytest.fixture(scope="module")
def targets():
    """Codes of an image as a stage I network with random weights gives them."""
    net = tiny_network(2)
    for parameter in net.parameters():
        torch.nn.init.normal_(parameter, std=0.2)
    return net.targets


@pytest.fixture
def stored(make_stores, tmp_path, targets):
    """Return a function that writes stores and codes and gives the data set's options."""

    def make(hflip: bool = True, rot: bool = True, backend: str = "disk", **stores) -> dict:
        options = make_stores({"v": [2, 5], "w": [0]}, backend=backend, **stores)
        path = tmp_path / "codes"
        hr = open_section_store(options["dataroot_gt"], backend)
        write_codes(path, hr, Augmentation.possible(hflip, rot), STATE, targets)
        return {**options, "type": "SectionPairDataset", "codes": str(path), "gt_size": 64}

    return make


@pytest.mark.parametrize(
    ("scale", "shape", "backend"), [(8, (104, 120), "disk"), (16, (96, 112), "disk"), (8, (104, 120), "lmdb")]
)
def test_codes_are_those_of_the_whole_turned_section_under_the_crop(stored, targets, scale, shape, backend):
    options = stored(scale=scale, shape=shape, backend=backend)
    data = SectionPairDataset(options | TURNS)
    hr, lr = (open_section_store(options[key], backend) for key in ("dataroot_gt", "dataroot_lq"))
    random.seed(0)
    seen = set()
    for draw in range(48):
        item = data[draw % 3]
        volume, number = item["key"].split("/")
        whole = hr.read_float(volume, int(number), 0, 0, 96, 112)
        places = []
        for augment in Augmentation.possible(True, True):
            turned, small = augment(whole), augment(lr.read_float(volume, int(number), 0, 0, 96 // scale, 112 // scale))
            for y in range(0, turned.shape[0] - 63, 16):
                for x in range(0, turned.shape[1] - 63, 16):
                    if np.array_equal(turned[y : y + 64, x : x + 64], item["gt"][0]):
                        places.append((augment, y, x))
                        lq = small[y // scale : (y + 64) // scale, x // scale : (x + 64) // scale]
                        assert np.array_equal(lq, item["lq"][0])
        [(augment, y, x)] = places
        codes = targets(to_tensor(augment(whole))[None])[0]
        assert item["codes"].dtype == torch.int64
        assert torch.equal(item["codes"], codes[y // 16 : y // 16 + 4, x // 16 : x // 16 + 4])
        seen.add(augment)
    assert len(seen) == 8


def test_a_section_gets_other_codes_when_it_is_turned(stored):
    store = open_section_store(stored(shape=(96, 96))["dataroot_gt"], "disk")
    augmentations = Augmentation.possible(True, True)
    codes = StoredCodes(Path(store.root.parent, "codes"), store, augmentations)
    first, *others = (augment.undo(codes.crop("w", 0, 0, 0, 6, augment).numpy()) for augment in augmentations)
    assert not any(np.array_equal(first, other) for other in others)


def test_without_codes_crops_are_where_they_were(stored):
    options = stored(shape=(96, 112))
    del options["codes"]
    random.seed(3)
    item = SectionPairDataset(options)[0]
    random.seed(3)
    y, x = random.randint(0, 4), random.randint(0, 6)
    whole = open_section_store(options["dataroot_gt"], "disk").read_float("v", 2)
    assert np.array_equal(item["gt"][0], whole[8 * y : 8 * y + 64, 8 * x : 8 * x + 64])
    assert "codes" not in item


def test_only_orientations_that_are_asked_for_are_needed(stored):
    options = stored(hflip=True, rot=False)
    assert SectionPairDataset(options | {"use_hflip": True})[0]["codes"].shape == (4, 4)
    with pytest.raises(InputError, match="lacks orientations that use_hflip and use_rot can give"):
        SectionPairDataset(options | TURNS)


def test_degradations_made_as_crops_are_read_go_together_with_codes(stored):
    options = stored() | {"dataroot_lq": None, "degradation": [{"kind": "em"}, {"kind": "bicubic"}]}
    assert SectionPairDataset(options | TURNS)[0]["codes"].shape == (4, 4)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"use_shift": True}, "use_shift=true: expected false with codes"),
        ({"gt_size": 72}, "gt_size=72: a multiple of 16 is expected"),
        ({"gt_size": None}, "codes=.*: expected null for whole sections"),
        ({"codes": "nowhere"}, "nowhere: no such file; gpemsr-cache-codes with the same option file makes it"),
    ],
)
def test_options_that_do_not_go_together_are_refused(stored, changes, message):
    with pytest.raises(InputError, match=message):
        SectionPairDataset(stored() | changes)


def truncate(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-1])


@pytest.mark.parametrize(
    "spoil",
    [
        truncate,
        lambda path: path.write_text("codes"),
        lambda path: path.write_bytes(b""),
        lambda path: (path.unlink(), path.mkdir()),
        lambda path: save_file({"v/000": np.zeros(3)}, path),
        lambda path: save_file({"v/000": np.zeros(3)}, path, {"weights": "a", "data": "b"}),
    ],
)
def test_a_damaged_or_foreign_file_is_refused_in_one_line(stored, spoil):
    options = stored()
    spoil(Path(options["codes"]))
    with pytest.raises(InputError, match=r"not a file of gpemsr-cache-codes.*--overwrite") as refused:
        SectionPairDataset(options)
    assert "\n" not in str(refused.value)


def test_codes_of_other_sections_are_refused(stored):
    options = stored()
    section = Path(options["dataroot_gt"], "w", "0.png")
    section.write_bytes(Path(options["dataroot_gt"], "v", "2.png").read_bytes())
    with pytest.raises(InputError, match=r"codes: has codes of sections other than those of .*hr"):
        SectionPairDataset(options)


def test_a_folder_is_read_for_its_checksums_once(stored, monkeypatch):
    options, read = stored(), []
    monkeypatch.setattr(section_store, "sha256", lambda file: read.append(file.name) or sha256(file))
    for _ in range(2):
        SectionPairDataset(options)
    assert not read  # known since the codes were written
    section = Path(options["dataroot_gt"], "w", "0.png")
    section.write_bytes(section.read_bytes())
    SectionPairDataset(options)
    assert read == ["0.png"]


def test_codes_of_other_weights_are_refused(stored):
    path = stored()["codes"]
    check_weights(path, {"a": torch.arange(3).half()}, "here")
    for other in ({"a": torch.ones(3)}, {"b": torch.arange(3.0)}):
        with pytest.raises(InputError, match="made with stage I weights other than those of here"):
            check_weights(path, other, "here")


def test_a_failed_computation_leaves_no_file(make_stores, tmp_path):
    store = open_section_store(make_stores({"v": [0, 1]})["dataroot_gt"], "disk")
    Path(store.root, "v", "1.png").write_bytes(b"")
    with pytest.raises(InputError):
        write_codes(tmp_path / "codes", store, [Augmentation()], STATE, lambda image: torch.zeros(1, 12, 16))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["hr", "lr"]
