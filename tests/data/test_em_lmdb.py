"""One LMDB of sections: what it holds, BasicSR reads it, damage is found, failures leave nothing."""

import json
import os
import signal
import subprocess
import sys
import textwrap

import cv2
import lmdb
import numpy as np
import pytest

from gpemsr.compat import importable_basicsr
from gpemsr.data import em_lmdb
from gpemsr.data.em_lmdb import LmdbWriter, verify
from gpemsr.data.section_store import open_section_store
from gpemsr.errors import InputError

STACK = np.random.default_rng(0).integers(0, 65535, (3, 40, 50), np.uint16)


def make(path, stack=STACK, tile=None, volume="cell", append=False):
    with LmdbWriter(path, tile, {"scale": 1}, append) as writer:
        for number, section in enumerate(stack):
            writer.put(volume, number, section)
        writer.finish_volume(volume, stack[0], {"sections": list(range(len(stack))), "voxel_size": [50, 4, 4]})
        writer.close()
        writer.publish(overwrite=append)
    return path


def rewrite(path, change):
    """Change an LMDB in place, as damage would."""
    environment = lmdb.open(str(path))
    with environment.begin(write=True) as transaction:
        change(transaction)
    environment.close()


@pytest.mark.parametrize("tile", [None, 32])
def test_basicsr_reads_it(tmp_path, tile):
    path = make(tmp_path / "cell_hr.lmdb", tile=tile)
    with importable_basicsr():
        from basicsr.data.data_util import paths_from_lmdb
        from basicsr.utils import FileClient
    keys = paths_from_lmdb(str(path))
    client = FileClient("lmdb", db_paths=str(path), client_keys="gt")
    images = {key: cv2.imdecode(np.frombuffer(client.get(key, "gt"), np.uint8), cv2.IMREAD_UNCHANGED) for key in keys}
    client.client._client["gt"].close()
    if tile is None:
        assert keys == ["cell/00000000", "cell/00000001", "cell/00000002"]
        np.testing.assert_array_equal(images["cell/00000001"], STACK[1])
    else:
        assert len(keys) == 3 * 2 * 2
        np.testing.assert_array_equal(images["cell/00000002/0001_0001"], STACK[2, 32:, 32:])


def test_compressed_lmdbs_of_earlier_versions_are_verified(tmp_path, monkeypatch):
    monkeypatch.setattr(em_lmdb, "COMPRESS_LEVEL", 1)
    path = make(tmp_path / "a.lmdb")
    monkeypatch.undo()
    assert verify(path).sections == len(STACK)


def test_meta_info_has_basicsr_lines(tmp_path):
    path = make(tmp_path / "a.lmdb")
    assert (path / "meta_info.txt").read_text().splitlines()[0] == "cell/00000000.png (40,50,1) 0"


def test_volume_json_says_what_is_stored(tmp_path):
    entry = json.loads((make(tmp_path / "a.lmdb") / "volume.json").read_text())["volumes"]["cell"]
    assert (entry["height"], entry["width"], entry["dtype"], entry["tile"]) == (40, 50, "uint16", None)
    assert entry["intensity_range"] == [0, 65535]
    assert entry["observed_range"] == [int(STACK.min()), int(STACK.max())]


def test_the_map_grows_with_the_data(tmp_path):
    stack = np.random.default_rng(0).integers(0, 65535, (5, 2000, 2000), np.uint16)  # 40 MB, noise
    path = make(tmp_path / "a.lmdb", stack, tile=500)
    assert (path / "data.mdb").stat().st_size > 2**24
    assert verify(path).sections == 5


def test_volumes_are_appended(tmp_path):
    path = make(tmp_path / "a.lmdb")
    make(path, STACK[:2, :20], tile=16, volume="atlas", append=True)
    assert verify(path).sections == 5
    store = open_section_store(path, "lmdb")
    np.testing.assert_array_equal(store.read("cell", 2), STACK[2])
    np.testing.assert_array_equal(store.read("atlas", 1), STACK[1, :20])


@pytest.mark.parametrize("tile", [None, 32])
def test_sound_data_verify(tmp_path, tile):
    assert verify(make(tmp_path / "a.lmdb", tile=tile)).sections == 3


def other_pixels(transaction):
    transaction.put(b"cell/00000001", cv2.imencode(".png", STACK[1] + 1)[1].tobytes())


def other_size(transaction):
    transaction.put(b"cell/00000001", cv2.imencode(".png", STACK[1, 1:])[1].tobytes())


def flipped_byte(transaction):
    value = bytearray(transaction.get(b"cell/00000001"))
    value[len(value) // 2] ^= 1
    transaction.put(b"cell/00000001", bytes(value))


def cut_short(transaction):
    transaction.put(b"cell/00000001", transaction.get(b"cell/00000001")[:-100])


def gone(transaction):
    transaction.delete(b"cell/00000001")


def renamed(transaction):
    transaction.put(b"cell/00000009", transaction.pop(b"cell/00000001"))


def surplus(transaction):
    transaction.put(b"cell/00000009", transaction.get(b"cell/00000001"))


@pytest.mark.parametrize("change", [other_pixels, other_size, flipped_byte, cut_short, gone, renamed, surplus])
def test_damage_is_found(tmp_path, change):
    path = make(tmp_path / "a.lmdb")
    rewrite(path, change)
    with pytest.raises(InputError, match=r"cell/00000001|SHA-256|2 images|4 images"):
        verify(path)


@pytest.mark.parametrize("part", [0, 0.3, 0.9])
def test_a_truncated_data_file_is_refused(tmp_path, part):
    path = make(tmp_path / "a.lmdb")
    size = (path / "data.mdb").stat().st_size
    os.truncate(path / "data.mdb", int(part * size))
    with pytest.raises(InputError, match="LMDB"):
        verify(path)


@pytest.mark.parametrize(
    ("content", "text"),
    [("{", "damaged"), ("[]", "no volumes"), ('{"volumes": {"cell": {}}}', "KeyError"), (None, "no volume.json")],
)
def test_a_damaged_volume_json_is_refused(tmp_path, content, text):
    path = make(tmp_path / "a.lmdb")
    (path / "volume.json").unlink()
    if content is not None:
        (path / "volume.json").write_text(content)
    with pytest.raises(InputError, match=text):
        verify(path)


def test_a_damaged_meta_info_is_found(tmp_path):
    path = make(tmp_path / "a.lmdb")
    lines = (path / "meta_info.txt").read_text().splitlines()
    for wrong in (lines[:-1], [*lines, lines[0]], [line.replace("40", "41") for line in lines]):
        (path / "meta_info.txt").write_text("\n".join(wrong) + "\n")
        with pytest.raises(InputError, match="meta_info"):
            verify(path)


def test_an_exception_leaves_nothing(tmp_path):
    with pytest.raises(RuntimeError, match="stop"), LmdbWriter(tmp_path / "a.lmdb", None, {}) as writer:
        writer.put("cell", 0, STACK[0])
        raise RuntimeError("stop")
    assert not list(tmp_path.iterdir())


def test_an_existing_one_is_kept_unless_overwritten(tmp_path):
    path = make(tmp_path / "a.lmdb")
    with pytest.raises(InputError, match="exists already"):
        make(path, STACK[:2])
    assert verify(path).sections == 3
    assert [file.name for file in tmp_path.iterdir()] == ["a.lmdb"]


def test_a_key_is_written_once(tmp_path):
    with LmdbWriter(tmp_path / "a.lmdb", None, {}) as writer:
        writer.put("cell", 0, STACK[0])
        with pytest.raises(InputError, match="already has cell/00000000"):
            writer.put("cell", 0, STACK[1])


KILLED = """
    import os, signal, sys
    import numpy as np
    from pathlib import Path
    from gpemsr.data.em_lmdb import LmdbWriter
    writer = LmdbWriter(Path(sys.argv[1]), None, {})
    for number in range(3):
        writer.put("cell", number, np.zeros((64, 64), np.uint8))
    os.kill(os.getpid(), signal.SIGKILL)
"""


def test_a_killed_process_leaves_no_final_name_and_the_next_one_cleans_up(tmp_path):
    process = subprocess.run([sys.executable, "-c", textwrap.dedent(KILLED), str(tmp_path / "a.lmdb")], check=False)
    assert process.returncode == -signal.SIGKILL
    assert not (tmp_path / "a.lmdb").exists()
    assert len(list(tmp_path.iterdir())) == 1
    make(tmp_path / "a.lmdb")
    assert [file.name for file in tmp_path.iterdir()] == ["a.lmdb"]


FULL = """
    import resource, sys
    import numpy as np
    from pathlib import Path
    from gpemsr.data.em_lmdb import LmdbWriter
    from gpemsr.errors import InputError
    resource.setrlimit(resource.RLIMIT_FSIZE, (2**20, 2**20))
    noise = np.random.default_rng(0).integers(0, 255, (512, 512), np.uint8)
    try:
        with LmdbWriter(Path(sys.argv[1]), None, {}) as writer:
            for number in range(100):
                writer.put("cell", number, noise)
    except InputError as error:
        print(error)
"""


def test_a_full_disk_is_one_clear_line_and_leaves_nothing(tmp_path):
    process = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(FULL), str(tmp_path / "a.lmdb")],
        capture_output=True,
        text=True,
        check=True,
    )
    assert "a.lmdb: cannot be written" in process.stdout
    assert len(process.stdout.splitlines()) == 1
    assert not list(tmp_path.iterdir())
