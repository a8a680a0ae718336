"""Items a second of stage III's training set: LMDBs in tiles of several sizes, and a folder of PNG files.

    python benchmarks/bench_loader.py --data fib25.tif
    python benchmarks/bench_loader.py --quick

An item is five LR sections and one HR crop of 256^2, x8. The files are in the system's cache.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path
from typing import Any

import cv2
import torch
from measuring import Table, processor

from gpemsr import register
from gpemsr.data.lmdb_job import LmdbJob, make_lmdbs
from gpemsr.data.section_store import open_section_store
from gpemsr.data.volumes.reader import open_volume
from gpemsr.data.volumes.writer import TiffStackWriter
from gpemsr.phantom.stack import phantom_sections

WHOLE = "LMDB, whole sections"
FOLDER = "folder of PNG files"


def write_phantom(path: Path, shape: tuple[int, int, int]) -> Path:
    """The synthetic stack as TIFF."""
    voxel_size = (40.0, 4.0, 4.0)
    with TiffStackWriter(path, shape, "uint8", voxel_size) as stack:
        for image, _ in phantom_sections(shape, voxel_size):
            stack.write(image)
    return path


def write_folder(lmdb: Path, folder: Path) -> None:
    """The sections of an LMDB as ``<volume>/<z>.png``."""
    store = open_section_store(lmdb, "lmdb")
    for name, info in store.volumes.items():
        (folder / name).mkdir(parents=True)
        for section in info.sections:
            cv2.imwrite(str(folder / name / f"{section}.png"), store.read(name, section))


def loader(roots: tuple[Path, Path], backend: str, workers: int) -> torch.utils.data.DataLoader:
    """Batches of the training set."""
    from basicsr.data import build_dataset

    hr, lr = map(str, roots)
    options = {
        "name": "b",
        "type": "SectionWindowDataset",
        "phase": "train",
        "scale": 8,
        "num_frame": 5,
        "gt_size": 256,
    }
    options |= {
        "dataroot_gt": hr,
        "dataroot_lq": lr,
        "io_backend": {"type": backend},
        "use_hflip": True,
        "use_rot": True,
    }
    dataset = build_dataset(options)
    sampler = torch.utils.data.RandomSampler(dataset, replacement=True, num_samples=10**6)
    return torch.utils.data.DataLoader(dataset, 8, sampler=sampler, num_workers=workers)


def rate(batches: Any, seconds: float) -> tuple[float, float]:
    """Items a second on the wall, and CPU milliseconds an item of this process."""
    batches = iter(batches)
    next(batches)
    count, wall, cpu = 0, time.perf_counter(), time.process_time()
    while time.perf_counter() - wall < seconds:
        count += len(next(batches)["gt"])
    return count / (time.perf_counter() - wall), 1000 * (time.process_time() - cpu) / count


def main() -> int:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, help="EM stack (default: a phantom of 1024^2)")
    parser.add_argument("--tiles", type=int, nargs="+", default=[512, 256, 128], help="sizes of tiles")
    parser.add_argument("--seconds", type=float, default=10, help="of each measurement (default 10)")
    parser.add_argument("--quick", action="store_true", help="a small phantom, one second each: does it run?")
    arguments = parser.parse_args()
    register()
    torch.set_num_threads(1)
    seconds, shape = (1.0, (8, 512, 512)) if arguments.quick else (arguments.seconds, (20, 1024, 1024))
    with tempfile.TemporaryDirectory() as name:
        out = Path(name)
        data = arguments.data or write_phantom(out / "phantom.tif", shape)
        stores: dict[str, tuple[tuple[Path, Path], str]] = {}
        for tile in (None, *arguments.tiles):
            with open_volume(data) as volume:
                hr, lr = make_lmdbs(volume, LmdbJob(out / str(tile), "b", "b", tile=tile))
            stores[f"LMDB, tiles of {tile}^2" if tile else WHOLE] = ((hr, lr), "lmdb")
        whole, _ = stores[WHOLE]
        folders = (out / "hr", out / "lr")
        for lmdb, folder in zip(whole, folders, strict=True):
            write_folder(lmdb, folder)
        stores[FOLDER] = (folders, "disk")
        sections = open_section_store(whole[0], "lmdb").volumes["b"].shape
        columns = [
            "sections " + " x ".join(map(str, sections)),
            "items/s",
            "CPU ms an item",
            "items/s, 2 workers",
            "over PNG",
        ]
        found = {name: rate(loader(*store, 0), seconds) for name, store in stores.items()}
        table = Table(None, f"Loading of stage III, {processor()}", columns)
        for name, store in stores.items():
            items, cpu = found[name]
            several, _ = rate(loader(*store, 2), seconds)
            table.row(name, f"{items:.0f}", f"{cpu:.2f}", f"{several:.0f}", f"{found[FOLDER][1] / cpu:.2f}")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
