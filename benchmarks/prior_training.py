"""What ``prior_steps.py`` trains, and how: the steps, their windows of sections, one iteration."""

from __future__ import annotations

import argparse
import copy
import math
from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import torch
from codebooks import KINDS, Indexer, Sections, StageOne, train_indexer, train_stage_one
from oracle_codes import FRAMES, SCALE
from prior_networks import BEST, EXPECTED, TRUE, GPEMSRWithMemory, GPEMSRWithPrior, Prior, Truth
from torch import nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from gpemsr.archs.baselines_arch import Bicubic
from gpemsr.data.degradations import degrade
from gpemsr.data.grey_values import eight_bits
from gpemsr.data.section_sampling import window_indices
from gpemsr.data.section_store import open_section_store
from gpemsr.files import replaced
from gpemsr.losses.contextual_loss import ContextualLoss
from gpemsr.models.gpemsr_model import attach_features
from gpemsr.models.stage_base import parameter_groups
from gpemsr.options.read import read_options, to_plain

STAGE3 = "options/cpu_hour/stage3_x8.yml"
EDVR, BASICVSR = (f"options/demo/baselines/{name}_x8.yml" for name in ("edvr", "basicvsr_plusplus"))
CLIP, DECAY, WARM_UP = FRAMES + 2, 0.995, 100
FIRST, MIDDLE, LAST = 1e-3, 5e-4, 1e-6  # learning rates
PUBLISHED, FINE = "as published, 256 codes", "of HR less bicubic, 1024 codes at HR/8"


@dataclass(frozen=True)
class Step:
    """A line of the table.

    Attributes:
        network: its name for :func:`build`.
        after: the step that it goes on from.
        share: of the training time, without that of ``after``.
        prior: kind of codebook and which of its latent vectors are decoded.
        loss: in addition to the pixel loss, and its weight: ``affinity``, in features of the first segmenter, or
            ``contextual``, to which the paper gives 0.001.
        offset_rate: learning rate of the offsets of deformable convolutions, by that of the others.
    """

    network: str
    after: str | None = None
    share: float = 0.42
    prior: tuple[str, str] | None = None
    loss: tuple[str, float] | None = None
    offset_rate: float = 0.1


STEPS = {
    "HR": Step("HR", share=0),
    "bicubic": Step("bicubic", share=0),
    "first piece": Step("without prior", share=0.58),
    "no prior": Step("without prior", "first piece"),
    "prior": Step("prior", "first piece", prior=(PUBLISHED, BEST)),
    "prior, true codes": Step("prior", "first piece", prior=(PUBLISHED, TRUE)),
    "finer prior": Step("prior", "first piece", prior=(FINE, EXPECTED)),
    "finer prior, true codes": Step("prior", "first piece", prior=(FINE, TRUE)),
    "memory along z": Step("memory", "first piece"),
    "prior, contextual loss": Step("prior", "first piece", prior=(PUBLISHED, BEST), loss=("contextual", 1.0)),
    "prior, affinity loss": Step("prior", "first piece", prior=(PUBLISHED, BEST), loss=("affinity", 0.1)),
    "EDVR, first piece": Step(EDVR, share=0.58),
    "EDVR": Step(EDVR, "EDVR, first piece"),
    "EDVR, affinity loss": Step(EDVR, "EDVR, first piece", loss=("affinity", 0.1)),
    "EDVR, offsets at full rate, first piece": Step(EDVR, share=0.58, offset_rate=1.0),
    "EDVR, offsets at full rate": Step(EDVR, "EDVR, offsets at full rate, first piece", offset_rate=1.0),
    "BasicVSR++": Step(BASICVSR, share=1.0, offset_rate=1.0),
}


class Windows:
    """Random windows of HR sections, and LR made of them, on the device."""

    def __init__(self, root: str, crop: int, device: str) -> None:
        store = open_section_store(root, "lmdb")
        stacks = [[store.read_float(name, z) for z in info.sections] for name, info in store.volumes.items()]
        self.volumes = [torch.from_numpy(eight_bits(np.stack(stack))).to(device) for stack in stacks]
        self.shares = np.array([volume.numel() for volume in self.volumes], float)
        self.crop, self.shrink = crop, torch.from_numpy(shrinking(crop)).to(device)

    def draw(self, rng: np.random.Generator, count: int) -> tuple[torch.Tensor, torch.Tensor]:
        """HR and LR of ``count`` sections in a row: (1, count, 1, crop, crop), (1, count, 1, crop / 8, ..)."""
        crop = self.crop
        volume = self.volumes[rng.choice(len(self.volumes), p=self.shares / self.shares.sum())]
        z, y, x = (int(rng.integers(size)) for size in (len(volume), *(n - crop + 1 for n in volume.shape[1:])))
        window = volume[window_indices(z, len(volume), count), y : y + crop, x : x + crop]
        window = window.flip([axis for axis in range(3) if rng.random() < 0.5])
        hr = (window.mT if rng.random() < 0.5 else window) / 255
        lr = (self.shrink @ hr @ self.shrink.T).clamp(0, 1)
        return hr[None, :, None], lr[None, :, None]


def shrinking(size: int) -> np.ndarray:
    """The matrix (size / 8, size) by which MATLAB's bicubic makes LR of HR, along one axis."""
    grey, rows = 0.5, np.eye(size, dtype=np.float32) / 2  # within [0, 1], whatever the kernel's lobes do
    made = [degrade(np.tile(grey + row / 2, (size, 1)), SCALE, "bicubic")[0] for row in rows]
    return (np.stack(made, 1) - grey) * 4


def build(step: Step, priors: Mapping[tuple[str, str], Prior]) -> nn.Module:
    """The network of a step."""
    from basicsr.archs import build_network

    if not step.share:
        return Bicubic(SCALE) if step.network == "bicubic" else Truth()
    if step.network.endswith(".yml"):
        return build_network(to_plain(read_options(step.network))["network_g"])
    options = to_plain(read_options(STAGE3))["network_g"]
    del options["type"]
    if step.prior:
        return GPEMSRWithPrior(copy.deepcopy(priors[step.prior]), **options)
    return (
        GPEMSRWithMemory(**options)
        if step.network == "memory"
        else build_network(options | {"type": "GPEMSRWithout", "without": "prior"})
    )


@dataclass
class Training:
    """One network in training.

    Attributes:
        rates: learning rates at first and at last; it falls along a cosine.
        warm_up: iterations.
    """

    step: Step
    net: nn.Module
    rates: tuple[float, float]
    warm_up: int
    total: int
    segmenter: str | None = None
    losses: dict[str, nn.Module] = field(default_factory=dict)

    def __post_init__(self) -> None:
        from basicsr.losses import build_loss

        device = next(self.net.parameters()).device
        groups = parameter_groups(self.net, {"optim_g": {"lr": self.rates[0]}}, self.step.offset_rate)
        fused = device.type == "cuda"
        self.optimizer = torch.optim.Adam(groups, lr=self.rates[0], betas=(0.9, 0.99), fused=fused)
        low = self.rates[1] / self.rates[0]
        self.scheduler = torch.optim.lr_scheduler.LambdaLR(
            self.optimizer,
            lambda i: min(1, (i + 1) / self.warm_up) * (low + (1 - low) * (1 + math.cos(math.pi * i / self.total)) / 2),
        )
        self.averaged = AveragedModel(self.net, multi_avg_fn=get_ema_multi_avg_fn(DECAY))
        self.losses["pixel"] = build_loss(to_plain(read_options(STAGE3))["train"]["pixel_opt"])
        name, weight = self.step.loss or (None, 0.0)
        if name == "affinity":
            loss = {"type": "AffinityFeatureLoss", "weights": self.segmenter, "loss_weight": weight}
            self.losses["affinity"] = build_loss(loss).to(device)
        elif name == "contextual":
            loss = ContextualLoss(features="vqgan", loss_weight=weight)
            self.losses["contextual"] = attach_features(loss, self.net).to(device)

    def iterate(self, windows: Windows, rng: np.random.Generator) -> None:
        """One step."""
        has_memory = isinstance(self.net, GPEMSRWithMemory)
        hr, lr = windows.draw(rng, CLIP if has_memory else FRAMES)
        if self.step.prior:
            self.net.prior.hr = hr[0]
        half = FRAMES // 2
        gt = hr[:, half:-half] if has_memory else hr[:, half]
        self.optimizer.zero_grad()
        if "contextual" in self.losses:
            sr, reference = self.net(lr, return_reference=True)
            loss = self.losses["contextual"](sr, reference)
        else:
            sr, loss = self.net(lr), 0.0
        loss = loss + self.losses["pixel"](sr, gt)
        if "affinity" in self.losses:
            loss = loss + self.losses["affinity"](sr, gt)[0]
        loss.backward()
        self.optimizer.step()
        self.scheduler.step()
        self.averaged.update_parameters(self.net)


def training_of(
    name: str, total: int, arguments: argparse.Namespace, priors: Mapping, start: Mapping | None
) -> Training:
    """The training of a step, at its beginning; ``start`` is the state of the step that it goes on from."""
    step = STEPS[name]
    net = build(step, priors).to(arguments.device)
    if start is not None:
        missing, unexpected = net.load_state_dict(
            {k: v for k, v in start.items() if not k.startswith(("prior.", "perceptual."))}, strict=False
        )
        assert not unexpected, unexpected
        assert all(key.startswith(("mpf.", "prior.", "perceptual.", "memory.")) for key in missing), missing
    rates = (FIRST if step.after is None else MIDDLE, MIDDLE if step.share == 0.58 else LAST)
    segmenter = arguments.segmenter[0][2] if getattr(arguments, "segmenter", None) else None
    return Training(step, net, rates, WARM_UP if step.after is None else 1, total, segmenter)


def load_priors(arguments: argparse.Namespace, wanted: set[tuple[str, str]]) -> dict[tuple[str, str], Prior]:
    """The priors, trained if they are not."""
    found = {}
    for kind, latents in sorted(wanted):
        options = to_plain(read_options("options/demo/stage3_x8.yml"))["network_g"]["prior"]
        stage = StageOne(KINDS[kind], options["vqgan"]).to(arguments.device)
        stage.enlarge = nn.Upsample(scale_factor=SCALE, mode="bicubic")
        indexer = Indexer(1, KINDS[kind], options["channels"], options["norm_groups"]).to(arguments.device)
        file = arguments.out / f"{arguments.name}_codebook_{list(KINDS).index(kind)}.pth"
        if file.exists():
            states = torch.load(file, map_location=arguments.device, weights_only=True)
            stage.load_state_dict(states["stage"])
            indexer.load_state_dict(states["indexer"])
        else:
            torch.manual_seed(0)
            data = Sections(arguments.train, arguments.device)
            train_stage_one(stage, data, arguments, np.random.default_rng(0))
            train_indexer(stage, indexer, False, data, arguments)
            with replaced(file) as temporary:
                torch.save({"stage": stage.state_dict(), "indexer": indexer.state_dict()}, temporary)
        found[kind, latents] = Prior(stage.eval(), indexer.eval(), latents)
    return found
