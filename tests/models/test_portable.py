"""What our models do in place of BasicSR's base model, next to what BasicSR itself does."""

import errno
from pathlib import Path

import pytest
import torch
from basicsr.models import base_model
from basicsr.models.base_model import BaseModel

from gpemsr.errors import RunError
from gpemsr.models import portable
from gpemsr.models.portable import PortableModel


@pytest.fixture
def make_model(tmp_path, monkeypatch):
    """Return a function: a class of models -> one that saves into ``tmp_path``."""
    monkeypatch.setattr(base_model.time, "sleep", lambda _: None)
    monkeypatch.setattr(portable.time, "sleep", lambda _: None)

    def make(kind: type[BaseModel]) -> BaseModel:
        options = {"num_gpu": 0, "dist": False, "is_train": True, "rank": 0, "world_size": 1, "manual_seed": 3}
        path = {"models": str(tmp_path), "training_states": str(tmp_path)}
        network = {"type": "Linear", "sizes": [1, 2]}
        model = kind({**options, "path": path, "network_g": network, "train": {}, "logger": {}})
        model.optimizers.append(torch.optim.Adam(torch.nn.Linear(1, 1).parameters()))
        return model

    return make


def save(model: BaseModel, iteration: int) -> None:
    nets = [torch.nn.Linear(1, 2), torch.nn.Linear(1, 2)]
    model.save_network(nets, "net_g", iteration, ["params", "params_ema"])
    model.save_training_state(0, iteration)


def test_files_are_as_basicsrs(make_model, tmp_path):
    """Names, keys and values; a final save has no training state."""
    for kind in (BaseModel, PortableModel):
        model = make_model(kind)
        for key, name in (("models", "net"), ("training_states", "state")):
            model.opt["path"][key] = tmp_path / f"{kind.__name__}_{name}"
            model.opt["path"][key].mkdir()
        for iteration in (5, -1):
            torch.manual_seed(0)
            save(model, iteration)
    files = {path.relative_to(tmp_path) for path in tmp_path.rglob("*.*")}
    assert {path.name for path in files} == {"net_g_5.pth", "net_g_latest.pth", "5.state"}
    for path in files:
        ours, theirs = (
            torch.load(tmp_path / str(path).replace("BaseModel", kind).replace("PortableModel", kind))
            for kind in ("PortableModel", "BaseModel")
        )
        if path.suffix == ".pth":  # ours say what network they are of
            assert ours.pop("metadata") == {"key_names": "gpemsr", "network_g": {"type": "Linear", "sizes": [1, 2]}}
        else:  # and go on as if there had been no interruption
            assert ours["seed"] == 3
            ours = {key: ours[key] for key in theirs}
        torch.testing.assert_close(ours, theirs, rtol=0, atol=0)


def full_disk(_, file) -> None:
    Path(getattr(file, "name", file)).write_bytes(b"PK half of it")
    raise OSError(errno.ENOSPC, "No space left on device")


@pytest.mark.parametrize("iteration", [5, 6])
def test_a_full_disk_ends_the_training_and_leaves_what_was_there(make_model, tmp_path, monkeypatch, iteration):
    """Networks neither new nor saved again; BasicSR goes on, and leaves a half of it under the final name."""
    model = make_model(PortableModel)
    save(model, 5)
    before = {path.name: path.read_bytes() for path in tmp_path.glob("*.pth")}
    monkeypatch.setattr(torch, "save", full_disk)
    with pytest.raises(RunError, match=r"net_g_\d.pth: cannot be written .*No space left.*go on with --auto_resume"):
        save(model, iteration)
    assert {path.name: path.read_bytes() for path in tmp_path.glob("*.pth")} == before
    assert {path.name for path in tmp_path.iterdir()} - before.keys() == ({"5.state"} if iteration == 6 else set())
    save(make_model(BaseModel), iteration)
    assert (tmp_path / f"net_g_{iteration}.pth").read_bytes() == b"PK half of it"


def test_weights_that_are_not_finite_are_not_saved(make_model, tmp_path):
    model = make_model(PortableModel)
    net = torch.nn.Linear(1, 2)
    torch.nn.init.constant_(net.bias, torch.nan)
    with pytest.raises(RunError, match="net_g of iteration 0 is not saved: bias holds NaN or Inf"):
        model.save_network(net, "net_g", 5)
    assert not list(tmp_path.iterdir())


def test_only_the_last_checkpoints_are_kept(make_model, tmp_path):
    model = make_model(PortableModel)
    model.opt["logger"]["keep_last"] = 2
    for iteration in (9, 10, 100, -1):
        save(model, iteration)
    names = {"net_g_10.pth", "net_g_100.pth", "net_g_latest.pth", "10.state", "100.state"}
    assert {path.name for path in tmp_path.iterdir()} == names


def test_saving_is_tried_again(make_model, tmp_path, monkeypatch):
    tries = iter([OSError(errno.EIO, "Input/output error"), RuntimeError("file write failed")])
    save_file = torch.save

    def write(content, file):
        error = next(tries, None)
        if error:
            raise error
        save_file(content, file)

    monkeypatch.setattr(torch, "save", write)
    save(make_model(PortableModel), 5)
    assert {path.name for path in tmp_path.iterdir()} == {"net_g_5.pth", "5.state"}
