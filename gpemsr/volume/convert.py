"""A finished image as a file of another format."""

from __future__ import annotations

import json
from contextlib import ExitStack
from typing import Any

from tqdm import tqdm

from gpemsr.data.volumes.formats import create_volume
from gpemsr.files import remove
from gpemsr.volume.disk import disk_errors
from gpemsr.volume.run import Run


def convert(run: Run, progress: bool) -> dict[str, Any]:
    """The finished image as one file of another format, under the output's name; what the run found."""
    import zarr

    summary = run.summary()
    array: Any = zarr.open_array(str(run.image / "0"), mode="r")
    note = json.dumps({**run.provenance(), **summary})
    depth = run.layout.chunk[0]
    with disk_errors(run.job.path), ExitStack() as stack:
        writer = stack.enter_context(
            create_volume(run.job.path, run.layout.shape, run.layout.dtype, run.layout.voxel_size,
                          translation=run.layout.translation, note=note)
        )  # fmt: skip
        bar = stack.enter_context(tqdm(total=array.shape[0], unit="section", desc="convert", disable=not progress))
        for start in range(0, array.shape[0], depth):
            for section in array[start : start + depth]:
                writer.write(section)
                bar.update()
    remove(run.folder)
    return summary
