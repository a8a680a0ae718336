"""What an option file names is opened before an experiment begins: what is wrong leaves the old one alone."""

from pathlib import Path

import pytest
import torch
import yaml
from tiny_stages import stage_options, tiny_network, write_sections

from gpemsr.cli.launch import launch


@pytest.fixture
def folder(tmp_path, monkeypatch) -> Path:
    """Sections, a result of stage I, and the experiment that a training of stage II would move aside."""
    write_sections(tmp_path)
    torch.save({"params": tiny_network(1).state_dict()}, tmp_path / "stage1.pth")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def refused(stage: int, folder: Path, capsys, *forced: str, is_train: bool = True) -> str:
    """The one line of a training that is refused; its experiment of before is as it was."""
    options = stage_options(stage, folder)
    options["path"]["pretrain_prior"] = str(folder / "stage1.pth") if stage > 1 else None
    if stage == 1:
        del options["path"]["pretrain_prior"]
    if not is_train:
        options["datasets"] = {"test": options["datasets"]["val"]}
        del options["train"]
    file = folder / "options.yml"
    file.write_text(yaml.safe_dump(options, sort_keys=False))
    before = Path("experiments", options["name"], "models", "net_g_latest.pth")
    before.parent.mkdir(parents=True)
    before.touch()
    arguments = ["-opt", str(file), "--force_yml", *forced] if forced else ["-opt", str(file)]
    with pytest.raises(SystemExit) as ended:
        raise SystemExit(launch(is_train, arguments))
    assert ended.value.code == 2
    assert before.is_file() and not Path("tb_logger").exists()
    assert [path.name for path in Path("experiments").iterdir()] == [options["name"]]
    (line,) = (line for line in capsys.readouterr().err.splitlines() if line.startswith("error: "))
    return line


def test_a_crop_larger_than_the_sections(folder, capsys):
    assert "gt_size <= " in refused(2, folder, capsys, "datasets:train:gt_size=512")


def test_a_folder_that_holds_no_sections(folder, capsys):
    Path("empty").mkdir()
    assert "empty" in refused(2, folder, capsys, "datasets:train:dataroot_lq=empty")


def test_a_codebook_of_another_size_than_stage_ones(folder, capsys):
    line = refused(2, folder, capsys, "network_g:vqgan:num_codes=32")
    assert "path.pretrain_prior=" in line
    assert "codebook.embedding.weight (16, 8), expected (32, 8)" in line


def test_a_checkpoint_of_another_stage(folder, capsys):
    torch.save({"params": tiny_network(2).state_dict()}, folder / "stage1.pth")
    assert "not the weights of this LatentIndexer, at vqgan" in refused(2, folder, capsys)


def test_weights_of_a_wider_network(folder, capsys):
    net = tiny_network(3, num_feat=16)
    torch.save({"params": net.state_dict()}, folder / "wide.pth")
    line = refused(3, folder, capsys, "path:pretrain_network_g=wide.pth", "path:pretrain_prior=null")
    assert "path.pretrain_network_g=wide.pth: not the weights of this GPEMSR" in line


@pytest.mark.parametrize("stage", [1, 2, 3])
def test_a_test_without_weights(stage, folder, capsys):
    line = refused(stage, folder, capsys, is_train=False)
    assert line.endswith("path.pretrain_network_g=null: the checkpoint to test is expected (net_g_*.pth)")


def test_batches_that_an_epoch_cannot_fill_in_all_processes(folder, capsys, monkeypatch):
    monkeypatch.setenv("WORLD_SIZE", "3")
    line = refused(1, folder, capsys, "datasets:train:batch_size_per_gpu=2", "--launcher", "pytorch")
    assert "batch_size_per_gpu=2: at most 1 is expected" in line and "by 3 processes" in line


def test_a_training_state_that_is_none(folder, capsys):
    (folder / "5.state").write_bytes(b"noise")
    assert "path.resume_state=5.state: 5.state: refused" in refused(1, folder, capsys, "path:resume_state=5.state")


def test_a_kind_of_adversarial_loss_that_there_is_not(folder, capsys):
    line = refused(1, folder, capsys, "train:gan_opt:gan_type=foo")
    assert "train.gan_opt: GAN type foo is not implemented." in line
