"""What the models of the three stages share, on top of BasicSR's models."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import reduce
from typing import Any

import torch
from basicsr.models.sr_model import SRModel
from basicsr.utils import get_root_logger
from torch.nn import functional as F

from gpemsr.archs.blocks import lay_out
from gpemsr.checkpoints.earlier_stage import take_sizes
from gpemsr.checkpoints.loading import load_network_state
from gpemsr.errors import InputError
from gpemsr.metrics.blank import WithoutBlank, left_out_text
from gpemsr.models.portable import PortableModel


class StageModel(PortableModel, SRModel):
    """A stage's model: loads our and the authors' checkpoints, optimises what is not frozen, logs pictures.

    Subclasses may add to what a validation reports: see :meth:`validation_scalars`.

    Attributes:
        path_keys: keys of ``path`` in addition to BasicSR's.
        prior_prefix: the part of ``network_g`` that ``path.pretrain_prior`` is loaded into.
    """

    path_keys: tuple[str, ...] = ()
    prior_prefix = ""

    def __init__(self, opt: dict) -> None:
        take_sizes(opt, "options")
        super().__init__(opt)

    @classmethod
    def checkpoints(cls, opt: Mapping) -> Iterator[tuple[str, Mapping, dict]]:
        """(Key in ``path``, network options, keywords of ``check_state``) of each file that is loaded strictly."""
        path = opt["path"]
        for network in (key for key, options in opt.items() if key.startswith("network_") and options):
            letter = network.removeprefix("network_")
            if path.get(f"pretrain_{network}") and path.get(f"strict_load_{letter}", True):
                param_key = path.get(f"param_key_{letter}", "params")
                yield f"pretrain_{network}", opt[network], {"param_key": param_key}
        if path.get("pretrain_prior") and opt.get("train"):
            yield "pretrain_prior", opt["network_g"], {"prefix": cls.prior_prefix}

    @staticmethod
    def check_prior(opt: Mapping, stage: str) -> None:
        """Raise ValueError unless a training names the result of the stage before it, or its own checkpoint."""
        path = opt["path"]
        if opt.get("train") and not any(path.get(key) for key in ("pretrain_prior", "pretrain_network_g")):
            raise ValueError(f"path.pretrain_prior=null: expected the checkpoint of stage {stage} (net_g_*.pth)")

    @staticmethod
    def check_tested(opt: Mapping) -> None:
        """Raise ValueError unless a test names the checkpoint that it is of."""
        if not opt.get("train") and not opt["path"].get("pretrain_network_g"):
            raise ValueError("path.pretrain_network_g=null: the checkpoint to test is expected (net_g_*.pth)")

    @staticmethod
    def check_targets(opt: Mapping) -> None:
        """Raise ValueError unless a training has HR sections, and a test without them saves its results."""
        for name, dataset in opt["datasets"].items():
            if dataset.get("dataroot_gt") is not None:
                continue
            if opt.get("train") and not name.startswith("test"):
                raise ValueError(
                    f"datasets.{name}.dataroot_gt=null: expected the HR sections that results are compared with"
                )
            if not (opt.get("val") or {}).get("save_img"):
                raise ValueError(
                    f"val.save_img=false: expected true, since datasets.{name} has no HR sections to score with"
                )

    def load_network(
        self, net: torch.nn.Module, load_path: str, strict: bool = True, param_key: str = "params"
    ) -> None:
        """Load a checkpoint of ours or of the GPEMSR authors into ``net``."""
        net = self.get_bare_model(net)
        state = load_network_state(load_path, param_key)
        get_root_logger().info(f"Loading {type(net).__name__} from {load_path} [{param_key}].")
        self._print_different_keys_loading(net, state, strict)
        net.load_state_dict(state, strict=strict)

    def model_to_device(self, net: torch.nn.Module) -> torch.nn.Module:
        """Move ``net`` to the device, its weights laid out as convolutions read them fastest, and wrap it."""
        return super().model_to_device(lay_out(net))

    def trainable_parameters(self) -> list:
        """The parameters of ``net_g`` that are not frozen, or groups of them as PyTorch's optimisers take them."""
        return [p for p in self.net_g.parameters() if p.requires_grad]

    def setup_optimizers(self) -> None:
        """One optimiser over :meth:`trainable_parameters`."""
        options = dict(self.opt["train"]["optim_g"])
        self.optimizer_g = self.get_optimizer(options.pop("type"), self.trainable_parameters(), **options)
        self.optimizers.append(self.optimizer_g)
        self.precision = self.opt["train"].get("precision", "fp32")
        self.scaler = torch.amp.GradScaler(self.device.type, enabled=self.precision == "fp16")

    def autocast(self) -> torch.autocast:
        """Context of ``net_g``'s forward in a training step: computes in ``train.precision``."""
        dtype = {"fp16": torch.float16}.get(self.precision, torch.bfloat16)
        return torch.autocast(self.device.type, dtype, enabled=self.precision != "fp32")

    def step(self, *losses: torch.Tensor) -> None:
        """Backward pass of the losses and step of ``optimizer_g``; in fp16 they are scaled, and an overflow skipped."""
        loss = reduce(torch.add, losses)
        if self.scaler.is_enabled() and not loss.isfinite():
            self.guard.refuse()  # no overflow: a smaller scale does not help
        self.scaler.scale(loss).backward()
        self.scaler.step(self.optimizer_g)
        self.scaler.update()

    def process_state(self) -> Mapping[str, Any]:
        """The scale of the losses in fp16."""
        return {"scaler": self.scaler.state_dict()}

    def load_process_state(self, state: Mapping[str, Any]) -> None:
        """Go on with this scale."""
        if state["scaler"]:
            self.scaler.load_state_dict(state["scaler"])

    @torch.no_grad()
    def model_ema(self, decay: float = 0.999) -> None:
        """Move the averaged network towards ``net_g``; what is frozen is copied once, at the start (decay 0)."""
        averaged = dict(self.net_g_ema.named_parameters())
        for name, parameter in self.get_bare_model(self.net_g).named_parameters():
            if parameter.requires_grad or decay == 0:
                averaged[name].lerp_(parameter.detach(), 1 - decay)

    def validation(self, dataloader: Any, current_iter: int, tb_logger: Any, save_img: bool = False) -> None:
        """BasicSR's validation, then the stage's own scalars and one picture."""
        self.picture: torch.Tensor | None = None
        self.start_validation()
        sections = WithoutBlank(dataloader)
        super().validation(sections, current_iter, tb_logger, save_img)

    def report(self, dataloader: Any, current_iter: int, tb_logger: Any) -> None:
        """Log which sections were left out, the stage's own scalars and one picture."""
        name = dataloader.dataset.opt["name"]
        if len(dataloader.left_out) == len(dataloader):
            raise InputError(f"{name}: all HR sections are blank, so there are no scores")
        if dataloader.left_out:
            get_root_logger().warning(left_out_text(name, dataloader.left_out, len(dataloader)))
        scalars = self.scalars = self.validation_scalars()
        self.scores |= scalars
        if scalars:
            text = "".join(f"\t # {key}: {value:.4f}\n" for key, value in scalars.items())
            get_root_logger().info(f"Validation {name}\n{text}")
        if tb_logger:
            for key, value in scalars.items():
                tb_logger.add_scalar(f"metrics/{name}/{key}", value, current_iter)
            if self.picture is not None:
                tb_logger.add_image(f"{name}/lq_result_gt", self.picture, current_iter)

    def start_validation(self) -> None:
        """Forget what the last validation gathered."""

    def validation_scalars(self) -> Mapping[str, float]:
        """Scalars gathered in :meth:`test` since :meth:`start_validation`, by name."""
        return {}

    def get_current_visuals(self) -> dict[str, torch.Tensor]:
        """BasicSR's visuals (``lq``, ``result``, ``gt``); the first of a validation is kept as a picture."""
        visuals = super().get_current_visuals()
        if getattr(self, "picture", None) is None:
            self.picture = side_by_side(visuals)
        return visuals


def parameter_groups(net: torch.nn.Module, train: Mapping, offset_lr_mul: float) -> list[dict[str, Any]]:
    """What of ``net`` learns; offsets and masks of deformable convolutions, where they have a rate, in a second group.

    Args:
        offset_lr_mul: what their learning rate is multiplied by, if ``train`` does not say; 1 makes no second group.
    """
    factor = train.get("offset_lr_mul", offset_lr_mul)
    apart = "offset_lr_mul" in train or offset_lr_mul != 1
    slower: list[torch.nn.Parameter] = []
    others: list[torch.nn.Parameter] = []
    for name, parameter in net.named_parameters():
        if parameter.requires_grad:
            (slower if apart and "conv_offset" in name else others).append(parameter)
    groups: list[dict[str, Any]] = [{"params": others}]
    return [*groups, {"params": slower, "lr": train["optim_g"]["lr"] * factor}] if slower else groups


def side_by_side(visuals: Mapping[str, torch.Tensor]) -> torch.Tensor:
    """LR (centre section, enlarged), result and HR of the first item in a row: (1, H, 3 * W) in [0, 1]."""
    size = visuals["result"].shape[-2:]
    lq = visuals["lq"][0]
    centre = lq[len(lq) // 2] if lq.dim() == 4 else lq
    row = [F.interpolate(centre[None], size=size)[0], visuals["result"][0]]
    if "gt" in visuals:
        row.append(visuals["gt"][0])
    return torch.cat(row, dim=-1).float().clamp(0, 1)
