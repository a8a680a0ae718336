"""``gpemsr-download-cremi``: fetch the volumes of the CREMI challenge, resuming where a transfer was cut.

The site publishes no checksums. A file is verified against that of ``--sha256``, if given. Without one, all bytes
that the server announces must arrive and the file must open as HDF5 with ``volumes/raw`` in it; its SHA-256 is
recorded in ``<file>.sha256`` and verified by later runs. The record shows that a file has not changed since it was
fetched, not that the server sent what its makers published.
"""

from __future__ import annotations

from pathlib import Path

from gpemsr.cli import new_parser
from gpemsr.data.cremi import URL, download, file_names
from gpemsr.errors import command


@command
def main(argv: list[str] | None = None) -> int:
    """Run the command; returns the exit code (2 for what could not be fetched or verified)."""
    parse = new_parser("download-cremi", __doc__.split("\n\n", 1)[1])
    samples = "A, B, C (training), A+, B+, C+ (test), train, test or all (default train)"
    parse.add_argument("samples", nargs="*", metavar="SAMPLE", help=samples)
    parse.add_argument("--out", type=Path, default=Path("cremi"), help="folder for the files (default cremi)")
    parse.add_argument("--padded", action="store_true", help="the versions with more context around them")
    parse.add_argument("--url", default=URL, help=f"where the files are (default {URL})")
    parse.add_argument("--sha256", type=Path, metavar="FILE", help="checksums, in lines as sha256sum writes them")
    parse.add_argument("--retries", type=int, default=5, help="attempts after one that transferred nothing (default 5)")
    arguments = parse.parse_args(argv)
    names = file_names(arguments.samples or ["train"], arguments.padded)
    for line in download(names, arguments.out, arguments.url, arguments.sha256, arguments.retries):
        print(line)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
