"""Fetching the files of the CREMI challenge, resuming where a transfer was cut (pooch would start over)."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

import h5py
import requests
from tqdm import tqdm

from gpemsr.errors import InputError
from gpemsr.files import publish, replaced, sha256, write_errors

URL = "https://cremi.org/static/data/"
SAMPLES = {"A": "20160501", "B": "20160501", "C": "20160501", "A+": "20160601", "B+": "20160601", "C+": "20160601"}
GROUPS = {"train": ["A", "B", "C"], "test": ["A+", "B+", "C+"], "all": list(SAMPLES)}
PIECE = 1 << 14  # bytes read at once from the network: at most so much is lost when a connection is cut
TIMEOUT = (15, 60)  # seconds to connect, and to wait for the next bytes
TRANSIENT = (408, 425, 429, 500, 502, 503, 504)
BAR = {"unit": "B", "unit_scale": True, "unit_divisor": 1024}


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
        InputError: a bad argument, or what :func:`fetch` raises.
    """
    checksums = read_checksums(sums) if sums else {}
    if sums and (unknown := [name for name in names if name not in checksums]):
        raise InputError(f"{sums}: no checksum of {unknown[0]}; add a line '<SHA-256>  {unknown[0]}'")
    if retries < 0:
        raise InputError(f"--retries {retries}: it must be 0 or more")
    with write_errors(out):
        out.mkdir(parents=True, exist_ok=True)
    with requests.Session() as session:
        session.headers["Accept-Encoding"] = "identity"
        for name in names:
            address = f"{url.rstrip('/')}/{quote(name)}"
            yield f"{out / name}: {fetch(session, address, out / name, checksums.get(name), retries)}"


def fetch(session: requests.Session, url: str, path: Path, checksum: str | None = None, retries: int = 5) -> str:
    """Bring the file at ``url`` to ``path`` and say so; one that is already there is verified and not fetched again.

    A partial download is ``<path>.part``; ``path`` itself appears when all of it is verified. Its SHA-256 is
    recorded in ``<path>.sha256``, and later compared with that.

    Args:
        checksum: its SHA-256 in hexadecimal, if known.
        retries: how many attempts in a row may transfer nothing.

    Raises:
        InputError: the server has no such file or cannot be reached, the disk is full, or the file fails a check.
    """
    record, part = (path.with_name(path.name + suffix) for suffix in (".sha256", ".part"))
    if path.exists():
        known = checksum or (read_checksums(record).get(path.name) if record.exists() else None)
        found = _verify(path, known, "delete it to fetch it again")
        outcome = f"complete, {'verified' if known else 'opens; its SHA-256 is recorded'}"
    else:
        _transfer(session, url, part, retries)
        try:
            found = _verify(part, checksum, "the download was deleted")
        except InputError:
            part.unlink()
            raise
        with write_errors(path):
            publish(part, path)
        outcome = f"fetched, SHA-256 {found} {'verified' if checksum else 'recorded'}"
    with replaced(record) as temporary:
        temporary.write_text(f"{found}  {path.name}\n", encoding="utf-8")
    return outcome


def _transfer(session: requests.Session, url: str, part: Path, retries: int) -> None:
    """Fill ``part`` until it is as long as the server says."""
    failures, reason = 0, "the connection was cut"
    while failures <= retries:
        before = _size(part)
        if failures:
            time.sleep(min(0.5 * 2**failures, 30))
        try:
            if _transfer_once(session, url, part, before):
                return
        except requests.RequestException as error:
            reason = f"{type(error).__name__}: {error}".split("\n")[0][:200]
        failures = 0 if _size(part) > before else failures + 1
    raise InputError(f"{url}: not fetched ({reason}); run the command again to continue from {_size(part)} bytes")


def _transfer_once(session: requests.Session, url: str, part: Path, have: int) -> bool:
    """One request for what ``part`` lacks after its first ``have`` bytes; True if that completes it."""
    wanted = {"Range": f"bytes={have}-"} if have else None
    with session.get(url, headers=wanted, stream=True, timeout=TIMEOUT) as response:
        code, headers = response.status_code, response.headers
        match = re.search(r"(\d+)$", headers.get("Content-Range" if code in (206, 416) else "Content-Length", ""))
        total = int(match[1]) if match else None
        if code == 416:  # nothing after what is here: complete, or not what the server has
            if total != have:
                part.unlink()
            return total == have
        if code in TRANSIENT:
            response.raise_for_status()
        if code not in (200, 206):
            raise InputError(f"{url}: the server answers {code} {response.reason}")
        if code == 206 and not headers.get("Content-Range", "").startswith(f"bytes {have}-"):
            raise InputError(f"{url}: the server does not send the requested part; delete {part} to start over")
        have = have if code == 206 else 0
        try:
            with (
                open(part, "ab" if have else "wb") as file,
                tqdm(total=total, initial=have, desc=part.stem, **BAR) as bar,
            ):
                for block in response.iter_content(PIECE):
                    bar.update(file.write(block))
        except requests.RequestException:  # an OSError too
            raise
        except OSError as error:
            raise InputError(f"{part}: cannot be written ({error}); run the command again to continue") from error
    return total is None or _size(part) == total


def _size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0


def _verify(path: Path, checksum: str | None, remedy: str) -> str:
    """The file's SHA-256, after comparing it with ``checksum`` (if any) and opening the file."""
    with tqdm(total=_size(path), desc="checking", leave=False, **BAR) as bar:
        found = sha256(path, bar.update)
    if checksum not in (None, found):
        raise InputError(f"{path}: SHA-256 {found} is not {checksum}; {remedy}")
    try:
        with h5py.File(path, "r") as file:
            if not isinstance(file.get("volumes/raw"), h5py.Dataset):
                raise InputError(f"{path}: no data set volumes/raw; {remedy}")
    except OSError as error:
        raise InputError(f"{path}: not an HDF5 file that opens ({error}); {remedy}") from error
    return found
