"""BasicSR's own models, for option files that name them, as portable as ours; its video models on any device.

Importing this module puts them in the place of BasicSR's classes in ``MODEL_REGISTRY``, under the same names.
"""

from __future__ import annotations

from collections import Counter
from typing import Any

import torch
from basicsr.models.video_base_model import VideoBaseModel
from basicsr.utils import get_root_logger
from basicsr.utils.registry import MODEL_REGISTRY

from gpemsr.metrics.blank import left_out_text, scored
from gpemsr.models.portable import PortableModel


class AnyDeviceValidation(VideoBaseModel):
    """Put before a video model of BasicSR, lets it validate on the CPU, several data sets, and save while training.

    BasicSR puts its table of results on 'cuda', once for all data sets; it is made here, before, for each. Pictures
    of a training, which BasicSR refuses, go to ``visualization/<set>/<folder>/<name>_<iteration>.png``.
    """

    opt: dict[str, Any]

    def nondist_validation(self, *args: Any) -> None:
        """As in several processes, without BasicSR's warning."""
        self.dist_validation(*args)

    def dist_validation(self, dataloader: Any, current_iter: int, tb_logger: Any, save_img: bool) -> None:
        """BasicSR's, of the next class."""
        options = self.opt
        val = {**options["val"], "metrics": options["val"].get("metrics")}
        if val["metrics"] is not None:
            counts = Counter(dataloader.dataset.data_info["folder"])
            self.metric_results = {
                folder: torch.zeros(count, len(val["metrics"]), device=self.device) for folder, count in counts.items()
            }
        self.opt = {**options, "val": val}
        if save_img and options["is_train"]:
            label = str(current_iter)
            self.opt |= {"is_train": False, "name": label, "val": {**val, "suffix": label}}
        try:
            super().dist_validation(dataloader, current_iter, tb_logger, save_img)
        finally:
            self.opt = options

    def _log_validation_metric_values(self, current_iter: int, dataset_name: str, tb_logger: Any) -> None:
        """BasicSR's, without blank sections."""
        count = sum(map(len, self.metric_results.values()))
        self.metric_results, left_out = scored(self.metric_results)
        if left_out:
            sections = [f"{volume} ({index})" for volume, index in left_out]
            get_root_logger().warning(left_out_text(dataset_name, sections, count))
        if self.metric_results:
            super()._log_validation_metric_values(current_iter, dataset_name, tb_logger)

    def feed_data(self, data: dict[str, Any]) -> None:
        """Take tensors of their own shape on the same memory: BasicSR squeezes those of a stack in place afterwards."""
        super().feed_data({key: value.detach() if torch.is_tensor(value) else value for key, value in data.items()})


for name, model in list(MODEL_REGISTRY):
    if model.__module__.startswith("basicsr."):
        portable = (AnyDeviceValidation, PortableModel) if issubclass(model, VideoBaseModel) else (PortableModel,)
        MODEL_REGISTRY._obj_map[name] = type(name, (*portable, model), {"__doc__": model.__doc__})
