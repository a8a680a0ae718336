"""A run: plan, blocks with their markers, pyramid, and the volume under its name once all of it is there."""

from __future__ import annotations

import contextlib
import fcntl
import json
import logging
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import torch

from gpemsr.data.volumes.ome_zarr_writer import ImageLevel, create_image, shrink
from gpemsr.errors import InputError
from gpemsr.files import publish, read_record, remove, replaced, sha256
from gpemsr.volume.blocks import BlockResult, SeamSums, super_resolve_block
from gpemsr.volume.disk import disk_errors
from gpemsr.volume.network import VolumeNetwork
from gpemsr.volume.plan import Job, Plan, stored_plan
from gpemsr.volume.stack import LRStack
from gpemsr.volume.trust import BlockTrust, create_layers, least_trusted, write_layers

log = logging.getLogger("gpemsr.volume")
Advance = Callable[[], object]
Task = tuple[int, int]  # level of the pyramid, number of the block (level 0) or shard


class Run:
    """A folder ``<output>.run`` next to the output: ``plan.json``, ``image.zarr``, and a marker for each task done."""

    def __init__(self, job: Job, plan: Plan, stack: LRStack, network: VolumeNetwork) -> None:
        self.job, self.plan, self.stack, self.network = job, plan, stack, network
        self.folder = job.folder
        self.grid, self.layout = plan.grid, plan.layout
        self.image = self.folder / "image.zarr"
        self.batch = plan.batch

    def create(self) -> None:
        """Make the folder, with an image without voxels; nothing if it is there with the same plan.

        Raises:
            InputError: it cannot be written, or is there with another plan.
        """
        if self.folder.exists():
            return self.plan.refuse_unless_same(stored_plan(self.folder).to_json(), self.folder)
        with replaced(self.folder) as temporary:
            (temporary / "done").mkdir(parents=True)
            (temporary / "plan.json").write_text(
                json.dumps({"plan": self.plan.to_json(), "job": asdict(self.job.absolute())})
            )
            create_image(temporary / "image.zarr", self.layout, self.job.path.name, {"gpemsr": self.provenance()})
            create_layers(temporary / "image.zarr", self.plan)
        return None

    def provenance(self) -> dict[str, Any]:
        """What the image says of itself."""
        return {"content": "super-resolved", "source_file": Path(self.job.source).name, **self.plan.told()}

    def tasks(self, level: int) -> list[Task]:
        """The tasks of a level that are not marked as done."""
        numbers = self.plan.wanted if level == 0 else range(self.layout.shards(level))
        return [(level, number) for number in numbers if not self.marker((level, number)).exists()]

    def marker(self, task: Task) -> Path:
        """The file that says that a task is done, how, and what files it wrote."""
        return self.folder / "done" / f"{task[0]}-{task[1]:06d}.json"

    def do(self, task: Task, advance: Advance = lambda: None) -> None:
        """Do a task and mark it; doing it twice, here or elsewhere, writes the same bytes.

        Raises:
            InputError: the source is damaged, the disk is full or memory does not suffice.
        """
        start = time.perf_counter()
        with disk_errors(self.job.path):
            record, files = (self._super_resolve if task[0] == 0 else self._shrink)(task, advance)
            record["files"] = {str(file.relative_to(self.image)): sha256(file) for file in files}
            record["seconds"] = round(time.perf_counter() - start, 3)
            with replaced(self.marker(task)) as temporary:
                temporary.write_text(json.dumps(record))
        log.info("%s: %s in %.1f s", self.name(task), record["state"], record["seconds"])

    def _super_resolve(self, task: Task, advance: Advance) -> tuple[dict[str, Any], list[Path]]:
        block = self.grid.block(task[1])
        value = self.stack.constant(block)
        if value is None:
            result, state = self._blocks_in_batches(task[1], advance), "done"
        else:
            shape = [b - a for a, b in (block.z, block.y, block.x)]
            sizes = (shape[0], self.plan.scale * shape[1], self.plan.scale * shape[2])
            result, state = BlockResult(np.full(sizes, value, self.layout.dtype)), "constant"
        files = ImageLevel(self.image, self.layout, 0).write(self.plan.start_of(block), result.image)
        files += write_layers(self.image, self.plan, block, result.layers)
        record = {"state": state, "replaced": result.replaced, "seams": asdict(result.seams)}
        return {**record, "least_trusted": least_trusted(result.layers, block)}, files

    def _blocks_in_batches(self, number: int, advance: Advance) -> BlockResult:
        while True:
            try:
                block = self.grid.block(number)
                trust = BlockTrust(self.plan, block)
                result = super_resolve_block(
                    self.network, self.stack, self.grid, block, self.batch, advance, trust.see,
                    is_turned="disagreement" in self.plan.trust,
                    degradation=self.plan.degradation if self.plan.consistent else None,
                )  # fmt: skip
                result.layers = trust.layers()
                return result
            except torch.OutOfMemoryError:
                if self.batch == 1:
                    raise InputError(
                        f"out of memory with one tile of {self.plan.tile}: --tile makes it smaller"
                    ) from None
                self.batch //= 2
                torch.cuda.empty_cache()
                log.info("out of memory: %d tiles go through the network together from now on", self.batch)

    def _shrink(self, task: Task, advance: Advance) -> tuple[dict[str, Any], list[Path]]:
        level, number = task
        factors = [b // a for a, b in zip(self.layout.factors[level - 1], self.layout.factors[level], strict=True)]
        where = self.layout.region(level, number)
        finer = tuple(slice(s.start * factor, s.stop * factor) for s, factor in zip(where, factors, strict=True))
        image = shrink(ImageLevel(self.image, self.layout, level - 1).array[finer], tuple(factors))
        z, y, x = (s.start for s in where)
        files = ImageLevel(self.image, self.layout, level).write((z, y, x), image)
        advance()
        return {"state": "done"}, files

    def steps(self, task: Task) -> int:
        """Sections of tiles of a block; 1 for a shard of the pyramid."""
        block = self.grid.block(task[1]) if task[0] == 0 else None
        return 1 if block is None else (block.z[1] - block.z[0]) * len(self.grid.tiles_of(block))

    def name(self, task: Task) -> str:
        """For messages."""
        return str(self.grid.block(task[1])) if task[0] == 0 else f"pyramid level {task[0]}, shard {task[1]}"

    def verify(self) -> list[str]:
        """Remove the markers of tasks whose files are not what was written; says which."""
        found = []
        for marker in sorted((self.folder / "done").glob("?-*.json")):
            files = read_record(marker).get("files")
            if files is None or any(not self._is_as_written(name, checksum) for name, checksum in files.items()):
                remove(marker)
                found.append(marker.stem)
        if found:  # coarser levels were made of what is now made again
            for marker in (self.folder / "done").glob("[1-9]-*.json"):
                remove(marker)
        return found

    def _is_as_written(self, name: str, checksum: str) -> bool:
        file = self.image / name
        return file.is_file() and sha256(file) == checksum

    def is_done(self) -> bool:
        """Whether all blocks are super-resolved."""
        return not self.tasks(0)

    def records(self) -> Iterator[tuple[int, dict[str, Any]]]:
        """(Number, marker) of the finished blocks."""
        for number in self.plan.wanted:
            yield number, read_record(self.marker((0, number)))

    def finish(self) -> dict[str, Any]:
        """Give the image its name, once all tasks are done, and remove the folder; what the run found.

        Raises:
            InputError: it cannot be written.
        """
        summary = self.summary()
        with disk_errors(self.job.path):
            import zarr

            group = zarr.open_group(str(self.image), mode="r+")
            group.attrs["gpemsr"] = {**self.provenance(), **summary}
            publish(self.image, self.job.path)
        remove(self.folder)
        return summary

    def summary(self) -> dict[str, Any]:
        """Replaced sections, blocks that were not super-resolved, and the seam figure."""
        seams, replaced_sections, constant = SeamSums(), set(), []
        for number, record in self.records():
            if record["state"] == "constant":
                constant.append(number)
            for z, _, _, source in record["replaced"]:
                replaced_sections.add((self.plan.region[0][0] + z, self.plan.region[0][0] + source))
            for name, value in record["seams"].items():
                setattr(seams, name, getattr(seams, name) + value)
        return {
            "replaced_sections": [{"section": z, "replaced_by": source} for z, source in sorted(replaced_sections)],
            "constant_blocks": constant,
            "blocks_without_tissue": len(self.grid) - len(self.plan.wanted),
            "seams": None if seams.ratio is None else round(seams.ratio, 4),
        }

    @contextlib.contextmanager
    def only_finisher(self) -> Iterator[bool]:
        """Whether this process may finish the run; one at a time may, and none after it is finished."""
        with (self.folder / "lock").open("w") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                yield False
            else:
                yield self.folder.is_dir() and not self.job.path.exists()
