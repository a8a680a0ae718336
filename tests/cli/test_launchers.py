"""The launchers as a user calls them: ``python basicsr/train.py -opt FILE`` from any working directory."""

import subprocess
import sys
from pathlib import Path

import pytest
import torch
from forked import run
from tiny_basicsr import tiny_options, write_options, write_pngs

import gpemsr.cli.train
from gpemsr.cli.launch import program

CHECKOUT = Path(__file__).resolve().parents[2]


def launch(script: str, folder: Path, *arguments: str) -> subprocess.CompletedProcess:
    command = [sys.executable, str(CHECKOUT / "basicsr" / script), "-opt", "tiny.yml", *arguments]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=300)


@pytest.fixture(scope="module")
def trained(tmp_path_factory) -> Path:
    """A folder in which ``basicsr/train.py`` has trained two iterations."""
    folder = tmp_path_factory.mktemp("trained")
    write_pngs(folder)
    write_options(folder, tiny_options(folder))
    done = launch("train.py", folder)
    assert done.returncode == 0, done.stderr
    return folder


@pytest.fixture
def workdir(tmp_path, monkeypatch) -> Path:
    write_pngs(tmp_path)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def state_names(folder: Path) -> set[str]:
    return {file.name for file in (folder / "experiments" / "tiny" / "training_states").iterdir()}


@pytest.mark.slow
def test_train_writes_below_the_working_directory(trained):
    assert state_names(trained) == {"1.state", "2.state"}
    assert (trained / "experiments" / "tiny" / "models" / "net_g_latest.pth").is_file()
    assert list((trained / "tb_logger" / "tiny").iterdir())


@pytest.mark.slow
def test_auto_resume_continues_from_the_last_state(trained):
    code, output = run(trained, "tiny.yml", "--auto_resume", "--force_yml", "train:total_iter=3")
    assert code == 0, output
    assert "Resuming training from epoch: 1, iter: 2" in output
    assert state_names(trained) == {"1.state", "2.state", "3.state"}


@pytest.mark.slow
def test_test_scores_the_trained_network_and_saves_its_pictures(trained):
    options = tiny_options(trained)
    options["datasets"] = {"test_1": options["datasets"]["val"]}
    options["path"] = {"pretrain_network_g": "experiments/tiny/models/net_g_latest.pth"}
    options["val"]["save_img"] = True
    del options["train"], options["logger"]
    write_options(trained, options)
    done = launch("test.py", trained)
    assert done.returncode == 0, done.stderr
    assert "# psnr:" in done.stderr
    assert len(list((trained / "results" / "tiny" / "visualization" / "V").glob("*.png"))) == 4


def test_debug_runs_under_another_name_without_tensorboard(workdir):
    file = write_options(workdir, tiny_options(workdir))
    assert gpemsr.cli.train.main(["-opt", str(file), "--debug"]) == 0
    assert (workdir / "experiments" / "debug_tiny" / "models" / "net_g_latest.pth").is_file()
    assert not (workdir / "tb_logger").exists()


def test_force_yml_replaces_values_of_the_file(workdir):
    file = write_options(workdir, tiny_options(workdir))
    forced = ["--force_yml", "network_g:num_feat=6", "train:total_iter=1", "name=forced"]
    assert gpemsr.cli.train.main(["-opt", str(file), *forced]) == 0
    weights = torch.load(workdir / "experiments" / "forced" / "models" / "net_g_latest.pth")["params"]
    assert weights["conv_first.weight"].shape[0] == 6


def test_force_yml_runs_no_code(workdir, capsys):
    file = write_options(workdir, tiny_options(workdir))
    code = '__import__("pathlib").Path("ran").touch()'
    for entry in (f'name"]=[{code}];opt["name=x', f"train:total_iter=[{code}]"):
        assert gpemsr.cli.train.main(["-opt", str(file), "--force_yml", entry]) == 2
        assert capsys.readouterr().err.count("\n") == 1
    assert not (workdir / "ran").exists()


def test_an_option_error_is_one_line_and_exit_code_2_before_anything_is_written(workdir, capsys):
    options = tiny_options(workdir)
    options["network_g"]["num_fat"] = 4
    file = write_options(workdir, options)
    assert gpemsr.cli.train.main(["-opt", str(file)]) == 2
    assert capsys.readouterr().err == f"error: {file}: network_g.num_fat: unknown key; did you mean num_feat?\n"
    assert not (workdir / "experiments").exists()


def test_check_only_checks(workdir, capsys):
    file = write_options(workdir, tiny_options(workdir))
    assert gpemsr.cli.train.main(["-opt", str(file), "--check"]) == 0
    assert capsys.readouterr().out.endswith("no errors found\n")
    assert not (workdir / "experiments").exists()


@pytest.mark.parametrize(
    ("started", "told"),
    [
        (["python3", "/opt/bin/gpemsr-train", "-opt", "a.yml"], ["gpemsr-train"]),
        (["python3", "basicsr/train.py", "-opt", "a.yml"], ["python", "basicsr/train.py"]),
        (["python3", "-m", "gpemsr.cli.train", "-opt", "a.yml"], ["python", "-m", "gpemsr.cli.train"]),
    ],
)
def test_the_command_to_go_on_with_is_the_one_that_was_typed(monkeypatch, started, told):
    monkeypatch.delenv("TORCHELASTIC_RUN_ID", raising=False)
    monkeypatch.setattr(sys, "orig_argv", started)
    monkeypatch.setattr(sys, "argv", [started[1], *started[-2:]])
    assert program() == told


def test_torchrun_is_told_as_well(monkeypatch):
    monkeypatch.setenv("TORCHELASTIC_RUN_ID", "1")
    monkeypatch.setenv("LOCAL_WORLD_SIZE", "2")
    monkeypatch.setattr(
        sys, "orig_argv", ["python3", "-u", "basicsr/train.py", "-opt", "a.yml", "--launcher", "pytorch"]
    )
    monkeypatch.setattr(sys, "argv", ["basicsr/train.py", "-opt", "a.yml", "--launcher", "pytorch"])
    assert program() == ["torchrun", "--nproc_per_node=2", "basicsr/train.py"]
