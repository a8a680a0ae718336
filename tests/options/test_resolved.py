"""The shipped option files, with their bases, hold what they did: a change of a base changes no file unnoticed.

After a change on purpose: ``python tests/options/test_resolved.py`` writes ``resolved.json`` anew.
"""

import hashlib
import json
from pathlib import Path

from gpemsr.options.read import read_options

OPTIONS = Path(__file__).resolve().parents[2] / "options"
KNOWN = Path(__file__).with_name("resolved.json")


def digests() -> dict[str, str]:
    """SHA-256 of the resolved options of each file, as JSON with sorted keys."""
    found = {}
    for file in sorted(file for file in OPTIONS.rglob("*.yml") if file.parent.name != "_base_"):
        text = json.dumps(read_options(file), sort_keys=True)
        found[file.relative_to(OPTIONS).as_posix()] = hashlib.sha256(text.encode()).hexdigest()
    return found


def test_resolved_options_are_as_before():
    assert digests() == json.loads(KNOWN.read_text())


if __name__ == "__main__":
    KNOWN.write_text(json.dumps(digests(), indent=1, sort_keys=True) + "\n")
