"""Peak memory of reading 20 and 400 sections of 256 x 256, for each format: it must not grow with their number.

The volumes are those of the tests. Prints a Markdown table.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[1] / "tests" / "data" / "volumes"))
from volume_samples import SAMPLES, write

COUNTS = (20, 400)
READ = (
    "import sys; from gpemsr.data.volumes.reader import open_volume\n"
    "with open_volume(sys.argv[1]) as volume:\n"
    "    for index in range(volume.shape[0]): volume.section(index)\n"
    "print(next(line for line in open('/proc/self/status') if line.startswith('VmHWM')))"
)


def peak(name: str, count: int, side: int = 256) -> float:
    """MB at most while a new process reads ``count`` sections of a format one after the other."""
    with tempfile.TemporaryDirectory() as folder:
        stack = np.random.default_rng(0).integers(0, 255, (count, side, side), np.uint8)
        path = write(name, Path(folder), stack, chunk=20)
        done = subprocess.run([sys.executable, "-c", READ, path], capture_output=True, text=True, check=True)
    return int(done.stdout.split()[-2]) / 1000


def main() -> None:
    """Print the table."""
    print(f"| Input | MB, {COUNTS[0]} sections | MB, {COUNTS[1]} sections |\n|---|---|---|")
    for name, sample in SAMPLES.items():
        low, high = (peak(name, count) for count in COUNTS)
        print(f"| {sample.label} | {low:.0f} | {high:.0f} |", flush=True)


if __name__ == "__main__":
    main()
