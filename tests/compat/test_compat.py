"""Each mend of BasicSR: what BasicSR does without it (its own function is kept as ``mends``), and with it."""

import errno
import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from tiny_basicsr import tiny_options, write_options, write_pngs
from tiny_video import PSNR, video_options

from gpemsr import compat

with compat.importable_basicsr():
    import basicsr.models.base_model
    import basicsr.test
    import basicsr.train
    import basicsr.utils.options
    from basicsr.models.base_model import BaseModel
    from basicsr.utils import dist_util

CHECKOUT = Path(__file__).resolve().parents[2]
MENDED = [
    (basicsr.train, "load_resume_state"),
    (basicsr.train, "parse_options"),
    (basicsr.utils.options, "parse_options"),
    (basicsr.utils.options, "init_dist"),
    (dist_util, "init_dist"),
    (basicsr.train, "make_exp_dirs"),
    (basicsr.test, "make_exp_dirs"),
    (BaseModel, "model_to_device"),
    (BaseModel, "save_network"),
    (BaseModel, "save_training_state"),
]
only_without_cuda = pytest.mark.skipif(torch.cuda.is_available(), reason="BasicSR fails here only without CUDA")


@pytest.fixture(autouse=True)
def mended(monkeypatch):
    """BasicSR with every mend, for one test."""
    for owner, name in MENDED:
        monkeypatch.setattr(owner, name, getattr(owner, name))
    compat.apply()


@pytest.mark.slow
def test_basicsr_imports_and_nothing_is_left_behind():
    """Neither importing it nor importing our networks changes torchvision or BasicSR."""
    code = """
import sys
try:
    import basicsr
except ModuleNotFoundError as error:
    assert "functional_tensor" in str(error), error
else:
    sys.exit("BasicSR imports without the stand-in")
for name in [name for name in sys.modules if name.startswith("basicsr")]:
    del sys.modules[name]
import gpemsr.archs
import basicsr.train
assert "torchvision.transforms.functional_tensor" not in sys.modules
assert not hasattr(basicsr.train.load_resume_state, "mends")
"""
    subprocess.run([sys.executable, "-c", code], check=True, timeout=300)


def test_applying_twice_changes_nothing_more():
    before = [getattr(owner, name) for owner, name in MENDED]
    compat.apply()
    assert [getattr(owner, name) for owner, name in MENDED] == before
    assert not any(hasattr(function.mends, "mends") for function in before)


def test_auto_resume_finds_the_last_state_of_its_own_experiment(tmp_path):
    states = tmp_path / "elsewhere" / "training_states"
    states.mkdir(parents=True)
    for iteration in (5, 10):
        torch.save({"epoch": 0, "iter": iteration, "optimizers": [], "schedulers": []}, states / f"{iteration}.state")
    opt = {"name": "e", "auto_resume": True, "network_g": {}}
    opt["path"] = {"training_states": str(states), "models": str(tmp_path)}
    assert basicsr.train.load_resume_state.mends(opt) is None
    assert basicsr.train.load_resume_state(opt)["iter"] == 10
    assert opt["path"]["pretrain_network_g"] == str(tmp_path / "net_g_10.pth")


@only_without_cuda
def test_resuming_from_a_path_needs_no_cuda(tmp_path):
    torch.save({"epoch": 0, "iter": 5}, tmp_path / "5.state")
    opt = {"auto_resume": False, "path": {"resume_state": str(tmp_path / "5.state"), "models": "m"}}
    with pytest.raises((RuntimeError, AssertionError), match=r"CUDA|NVIDIA"):
        basicsr.train.load_resume_state.mends(opt)
    assert basicsr.train.load_resume_state(opt)["iter"] == 5


@pytest.mark.slow
def test_torchrun_trains_and_validates_on_two_cpu_processes(tmp_path):
    """Gloo, DDP without device ids, ``--local-rank``, and metrics of both ranks' frames in rank 0's log."""
    write_options(tmp_path, video_options("VideoBaseModel"))
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""}
    torchrun = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node=2"]
    script = [str(CHECKOUT / "tests" / "tiny_video.py"), "-opt", "tiny.yml", "--launcher", "pytorch", "--local-rank=0"]
    done = subprocess.run(torchrun + script, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    log = next((tmp_path / "experiments" / "tiny").glob("*.log")).read_text()
    assert "iter:       2" in log
    assert f"# psnr: {PSNR:.4f}" in log
    weights = torch.load(tmp_path / "experiments" / "tiny" / "models" / "net_g_latest.pth")["params"]
    assert list(weights) == ["gain"]


@only_without_cuda
def test_basicsr_cannot_be_distributed_without_cuda(monkeypatch):
    monkeypatch.setenv("RANK", "0")
    with pytest.raises(ZeroDivisionError):
        dist_util.init_dist.mends("pytorch")
    with pytest.raises((RuntimeError, AssertionError), match=r"CUDA|NVIDIA"):
        model = SimpleNamespace(device=torch.device("cpu"), opt={"dist": True})
        BaseModel.model_to_device.mends(model, torch.nn.Linear(1, 1))


def test_a_checkpoint_that_cannot_be_written_leaves_nothing(tmp_path, monkeypatch):
    def full_disk(_, path):
        Path(path).write_bytes(b"PK half of it")
        raise OSError(errno.ENOSPC, "No space left on device")

    model = BaseModel({"num_gpu": 0, "is_train": True, "rank": 0})
    model.opt["path"] = {"models": str(tmp_path)}
    monkeypatch.setattr(basicsr.models.base_model.time, "sleep", lambda _: None)
    with monkeypatch.context() as patch:
        patch.setattr(torch, "save", full_disk)
        model.save_network(torch.nn.Linear(1, 1), "net_g", 5)
        assert list(tmp_path.iterdir()) == []
        BaseModel.save_network.mends(model, torch.nn.Linear(1, 1), "net_g", 5)
        assert (tmp_path / "net_g_5.pth").exists()  # BasicSR leaves the half under the final name
    model.save_network(torch.nn.Linear(1, 1), "net_g", 6)
    assert set(torch.load(tmp_path / "net_g_6.pth")["params"]) == {"weight", "bias"}


def test_option_files_run_no_code(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write_pngs(tmp_path)
    file = write_options(tmp_path, tiny_options(tmp_path))
    file.write_text(file.read_text() + f"evil: !!python/object/apply:os.mkdir ['{tmp_path / 'ran'}']\n")
    monkeypatch.setattr(sys, "argv", ["train", "-opt", str(file)])
    parse_options = basicsr.utils.options.parse_options
    with pytest.raises(ValueError, match="could not determine a constructor"):
        parse_options(str(tmp_path))
    assert not (tmp_path / "ran").exists()
    parse_options.mends(str(tmp_path))
    assert (tmp_path / "ran").exists()


def test_force_yml_runs_no_code(tmp_path, monkeypatch):
    file = write_options(tmp_path, tiny_options(tmp_path))
    code = f"__import__('os').mkdir('{tmp_path / 'ran'}')"
    forced = ["--force_yml", f"scale=[{code}]"]
    parse_options = basicsr.utils.options.parse_options
    monkeypatch.setattr(sys, "argv", ["train", "-opt", str(file), "--local-rank=0", *forced])
    options, args = parse_options(str(tmp_path))
    assert options["scale"] == [code]
    assert args.force_yml == forced[1:]
    assert not (tmp_path / "ran").exists()
    monkeypatch.setattr(sys, "argv", ["train", "-opt", str(file), *forced])
    parse_options.mends(str(tmp_path))
    assert (tmp_path / "ran").exists()


def test_a_file_among_the_paths_of_a_model_is_no_folder_to_make(tmp_path):
    prior = tmp_path / "prior.pth"
    prior.touch()
    path = {
        "experiments_root": str(tmp_path / "e"),
        "models": str(tmp_path / "e" / "models"),
        "pretrain_prior": str(prior),
    }
    basicsr.train.make_exp_dirs({"is_train": True, "path": path})
    assert (tmp_path / "e" / "models").is_dir()
    with pytest.raises(FileExistsError):
        basicsr.train.make_exp_dirs.mends({"is_train": True, "path": path})


def test_denormal_numbers_are_flushed():
    compat.apply()
    if not torch.set_flush_denormal(True):
        pytest.skip("this processor cannot")
    assert (torch.tensor([1e-20]) * torch.tensor([1e-20])).item() == 0


def test_outputs_go_below_the_working_directory(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert Path(compat.working_root()) == tmp_path
