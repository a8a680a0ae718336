"""Planning: what a volume of 21 GB takes, without torch."""

import json
import subprocess
import sys

import numpy as np
import tifffile
import zarr

PLAN = """
import json, sys, time
from pathlib import Path
from types import SimpleNamespace
start = time.perf_counter()
from gpemsr.volume.plan import Job
from gpemsr.volume.planning import make_plan, open_stack
from gpemsr.volume.preflight import Cost, Machine
job = Job(**json.loads(sys.argv[1]))
network = SimpleNamespace(section={"type": "Bicubic", "scale": 8}, scale=8, num_frame=1, has_prior=False)
plan, needs = make_plan(job, open_stack(job), network, Cost(0, 10_000, 1e-5), Machine(int(2.7e9)), {})
(peak,) = (line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM"))
print(needs.text(plan))
print(json.dumps([int(peak.split()[1]) / 1000, time.perf_counter() - start, len(plan.wanted), "torch" in sys.modules]))
"""


def planned(**job) -> tuple[float, float, int, bool]:
    """Peak memory in MB, seconds, number of blocks, and whether torch was needed, of a process that only plans."""
    arguments = [sys.executable, "-c", PLAN, json.dumps(job)]
    done = subprocess.run(arguments, capture_output=True, text=True, timeout=60, check=True)
    return tuple(json.loads(done.stdout.splitlines()[-1]))


def test_a_large_volume_is_planned_in_little_memory(tmp_path):
    array = zarr.create_array(str(tmp_path / "lr.zarr"), shape=(1280, 4096, 4096), chunks=(64, 128, 128), dtype="uint8")
    array[:64, :128, :128] = np.random.default_rng(0).integers(1, 255, (64, 128, 128), np.uint8)
    mask = np.zeros((80, 64, 64), np.uint8)
    mask[:4, :13, :13] = 1
    tifffile.imwrite(tmp_path / "mask.tif", mask, photometric="minisblack")
    paths = {"source": "lr.zarr", "output": "sr.zarr", "mask": "mask.tif"}
    names = {key: str(tmp_path / name) for key, name in paths.items()}
    megabytes, seconds, blocks, has_torch = planned(**names, voxel_size=[40, 80, 80], tile=128, depth=16)
    assert blocks == 16 and not has_torch
    assert megabytes < 120 and seconds < 10
