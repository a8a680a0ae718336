"""Training and test of the networks that GPEMSR is compared with, on the data of stage III."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import torch
from basicsr.models.video_recurrent_model import VideoRecurrentModel
from basicsr.utils.registry import ARCH_REGISTRY, MODEL_REGISTRY

from gpemsr.archs.adapted import RECURRENT, Baseline
from gpemsr.archs.baselines_arch import BASELINES, Bicubic
from gpemsr.data.section_window_test_dataset import SectionStack
from gpemsr.models.section_validation import SectionValidation
from gpemsr.models.stage_base import StageModel, parameter_groups
from gpemsr.options.schema import PositiveFloat, TrainOptions


class BaselineTrainOptions(TrainOptions):
    """``train`` of :class:`BaselineModel`."""

    pixel_opt: dict
    perceptual_opt: dict | None = None
    offset_lr_mul: PositiveFloat = 1.0


@MODEL_REGISTRY.register()
class BaselineModel(StageModel, SectionValidation):
    """Pixel loss to the HR section; validated on whole sections, as stage III is.

    ``train.offset_lr_mul`` is for offsets and masks of all deformable convolutions; BasicSR's ``dcn_lr_mul`` of EDVR
    slows their weights, too.
    """

    Options = BaselineTrainOptions
    works_with = {
        "network_g": (*(baseline.name for baseline in BASELINES), Bicubic.__name__),
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
        baseline = ARCH_REGISTRY.get(name)
        if not isinstance(baseline, Baseline):
            return
        complete = baseline.complete(options)
        if getattr(complete, "whole_stack", False):
            raise ValueError("network_g.whole_stack=true: only in a test with model_type: BaselineStackModel")
        for key, dataset in opt["datasets"].items():
            if dataset["type"] == "SectionStackTestDataset":
                expected = "expected SectionWindowTestDataset; whole stacks need model_type: BaselineStackModel"
                raise ValueError(f"datasets.{key}.type=SectionStackTestDataset: {expected}")
            try:
                baseline.check_window(dataset.get("num_frame", 5), complete)
            except ValueError as error:
                raise ValueError(f"datasets.{key}.{error}") from None

    def trainable_parameters(self) -> list:
        """One group, or two: see :func:`parameter_groups`."""
        return parameter_groups(self.net_g, self.opt["train"], 1.0)

    def model_to_device(self, net: torch.nn.Module) -> torch.nn.Module:
        """As every stage; a network that has nothing to learn is not wrapped."""
        if not any(True for _ in net.parameters()):
            return net.to(self.device)
        return super().model_to_device(net)


@MODEL_REGISTRY.register()
class BaselineStackModel(SectionValidation, VideoRecurrentModel):
    """Test of a recurrent network, which takes each volume as a whole."""

    works_with = {
        "network_g": tuple(baseline.name for baseline in BASELINES if baseline.takes == RECURRENT),
        "datasets.val": ("SectionStackTestDataset",),
        "datasets.test": ("SectionStackTestDataset",),
    }

    @classmethod
    def check_options(cls, opt: Mapping) -> None:
        """A test of a trained network that returns all sections."""
        if opt.get("train"):
            raise ValueError("model_type=BaselineStackModel: it tests; train with BaselineModel")
        if not opt["network_g"].get("whole_stack"):
            raise ValueError("network_g.whole_stack=false: expected true, since every section of a stack is scored")
        if (opt.get("val") or {}).get("center_frame_only"):
            raise ValueError("val.center_frame_only=true: expected false, since every section of a stack is scored")
        StageModel.check_targets(opt)
        StageModel.check_tested(opt)

    @classmethod
    def checkpoints(cls, opt: Mapping) -> Iterator[tuple[str, Mapping, dict]]:
        """As those of the models of the stages."""
        return StageModel.checkpoints(opt)

    def model_to_device(self, net: torch.nn.Module) -> torch.nn.Module:
        """A network that is only tested is not wrapped: processes need not run it the same number of times."""
        return net.to(self.device)

    def super_resolve(self, stack: SectionStack, part: range, num_frame: int) -> Iterator[torch.Tensor]:
        """The results (1, 1, r*h, r*w) of a part of a volume's sections; the network sees all of them."""
        if part:
            self.feed_data({"lq": stack.window(range(len(stack)))[None]})
            self.test()
            yield from self.output[0, part.start : part.stop, None]
