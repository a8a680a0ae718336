"""Stage III: training and test of GPEMSR."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator, Mapping
from typing import Any

import torch
from basicsr.losses import build_loss
from basicsr.utils.registry import MODEL_REGISTRY
from torch import distributed, nn

from gpemsr.archs.gpemsr_arch import GPEMSR, enlarge
from gpemsr.archs.perceptual import EncoderFeatures
from gpemsr.archs.three_da import ThreeDAFusion
from gpemsr.archs.weights import DOWNLOAD, SPYNET, VGG19, fetch
from gpemsr.checkpoints.loading import load_network_state
from gpemsr.data.section_window_test_dataset import SectionStack
from gpemsr.losses.contextual_loss import ContextualLoss
from gpemsr.models.section_validation import SectionValidation
from gpemsr.models.stage_base import StageModel, parameter_groups
from gpemsr.models.start_watch import StartWatch
from gpemsr.options.schema import PositiveFloat, SectionValOptions, StageTrainOptions

AVERAGED = "params_ema"  # weights to go on from
CONTEXTUAL_STEPS = 2  # encoder steps before the contextual features: HR/4, the size of VGG19's relu3_4


class GPEMSRTrainOptions(StageTrainOptions):
    """``train`` of :class:`GPEMSRModel`."""

    pixel_opt: dict
    contextual_opt: dict | None = None
    perceptual_opt: dict | None = None
    offset_lr_mul: PositiveFloat = 0.1


@MODEL_REGISTRY.register()
class GPEMSRModel(StageModel, SectionValidation):
    """Pixel loss to the HR section and contextual loss to the prior's reference images.

    ``path.pretrain_prior`` is the checkpoint of stage II. The prior stays frozen and in eval mode.
    ``path.pretrain_without_prior`` is one of the same network trained ``without: prior``, which costs less an
    iteration: training goes on from it, and the prior is let in.
    The offsets and masks of deformable convolutions learn at ``train.offset_lr_mul`` times the learning rate: they
    are sums over hundreds of inputs, and could shut all that is aligned in a few steps.
    In a validation each section is encoded once.
    """

    Options = GPEMSRTrainOptions
    ValOptions = SectionValOptions
    path_keys = ("pretrain_prior", "pretrain_without_prior")
    prior_prefix = "prior."
    scalars_of_validation = ("psnr_above_bilinear",)
    works_with = {
        "network_g": ("GPEMSR", "GPEMSRWithout"),
        "datasets.train": ("SectionWindowDataset",),
        "datasets.val": ("SectionWindowTestDataset",),
        "datasets.test": ("SectionWindowTestDataset",),
    }

    @classmethod
    def check_options(cls, opt: Mapping) -> None:
        """Stage III needs the result of stage II, windows as long as the network's, and losses of its features."""
        path, net, train = opt["path"], opt["network_g"], opt.get("train") or {}
        if net.get("without") != "prior":
            cls.check_prior(opt, "II")
        cls.check_tested(opt)
        for name, dataset in opt["datasets"].items():
            frames = dataset.get("num_frame", 5)
            if frames != net.get("num_frame", 5):
                raise ValueError(
                    f"datasets.{name}.num_frame={frames}: expected network_g.num_frame={net.get('num_frame', 5)}"
                )
        cls.check_targets(opt)
        contextual = train.get("contextual_opt") or {}
        if contextual.get("features") == "vqgan" and net.get("perceptual", "vgg19") != "vqgan":
            raise ValueError("train.contextual_opt.features=vqgan: only with network_g.perceptual: vqgan")
        start = path.get("pretrain_without_prior")
        if start and net["type"] != "GPEMSR":
            raise ValueError(f"path.pretrain_without_prior={start}: only with network_g.type: GPEMSR")
        if start and path.get("pretrain_network_g"):
            raise ValueError(f"path.pretrain_without_prior={start}: not with path.pretrain_network_g")
        cls.fetch_weights(net, train, brings_published(path))

    @classmethod
    def checkpoints(cls, opt: Mapping) -> Iterator[tuple[str, Mapping, dict]]:
        """Those of every stage, and the network without prior."""
        yield from super().checkpoints(opt)
        if opt["path"].get("pretrain_without_prior") and opt.get("train"):
            network = {**opt["network_g"], "type": "GPEMSRWithout", "without": "prior"}
            yield "pretrain_without_prior", network, {"param_key": AVERAGED}

    @staticmethod
    def fetch_weights(net: Mapping, train: Mapping, has_checkpoint: bool) -> None:
        """Download what the options ask for, before anything is built; ValueError if it cannot be had."""
        contextual = train.get("contextual_opt") or {"features": None}
        uses = [
            (contextual, "train.contextual_opt", VGG19, contextual.get("features", "vgg19") == "vgg19"),
            (net, "network_g", VGG19, not has_checkpoint and net.get("perceptual", "vgg19") == "vgg19"),
            (net, "network_g", SPYNET, not has_checkpoint and net.get("flow", "spynet") == "spynet"),
        ]
        for section, place, published, is_used in uses:
            if is_used and section.get(published.option, DOWNLOAD) == DOWNLOAD:
                try:
                    fetch(published)
                except ValueError as error:
                    raise ValueError(f"{place}.{error}") from None

    def __init__(self, opt: dict) -> None:
        if brings_published(opt["path"]):
            opt["network_g"].update(vgg_weights=None, flow_weights=None)
        super().__init__(opt)

    def init_training_settings(self) -> None:
        """Load what the training starts from; build losses, optimiser and schedulers."""
        path = self.opt["path"]
        net = self.get_bare_model(self.net_g)
        if not path.get("resume_state"):
            if path.get("pretrain_without_prior"):
                load_without_prior(net, path["pretrain_without_prior"])
            if path.get("pretrain_prior"):
                load_prior(net, path["pretrain_prior"])
        super().init_training_settings()
        if path.get("pretrain_prior") and hasattr(self, "net_g_ema") and not path.get("resume_state"):
            load_prior(self.net_g_ema, path["pretrain_prior"])
        self.cri_contextual = None
        options = self.opt["train"].get("contextual_opt")
        if options:
            self.cri_contextual = attach_features(build_loss(options).to(self.device), net)
        self.attention = None
        if isinstance(net.fusion, ThreeDAFusion):
            net.fusion.gate.register_forward_hook(self.watch_attention)
        self.start_watch = StartWatch(self.opt["train"]["total_iter"])

    def trainable_parameters(self) -> list:
        """Two groups: offsets and masks of deformable convolutions have their own learning rate."""
        return parameter_groups(self.net_g, self.opt["train"], 0.1)

    def watch_attention(self, gate: nn.Module, args: tuple, weights: torch.Tensor) -> None:
        """Keep the mean weight of the sections, (b, t, 1, h, w) of 0 to 1, for the log: near 0, learning is over."""
        if torch.is_grad_enabled():
            self.attention = weights.detach().mean()

    def optimize_parameters(self, current_iter: int) -> None:
        """One step."""
        self.optimizer_g.zero_grad()
        with self.autocast():
            self.output, reference = self.net_g(self.lq, return_reference=True)
            losses: OrderedDict[str, torch.Tensor] = OrderedDict()
            losses["l_pix"] = self.cri_pix(self.output, self.gt)
            if self.cri_contextual:
                losses["l_contextual"] = self.cri_contextual(self.output, reference)
            if self.cri_perceptual:
                losses["l_percep"] = self.cri_perceptual(self.output, self.gt)[0]
        self.step(*losses.values())
        if self.ema_decay > 0:
            self.model_ema(decay=self.ema_decay)
        if self.attention is not None:
            losses["attention"] = self.attention
        self.log_dict = self.reduce_loss_dict(losses)
        if current_iter == self.start_watch.first:
            self.watch_start(current_iter)

    def start_validation(self) -> None:
        """Forget what the last validation gathered."""
        self.gains: list[float] = []

    def visuals(self, stack: SectionStack, index: int, sr: torch.Tensor) -> dict[str, torch.Tensor]:
        """As every model's; keeps how far the result is above the bilinear image."""
        visuals = super().visuals(stack, index, sr)
        if (gt := visuals.get("gt")) is not None:
            bilinear = enlarge(visuals["lq"], stack.scale)
            self.gains.append((psnr(visuals["result"], gt) - psnr(bilinear, gt)).item())
        return visuals

    def validation_scalars(self) -> Mapping[str, float]:
        """Mean PSNR of the sections, those of all processes, minus that of their bilinear images (dB)."""
        total = torch.tensor([sum(self.gains), len(self.gains)], device=self.device)
        if self.opt["dist"]:
            distributed.all_reduce(total)
        gain, count = total.tolist()
        return {"psnr_above_bilinear": gain / count} if count else {}

    def validation(self, dataloader: Any, current_iter: int, tb_logger: Any, save_img: bool = False) -> None:
        """Validate; warn once of a training that is still at its start, see :class:`StartWatch`."""
        super().validation(dataloader, current_iter, tb_logger, save_img)
        if self.is_train:
            self.start_watch.gain = self.scalars.get("psnr_above_bilinear")
            self.watch_start(int(current_iter))

    def watch_start(self, current_iter: int) -> None:
        """Warn if the training has not left its start."""
        self.start_watch.check(current_iter, None if self.attention is None else self.attention.item())


def psnr(image: torch.Tensor, gt: torch.Tensor) -> torch.Tensor:
    """PSNR (dB) of images in [0, 1], not rounded; of what is out of range too."""
    return -10 * (image.clamp(0, 1) - gt).square().mean().clamp(min=1e-10).log10()


def brings_published(path: Mapping) -> bool:
    """Whether a checkpoint of a whole network is named, which brings the published weights, of VGG19 and SPyNet."""
    return bool(path.get("pretrain_network_g") or path.get("pretrain_without_prior"))


def load_prior(net: GPEMSR, path: str) -> None:
    """Load the checkpoint of stage II into the network's prior."""
    state = load_network_state(path)
    if net.prior.vqgan.encoder is None:
        state = {key: value for key, value in state.items() if not key.startswith("vqgan.encoder.")}
    net.prior.load_state_dict(state)


def load_without_prior(net: GPEMSR, path: str) -> None:
    """Load all but the prior and its fusion from a checkpoint of ``GPEMSRWithout``; the prior is quiet at first."""
    state = load_network_state(path, AVERAGED)
    missing, _ = net.load_state_dict(state, strict=False)
    assert all(key.startswith("mpf.") for key in missing), missing
    net.mpf.start_quiet()


def attach_features(loss: ContextualLoss, net: GPEMSR) -> ContextualLoss:
    """The contextual loss, comparing features of the network's own encoder if it has ``features: vqgan``."""
    if loss.features == "vqgan":
        loss.extractor = EncoderFeatures(net.prior.vqgan, CONTEXTUAL_STEPS)
    return loss
