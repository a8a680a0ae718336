"""Random damage to volumes of all formats: they must be refused in one line, or read right where there is a checksum.

``python benchmarks/damaged_volumes.py [COUNT]`` damages volumes COUNT times (default 1000), reads each in a process of
its own, 60 s long at most, and prints what came out. The exit code is 1 if there was a traceback, a hang or a crash, or
if pixels were altered in silence though a checksum covers what was damaged. Volumes are those of the tests.
"""

from __future__ import annotations

import collections
import multiprocessing
import random
import sys
import tempfile
from pathlib import Path
from typing import Any

TIMEOUT = 60  # seconds
SAMPLES = Path(__file__).parents[1] / "tests" / "data" / "volumes"
CHECKED = {"png": None, "zarr3": "checked", "n5": "gzip", "hdf5": "checked"}  # name -> compression
METADATA = ("zarr.json", "attributes.json")  # that no checksum covers


def damage(path: Path, chance: random.Random) -> tuple[str, str]:
    """Change one file of a volume at random; returns its name and what was done."""
    files = sorted(file for file in ([path] if path.is_file() else path.rglob("*")) if file.is_file())
    file = chance.choice(files)
    content = bytearray(file.read_bytes())
    place, kind = chance.randrange(len(content)), chance.choice(["flip", "cut", "zero", "insert", "lose", "header"])
    if kind == "flip":
        content[place] ^= 1 << chance.randrange(8)
    elif kind == "cut":
        del content[place:]
    elif kind == "zero":
        content[place : place + 64] = bytes(len(content[place : place + 64]))
    elif kind == "insert":
        content[place:place] = chance.randbytes(chance.randrange(1, 9))
    elif kind == "header":
        content[place % 256] = chance.randrange(256)
    if kind == "lose":
        file.unlink()
    else:
        file.write_bytes(content)
    return file.name, kind


def read(path: Path, pipe: Any) -> None:
    """In a process of its own: send the sections, the refusal or what else was raised."""
    import warnings

    from gpemsr.data.volumes.reader import open_volume
    from gpemsr.errors import InputError

    warnings.simplefilter("ignore")
    try:
        with open_volume(path) as volume:
            pipe.send(("read", volume.read(range(volume.shape[0]))))
    except InputError as error:
        pipe.send(("refused" if "\n" not in str(error) else "traceback", str(error)))
    except BaseException as error:
        pipe.send(("traceback", f"{type(error).__name__}: {error}"))


def outcome(path: Path) -> tuple[str, Any]:
    """What reading gives, or ``hang`` or ``crash``."""
    here, there = multiprocessing.Pipe()
    process = multiprocessing.get_context("forkserver").Process(target=read, args=(path, there))
    process.start()
    there.close()
    try:
        return here.recv() if here.poll(TIMEOUT) else ("hang", None)
    except EOFError:
        return "crash", None
    finally:
        process.kill()
        process.join()


def run(count: int, seed: int = 0) -> tuple[dict[str, collections.Counter], list[str]]:
    """Damage volumes ``count`` times; prints faults; returns outcomes by format, and the faults."""
    sys.path.insert(0, str(SAMPLES))
    import numpy as np
    import volume_samples

    readers = [
        f"gpemsr.data.volumes.{name}" for name in ("reader", "tiff", "hdf5", "stores", "folder", "mrc", "microscope")
    ]
    multiprocessing.set_forkserver_preload(["h5py", "tensorstore", "mrcfile", "ncempy.io", *readers])
    stack = np.random.default_rng(0).integers(0, 60, (6, 24, 20), np.uint8)
    volumes = [(name, None, False) for name in volume_samples.SAMPLES]
    volumes += [(name, compression, True) for name, compression in CHECKED.items()]
    found: dict[str, collections.Counter] = collections.defaultdict(collections.Counter)
    faults = []
    for number in range(count):
        name, compression, is_checked = volumes[number % len(volumes)]
        with tempfile.TemporaryDirectory() as folder:
            path = volume_samples.write(name, Path(folder), stack, compression=compression)
            file, how = damage(path, random.Random(seed * 10**6 + number))
            kind, result = outcome(path)
        if kind == "read":
            kind = "right" if result.shape == stack.shape and (result == stack).all() else "altered"
        label = f"{name}, checksums" if is_checked else name
        found[label][kind] += 1
        is_covered = is_checked and file not in METADATA and how != "lose"
        if kind in ("traceback", "hang", "crash") or (kind == "altered" and is_covered):
            faults.append(f"{number} {label}: {how} {file}: {kind} {result if kind == 'traceback' else ''}")
            print(faults[-1], flush=True)
    return found, faults


def main() -> int:
    """Print outcomes and faults."""
    found, faults = run(int(sys.argv[1]) if len(sys.argv) > 1 else 1000)
    for label, outcomes in found.items():
        print(f"{label:24}", ", ".join(f"{kind} {count}" for kind, count in sorted(outcomes.items())))
    print(f"{len(faults)} faults")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
