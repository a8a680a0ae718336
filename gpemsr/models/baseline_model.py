"""Training and test of the networks that GPEMSR is compared with, on the data of stage III."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from basicsr.models.base_model import BaseModel
from basicsr.models.video_base_model import VideoBaseModel
from basicsr.utils.registry import ARCH_REGISTRY, MODEL_REGISTRY

from gpemsr.archs.baselines_arch import RIVALS, Bicubic
from gpemsr.archs.lifted import Rival
from gpemsr.models.stage_base import StageModel
from gpemsr.schema import TrainOptions


class BaselineTrainOptions(TrainOptions):
    """``train`` of :class:`BaselineModel`."""

    pixel_opt: dict


@MODEL_REGISTRY.register()
class BaselineModel(StageModel, VideoBaseModel):
    """Pixel loss to the HR section; whole sections are validated with BasicSR's video validation, as in stage III."""

    Options = BaselineTrainOptions
    fits = {
        "network_g": (*(rival.name for rival in RIVALS), Bicubic.__name__),
        "datasets.train": ("SectionWindowDataset",),
        "datasets.val": ("SectionWindowTestDataset",),
        "datasets.test": ("SectionWindowTestDataset",),
    }

    @classmethod
    def check_options(cls, opt: Mapping) -> None:
        """Windows as long as the network needs them, HR sections, and something to train."""
        options = dict(opt["network_g"])
        name = options.pop("type")
        if opt.get("train") and name == Bicubic.__name__:
            raise ValueError(f"network_g.type={name}: it has nothing to train; gpemsr-test tests it")
        cls.check_targets(opt)
        if name != Bicubic.__name__:
            cls.check_tested(opt)
        rival = ARCH_REGISTRY.get(name)
        if not isinstance(rival, Rival):
            return
        complete = rival.complete(options)
        if getattr(complete, "whole_stack", False):
            raise ValueError("network_g.whole_stack=true: only in a test with model_type: VideoRecurrentModel")
        for key, dataset in opt["datasets"].items():
            try:
                rival.check_window(dataset.get("num_frame", 5), complete)
            except ValueError as error:
                raise ValueError(f"datasets.{key}.{error}") from None

    def model_to_device(self, net: torch.nn.Module) -> torch.nn.Module:
        """Move ``net`` to the device and wrap it if it learns; the toolboxes count on the usual layout of weights."""
        if not any(True for _ in net.parameters()):
            return net.to(self.device)
        return BaseModel.model_to_device(self, net)
