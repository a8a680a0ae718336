"""Fetching a file from a server, resuming where a transfer was cut (pooch would start over)."""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from pathlib import Path

import requests
from tqdm import tqdm

from gpemsr.errors import InputError, one_line
from gpemsr.files import exclusive, publish, sha256, write_errors

PIECE = 1 << 14  # bytes read at once from the network: at most so much is lost when a connection is cut
RETRIES = 2  # attempts in a row, after the first, that may transfer nothing
TIMEOUT = (15, 60)  # seconds to connect, and to wait for the next bytes
TRANSIENT = (408, 425, 429, 500, 502, 503, 504)
BAR = {"unit": "B", "unit_scale": True, "unit_divisor": 1024, "disable": None}  # no bar in a log
Check = Callable[[Path, str], object]  # raises InputError, with the remedy, if a file is not what is expected


def fetch(
    url: str, path: Path, checksum: str | None = None, retries: int = RETRIES, check: Check = lambda path, remedy: None
) -> str:
    """Bring the file at ``url`` to ``path``, which appears when all of it is verified; returns its SHA-256.

    A partial download is ``<path>.part``, from which a later call continues.

    Args:
        checksum: its SHA-256 in hexadecimal, or how that begins, if known.
        retries: see :data:`RETRIES`.
        check: what else the file must pass.

    Raises:
        Busy: another process is fetching it.
        InputError: the server has no such file or cannot be reached, the disk is full, or the file fails a check.
    """
    with exclusive(path, "is fetching it"):
        if checksum and path.is_file() and (found := sha256(path)).startswith(checksum):
            return found  # another process was faster
        return _fetch(url, path, checksum, retries, check)


def _fetch(url: str, path: Path, checksum: str | None, retries: int, check: Check) -> str:
    part = path.with_name(path.name + ".part")
    with requests.Session() as session:
        session.headers["Accept-Encoding"] = "identity"
        _transfer(session, url, part, retries)
    try:
        found = verify(part, checksum, "the download was deleted", check)
    except InputError:
        part.unlink()
        raise
    with write_errors(path):
        publish(part, path)
    return found


def verify(path: Path, checksum: str | None, remedy: str, check: Check) -> str:
    """The file's SHA-256, after comparing it with ``checksum`` (if any) and checking the file.

    Raises:
        InputError: the file fails one of them; the text ends with ``remedy``.
    """
    with tqdm(total=_size(path), desc="checking", leave=False, **BAR) as bar:
        found = sha256(path, bar.update)
    if checksum and not found.startswith(checksum):
        raise InputError(f"{path}: SHA-256 {found} is not {checksum}; {remedy}")
    check(path, remedy)
    return found


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
            reason = _first_cause(error)
        failures = 0 if _size(part) > before else failures + 1
    go_on = f" to continue from {_size(part)} bytes" if _size(part) else ""
    raise InputError(f"{url}: not fetched ({reason}); run the command again{go_on}")


def _first_cause(error: Exception) -> str:
    """What the operating system or the server said, without the libraries' wrapping of it."""
    while isinstance(cause := error.__cause__ or error.__context__, Exception):
        error = cause
    return one_line(error)


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
