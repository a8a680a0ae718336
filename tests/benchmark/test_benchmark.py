"""The benchmark: rows, what is kept, what goes wrong."""

import csv
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import cv2
import numpy as np
import pytest
import tifffile
import torch
import yaml
from skimage.metrics import adapted_rand_error
from tiny_stages import stage_options, tiny_network, write_sections

from gpemsr.archs.blocks import pad_to_multiple
from gpemsr.benchmark import benchmark as runner
from gpemsr.benchmark import fingerprint
from gpemsr.benchmark.benchmark import Benchmark
from gpemsr.benchmark.cost import count_macs
from gpemsr.benchmark.fingerprint import hash_of, hash_of_sources
from gpemsr.benchmark.networks import use_true_codes
from gpemsr.benchmark.options import read_benchmark
from gpemsr.benchmark.row import run_row
from gpemsr.cli.benchmark import main
from gpemsr.compat import importable_basicsr
from gpemsr.data.affinities import affinities_of
from gpemsr.errors import InputError

with importable_basicsr():
    from basicsr.metrics import calculate_psnr, calculate_ssim

for library in ("piq", "waterz", "cc3d"):
    pytest.importorskip(library, reason="the extra 'benchmark' is not installed")


@pytest.fixture
def folder(tmp_path, monkeypatch) -> Path:
    """A working directory with sections, and option files of bicubic and of a tiny GPEMSR with weights."""
    monkeypatch.chdir(tmp_path)
    write_sections(tmp_path / "data", count=3)
    options = stage_options(3, tmp_path / "data")
    (tmp_path / "gpemsr.yml").write_text(yaml.safe_dump(options))
    torch.save({"params": tiny_network(3).state_dict()}, tmp_path / "gpemsr.pth")
    bicubic = {"network_g": {"type": "Bicubic", "scale": 8}, "datasets": {"test": {"num_frame": 3}}}
    (tmp_path / "bicubic.yml").write_text(yaml.safe_dump(bicubic))
    return tmp_path


GPEMSR = {"name": "GPEMSR", "options": "gpemsr.yml", "weights": "gpemsr.pth"}
BICUBIC = {"name": "bicubic", "options": "bicubic.yml"}


def benchmark_file(folder: Path, methods: list[dict], **changes) -> Path:
    section = {
        "name": "t",
        "title": "Test",
        "scale": 8,
        "out": "out",
        "data": {"dataroot_gt": "data/hr", "dataroot_lq": "data/lr_x8", "io_backend": {"type": "disk"}},
        "methods": methods,
    }
    file = folder / "x8.yml"
    file.write_text(yaml.safe_dump(section | changes))
    return file


def one_row(folder: Path, method: dict, **changes) -> dict:
    """A row run in this process."""
    options = read_benchmark(benchmark_file(folder, [method], **changes))
    run_row(options, options.methods[0], "of", {})
    (file,) = (folder / "out" / "rows").glob("*/row.json")
    return json.loads(file.read_text())


def hr(z: int) -> np.ndarray:
    return cv2.imread(f"data/hr/v/{z}.png", cv2.IMREAD_UNCHANGED)


def lr(z: int) -> np.ndarray:
    return cv2.imread(f"data/lr_x8/v/{z}.png", cv2.IMREAD_UNCHANGED)


def test_scores_are_basicsrs_of_the_stack_written(folder):
    row = one_row(folder, GPEMSR)
    assert row["error"] is None
    stack = tifffile.imread(folder / "out/rows/gpemsr/sr.tif")
    assert stack.dtype == np.uint8
    psnr = [calculate_psnr(sr, hr(z), crop_border=0) for z, sr in enumerate(stack)]
    ssim = [calculate_ssim(sr[..., None], hr(z)[..., None], crop_border=0) for z, sr in enumerate(stack)]
    assert row["scores"]["psnr"] == pytest.approx(psnr)
    assert row["scores"]["ssim"] == pytest.approx(ssim)


def test_the_stack_is_what_the_network_makes_of_each_window(folder):
    one_row(folder, GPEMSR)
    stack = tifffile.imread(folder / "out/rows/gpemsr/sr.tif")
    lq = np.stack([cv2.imread(f"data/lr_x8/v/{z}.png", cv2.IMREAD_UNCHANGED) for z in range(3)]) / np.float32(255)
    with torch.no_grad():
        expected = tiny_network(3).eval()(torch.from_numpy(lq)[None, :, None])[0, 0].clamp(0, 1).numpy()
    assert np.abs(stack[1].astype(int) - np.round(expected * 255)).max() <= 1


def test_sections_that_do_not_match_are_refused_before_any_row(folder):
    with pytest.raises(InputError, match="expected HR = scale 4 x LR"):
        Benchmark(read_benchmark(benchmark_file(folder, [BICUBIC], scale=4)), "x8.yml")
    for part, size in (("hr", 64), ("lr_x8", 8)):
        (folder / "data" / part / "w").mkdir()
        cv2.imwrite(f"data/{part}/w/0.png", np.zeros((size, size), np.uint8))
    with pytest.raises(InputError, match=r"data/hr: sections of .* pixels; expected volumes of one size"):
        Benchmark(read_benchmark(benchmark_file(folder, [BICUBIC])), "x8.yml")
    assert not (folder / "out").exists()


def test_cost_is_measured(folder):
    row = one_row(folder, GPEMSR)
    assert row["parameters"] == sum(p.numel() for p in tiny_network(3).parameters())
    assert row["macs"] > 0
    assert len(row["seconds"]) == 3
    assert min(row["seconds"]) > 0
    assert 1 << 20 < row["peak_memory"] < 1 << 40


def test_training_is_what_its_records_say(folder):
    for name, iterations in (("stage1", 5), ("stage3", 7)):
        (folder / f"{name}.json").write_text(json.dumps({"iterations": iterations, "core_minutes": 1.5}))
    row = one_row(folder, {**GPEMSR, "trainings": ["stage1.json", "stage3.json"]})
    assert row["training"] == {"iterations": {"stage1": 5, "stage3": 7}, "core_minutes": 3.0}


def test_a_section_that_a_measure_cannot_judge_leaves_the_others(folder):
    for part, size in (("hr", hr(0).shape), ("lr_x8", (hr(0).shape[0] // 8, hr(0).shape[1] // 8))):
        cv2.imwrite(f"data/{part}/v/1.png", np.full(size, 128, np.uint8))
    psnr = one_row(folder, BICUBIC)["scores"]["psnr"]  # a plain section is made without any error
    assert psnr[1] is None
    assert None not in (psnr[0], psnr[2])


@pytest.mark.parametrize("record", [None, "{}", "[]", '{"iterations": 5}', "5"])
def test_a_record_of_training_that_is_none_is_named_in_one_line(folder, record):
    if record is not None:
        (folder / "stage1.json").write_text(record)
    row = one_row(folder, {**GPEMSR, "trainings": ["stage1.json"]})
    assert row["error"] == "stage1.json: expected a record of gpemsr-benchmark-train"


def test_a_row_in_bf16_is_nearly_the_same_image(folder):
    images = []
    for precision in ("fp32", "bf16"):
        assert one_row(folder, {**GPEMSR, "precision": precision})["error"] is None
        (file,) = (folder / "out/rows").glob("*/sr.tif")
        images.append(tifffile.imread(file).astype(int))
    assert 0 < np.abs(images[0] - images[1]).mean() < 3


@pytest.mark.parametrize("oracle", ["true_codes", "reference", "true_reference"])
def test_an_oracle_is_another_image(folder, oracle):
    row = one_row(folder, {**GPEMSR, "oracle": oracle})
    assert (row["kind"], row["error"]) == ("oracle", None)
    (file,) = (folder / "out/rows").glob("*/sr.tif")
    net = tiny_network(3).eval()
    gt, lq = ([torch.from_numpy(read(z) / np.float32(255))[None, None] for z in range(3)] for read in (hr, lr))
    codes = net.prior.targets(pad_to_multiple(gt[0], 32))  # as LR sections are padded to a multiple of 4
    with torch.no_grad():
        if oracle == "reference":
            expected = net.encode_sections(pad_to_multiple(lq[0][None], 4)).reference[0]
        elif oracle == "true_reference":
            expected = net.prior.vqgan.decode(codes)[0]
        else:
            use_true_codes(net, zip(lq, gt, strict=True))
            expected = net(torch.stack([lq[0], lq[0], lq[1]], 1))
    _, _, height, width = gt[0].shape
    expected = expected[0, 0, :height, :width].clamp(0, 1).numpy()
    assert np.abs(tifffile.imread(file)[0].astype(int) - np.round(expected * 255)).max() <= 1


def test_the_macs_are_those_of_encoding_one_section_and_reconstructing_one(folder):
    macs = one_row(folder, GPEMSR)["macs"]
    net = tiny_network(3).eval()
    window = torch.from_numpy(np.stack([lr(0), lr(0), lr(1)]) / np.float32(255))[None, :, None]
    with torch.no_grad():
        encoded = net.encode_sections(window[:, :1])
    encoding = count_macs(net.encode_sections, window[:, :1])
    assert macs == encoding + count_macs(net.reconstruct, encoded.window([0, 0, 0]))
    assert macs < count_macs(net, window)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"weights": "absent.pth"}, "absent.pth"),
        ({"weights": "broken.pth"}, "broken.pth"),
        ({"weights": None}, "expected the checkpoint of this GPEMSR"),
        ({"options": "absent.yml"}, "absent.yml"),
        ({"options": "bicubic.yml", "weights": None, "oracle": "reference"}, "only with network_g.type: GPEMSR"),
        ({"options": "bicubic.yml", "weights": None, "precision": "bf16"}, "only with network_g.type: GPEMSR"),
        ({"options": "other.yml"}, "num_feat"),
    ],
)
def test_a_method_that_cannot_run_is_a_row_that_says_so(folder, change, message):
    (folder / "broken.pth").write_bytes((folder / "gpemsr.pth").read_bytes()[:100])
    options = yaml.safe_load((folder / "gpemsr.yml").read_text())
    options["network_g"]["num_feat"] = -1
    (folder / "other.yml").write_text(yaml.safe_dump(options))
    row = one_row(folder, {**GPEMSR, **change})
    assert message in row["error"]
    assert "\n" not in row["error"]
    assert row["scores"] == {}


@pytest.mark.slow
def test_every_row_is_run_and_one_that_is_finished_is_not_run_again(folder):
    memory = np.ones(5 << 28, np.uint8)  # of this process, not of the rows'
    del memory
    file = benchmark_file(folder, [BICUBIC, {**GPEMSR, "weights": "absent.pth"}])
    errors = Benchmark(read_benchmark(file), str(file)).run()
    assert len(errors) == 1
    assert errors[0].startswith("GPEMSR: ")
    times = {path: path.stat().st_mtime_ns for path in (folder / "out/rows").glob("*/row.json")}
    assert len(times) == 2
    (folder / "absent.pth").write_bytes((folder / "gpemsr.pth").read_bytes())
    assert Benchmark(read_benchmark(file), str(file)).run() == []
    bicubic = json.loads((folder / "out/rows/bicubic/row.json").read_text())
    assert bicubic["peak_memory"] < 5 << 28
    assert [path.parent.name for path, time in times.items() if path.stat().st_mtime_ns != time] == ["gpemsr"]
    common = json.loads((folder / "out/benchmark.json").read_text())
    assert common["rows"] == ["bicubic", "gpemsr"]
    row = json.loads((folder / "out/rows/gpemsr/row.json").read_text())
    assert row["hashes"] == {file: hash_of(folder / file) for file in ("gpemsr.yml", "absent.pth")}


@pytest.fixture
def in_this_process(monkeypatch):
    """Rows run in this process, which takes no time to start."""

    class Process:
        def __init__(self, target, args):
            self.target, self.args, self.exitcode = target, args, 0

        def start(self):
            self.target(*self.args)

        def join(self):
            pass

        def is_alive(self):
            return False

    class Context:
        pass

    Context.Process = Process
    monkeypatch.setattr(runner.multiprocessing, "get_context", lambda _: Context)


@pytest.mark.parametrize("changed", ["weights", "options", "data", "software", "machine"])
def test_a_row_is_run_again_when_something_that_it_depends_on_changes(folder, in_this_process, monkeypatch, changed):
    file = benchmark_file(folder, [GPEMSR])
    base = (folder / "gpemsr.yml").rename(folder / "base.yml")
    (folder / "gpemsr.yml").write_text("_base_: base.yml\n")
    Benchmark(read_benchmark(file), str(file)).run()
    path = folder / "out/rows/gpemsr/row.json"
    before = json.loads(path.read_text())["of"]
    if changed == "weights":
        state = tiny_network(3).state_dict()
        state["conv_last.weight"] *= 1.5
        torch.save({"params": state}, "gpemsr.pth")
    elif changed == "options":
        base.write_text(base.read_text().replace("manual_seed: 0", "manual_seed: 1"))
    elif changed == "data":
        cv2.imwrite("data/hr/v/0.png", 255 - hr(0))
    elif changed == "software":
        monkeypatch.setattr(runner, "hash_of_sources", lambda: "others")
    else:
        monkeypatch.setattr(runner, "machine", lambda: "another desk")
    Benchmark(read_benchmark(file), str(file)).run()
    assert json.loads(path.read_text())["of"] != before


def test_the_command_writes_the_report_of_all_rows_and_lists_those_without_figures(folder, in_this_process, capsys):
    file = benchmark_file(folder, [GPEMSR, BICUBIC, {**GPEMSR, "name": "lost", "weights": "absent.pth"}])
    assert main(["-opt", str(file)]) == 1
    assert "no figures for lost: " in capsys.readouterr().err
    report = (folder / "out/report.md").read_text()
    row = json.loads((folder / "out/rows/gpemsr/row.json").read_text())
    assert f"{np.mean(row['scores']['psnr']):.2f}" in report
    for name in ("gpemsr.yml", "gpemsr.pth", "bicubic.yml", "data/hr"):
        assert hash_of(folder / name) in report
    with (folder / "out/sections.csv").open() as sections:
        lines = list(csv.DictReader(sections))
    assert [line["slug"] for line in lines] == ["gpemsr"] * 3 + ["bicubic"] * 3
    assert [float(line["psnr"]) for line in lines[:3]] == row["scores"]["psnr"]


@pytest.fixture
def neurons(folder) -> np.ndarray:
    """Ids of blocks that shift from section to section, in ``ids.tif``."""
    z, y, x = np.indices((3, *hr(0).shape))
    ids = (1 + (y + 9 * z) // 32 + 10 * ((x + 5 * z) // 28)).astype(np.uint32)
    tifffile.imwrite(folder / "ids.tif", ids, photometric="minisblack")
    return ids


@pytest.mark.parametrize("sections", [None, [1, 3]])
def test_true_affinities_of_a_row_give_its_neurons(folder, neurons, monkeypatch, sections):
    part = slice(*(sections or (0, 3)))
    seen = []

    def predict(segmenter, raw, device):
        seen.append(raw)
        return affinities_of(neurons[part])

    monkeypatch.setattr("gpemsr.benchmark.row.predict", predict)
    segmenter = {"name": "U", "options": "gpemsr.yml", "weights": "gpemsr.pth"}
    segmentation = {"ids": "ids.tif", "sections": sections, "segmenters": [segmenter], "seed_distance": 4}
    options = read_benchmark(benchmark_file(folder, [BICUBIC], segmentation=segmentation))
    run_row(options, None, "of", {})
    row = json.loads((folder / "out/rows/hr/row.json").read_text())
    assert (row["kind"], row["error"]) == ("hr", None)
    assert np.array_equal(seen[0], np.stack([hr(z) for z in range(3)])[part].astype(np.float32) / 255)
    assert row["segmentation"]["U"]["voi"] < 0.02
    assert row["segmentation"]["U"]["adapted_rand"] < 0.01
    found = tifffile.imread(folder / "out/rows/hr/segmentation_u.tif")
    assert adapted_rand_error(neurons[part], found)[0] == pytest.approx(row["segmentation"]["U"]["adapted_rand"])


def test_a_segmenter_whose_weights_do_not_match_is_refused_before_any_row(folder, neurons):
    (folder / "broken.pth").write_bytes((folder / "gpemsr.pth").read_bytes()[:100])
    segmenter = {"name": "U", "options": "gpemsr.yml", "weights": "broken.pth"}
    segmentation = {"ids": "ids.tif", "segmenters": [segmenter]}
    with pytest.raises(InputError, match=r"broken\.pth"):
        Benchmark(read_benchmark(benchmark_file(folder, [BICUBIC], segmentation=segmentation)), "x8.yml")
    assert not (folder / "out").exists()


def die(*_) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


@pytest.mark.slow
def test_a_row_whose_process_is_killed_says_so_and_leaves_the_others(folder, monkeypatch):
    file = benchmark_file(folder, [BICUBIC])
    monkeypatch.setattr(runner, "run_row", die)
    (error,) = Benchmark(read_benchmark(file), str(file)).run()
    assert "signal 9" in error
    assert json.loads((folder / "out/rows/bicubic/row.json").read_text())["error"] in error


def interrupt(*_) -> None:
    raise KeyboardInterrupt


def test_a_row_that_was_interrupted_leaves_nothing_that_counts(folder, monkeypatch):
    options = read_benchmark(benchmark_file(folder, [BICUBIC]))
    monkeypatch.setattr("gpemsr.benchmark.row.figures", interrupt)
    with pytest.raises(KeyboardInterrupt):
        run_row(options, options.methods[0], "of", {})
    assert list((folder / "out/rows").iterdir()) == []


def test_what_a_killed_row_left_is_taken_away(folder, in_this_process):
    (folder / "out/rows/.bicubic.tmp-1/deeper").mkdir(parents=True)
    file = benchmark_file(folder, [BICUBIC])
    assert Benchmark(read_benchmark(file), str(file)).run() == []
    assert [path.name for path in (folder / "out/rows").iterdir()] == ["bicubic"]


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_ending_a_benchmark_ends_its_rows_process(folder, number):
    file = benchmark_file(folder, [BICUBIC])
    command = [sys.executable, "-m", "gpemsr.cli.benchmark", "-opt", str(file)]
    heard = signal.signal(signal.SIGINT, signal.default_int_handler)  # in the background of a shell it is ignored
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True, process_group=0)
    signal.signal(signal.SIGINT, heard)
    with process:
        rows = folder / "out/rows"
        while not list(rows.glob(".bicubic.tmp-*")):
            assert process.poll() is None
            time.sleep(0.02)
        (unfinished,) = rows.glob(".bicubic.tmp-*")
        os.killpg(process.pid, number) if number == signal.SIGINT else process.terminate()
        errors = process.communicate()[1]
        assert process.returncode == 128 + number
    assert "Traceback" not in errors and ("interrupted" in errors) == (number == signal.SIGINT)
    assert not Path("/proc", unfinished.name.rpartition("-")[2]).exists()


def test_a_folders_hash_is_that_of_its_files(tmp_path):
    (tmp_path / "a").write_text("1")
    before = hash_of(tmp_path)
    (tmp_path / "lock.mdb").touch()
    assert hash_of(tmp_path) == before
    (tmp_path / "a").write_text("2")
    assert hash_of(tmp_path) != before
    assert hash_of(tmp_path / "absent") == "absent"


def test_only_sources_that_a_row_runs_count(tmp_path, monkeypatch):
    monkeypatch.setattr(fingerprint, "PACKAGE", tmp_path)
    hashes = [hash_of_sources()]
    names = ("archs/a.py", "benchmark/row.py", "volume/section_loop.py", "volume/plan.py", "benchmark/report/text.py")
    for name in names:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("1")
        hashes.append(hash_of_sources())
    assert len(set(hashes)) == 4 and hashes[3] == hashes[5]
