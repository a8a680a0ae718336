"""README.md and the guides: every command runs as written, on small networks and sections; links lead somewhere.

The commands of docs/checkpoints.md and docs/mmagic.md need files of their own: tests/test_checkpoints_doc.py,
tests/mmagic_route/test_mmagic_doc.py. Those of docs/export.md are in tests/export/. The examples of
docs/datasets.md are built by tests/data/test_datasets_doc.py.
"""

import glob
import json
import re
import runpy
import shlex
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import numpy as np
import pytest
import tifffile
import yaml
import zarr
from baseline_networks import TINY, needs_mmagic
from tiny_stages import NETWORKS

import gpemsr.cli.test
import gpemsr.cli.train
from gpemsr.benchmark.budget_options import BudgetOptions
from gpemsr.benchmark.demo import Demo
from gpemsr.benchmark.options import BenchmarkOptions
from gpemsr.cli import (
    benchmark,
    benchmark_train,
    cache_codes,
    calibrate,
    convert,
    demo,
    download_cremi,
    export,
    fit_degradation,
    lmdb,
    parameters,
    phantom,
    train_mmagic,
    upscale,
)
from gpemsr.compat import importable_basicsr
from gpemsr.options.place import Place, check_schema
from gpemsr.options.read import read_options, to_plain

with importable_basicsr():
    from basicsr.utils.logger import initialized_logger

CHECKOUT = Path(__file__).resolve().parents[1]
PAGES = [CHECKOUT / "README.md", *sorted((CHECKOUT / "docs").glob("*.md"))]
PROJECT = tomllib.loads((CHECKOUT / "pyproject.toml").read_text())["project"]
RUN_ELSEWHERE = {"checkpoints.md", "export.md", "mmagic.md"}
COMMANDS = {
    "gpemsr-train": gpemsr.cli.train.main,
    "gpemsr-test": gpemsr.cli.test.main,
    "gpemsr-cache-codes": cache_codes.main,
    "gpemsr-lmdb": lmdb.main,
    "gpemsr-convert": convert.main,
    "gpemsr-export": export.main,
    "gpemsr-phantom": phantom.main,
    "gpemsr-download-cremi": download_cremi.main,
    "gpemsr-demo": demo.main,
    "gpemsr-train-mmagic": train_mmagic.main,
    "gpemsr-parameters": parameters.main,
    "gpemsr-upscale": upscale.main,
    "gpemsr-calibrate": calibrate.main,
    "gpemsr-fit-degradation": fit_degradation.main,
    "gpemsr-benchmark": benchmark.main,
    "gpemsr-benchmark-train": benchmark_train.main,
}
SIDE = 64
STAGES = {"VQGANModel": 1, "LatentIndexerModel": 2, "GPEMSRModel": 3}
HEREDOC = re.compile(r"^(.*) <<'(\w+)'\n(.*?)^\2\n", re.DOTALL | re.MULTILINE)
EACH_PAGE = pytest.mark.parametrize("page", PAGES, ids=[page.name for page in PAGES])


def blocks(page: Path, language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", page.read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE)


def prose(page: Path) -> str:
    return re.sub(r"^```.*?^```", "", page.read_text(encoding="utf-8"), flags=re.DOTALL | re.MULTILINE)


def anchors(page: Path) -> set[str]:
    titles = re.findall(r"^#+ (.+)$", prose(page), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}


def shrink(*files: Path) -> None:
    """Let option files ask for one iteration of a small network on small crops, of the data that they name."""
    read = {file: to_plain(read_options(file)) for file in files}  # all, before one that is a base is changed
    for file, options in read.items():
        shrink_affinities(options) if options["model_type"] == "AffinityModel" else shrink_stage(options)
        options["num_gpu"] = 0
        file.write_text(yaml.safe_dump(options, sort_keys=False))


def shrink_stage(options: dict) -> None:
    """One iteration, of a stage or of a network that it is compared with."""
    if options["model_type"] in STAGES:
        name, network = NETWORKS[STAGES[options["model_type"]]]
        options["network_g"] = {"type": name, **network}
        if "scale" in options:
            options["network_g"]["scale"] = options["scale"]
        if name == "GPEMSR":
            options["network_g"]["num_frame"] = 5
    else:
        options["network_g"] |= TINY.get(options["network_g"]["type"], {})
    if "network_d" in options:
        options["network_d"]["channels"] = [4, 4, 4, 4]
    if "train" in options:
        options["datasets"]["train"] |= {"gt_size": SIDE, "batch_size_per_gpu": 2, "num_worker_per_gpu": 0}
        options["train"] |= {
            "total_iter": 1,
            "scheduler": {"type": "CosineAnnealingRestartLR", "periods": [1], "restart_weights": [1]},
        }
        options["val"]["val_freq"] = options["logger"]["save_checkpoint_freq"] = options["logger"]["print_freq"] = 1


def shrink_affinities(options: dict) -> None:
    """One iteration of a small network on small crops."""
    tiny = {"MALAUNet": {"num_feat": 2, "inc_factor": 1}, "SuperhumanUNet": {"channels": [2, 2, 2, 2, 2]}}
    options["network_g"] |= tiny[options["network_g"]["type"]]
    options["datasets"]["train"]["crop_size"] = [4, 16, 16]
    options["train"]["total_iter"] = options["val"]["val_freq"] = 1
    options["logger"]["save_checkpoint_freq"] = options["logger"]["print_freq"] = 1


@pytest.fixture
def shell(tmp_path, monkeypatch) -> "Shell":
    """A copy of the checkout's commands and option files, with a stack of one's own."""
    for name in ("Makefile", "requirements.lock", "setup.py", "pyproject.toml"):
        shutil.copy(CHECKOUT / name, tmp_path)
    for name in ("basicsr", "options"):
        shutil.copytree(CHECKOUT / name, tmp_path / name)
    folders = [tmp_path / "options" / name for name in ("demo", "cpu_hour", "segmentation")]
    shrink(*(file for folder in folders for file in folder.rglob("*.yml") if file.parent.name != "_base_"))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    return Shell(monkeypatch)


class Shell:
    """Runs the commands of a page, those of Python in this process: starting torch anew takes long."""

    def __init__(self, monkeypatch) -> None:
        self.monkeypatch = monkeypatch
        self.ran: list[str] = []

    def run(self, block: str) -> None:
        for command, _, document in HEREDOC.findall(block):
            assert command == "python -"
            exec(compile(document, "<page>", "exec"), {})
            self.ran.append("python")
        lines = HEREDOC.sub("", block).replace("\\\n", " ").splitlines()
        for words in (shlex.split(line, comments=True) for line in lines):
            if words:
                initialized_logger.clear()  # as in a new process: a log file for each
                words = [name for word in words for name in sorted(glob.glob(word)) or [word]]
                getattr(self, words[0].partition("-")[0])(*words)
                self.ran.append(words[0])

    def gpemsr(self, name: str, *words: str) -> None:
        assert PROJECT["scripts"][name] == f"{COMMANDS[name].__module__}:main"
        if name == "gpemsr-demo":
            self.check_demo(words)
        elif name.startswith("gpemsr-benchmark"):
            self.check_benchmark(name, *words)
        else:
            assert COMMANDS[name](self.small(words)) == 0

    def small(self, words: tuple[str, ...]) -> list[str]:
        """The phantom's width and height made small."""
        at = words.index("--shape") + 2 if "--shape" in words else len(words)
        return [*words[:at], *[str(SIDE) for _ in words[at : at + 2]], *words[at + 2 :]]

    def python(self, _, script: str, *words: str) -> None:
        self.monkeypatch.setattr(sys, "argv", [script, *words])
        with pytest.raises(SystemExit) as ended:
            runpy.run_path(script, run_name="__main__")
        assert ended.value.code == 0

    def torchrun(self, _, *words: str) -> None:
        """Options of torchrun are left to torch; two processes are started in tests/test_compat.py."""
        script = next(index for index, word in enumerate(words) if word.endswith(".py"))
        self.python("python", *words[script:], "--check")

    def check_demo(self, words: tuple[str, ...]) -> None:
        """What is refused before work starts; tests/cli/test_demo.py runs it whole."""
        Demo(**vars(demo.parser().parse_args(words))).check()

    def check_benchmark(self, name: str, *words: str) -> None:
        """Its option file; tests/evaluation runs it whole."""
        file = benchmark.parser().parse_args(words).opt
        schema = BenchmarkOptions if name == "gpemsr-benchmark" else BudgetOptions
        check_schema(schema, to_plain(read_options(file)), Place(file))

    def make(self, _, *words: str) -> None:
        done = subprocess.run(["make", "-n", *words], capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        if words[0] in ("demo", "try"):
            (line,) = (line for line in done.stdout.splitlines() if "gpemsr-demo" in line)
            self.check_demo(tuple(shlex.split(line)[1:]))

    def pip(self, _, *words: str) -> None:
        assert words == ("install", "-e", ".")
        assert Path("setup.py").is_file()


def run_page(shell: Shell, name: str) -> None:
    (page,) = (page for page in PAGES if page.name == name)
    for block in blocks(page, "bash"):
        shell.run(block)
    assert shell.ran


def log_of(name: str) -> str:
    return "".join(file.read_text() for file in Path("experiments", name).glob("train_*.log"))


def test_readme(shell):
    run_page(shell, "README.md")
    for name in ("stage1", "stage2_x8", "stage3_x8"):
        assert Path(f"experiments/{name}/models/net_g_latest.pth").is_file()
        assert list(Path(f"tb_logger/{name}").iterdir())
    assert len(list(Path("results/test_x8/visualization").rglob("*.png"))) == 8
    assert "# psnr" in next(Path("results/test_x8").glob("*.log")).read_text()


def test_training(shell):
    run_page(shell, "training.md")
    for name, figures in {
        "stage1": ("perplexity", "dead_codes", "psnr", "ssim", "codes_used"),
        "stage2_x8": ("l_index", "accuracy", "accuracy_top5", "cross_entropy", "psnr", "ssim"),
        "stage2_stored": ("l_index", "accuracy"),
        "stage3_x8": ("l_pix", "psnr", "ssim"),
        "stage3_lr": ("l_pix",),
    }.items():
        log = log_of(name)
        assert [figure for figure in figures if f"{figure}: " not in log] == [], name
        assert Path(f"experiments/{name}/models/net_g_1.pth").is_file()
    assert "Resuming training" in log_of("stage1")


def test_data(shell):
    run_page(shell, "data.md")


def test_real_pairs(shell):
    run_page(shell, "real_pairs.md")
    recorded = json.loads(Path("demo/data/demo_train_lr_x8.lmdb/volume.json").read_text())
    assert len(recorded["volumes"]["demo"]["registration"]) == 32
    assert Path("experiments/stage3_x8/models/net_g_latest.pth").is_file()


def test_results(shell):
    """On noise of the two stacks' sizes."""
    for name, shape in {"fib25.tif": (250, 250, 250), "isbi.tif": (30, 512, 512)}.items():
        noise = np.random.default_rng(0).integers(0, 255, shape, np.uint8)
        tifffile.imwrite(name, noise, photometric="minisblack")
    run_page(shell, "results.md")
    assert len(list(Path("results/test_x8/visualization").rglob("*.png"))) == 13


@needs_mmagic
def test_baselines(shell, capsys):
    run_page(shell, "baselines.md")
    (page,) = (page for page in PAGES if page.name == "baselines.md")
    table = re.search(r"^\| name .*?^$", prose(page), re.DOTALL | re.MULTILINE)
    assert table and table[0] in capsys.readouterr().out
    assert Path("experiments/edvr_x8/models/net_g_latest.pth").is_file()
    for name in ("test_edvr_x8", "test_basicvsr_stack_x8", "test_bicubic_x8"):
        assert len(list(Path("results", name, "visualization").rglob("*.png"))) == 8


def test_segmentation(shell):
    pytest.importorskip("waterz", reason="the extra 'benchmark' is not installed")
    run_page(shell, "segmentation.md")
    for name in ("mala_demo", "superhuman_demo", "membranes_demo"):
        assert [figure for figure in ("l_affinity", "voi", "adapted_rand") if f"{figure}: " not in log_of(name)] == []
    assert "membrane_f1: " in log_of("membranes_demo")
    assert "voi: " in log_of("superhuman_sr")
    assert "l_percep: " in log_of("edvr_traced_x8")


def test_benchmark(shell):
    run_page(shell, "benchmark.md")


def test_trust(shell):
    run_page(shell, "trust.md")
    layers = {path.name for path in Path("expected.zarr/trust").iterdir() if path.is_dir()}
    assert layers == {"residual", "disagreement", "expected_error"} and Path("expected.zarr.trust.png").is_file()
    assert Path("cell.png").is_file()


def test_volumes(shell):
    run_page(shell, "volumes.md")
    (page,) = (page for page in PAGES if page.name == "volumes.md")
    (script,) = blocks(page, "sh")
    for part in ("1", "2"):
        shell.run("\n".join(script.splitlines()[-1:]).replace("$SLURM_ARRAY_TASK_ID", part))
    for name in ("sr", "tiled", "parts"):
        assert zarr.open_array(f"{name}.zarr/0").shape == (6, 384, 512)
    (manifest,) = blocks(page, "yaml")
    container = yaml.safe_load(manifest)["spec"]["template"]["spec"]["containers"][0]
    _, *words = shlex.split(container["args"][0].replace("$((JOB_COMPLETION_INDEX + 1))", "1"))
    assert upscale.parse_part(upscale.parser().parse_args(words).part) == (1, 8)


@EACH_PAGE
def test_a_page_with_commands_is_run_by_a_test(page):
    names = (
        "README",
        "training",
        "data",
        "results",
        "baselines",
        "segmentation",
        "benchmark",
        "volumes",
        "trust",
        "real_pairs",
    )
    run_here = {f"{name}.md" for name in names}
    assert not blocks(page, "bash") or page.name in run_here | RUN_ELSEWHERE


@EACH_PAGE
def test_links_lead_somewhere(page):
    for target in re.findall(r"\]\(([^)\s]+)\)", prose(page)):
        if "://" in target:
            continue
        file, _, anchor = target.partition("#")
        linked = page.parent / file if file else page
        assert linked.exists(), target
        assert not anchor or anchor in anchors(linked), target


@EACH_PAGE
def test_commands_and_files_that_the_text_names_exist(page):
    text = page.read_text(encoding="utf-8")
    assert set(re.findall(r"\bgpemsr-[a-z-]+[a-z]", text)) <= set(COMMANDS)
    for name in re.findall(r"(?<![\w/])(?:options|tools|tests)/[\w./*-]*[\w*/]", text):
        assert list(CHECKOUT.glob(name)), name


@EACH_PAGE
def test_yaml_has_keys_of_the_option_files(page):
    if page.name in ("datasets.md", "volumes.md"):
        return
    shipped = [read_options(file) for file in (CHECKOUT / "options").rglob("*.yml")]
    for block in blocks(page, "yaml"):
        example = yaml.safe_load(block)
        assert (CHECKOUT / example.pop("_base_", ".")).exists()
        for section, entries in example.items():
            for key in entries if isinstance(entries, dict) else ():
                assert any(key in options.get(section, {}) for options in shipped), f"{section}.{key}"
