"""Stages II and III take the sizes of the network before theirs from its checkpoint."""

import copy
from pathlib import Path

import pytest
import torch
from tiny_stages import INDEXER, VQGAN, stage_options, tiny_network

from gpemsr.checkpoints.earlier_stage import take_sizes
from gpemsr.errors import InputError

INNER = {2: "vqgan", 3: "prior"}
NETWORKS = {1: {"type": "VQGAN", **VQGAN}, 2: {"type": "LatentIndexer", "scale": 8, **INDEXER}}
IN_FULL = {"num_res_blocks": 1, "beta": 1.0}  # what VQGAN is like by default


def save(folder: Path, stage: int, **network) -> str:
    path = folder / f"stage{stage}.pth"
    metadata = {"key_names": "gpemsr", "network_g": NETWORKS[stage] | network}
    torch.save({"params": tiny_network(stage).state_dict(), "metadata": metadata}, path)
    return str(path)


@pytest.fixture(params=[2, 3])
def options(request, tmp_path) -> dict:
    """Those of stage II or III, after a checkpoint that says what network it is of."""
    options = stage_options(request.param, tmp_path)
    options["path"]["pretrain_prior"] = save(tmp_path, request.param - 1)
    options["stage"] = request.param
    return options


def test_what_the_option_file_leaves_out_is_taken(options):
    inner = INNER[options["stage"]]
    whole = options["network_g"].pop(inner)
    take_sizes(options, "my.yml")
    vqgan = {**VQGAN, **IN_FULL}
    assert options["network_g"][inner] == (vqgan if inner == "vqgan" else {**whole, "vqgan": vqgan})


def test_what_it_repeats_stays(options):
    inner = INNER[options["stage"]]
    del options["network_g"][inner]["norm_groups"]
    take_sizes(options, "my.yml")
    assert options["network_g"][inner]["norm_groups"] == 4
    assert options["network_g"][inner]["channels"] == NETWORKS[options["stage"] - 1]["channels"]


@pytest.mark.parametrize(
    ("stage", "keys", "value", "message"),
    [
        (2, ("vqgan", "num_codes"), 32, "network_g.vqgan.num_codes=32: 16 is expected"),
        (2, ("vqgan", "channels"), [8] * 4, "network_g.vqgan.channels=[8, 8, 8, 8]: [8, 8, 8, 8, 8] is expected"),
        (3, ("prior", "num_res_blocks"), 2, "network_g.prior.num_res_blocks=2: 1 is expected"),
        (3, ("prior", "vqgan", "code_dim"), 4, "network_g.prior.vqgan.code_dim=4: 8 is expected"),
        (3, ("scale",), 16, "network_g.scale=16: 8 is expected"),
    ],
)
def test_what_disagrees_is_refused(tmp_path, stage, keys, value, message):
    options = stage_options(stage, tmp_path)
    checkpoint = options["path"]["pretrain_prior"] = save(tmp_path, stage - 1)
    section = options["network_g"]
    for key in keys[:-1]:
        section = section[key]
    section[keys[-1]] = value
    with pytest.raises(InputError) as refused:
        take_sizes(options, "my.yml")
    assert str(refused.value) == f"my.yml: {message}, as in {checkpoint}"


def test_options_that_no_network_has_are_refused(options, tmp_path):
    options["path"]["pretrain_prior"] = checkpoint = save(tmp_path, options["stage"] - 1, wdith=3)
    with pytest.raises(InputError, match=rf"^my.yml: path.pretrain_prior={checkpoint}: .*wdith"):
        take_sizes(options, "my.yml")


def unsaid(options: dict, folder: Path) -> None:  # as the authors' files
    torch.save({"params": tiny_network(1).state_dict()}, folder / "bare.pth")
    options["path"]["pretrain_prior"] = str(folder / "bare.pth")


def other_stage(options: dict, folder: Path) -> None:
    options["path"]["pretrain_prior"] = save(folder, 3 - (options["stage"] - 1))


def no_file(options: dict, folder: Path) -> None:
    options["path"]["pretrain_prior"] = "nope.pth"


def no_checkpoint(options: dict, folder: Path) -> None:
    options["path"]["pretrain_prior"] = __file__


@pytest.mark.parametrize(
    "change", [unsaid, other_stage, no_file, no_checkpoint, lambda options, folder: options.pop("train")]
)
def test_nothing_is_taken_where_there_is_nothing_to_take(options, tmp_path, change):
    """What is wrong with it is refused with the other options."""
    change(options, tmp_path)
    before = copy.deepcopy(options)
    take_sizes(options, "my.yml")
    assert options == before
