"""A benchmark's folder of a few kilobytes, for the tests of the report."""

import json
from pathlib import Path

import numpy as np
import tifffile

SCALE = 4
SECTIONS = 3
SHAPE = (32, 40)  # HR pixels
MALA = {"threshold": 0.4, "voi_split": 1.25, "voi_merge": 0.5, "voi": 1.75, "adapted_rand": 0.25}


def row(name: str, kind: str = "method", level: float = 0.0, sections: int = SECTIONS, **changes) -> dict:
    """A row.json whose scores rise with ``level``; measures other than PSNR, SSIM and FRC are missing."""
    random = np.random.default_rng(abs(int(level * 100)))
    noise = random.normal(0, 0.1, sections)
    scores = {
        "psnr": (20 + level + noise).tolist(),
        "ssim": (0.3 + 0.02 * level + 0.01 * noise).tolist(),
        "lpips": None,
        "frc_nm": (90 - 5 * level + noise).tolist(),
    }
    return {
        "name": name,
        "kind": kind,
        "error": None,
        "options": f"options/{name}.yml",
        "weights": None,
        "hashes": {f"options/{name}.yml": "12" * 32},
        "training": {"iterations": {"stage1": 500, "stage3": 900}, "core_minutes": 29.8},
        "parameters": 2430000,
        "learned_parameters": 1210000,
        "macs": 12345678901,
        "seconds": [0.5 + 0.1 * level] * sections,
        "peak_memory": 812345678,
        "scores": scores if kind != "hr" else {},
        "missing": {"lpips": "no weights here"} if kind != "hr" else {},
        "segmentation": {"MALA": {**MALA, "adapted_rand": 0.25 - 0.01 * level}},
        **changes,
    }


def write_row(folder: Path, content: dict) -> str:
    """Write a row's folder with its stacks; returns its slug."""
    slug = "".join(c if c in "abcdefghijklmnopqrstuvwxyz0123456789" else "_" for c in content["name"].lower())
    target = folder / "rows" / slug
    target.mkdir(parents=True)
    (target / "row.json").write_text(json.dumps(content))
    random = np.random.default_rng(len(slug))
    count = len(content["scores"].get("psnr") or [])
    if content["kind"] != "hr" and not content["error"]:
        stack = random.integers(0, 256, (count, *SHAPE), np.uint8)
        tifffile.imwrite(target / "sr.tif", stack, photometric="minisblack")
    for segmenter in content["segmentation"]:
        ids = random.integers(0, 5, (2, *SHAPE)).astype(np.uint32)
        tifffile.imwrite(target / f"segmentation_{segmenter.lower()}.tif", ids, photometric="minisblack")
    return slug


def three_rows() -> list[dict]:
    """Two methods, an oracle above both, and the HR sections."""
    return [
        row("Bicubic"),
        row("GPEMSR", level=1),
        row("With HR codes", "oracle", level=3),
        row("HR", "hr"),
    ]


def write_benchmark(folder: Path, rows: list[dict] | None = None, sections: int = SECTIONS, **changes) -> Path:
    """Write the folder; ``changes`` are those of benchmark.json."""
    folder.mkdir(parents=True, exist_ok=True)
    slugs = [write_row(folder, content) for content in (three_rows() if rows is None else rows)]
    random = np.random.default_rng(0)
    hr = random.integers(0, 256, (sections, *SHAPE), np.uint8)
    lr = hr.reshape(sections, SHAPE[0] // SCALE, SCALE, SHAPE[1] // SCALE, SCALE).mean((2, 4)).astype(np.uint8)
    ids = random.integers(0, 5, (2, *SHAPE)).astype(np.uint32)
    for name, stack in {"hr": hr, "lr": lr, "ids": ids}.items():
        tifffile.imwrite(folder / f"{name}.tif", stack, photometric="minisblack")
    common = {
        "name": "tiny_x4",
        "title": "Tiny tissue",
        "note": "EM data: mine",
        "scale": SCALE,
        "pixel_size_nm": 10.0,
        "section_nm": 40.0,
        "command": "gpemsr-benchmark -opt options/tiny.yml",
        "versions": {"gpemsr": "0.1.0", "torch": "2.0"},
        "threads": 1,
        "machine": "a desk",
        "hashes": {"data/hr.lmdb": "34" * 32},
        "sections": [f"tiny/{index:08d}" for index in range(sections)],
        "rows": slugs,
        "hr": "hr.tif",
        "lr": "lr.tif",
        "ids": "ids.tif",
        "segmented": [1, 3],
        "segmenters": ["MALA"],
        **changes,
    }
    (folder / "benchmark.json").write_text(json.dumps(common))
    return folder
