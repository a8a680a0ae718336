"""A run whose process is killed."""

import multiprocessing
import time

from test_super_resolve import contents

from gpemsr.volume.perform import super_resolve


def test_a_killed_run_goes_on_and_keeps_finished_blocks(job):
    whole, killed = job(output="a.zarr", depth=1), job(output="b.zarr", depth=1)
    super_resolve(whole)
    done = killed.folder / "done"
    process = multiprocessing.get_context("fork").Process(target=super_resolve, args=(killed,))
    process.start()
    while process.is_alive() and len(list(done.glob("0-*.json"))) < 2:
        time.sleep(0.001)
    process.kill()
    process.join()
    finished = {int(file.stem[2:]) for file in done.glob("0-*.json")}
    assert len(finished) >= 2 and not killed.path.exists()
    super_resolve(killed, resume=True)
    log = (killed.path.parent / "b.zarr.log").read_text().rpartition("begun: ")[2]
    assert {number for number in range(5) if f"block {number}, " in log} == set(range(5)) - finished
    for level in ("0", "1"):
        assert contents(whole.path / level) == contents(killed.path / level)
