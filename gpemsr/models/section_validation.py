"""Validation and test on whole sections: on any device, in one process or several, with or without HR sections."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from basicsr.metrics import calculate_metric
from basicsr.models.video_base_model import VideoBaseModel
from basicsr.utils import get_root_logger, tensor2img
from basicsr.utils.dist_util import get_dist_info
from PIL import Image
from torch import distributed
from tqdm import tqdm

from gpemsr.archs.precision import in_precision
from gpemsr.data.lmdb_files import section_key
from gpemsr.data.section_window_test_dataset import SectionStack, SectionWindowTestDataset
from gpemsr.files import replaced
from gpemsr.metrics.blank import is_blank, left_out_text, scored
from gpemsr.volume.section_loop import section_network, super_resolve_sections


class SectionValidation(VideoBaseModel):
    """Validates on a :class:`SectionWindowTestDataset`; BasicSR's video models need CUDA and HR sections for that.

    With ``val.save_img`` each result is saved, in the data type of the LR sections, as
    ``<visualization>/<data set>/<volume>/<section:08d>_<iteration>.png``; in a test, ``val.suffix`` or the
    experiment's name stands in place of the iteration. Metrics compare sections of 8 bits, as BasicSR's do; without
    HR sections there are none. Each process takes a part of the sections, and the means are those of all sections.
    """

    def nondist_validation(self, *args: Any) -> None:
        """As in several processes."""
        self.dist_validation(*args)

    def dist_validation(self, dataloader: Any, current_iter: int | str, tb_logger: Any, save_img: bool) -> None:
        """Super-resolve all sections; save pictures and log mean scores as the options say."""
        dataset: SectionWindowTestDataset = dataloader.dataset
        name = dataset.opt["name"]
        metrics = (self.opt["val"].get("metrics") or {}) if dataset.has_gt else {}
        self.metric_results = {
            volume: torch.zeros(len(stack), len(metrics), device=self.device)
            for volume, stack in dataset.stacks.items()
        }
        rank, world_size = get_dist_info()
        parts = parts_of(dataset, rank, world_size)
        total = sum(len(part) for _, part in parts)
        with tqdm(total=total, desc=name, unit="section", disable=None if rank == 0 else True) as bar:
            for stack, part in parts:
                for index, sr in zip(part, self.super_resolve(stack, part, dataset.num_frame), strict=True):
                    visuals = self.visuals(stack, index, sr)
                    if save_img:
                        self.save_picture(visuals["result"], stack, index, name, current_iter)
                    if metrics:
                        images = {"img": tensor2img([visuals["result"]]), "img2": tensor2img([visuals["gt"]])}
                        scores = [calculate_metric(images, options) for options in metrics.values()]
                        if is_blank(images["img2"]):
                            scores = [math.nan] * len(scores)
                        self.metric_results[stack.volume][index] = torch.tensor(scores)
                    bar.update()
        if save_img and rank == 0:
            self.save_record(dataset)
        if not dataset.has_gt:
            get_root_logger().info(f"{name}: no HR sections (dataroot_gt: null), so no scores")
        if metrics:
            self._initialize_best_metric_results(name)
            for results in self.metric_results.values() if self.opt["dist"] else ():
                distributed.reduce(results, 0)
            if rank == 0:
                self._log_scores(dataset, current_iter, tb_logger)

    def _log_scores(self, dataset: SectionWindowTestDataset, current_iter: int | str, tb_logger: Any) -> None:
        """BasicSR's means, without blank sections, which are named."""
        name = dataset.opt["name"]
        self.metric_results, left_out = scored(self.metric_results)
        if left_out:
            keys = [section_key(volume, dataset.stacks[volume].numbers[index]) for volume, index in left_out]
            get_root_logger().warning(left_out_text(name, keys, len(dataset)))
        if self.metric_results:
            self._log_validation_metric_values(current_iter, name, tb_logger)

    def super_resolve(self, stack: SectionStack, part: range, num_frame: int) -> Iterator[torch.Tensor]:
        """The results (1, 1, r*h, r*w) of a part of a volume's sections, with the averaged weights if there are any."""
        net = self.net_g_ema if hasattr(self, "net_g_ema") else self.get_bare_model(self.net_g)
        net.eval()
        precision = self.opt["val"].get("precision", "fp32")
        network = in_precision(section_network(net, num_frame), precision, self.device)
        yield from super_resolve_sections(network, stack, part, self.device)
        net.train(self.is_train)

    def visuals(self, stack: SectionStack, index: int, sr: torch.Tensor) -> dict[str, torch.Tensor]:
        """BasicSR's visuals of a section on the CPU: ``lq``, ``result`` and, if there is one, ``gt``; (1, 1, ., .)."""
        self.lq, self.output, gt = stack[index][None], sr, stack.gt(index)
        self.__dict__.pop("gt", None)
        if gt is not None:
            self.gt = gt[None]
        visuals = self.get_current_visuals()
        for used in ("lq", "output", "gt"):
            self.__dict__.pop(used, None)
        return visuals

    def save_picture(
        self, result: torch.Tensor, stack: SectionStack, index: int, name: str, current_iter: int | str
    ) -> None:
        """Save one result, (1, 1, r*h, r*w)."""
        suffix = current_iter if self.opt["is_train"] else self.opt["val"].get("suffix") or self.opt["name"]
        folder = Path(self.opt["path"]["visualization"]) / name / stack.volume
        folder.mkdir(parents=True, exist_ok=True)
        size = stack.info.voxel_size
        dpi = None if size is None else tuple(2.54e7 * stack.scale / length for length in (size[2], size[1]))
        with replaced(folder / f"{stack.numbers[index]:08d}_{suffix}.png") as file:
            pixels = stack.info.grey_range.from_unit(result[0, 0].float().numpy(), stack.info.dtype)
            Image.fromarray(pixels).save(file, compress_level=1, dpi=dpi)

    def save_record(self, dataset: SectionWindowTestDataset) -> None:
        """Write what the pictures are, with voxel sizes, so that their folder is a data set."""
        folder = Path(self.opt["path"]["visualization"]) / dataset.opt["name"]
        volumes = {volume: stack.result_entry() for volume, stack in dataset.stacks.items()}
        with replaced(folder / "volume.json") as file:
            file.write_text(json.dumps({"format": 1, "volumes": volumes}, indent=1) + "\n", encoding="utf-8")


def parts_of(dataset: SectionWindowTestDataset, rank: int, world_size: int) -> list[tuple[SectionStack, range]]:
    """The sections of each volume that a process takes: neighbours, so that few are encoded by two processes."""
    total = sum(len(stack) for stack in dataset.stacks.values())
    first, last = (total * r // world_size for r in (rank, rank + 1))
    parts, start = [], 0
    for stack in dataset.stacks.values():
        parts.append((stack, range(max(first - start, 0), min(last - start, len(stack)))))
        start += len(stack)
    return parts
