"""Validation and test of stages I and II, section by section: in one process or several."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from basicsr.metrics import calculate_metric
from basicsr.models.sr_model import SRModel
from basicsr.utils import imwrite, tensor2img
from basicsr.utils.dist_util import get_dist_info
from torch import distributed

from gpemsr.metrics.blank import WithoutBlank


class ImageValidation(SRModel):
    """BasicSR's validation of images, in which each process takes a part of the sections.

    BasicSR lets the first process take all, while the others wait, for half an hour at most. Pictures have BasicSR's
    names. The means are those of all sections, in their order, so that they do not depend on the number of processes.
    """

    def nondist_validation(self, *args: Any) -> None:
        """As in several processes."""
        self.dist_validation(*args)

    def dist_validation(
        self, dataloader: WithoutBlank, current_iter: int | str, tb_logger: Any, save_img: bool
    ) -> None:
        """Test this process's sections; save pictures and log mean scores as the options say."""
        name, metrics = dataloader.dataset.opt["name"], self.opt["val"].get("metrics") or {}
        scores: list[dict[str, float]] = []
        for data in dataloader.part(*get_dist_info()):
            self.feed_data(data)
            self.test()
            visuals = self.get_current_visuals()
            images = {"img": tensor2img([visuals["result"]]), "img2": tensor2img([visuals["gt"]])}
            if save_img:
                imwrite(images["img"], str(self._picture_file(Path(data["lq_path"][0]).stem, name, current_iter)))
            scores.append({metric: calculate_metric(images, options) for metric, options in metrics.items()})
        self.metric_results = means(of_all_processes(scores))
        dataloader.left_out = of_all_processes(dataloader.left_out)
        if self.metric_results:
            self._initialize_best_metric_results(name)
            for metric, value in self.metric_results.items():
                self._update_best_metric_result(name, metric, value, current_iter)
            self._log_validation_metric_values(current_iter, name, tb_logger)

    def _picture_file(self, section: str, name: str, current_iter: int | str) -> Path:
        folder = Path(self.opt["path"]["visualization"])
        if self.opt["is_train"]:
            return folder / section / f"{section}_{current_iter}.png"
        return folder / name / f"{section}_{self.opt['val'].get('suffix') or self.opt['name']}.png"


def of_all_processes(found: list) -> list:
    """The lists of all processes, one after the other."""
    if not distributed.is_initialized():
        return found
    lists: list = [None] * distributed.get_world_size()
    distributed.all_gather_object(lists, found)
    return [entry for each in lists for entry in each]


def means(figures: Sequence[Mapping[str, float]]) -> dict[str, float]:
    """Means of figures that are alike; none of none."""
    return {key: sum(each[key] for each in figures) / len(figures) for key in figures[0]} if figures else {}
