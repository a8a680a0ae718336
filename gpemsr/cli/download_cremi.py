"""``gpemsr-download-cremi``: fetch the volumes of the CREMI challenge, resuming where a transfer was cut.

The site publishes no checksums. A file is verified against the one that ``--sha256`` gives for it. Without that,
its length is checked against what the server announces and it must open as HDF5 with ``volumes/raw`` in it; its
SHA-256 is then recorded in ``<file>.sha256`` and verified by later runs. Such a record shows that a file has not
changed since it was fetched, not that the server sent what its makers published.
"""

from __future__ import annotations

import argparse
import re
import time
from pathlib import Path
from urllib.parse import quote

import h5py
import requests
from tqdm import tqdm

from gpemsr.errors import InputError, command
from gpemsr.files import publish, replaced, sha256, write_errors

URL = "https://cremi.org/static/data/"
SAMPLES = {"A": "20160501", "B": "20160501", "C": "20160501", "A+": "20160601", "B+": "20160601", "C+": "20160601"}
PIECE = 1 << 14  # bytes read at once from the network: at most so much is lost when a connection is cut
TIMEOUT = (15, 60)  # seconds to connect, and to wait for the next bytes
TRANSIENT = (408, 425, 429, 500, 502, 503, 504)


def parser() -> argparse.ArgumentParser:
    """The command's options."""
    parse = argparse.ArgumentParser(prog="gpemsr-download-cremi", description=__doc__.split("\n\n", 1)[1])
    parse.add_argument(
        "samples",
        nargs="*",
        metavar="SAMPLE",
        help="A, B, C (training), A+, B+, C+ (test), train, test or all (default train)",
    )
    parse.add_argument("--out", type=Path, default=Path("cremi"), help="folder for the files (default cremi)")
    parse.add_argument("--padded", action="store_true", help="the versions with more context around them")
    parse.add_argument("--url", default=URL, help=f"where the files are (default {URL})")
    parse.add_argument("--sha256", type=Path, metavar="FILE", help="checksums, in lines as sha256sum writes them")
    parse.add_argument("--retries", type=int, default=5, help="tries after one that brought nothing (default 5)")
    return parse  # fmt: skip


@command
def main(argv: list[str] | None = None) -> int:
    """Run the command; returns the exit code (2 for what could not be fetched or verified)."""
    arguments = parser().parse_args(argv)
    names = file_names(arguments.samples or ["train"], arguments.padded)
    checksums = read_checksums(arguments.sha256) if arguments.sha256 else {}
    for name in names:
        if arguments.sha256 and name not in checksums:
            raise InputError(f"{arguments.sha256}: no checksum of {name}; a line '<SHA-256>  {name}' fits")
    if arguments.retries < 0:
        raise InputError(f"--retries {arguments.retries}; 0 or more fits")
    try:
        arguments.out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"{arguments.out}: cannot be made ({error})") from error
    with requests.Session() as session:
        session.headers["Accept-Encoding"] = "identity"
        for name in names:
            address = arguments.url.rstrip("/") + "/" + quote(name)
            fetch(session, address, arguments.out / name, checksums.get(name), arguments.retries)
    return 0


def file_names(samples: list[str], padded: bool = False) -> list[str]:
    """``["train"]`` -> ``["sample_A_20160501.hdf", ...]``, in order and each once.

    Raises:
        InputError: an unknown sample.
    """
    groups = {"train": ["A", "B", "C"], "test": ["A+", "B+", "C+"], "all": list(SAMPLES)}
    wanted = dict.fromkeys(sample for entry in samples for sample in groups.get(entry, [entry]))
    for sample in wanted:
        if sample not in SAMPLES:
            raise InputError(f"sample {sample} is not one of CREMI's; {', '.join([*SAMPLES, *groups])} fit")
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
        if not line.strip() or line.startswith("#"):
            continue
        match = re.fullmatch(r"([0-9a-fA-F]{64}) [ *](.+)", line.rstrip())
        if match is None:
            raise InputError(f"{path} line {number}: '<SHA-256>  <file name>' as sha256sum writes it fits")
        checksums[Path(match[2]).name] = match[1].lower()
    return checksums


def fetch(session: requests.Session, url: str, path: Path, checksum: str | None = None, retries: int = 5) -> None:
    """Bring the file at ``url`` to ``path``; one that is already there is verified and not fetched again.

    What has come so far is in ``<path>.part``; ``path`` itself appears when all of it is verified.

    Args:
        checksum: its SHA-256 in hexadecimal, if known.
        retries: how many tries in a row may bring nothing.

    Raises:
        InputError: the server has no such file or cannot be reached, the disk is full, or the file fails a check.
    """
    record = path.with_name(path.name + ".sha256")
    part = path.with_name(path.name + ".part")
    if path.exists():
        known = checksum or (read_checksums(record).get(path.name) if record.exists() else None)
        if known is None:
            announced = _announced_length(session, url)
            if announced not in (None, path.stat().st_size):
                raise InputError(
                    f"{path}: {path.stat().st_size} bytes, {url} has {announced}; delete it to fetch it again"
                )
        found = _verify(path, known, "delete it to fetch it again")
        _record(record, path.name, found)
        print(f"{path}: complete, {'verified' if known else 'opens; its SHA-256 is recorded'}")
        return
    _transfer(session, url, part, retries)
    try:
        found = _verify(part, checksum, "what came was deleted")
    except InputError:
        part.unlink()
        raise
    with write_errors(path):
        publish(part, path)
    _record(record, path.name, found)
    print(f"{path}: fetched, SHA-256 {found} {'verified' if checksum else 'recorded'}")


def _transfer(session: requests.Session, url: str, part: Path, retries: int) -> None:
    """Fill ``part`` until it is as long as the server says."""
    failures = 0
    while True:
        before = part.stat().st_size if part.exists() else 0
        try:
            if _transfer_once(session, url, part, before):
                return
            reason = "the connection was cut"
        except requests.RequestException as error:
            reason = f"{type(error).__name__}: {error}".split("\n")[0][:200]
        now = part.stat().st_size if part.exists() else 0
        failures = 0 if now > before else failures + 1
        if failures > retries:
            raise InputError(f"{url}: not fetched ({reason}); run the command again to go on from {now} bytes")
        if failures:
            time.sleep(min(0.5 * 2**failures, 30))


def _transfer_once(session: requests.Session, url: str, part: Path, have: int) -> bool:
    """One request for what ``part`` lacks after its first ``have`` bytes; True if that completes it."""
    headers = {"Range": f"bytes={have}-"} if have else {}
    with session.get(url, headers=headers, stream=True, timeout=TIMEOUT) as response:
        code = response.status_code
        if code == 416:  # nothing after what is here: complete, or not what the server has
            total = _total(response)
            if total != have:
                part.unlink()
            return total == have
        if code in TRANSIENT:
            response.raise_for_status()
        if code not in (200, 206):
            raise InputError(f"{url}: the server answers {code} {response.reason}")
        start = re.match(r"bytes (\d+)-", response.headers.get("Content-Range", "")) if code == 206 else None
        resumed = start is not None and int(start[1]) == have
        if code == 206 and not resumed:
            raise InputError(f"{url}: the server sends another part than was asked for; delete {part} to start over")
        have = have if resumed else 0
        total = _total(response)
        with tqdm(total=total, initial=have, unit="B", unit_scale=True, unit_divisor=1024, desc=part.stem) as progress:
            try:
                with open(part, "ab" if resumed else "wb") as file:
                    for block in response.iter_content(PIECE):
                        file.write(block)
                        progress.update(len(block))
            except requests.RequestException:
                raise
            except OSError as error:
                raise InputError(f"{part}: cannot be written ({error}); run the command again to go on") from error
    return total is None or part.stat().st_size == total


def _total(response: requests.Response) -> int | None:
    """Length of the whole file as a response tells it, or None."""
    if response.status_code in (206, 416):
        match = re.search(r"/(\d+)$", response.headers.get("Content-Range", ""))
        return int(match[1]) if match else None
    length = response.headers.get("Content-Length", "")
    return int(length) if length.isdigit() else None


def _announced_length(session: requests.Session, url: str) -> int | None:
    try:
        with session.head(url, timeout=TIMEOUT, allow_redirects=True) as response:
            return _total(response) if response.ok else None
    except requests.RequestException:
        return None


def _verify(path: Path, checksum: str | None, remedy: str) -> str:
    """The file's SHA-256, after comparing it with ``checksum`` (if any) and opening the file."""
    size = path.stat().st_size
    with tqdm(total=size, unit="B", unit_scale=True, unit_divisor=1024, desc="checking", leave=False) as progress:
        found = sha256(path, progress.update)
    if checksum is not None and found != checksum:
        raise InputError(f"{path}: SHA-256 {found} is not {checksum}; {remedy}")
    try:
        with h5py.File(path, "r") as file:
            if not isinstance(file.get("volumes/raw"), h5py.Dataset):
                raise InputError(f"{path}: no data set volumes/raw; {remedy}")
    except OSError as error:
        raise InputError(f"{path}: not an HDF5 file that opens ({error}); {remedy}") from error
    return found


def _record(record: Path, name: str, checksum: str) -> None:
    with replaced(record) as temporary:
        temporary.write_text(f"{checksum}  {name}\n", encoding="utf-8")


if __name__ == "__main__":
    raise SystemExit(main())
