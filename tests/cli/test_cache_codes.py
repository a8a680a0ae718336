"""``gpemsr-cache-codes``: codes that a training of stage II reads, and what is refused before it begins."""

from pathlib import Path

import pytest
import torch
from forked import run
from tiny_stages import tiny_network
from tiny_trainings import same_weights, write_training

from gpemsr.cli.cache_codes import main
from gpemsr.cli.launch import launch

CODES = "codes.safetensors"


@pytest.fixture
def training(tmp_path, monkeypatch) -> list[str]:
    """Options of the command line: a stage II that asks for codes, in the working directory."""
    monkeypatch.chdir(tmp_path)
    return ["-opt", write_training("stage2", tmp_path, total_iter=4, save_every=2, codes=CODES).name]


def other_prior() -> None:
    torch.save({"params": {k: v + 1 for k, v in tiny_network(1).state_dict().items()}}, "prior2.pth")


def other_section() -> None:
    Path("hr/v/0.png").write_bytes(Path("hr/v/1.png").read_bytes())


def line_of(capsys) -> str:
    (line,) = (line for line in capsys.readouterr().err.splitlines() if line.startswith("error: "))
    return line


def test_a_training_reads_them_and_its_resumed_run_is_identical(training, tmp_path):
    assert main(training) == 0
    assert run(tmp_path, training[1], "--force_yml", "datasets:train:num_worker_per_gpu=2")[0] == 0
    last = Path("experiments/stage2/models/net_g_latest.pth")
    whole = tmp_path / "whole.pth"
    last.rename(whole)
    for kind in ("models/net_g_4.pth", "training_states/4.state"):
        Path("experiments/stage2", kind).unlink()
    code, output = run(tmp_path, training[1], "--auto_resume")
    assert code == 0 and "Resuming training from epoch: " in output
    assert same_weights(whole, last)


def test_a_file_of_the_same_weights_and_sections_is_not_made_again(training, capsys):
    assert main(training) == 0
    assert capsys.readouterr().out == "codes.safetensors: codes of 5 sections in 8 orientations\n"
    before = Path(CODES).stat().st_mtime_ns
    assert main(training) == 0
    assert capsys.readouterr().out == "codes.safetensors: already has the codes of these weights and sections\n"
    assert Path(CODES).stat().st_mtime_ns == before
    assert main([*training, "--overwrite"]) == 0
    assert Path(CODES).stat().st_mtime_ns != before


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (other_prior, "made with stage I weights other than those of "),
        (other_section, "has codes of sections other than those of "),
        (lambda: Path(CODES).write_text("a network"), "damaged, or not a file of gpemsr-cache-codes"),
    ],
)
def test_another_file_is_refused_and_replaced_only_if_asked(training, capsys, change, message):
    assert main(training) == 0
    change()
    for refuse in (main, lambda arguments: launch(True, [*arguments, "--check"])):
        assert refuse(training) == 2
        assert line_of(capsys).startswith(f"error: {CODES}: {message}")
    assert main([*training, "--overwrite"]) == 0
    assert launch(True, [*training, "--check"]) == 0


def test_a_training_without_the_file_says_what_makes_it(training, capsys):
    assert launch(True, [*training, "--check"]) == 2
    expected = "no such file; gpemsr-cache-codes with the same option file makes it"
    assert line_of(capsys) == f"error: {CODES}: {expected}"


@pytest.mark.parametrize(
    ("forced", "message"),
    [
        (["datasets:train:use_shift=true"], "datasets.train.use_shift=true: expected false with codes"),
        (["datasets:train:gt_size=72"], "datasets.train.gt_size=72: a multiple of 16 is expected"),
        (
            ["path:pretrain_prior=~", "path:pretrain_network_g=prior2.pth"],
            "path.pretrain_prior=null: expected the checkpoint",
        ),
    ],
)
def test_options_that_do_not_go_together_are_refused(training, capsys, forced, message):
    for refuse in (main, lambda arguments: launch(True, [*arguments, "--check"])):
        assert refuse([*training, "--force_yml", *forced]) == 2
        assert line_of(capsys).startswith(f"error: stage2.yml: {message}")
    assert not Path(CODES).exists()


@pytest.mark.parametrize(
    ("forced", "message"),
    [
        (["datasets:train:codes=~"], "stage2.yml: datasets.train.codes is missing: expected the file to write"),
        (["datasets:train:codes=no/codes"], "no/codes: no such folder"),
        (["network_g:vqgan:num_codes=32"], "codebook.embedding.weight (16, 8), expected (32, 8)"),
        (["datasets:train:gt_size=512"], "expected gt_size <= 96"),
    ],
)
def test_what_codes_cannot_be_made_of_is_refused_in_one_line(training, capsys, forced, message):
    assert main([*training, "--force_yml", *forced]) == 2
    assert message in line_of(capsys)


def test_other_stages_have_no_codes(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert main(["-opt", write_training("stage1", tmp_path).name]) == 2
    assert 'model_type="VQGANModel": LatentIndexerModel (stage II) is expected' in line_of(capsys)
    assert main(["-opt", write_training("stage3", tmp_path, codes=CODES).name]) == 2
    assert "datasets.train.codes: unknown key" in line_of(capsys)
