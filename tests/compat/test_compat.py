"""Each patch of BasicSR: what BasicSR does without it (its own function is kept as ``original``), and with it."""

import os
import platform
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
import yaml
from tiny_basicsr import tiny_options, write_options, write_pngs
from tiny_video import PSNR, video_options

from gpemsr import compat
from gpemsr.cli.launch import read
from gpemsr.options.read import resolved_text

with compat.importable_basicsr():
    import basicsr.test
    import basicsr.train
    import basicsr.utils.options
    from basicsr.data.prefetch_dataloader import PrefetchGenerator
    from basicsr.models.base_model import BaseModel
    from basicsr.utils import dist_util

CHECKOUT = Path(__file__).resolve().parents[2]
PATCHED = [
    (basicsr.train, "load_resume_state"),
    (basicsr.train, "create_train_val_dataloader"),
    (basicsr.train, "copy_opt_file"),
    (PrefetchGenerator, "run"),
    (PrefetchGenerator, "__next__"),
    (basicsr.train, "parse_options"),
    (basicsr.utils.options, "parse_options"),
    (basicsr.utils.options, "init_dist"),
    (dist_util, "init_dist"),
    (basicsr.train, "make_exp_dirs"),
    (basicsr.test, "make_exp_dirs"),
]
only_without_cuda = pytest.mark.skipif(torch.cuda.is_available(), reason="BasicSR fails here only without CUDA")


@pytest.fixture(autouse=True)
def patched(monkeypatch):
    """BasicSR with every patch, for one test, also where a training has patched it in this process."""
    for owner, name in PATCHED:
        function = getattr(owner, name)
        monkeypatch.setattr(owner, name, getattr(function, "original", function))
    compat.apply()
    compat.parse_options_with(read)
    compat.copy_options_as(resolved_text)
    compat.train_on(lambda opt: {"iter": 5}, None, None, None)
    compat.report_prefetch_errors()


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
assert not hasattr(basicsr.train.load_resume_state, "original")
"""
    subprocess.run([sys.executable, "-c", code], check=True, timeout=300)


def test_applying_twice_changes_nothing_more():
    before = [getattr(owner, name) for owner, name in PATCHED]
    compat.apply()
    assert [getattr(owner, name) for owner, name in PATCHED] == before
    assert not any(hasattr(function.original, "original") for function in before)


@only_without_cuda
def test_resuming_needs_no_cuda_and_finds_the_state_itself(tmp_path):
    torch.save({"epoch": 0, "iter": 5}, tmp_path / "5.state")
    opt = {"auto_resume": False, "path": {"resume_state": str(tmp_path / "5.state"), "models": "m"}}
    with pytest.raises((RuntimeError, AssertionError), match=r"CUDA|NVIDIA"):
        basicsr.train.load_resume_state.original(opt)
    assert basicsr.train.load_resume_state(opt) == {"iter": 5}


def test_an_error_in_the_prefetch_thread_reaches_the_loop():
    def items():
        yield 1
        raise OSError("gone")

    prefetched = PrefetchGenerator(items(), 1)
    assert next(prefetched) == 1
    with pytest.raises(OSError, match="gone"):
        next(prefetched)


@pytest.mark.slow
def test_torchrun_trains_and_validates_on_two_cpu_processes(tmp_path):
    """Gloo, DDP without device ids, ``--local-rank``, and metrics of both ranks' frames in rank 0's log."""
    write_options(tmp_path, video_options("TinyVideoModel"))
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
        dist_util.init_dist.original("pytorch")
    with pytest.raises((RuntimeError, AssertionError), match=r"CUDA|NVIDIA"):
        model = SimpleNamespace(device=torch.device("cpu"), opt={"dist": True})
        BaseModel.model_to_device(model, torch.nn.Linear(1, 1))


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
    parse_options.original(str(tmp_path))
    assert (tmp_path / "ran").exists()


def test_the_copy_of_an_option_file_holds_what_its_base_says(tmp_path):
    (tmp_path / "base.yml").write_text("train: {total_iter: 3, warmup_iter: 1}\n")
    (tmp_path / "file.yml").write_text("_base_: base.yml\ntrain: {total_iter: 5}\n")
    (tmp_path / "whole.yml").write_text("train:\n  total_iter: 5  # few\n")
    (tmp_path / "experiment").mkdir()
    copies = {}
    for name in ("file.yml", "whole.yml"):
        basicsr.train.copy_opt_file(str(tmp_path / name), str(tmp_path / "experiment"))
        copies[name] = (tmp_path / "experiment" / name).read_text()
        assert f"\n# {tmp_path / name}" in copies[name]
        assert copies[name].startswith("# GENERATE TIME")
    assert yaml.safe_load(copies["file.yml"]) == {"train": {"total_iter": 5, "warmup_iter": 1}}
    assert "total_iter: 5  # few" in copies["whole.yml"]
    basicsr.train.copy_opt_file.original(str(tmp_path / "file.yml"), str(tmp_path / "experiment"))
    assert "_base_" in (tmp_path / "experiment" / "file.yml").read_text()  # BasicSR copies the file as it is


def test_force_yml_runs_no_code(tmp_path, monkeypatch):
    file = write_options(tmp_path, tiny_options(tmp_path))
    code = f"__import__('os').mkdir('{tmp_path / 'ran'}')"
    forced = ["--force_yml", f"scale=[{code}]", "name=forced"]
    parse_options = basicsr.utils.options.parse_options
    monkeypatch.setattr(sys, "argv", ["train", "-opt", str(file), *forced, "--local-rank=1", "--debug"])
    options, args = parse_options(str(tmp_path))
    assert (options["scale"], options["name"]) == ([code], "debug_forced")
    assert (args.force_yml, args.local_rank, args.debug) == (forced[1:], 1, True)
    assert not (tmp_path / "ran").exists()
    monkeypatch.setattr(sys, "argv", ["train", "-opt", str(file), *forced])
    parse_options.original(str(tmp_path))
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
        basicsr.train.make_exp_dirs.original({"is_train": True, "path": path})


def test_denormal_numbers_are_flushed():
    compat.apply()
    if not torch.set_flush_denormal(True):
        pytest.skip("this processor cannot")
    assert (torch.tensor([1e-20]) * torch.tensor([1e-20])).item() == 0


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="the allocator is not glibc's")
def test_freed_memory_is_kept_until_it_is_returned():
    script = """
import torch
from gpemsr import compat
from gpemsr.volume.probe import process_memory

compat.apply()
before = process_memory("VmRSS")
torch.ones(2**24)
print(process_memory("VmRSS") - before)
compat.return_freed_memory()
print(process_memory("VmRSS") - before)
"""
    run = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60, check=True)
    kept, returned = map(int, run.stdout.split())
    assert kept > 0.9 * 2**26
    assert returned < 0.1 * 2**26
