"""Fetching the files of the CREMI challenge."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

import h5py

from gpemsr.data.download import fetch, verify
from gpemsr.errors import InputError
from gpemsr.files import replaced, write_errors

URL = "https://cremi.org/static/data/"
SAMPLES = {"A": "20160501", "B": "20160501", "C": "20160501", "A+": "20160601", "B+": "20160601", "C+": "20160601"}
GROUPS = {"train": ["A", "B", "C"], "test": ["A+", "B+", "C+"], "all": list(SAMPLES)}


def file_names(samples: list[str], padded: bool = False) -> list[str]:
    """``["train"]`` -> ``["sample_A_20160501.hdf", ...]``, in order and each once.

    Raises:
        InputError: an unknown sample.
    """
    wanted = dict.fromkeys(sample for entry in samples for sample in GROUPS.get(entry, [entry]))
    for sample in wanted:
        if sample not in SAMPLES:
            raise InputError(f"sample {sample} is not one of CREMI's; choose from {', '.join([*SAMPLES, *GROUPS])}")
    return [f"sample_{sample}{'_padded' if padded else ''}_{SAMPLES[sample]}.hdf" for sample in wanted]


def read_checksums(path: Path) -> dict[str, str]:
    """File name -> SHA-256 from lines as ``sha256sum`` writes them.

    Raises:
        InputError: a file that cannot be read, or a line of another form.
    """
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: checksums cannot be read ({error})") from error
    checksums = {}
    for number, line in enumerate(lines, 1):
        if match := re.fullmatch(r"([0-9a-fA-F]{64}) [ *](.+)", line.rstrip()):
            checksums[Path(match[2]).name] = match[1].lower()
        elif line.strip() and not line.startswith("#"):
            raise InputError(f"{path} line {number}: expected '<SHA-256>  <file name>' as sha256sum writes it")
    return checksums


def download(names: list[str], out: Path, url: str = URL, sums: Path | None = None, retries: int = 5) -> Iterator[str]:
    """Fetch the files ``names`` from the folder ``url`` into the folder ``out``; yields a line about each.

    Args:
        sums: file with the checksums that they must have, as :func:`read_checksums` reads it.
        retries: how many attempts in a row may transfer nothing.

    Raises:
        InputError: a bad argument, or what :func:`~gpemsr.data.download.fetch` raises.
    """
    checksums = read_checksums(sums) if sums else {}
    if sums and (unknown := [name for name in names if name not in checksums]):
        raise InputError(f"{sums}: no checksum of {unknown[0]}; add a line '<SHA-256>  {unknown[0]}'")
    if retries < 0:
        raise InputError(f"--retries {retries}: it must be 0 or more")
    with write_errors(out):
        out.mkdir(parents=True, exist_ok=True)
    for name in names:
        address = f"{url.rstrip('/')}/{quote(name)}"
        yield f"{out / name}: {_bring(address, out / name, checksums.get(name), retries)}"


def _bring(url: str, path: Path, checksum: str | None, retries: int) -> str:
    """Fetch a file and say so; one that is already there is verified and not fetched again.

    Its SHA-256 is recorded in ``<path>.sha256``, and later compared with that.
    """
    record = path.with_name(path.name + ".sha256")
    if path.exists():
        known = checksum or (read_checksums(record).get(path.name) if record.exists() else None)
        found = verify(path, known, "delete it to fetch it again", _check_volume)
        outcome = f"complete, {'verified' if known else 'opens; its SHA-256 is recorded'}"
    else:
        found = fetch(url, path, checksum, retries, _check_volume)
        outcome = f"fetched, SHA-256 {found} {'verified' if checksum else 'recorded'}"
    with replaced(record) as temporary:
        temporary.write_text(f"{found}  {path.name}\n", encoding="utf-8")
    return outcome


def _check_volume(path: Path, remedy: str) -> None:
    try:
        with h5py.File(path, "r") as file:
            if not isinstance(file.get("volumes/raw"), h5py.Dataset):
                raise InputError(f"{path}: no data set volumes/raw; {remedy}")
    except OSError as error:
        raise InputError(f"{path}: not an HDF5 file that opens ({error}); {remedy}") from error
