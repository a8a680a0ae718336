"""Trainings that are killed, asked to end, run out of space or meet what is damaged, as processes of their own."""

import errno
import itertools
import re
import signal
import zipfile
from pathlib import Path

import pytest
import torch
import yaml
from forked import Forked, run, start_processes
from tensorboard.summary.writer.record_writer import RecordWriter
from tiny_trainings import KINDS, same_weights, weights_of, write, write_training

from gpemsr.losses.affinity_loss import AffinityLoss
from gpemsr.models import image_validation

QUICK = "segmenter"


def experiment(folder: Path, kind: str = QUICK) -> Path:
    return folder / "experiments" / kind


def latest(folder: Path, kind: str = QUICK) -> list[Path]:
    return sorted((experiment(folder, kind) / "models").glob("net_*_latest.pth"))


@pytest.fixture
def folder(tmp_path) -> Path:
    """A folder with the option file of the quickest training: 8 iterations, saved after 3 and 6."""
    write_training(QUICK, tmp_path)
    return tmp_path


@pytest.fixture
def trained(folder) -> Path:
    """The same, trained up to iteration 7."""
    assert run(folder, f"{QUICK}.yml", "--force_yml", "train:total_iter=7")[0] == 0
    return folder


SLOW = ("stage2", "stage3", "baseline")


@pytest.mark.parametrize(
    ("kind", "workers"),
    [
        pytest.param(k, w, marks=pytest.mark.slow if k in SLOW else ())
        for k, w in zip(KINDS, (2, 0, 0, 2, 0), strict=True)
    ],
)
def test_what_is_killed_and_then_asked_to_end_goes_on_to_the_same_weights(tmp_path, kind, workers):
    whole, cut = tmp_path / "whole", tmp_path / "cut"
    for each in (whole, cut):
        file = write_training(kind, each, num_worker_per_gpu=workers).name
    assert run(whole, file)[0] == 0
    killed = Forked(cut, file)
    killed.wait_for("iter:       5,")
    killed.kill()
    assert killed.wait() == -signal.SIGKILL
    ended = Forked(cut, file, "--auto_resume")
    ended.wait_for("iter:       5,")
    ended.kill(signal.SIGTERM)
    assert ended.wait() == 143
    assert "Resuming training from epoch: " in ended.output
    code, output = run(cut, file, "--auto_resume")
    assert code == 0 and "Traceback" not in output
    files = latest(whole, kind)
    assert len(files) == (2 if kind == "stage1" else 1)
    assert all(same_weights(path, cut / path.relative_to(whole)) for path in files)


@pytest.mark.parametrize(("name", "code"), [("SIGTERM", 143), ("SIGHUP", 129), ("SIGUSR1", 0), ("SIGINT", 130)])
def test_signals_end_a_training_that_says_how_to_go_on(folder, name, code):
    training = Forked(folder, f"{QUICK}.yml", "--force_yml", "train:total_iter=1000")
    training.wait_for("iter:       4,")
    training.kill(getattr(signal, name))
    assert training.wait() == code
    states = [int(path.stem) for path in (experiment(folder) / "training_states").iterdir()]
    told = training.output.splitlines()[-1]
    assert told.startswith(f"{name}: training ends after iteration {max(states)}, which is saved; go on with: ")
    assert told.endswith(f" -opt {QUICK}.yml --force_yml train:total_iter=1000 --auto_resume")
    assert "Traceback" not in training.output


def test_a_signal_ends_a_validation_after_the_section(tmp_path):
    file = write_training("stage2", tmp_path, val_freq=4).name

    def ask_to_end(*_, **__) -> float:
        signal.raise_signal(signal.SIGTERM)
        return 1.0

    code, output = run(tmp_path, file, prepare=lambda: setattr(image_validation, "calculate_metric", ask_to_end))
    assert code == 143
    assert "SIGTERM: training ends after iteration 4, which is saved; " in output.splitlines()[-1]
    assert "# psnr" not in output
    assert run(tmp_path, file, "--auto_resume")[0] == 0


@pytest.mark.parametrize("asked", [(1,), (0, 1)])
def test_two_processes_end_at_the_same_step(folder, asked):
    """The batch statistics, which both need for each step, would wait for ever otherwise."""
    two = start_processes(folder, 2, f"{QUICK}.yml", "--force_yml", "train:total_iter=1000")
    two[0].wait_for("iter:       4,")
    for rank in asked:
        two[rank].kill(signal.SIGTERM)
    assert [process.wait() for process in two] == [143, 143]
    told = [line for process in two for line in process.output.splitlines() if line.startswith("SIGTERM: ")]
    newest = max(int(path.stem) for path in (experiment(folder) / "training_states").iterdir())
    assert len(told) == 1 and f" after iteration {newest}, which is saved; " in told[0]
    assert "Traceback" not in two[0].output + two[1].output


def test_a_second_training_of_the_same_name_is_refused(folder):
    first = Forked(folder, f"{QUICK}.yml", "--force_yml", "train:total_iter=1000")
    first.wait_for("iter:       1,")
    second = Forked(folder, f"{QUICK}.yml", "--auto_resume")
    assert second.wait() == 2
    told = f"error: {experiment(folder)}: another process trains under this name (process {first.pid} on "
    assert second.output.splitlines()[-1].startswith(told)
    first.kill()
    first.wait()
    assert run(folder, f"{QUICK}.yml", "--auto_resume")[0] == 0  # the lock of one that was killed is free


def truncate(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def flip(path: Path) -> None:
    content = bytearray(path.read_bytes())
    with zipfile.ZipFile(path) as archive:
        entry = max(archive.infolist(), key=lambda entry: entry.file_size)
        content[content.index(archive.read(entry)) + 11] ^= 16
    path.write_bytes(content)


@pytest.mark.parametrize("damage", [truncate, flip, Path.unlink])
@pytest.mark.parametrize("name", ["models/net_g_6.pth", "training_states/6.state"])
def test_a_damaged_checkpoint_is_skipped_for_the_one_before(trained, damage, name):
    expected = weights_of(latest(trained)[0])
    damage(experiment(trained) / name)
    code, output = run(trained, f"{QUICK}.yml", "--auto_resume", "--force_yml", "train:total_iter=7")
    assert code == 0
    assert "Resuming training from epoch: 0, iter: 3" in output
    assert f"skipped: {experiment(trained) / name}: " in output
    assert "Traceback" not in output
    assert all(torch.equal(value, expected[key]) for key, value in weights_of(latest(trained)[0]).items())


def test_without_a_whole_checkpoint_nothing_begins(trained):
    for path in (experiment(trained) / "training_states").iterdir():
        path.write_bytes(b"noise")
    code, output = run(trained, f"{QUICK}.yml", "--auto_resume")
    assert code == 2
    assert "none of 2 states is whole, first " in output.splitlines()[-1]


def test_a_full_disk_ends_the_training_and_with_space_it_goes_on(folder):
    save = torch.save

    def full(content, file):
        if "6" in Path(file.name).name.split(".")[1]:
            file.write(b"PK")
            raise OSError(errno.ENOSPC, "No space left on device")
        save(content, file)

    code, output = run(folder, f"{QUICK}.yml", prepare=lambda: setattr(torch, "save", full))
    assert code == 1
    assert "net_g_6.pth: cannot be written" in output.splitlines()[-1]
    assert "Traceback" not in output
    assert run(folder, f"{QUICK}.yml", "--auto_resume")[0] == 0


def test_a_disk_that_tensorboard_fills_is_told_in_one_line(folder):
    written = itertools.count()

    def write_some(self, data):
        if next(written) > 20:
            raise OSError(errno.ENOSPC, "No space left on device")

    options = ["--force_yml", "logger:use_tb_logger=true", "train:total_iter=1000"]
    code, output = run(folder, f"{QUICK}.yml", *options, prepare=lambda: setattr(RecordWriter, "write", write_some))
    assert code == 1
    told = "error: the experiment: No space left on device; what was saved is whole, go on with --auto_resume"
    assert output.splitlines()[-1] == told
    assert "Traceback" not in output


def nan_from(iteration: int, last: float = float("inf")):
    """Let the loss be no number in some iterations."""
    forward, calls = AffinityLoss.forward, iter(range(1, 10**6))

    def broken(self, *arguments):
        loss = forward(self, *arguments)
        return loss * float("nan") if iteration <= next(calls) <= last else loss

    return lambda: setattr(AffinityLoss, "forward", broken)


def test_one_loss_that_is_not_finite_is_survived(folder):
    code, output = run(folder, f"{QUICK}.yml", prepare=nan_from(4, 4))
    assert code == 0
    assert "Iteration 4: the gradient is not finite (l_affinity nan; batch: ['raw', 'raw'])" in output
    assert all(value.isfinite().all() for value in weights_of(latest(folder)[0]).values())


def test_losses_that_stay_not_finite_end_the_training(folder):
    options = ["--force_yml", "train:skip_non_finite=2"]
    code, output = run(folder, f"{QUICK}.yml", *options, prepare=nan_from(4))
    assert code == 1
    assert "3 steps in a row, so the training stops; last good checkpoint: iteration 3" in output.splitlines()[-1]


@pytest.mark.parametrize("workers", [0, 2])
def test_a_damaged_section_is_named_or_left_out(tmp_path, workers):
    file = write_training("stage1", tmp_path, num_worker_per_gpu=workers).name
    damaged = tmp_path / "hr" / "v" / "3.png"

    content = bytearray(damaged.read_bytes())
    damaged.write_bytes(content[: len(content) // 2] + bytes(40) + content[len(content) // 2 + 40 :])
    code, output = run(tmp_path, file)
    assert (code, "Traceback" in output) == (1, False)
    assert str(damaged) in output.splitlines()[-1]
    code, output = run(tmp_path, file, "--force_yml", "datasets:train:skip_bad=true")
    assert code == 0
    assert re.search(rf"WARNING: {damaged}: .*; training goes on without it, 1 left out so far", output)


def test_fewer_sections_than_a_batch_are_refused_before_anything_is_written(folder):
    code, output = run(folder, f"{QUICK}.yml", "--force_yml", "datasets:train:batch_size_per_gpu=5000")
    assert code == 2
    assert "datasets.train.batch_size_per_gpu=5000: at most " in output.splitlines()[-1]
    assert not experiment(folder).exists()


def test_the_last_validation_is_of_the_last_iteration_and_the_best_network_is_kept(tmp_path):
    options = yaml.safe_load(write_training("stage2", tmp_path).read_text())
    options["datasets"]["val"] = {**options["datasets"]["train"], "name": "V", "gt_size": None}
    options["datasets"]["val"] |= {"use_hflip": False, "use_rot": False}
    options["val"] = {
        "val_freq": 4,
        "save_img": False,
        "metrics": {"psnr": {"type": "calculate_psnr", "crop_border": 0}},
    }
    options["logger"] |= {"keep_last": 1, "keep_best": {"metric": "cross_entropy", "better": "lower"}}
    write(tmp_path / "stage2.yml", options)
    code, output = run(tmp_path, "stage2.yml")
    assert code == 0
    assert "@ 8 iter" in output and "@ 9 iter" not in output
    names = {path.name for path in (experiment(tmp_path, "stage2") / "models").iterdir()}
    assert names == {"net_g_6.pth", "net_g_best.pth", "net_g_latest.pth"}
