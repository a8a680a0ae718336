"""``gpemsr-demo`` on small stacks with small networks."""

import contextlib
import csv
import shutil
from pathlib import Path

import numpy as np
import pytest
import tifffile
import yaml
from PIL import Image
from scipy.ndimage import gaussian_filter
from tiny_stages import stage_options

from gpemsr.benchmark.demo import Demo
from gpemsr.cli import demo
from gpemsr.compat import importable_basicsr
from gpemsr.data.volumes.reader import open_volume
from gpemsr.data.volumes.writer import TiffStackWriter

with importable_basicsr():
    from basicsr.metrics import calculate_psnr

VOXEL_SIZE = (50.0, 4.0, 4.0)
FILES = {1: "stage1", 2: "stage2_x8", 3: "stage3_x8"}
CROP = 64


def write_stack(path: Path, dtype, shape=(10, 80, 72)) -> np.ndarray:
    noise = gaussian_filter(np.random.default_rng(0).standard_normal(shape), (1, 3, 3))
    top = np.iinfo(dtype).max
    stack = np.clip((0.5 + 0.2 * noise / noise.std()) * top, 0, top).astype(dtype)
    with TiffStackWriter(path, shape, dtype, VOXEL_SIZE) as writer:
        for section in stack:
            writer.write(section)
    return stack


def write_options(folder: Path) -> Path:
    """Option files as in options/demo, for two iterations of small networks."""
    folder.mkdir()
    for stage, name in FILES.items():
        options = stage_options(stage, folder, total_iter=2)
        options["name"] = name
        for part, section in options["datasets"].items():
            section["io_backend"] = {"type": "lmdb"}
            split = "train" if part == "train" else "test"
            section["dataroot_gt"] = f"demo/data/demo_{split}_hr.lmdb"
            if stage > 1:
                section["dataroot_lq"] = f"demo/data/demo_{split}_lr_x8.lmdb"
        options["datasets"]["train"]["gt_size"] = CROP
        if stage > 1:
            options["path"]["pretrain_prior"] = f"experiments/{FILES[stage - 1]}/models/net_g_latest.pth"
        if stage == 3:
            options["train"]["ema_decay"] = 0.5
        (folder / f"{name}.yml").write_text(yaml.safe_dump(options))
    return folder


@pytest.fixture(scope="module")
def finished(tmp_path_factory) -> Path:
    """A folder in which the demo has run on a stack of 16 bits; after two iterations it is not above bicubic."""
    folder = tmp_path_factory.mktemp("demo")
    write_stack(folder / "stack.tif", np.uint16)
    options = write_options(folder / "options")
    command = ["--data", str(folder / "stack.tif"), "--options", str(options), "--out", str(folder / "out")]
    with (folder / "stderr").open("w") as errors, contextlib.redirect_stderr(errors):
        assert demo.main([*command, "--note", "EM data: mine"]) == 1
    return folder


def scores(folder: Path) -> list[dict[str, str]]:
    with (folder / "scores.csv").open(newline="") as file:
        return list(csv.DictReader(file))


@pytest.mark.slow
def test_the_stack_written_has_the_sources_type_and_voxel_size(finished):
    with open_volume(finished / "out" / "sr.tif") as volume:
        assert volume.shape == (2, 80, 64)  # the last fifth; sides are multiples of 16
        assert volume.dtype == np.uint16
        assert volume.voxel_size == pytest.approx(VOXEL_SIZE)
        assert volume.section(0).std() > 0


@pytest.mark.slow
def test_scores_of_each_held_back_section_and_their_mean(finished):
    *rows, mean = scores(finished / "out")
    assert [row["section"] for row in rows] == ["00000008", "00000009"] and mean["section"] == "mean"
    for column in ("psnr_bicubic", "psnr", "ssim_bicubic", "ssim", "index_accuracy"):
        assert float(mean[column]) == pytest.approx(np.mean([float(row[column]) for row in rows]))
    assert all(5 < float(row["psnr"]) < 60 and 0 <= float(row["index_accuracy"]) <= 1 for row in rows)
    table = (finished / "out" / "results.md").read_text()
    assert f"| mean | {float(mean['psnr_bicubic']):.2f} | {float(mean['psnr']):.2f} |" in table
    assert "of 16 codes used" in table and "| stage3_x8 | " in table


@pytest.mark.slow
def test_above_bicubic_it_ends_well(finished, tmp_path):
    """Blocks as large as LR pixels: an image made consistent with these is above bicubic, whatever was learned."""
    blocks = np.random.default_rng(0).integers(0, 256, (10, 10, 9), np.uint8).repeat(8, 1).repeat(8, 2)
    tifffile.imwrite(tmp_path / "stack.tif", blocks, metadata={"axes": "ZYX"})
    weights = finished / "out" / "experiments" / "stage3_x8" / "models" / "net_g_latest.pth"
    command = ["--weights", str(weights), "--data", str(tmp_path / "stack.tif"), "--out", str(tmp_path / "out")]
    assert demo.main([*command, "--consistent"]) == 0
    mean = scores(tmp_path / "out")[-1]
    assert float(mean["psnr"]) > float(mean["psnr_bicubic"])


@pytest.mark.slow
def test_below_bicubic_one_line_says_so_and_what_to_do(finished):
    mean = scores(finished / "out")[-1]
    assert float(mean["psnr"]) < float(mean["psnr_bicubic"])
    [line] = [line for line in (finished / "stderr").read_text().splitlines() if line.startswith("error")]
    assert "dB below bicubic" in line and "train for longer" in line


@pytest.mark.slow
def test_every_stage_starts_from_the_one_before(finished):
    out = finished / "out"
    for name in FILES.values():
        assert (out / "experiments" / name / "models" / "net_g_2.pth").is_file()
        assert "iter:       2" in (out / f"{name}.log").read_text()
    assert not [path for path in out.rglob("*") if ".tmp" in path.name]


@pytest.mark.slow
def test_a_picture_is_drawn(finished):
    picture = np.asarray(Image.open(finished / "out" / "comparison.png").convert("L"))
    assert picture.shape[1] >= 1200 and picture.std() > 20


@pytest.mark.slow
def test_a_stack_of_8_bits_gives_8_bits_with_the_scores_that_are_written(finished, tmp_path):
    stack = write_stack(tmp_path / "stack.tif", np.uint8)
    out = tmp_path / "out"
    for name in ("options", "experiments"):
        shutil.copytree(finished / "out" / name, out / name)
    run = Demo(out, finished / "options", data=tmp_path / "stack.tif")
    run.make_data()
    run.evaluate({"stage3_x8": 60.0})
    with open_volume(out / "sr.tif") as volume:
        assert volume.dtype == np.uint8
        for index, row in enumerate(scores(out)[:2]):
            psnr = calculate_psnr(volume.section(index), stack[8 + index, :, 4:68], crop_border=0)
            assert float(row["psnr"]) == pytest.approx(psnr)


@pytest.mark.slow
def test_a_stage_that_fails_is_reported_in_one_line(tmp_path, capsys):
    write_stack(tmp_path / "stack.tif", np.uint8)
    file = write_options(tmp_path / "options") / "stage1.yml"
    file.write_text(file.read_text().replace("codebook_weight:", "codebok_weight:"))
    command = ["--data", str(tmp_path / "stack.tif"), "--options", str(tmp_path / "options")]
    assert demo.main([*command, "--out", str(tmp_path / "out")]) == 2
    last = capsys.readouterr().err.splitlines()[-1]
    assert last.startswith("error: stage1 failed") and "codebok_weight" in last


def too_few_sections(folder: Path) -> str:
    write_stack(folder / "stack.tif", np.uint8, (9, 80, 80))
    return "9 sections"


def too_few_sections_of_every_second(folder: Path) -> str:
    write_stack(folder / "stack.tif", np.uint8, (18, 80, 80))
    return "9 sections"


def sections_smaller_than_a_crop(folder: Path) -> str:
    write_stack(folder / "stack.tif", np.uint8, (10, 80, 63))
    return "64 x 64"


def no_stack(folder: Path) -> str:
    (folder / "stack.tif").write_text("no TIFF")
    return "stack.tif"


def nothing_there(folder: Path) -> str:
    (folder / "stack.tif").unlink()
    return "stack.tif"


def no_option_files(folder: Path) -> str:
    shutil.rmtree(folder / "options")
    return "has no stage1.yml"


def another_perceptual(folder: Path) -> str:
    file = folder / "options" / "stage3_x8.yml"
    file.write_text(file.read_text().replace("perceptual: vqgan", "perceptual: vgg19"))
    return "perceptual=vgg19"


def no_crop(folder: Path) -> str:
    file = folder / "options" / "stage2_x8.yml"
    file.write_text(file.read_text().replace("gt_size:", "gt_sze:"))
    return "gt_size"


def a_file_in_place_of_the_folder(folder: Path) -> str:
    (folder / "out").write_text("mine")
    return "--out"


@pytest.mark.parametrize(
    "spoil",
    [
        too_few_sections,
        too_few_sections_of_every_second,
        sections_smaller_than_a_crop,
        no_stack,
        nothing_there,
        no_option_files,
        another_perceptual,
        no_crop,
        a_file_in_place_of_the_folder,
    ],
)
def test_bad_input_is_refused_before_work(tmp_path, capsys, spoil):
    write_stack(tmp_path / "stack.tif", np.uint8)
    write_options(tmp_path / "options")
    says = spoil(tmp_path)
    command = ["--data", str(tmp_path / "stack.tif"), "--options", str(tmp_path / "options")]
    command += ["--every", "2"] if spoil is too_few_sections_of_every_second else []
    assert demo.main([*command, "--out", str(tmp_path / "out")]) == 2
    message = capsys.readouterr().err
    assert says in message and message.count("\n") == 1
    assert not (tmp_path / "out" / "data").exists()


@pytest.mark.slow
def test_a_trained_network_gives_the_same_without_training(finished, tmp_path, capsys):
    weights = finished / "out" / "experiments" / "stage3_x8" / "models" / "net_g_latest.pth"
    command = ["--weights", str(weights), "--data", str(finished / "stack.tif"), "--out", str(tmp_path)]
    assert demo.main(command) == 1
    assert scores(tmp_path) == scores(finished / "out")
    assert "a network trained on such sections" in capsys.readouterr().err
    assert not (tmp_path / "experiments").exists()


def test_a_network_that_is_not_there_is_refused(tmp_path, capsys):
    assert demo.main(["--weights", "fib26-x8", "--out", str(tmp_path / "out")]) == 2
    assert "fib26-x8: no such file; a checkpoint is expected, or one of fib25-x8" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()
