"""What does not fit is refused in one line, with exit code 2, before anything is built or written."""

import pytest
from tiny_mmagic import tiny_config

from gpemsr.cli.train_mmagic import main


@pytest.fixture
def run(stage, monkeypatch, capsys):
    """Return a function (changes of the config, arguments) -> line on stderr."""
    monkeypatch.chdir(stage.folder)

    def run(arguments=(), **changes):
        file = stage.folder / "my.py"
        tiny_config(stage.options, stage.folder / "run", **changes).dump(file)
        assert main([str(file), "--check"]) == 0 if not changes else True
        capsys.readouterr()
        assert main([str(file), *arguments]) == 2
        assert not (stage.folder / "run").exists()
        [line] = [line for line in capsys.readouterr().err.splitlines() if line.startswith("error: ")]
        return line.removeprefix(f"error: {file}: ")

    return run


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("model.pretrain_prior", "absent.pth", 'model.pretrain_prior="absent.pth": no such file or folder'),
        ("model.pretrain_prior", None, "model.pretrain_prior=null: expected the checkpoint of stage II"),
        ("model.generator.num_fat", 4, "model.generator.num_fat: unknown key; did you mean num_feat"),
        ("model.generator.deformable_groups", 3, "model.generator.num_feat=8: a multiple of deformable_groups=3"),
        ("model.generator.perceptual", "vgg19", "model.contextual_loss.features=vqgan: only with model.generator"),
        ("model.generator.num_frame", 5, "train_dataloader.dataset.num_frame=3: expected model.generator.num_frame=5"),
        ("model.pixel_loss.type", "L7Loss", 'model.pixel_loss.type="L7Loss": nothing of this name is registered'),
        ("train_dataloader.dataset.dataroot_gt", "no.lmdb", 'train_dataloader.dataset.dataroot_gt="no.lmdb": no such'),
        ("val_dataloader.dataset.dataroot_lq", "no.lmdb", 'val_dataloader.dataset.dataroot_lq="no.lmdb": no such'),
        ("train_dataloader.dataset.gt_siz", 64, "train_dataloader.dataset.gt_siz: unknown key; did you mean gt_size?"),
        ("train_dataloader.dataset.gt_size", 50, "train_dataloader.dataset.gt_size=50: a multiple of 16 is expected"),
        ("val_dataloader.dataset.type", "Sections", 'val_dataloader.dataset.type="Sections": nothing of this name'),
    ],
)
def test_a_wrong_config_is_refused(run, key, value, message):
    assert run(**{key.replace(".", "__"): value}).startswith(message)


def test_weights_to_validate_that_are_not_there_are_refused(run):
    assert run(["--validate", "absent.pth"]).startswith('model.pretrain_network_g="absent.pth": no such file')


def test_a_config_that_is_not_there_is_refused(capsys, tmp_path):
    assert main([str(tmp_path / "absent.py")]) == 2
    assert capsys.readouterr().err == f"error: {tmp_path}/absent.py: no such file; expected a config such as " + (
        "configs/gpemsr/gpemsr_x8.py\n"
    )


def test_a_config_with_a_mistake_is_one_line(capsys, tmp_path):
    (tmp_path / "bad.py").write_text("model = dict(\n")
    assert main([str(tmp_path / "bad.py")]) == 2
    assert capsys.readouterr().err.startswith(f"error: {tmp_path}/bad.py: SyntaxError: ")
