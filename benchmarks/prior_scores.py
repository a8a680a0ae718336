"""What the networks of ``prior_steps.py`` are scored by: likeness of sections, and neurons found in them."""

from __future__ import annotations

import argparse
import itertools
import random
import tempfile

import numpy as np
import tifffile
import torch
from oracle_codes import SCALE, make_lr
from prior_networks import super_resolve
from torch import nn
from torch.utils.data import default_collate
from tqdm import trange
from tracing import EVERY, THRESHOLDS, halves

from gpemsr.benchmark.row import pixel_size_of, stack_of
from gpemsr.data.affinities import section_regions
from gpemsr.data.grey_values import eight_bits
from gpemsr.data.section_store import open_section_store
from gpemsr.metrics.measures import measure_section
from gpemsr.options.read import read_options, to_plain
from gpemsr.segmentation.agglomeration import Agglomeration
from gpemsr.segmentation.fragments import connected_ids
from gpemsr.segmentation.prediction import predict_affinities
from gpemsr.volume.network import load_network

MEASURED = {"psnr": 2, "ssim": 4, "haarpsi": 4, "frc_nm": 1}
SEGMENTED = {"voi": 2, "adapted_rand": 3}
TUNING_RATE = 5e-4


def tuned(
    net: nn.Module, options: str, raws: list[np.ndarray], ids: list[np.ndarray], arguments: argparse.Namespace
) -> nn.Module:
    """A segmenter after more training on stacks (z, y, x) uint8 and their ids, on the same crops for every method."""
    from basicsr.data import build_dataset
    from basicsr.losses import build_loss

    content = to_plain(read_options(options))
    with tempfile.TemporaryDirectory() as folder:
        files: dict[str, list[str]] = {"raw": [], "ids": []}
        for (kind, stacks_of_kind), number in itertools.product((("raw", raws), ("ids", ids)), range(len(raws))):
            files[kind].append(f"{folder}/{kind}_{number}.tif")
            tifffile.imwrite(files[kind][-1], stacks_of_kind[number], photometric="minisblack")
        roots = {"dataroot_raw": files["raw"], "dataroot_ids": files["ids"], "sections": None, "every": 1}
        data = build_dataset({**content["datasets"]["train"], **roots, "phase": "train", "scale": 1})
    net = net.train().requires_grad_(True)
    optimizer = torch.optim.Adam(net.parameters(), lr=TUNING_RATE)
    total, device = arguments.tuning, arguments.device
    scheduler = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, total, 1e-6)
    loss = build_loss(content["train"]["affinity_opt"]).to(device)
    rng = np.random.default_rng(0)
    random.seed(0)  # of crops and augmentation
    for _ in trange(total, desc="segmenter", disable=None):
        count = content["datasets"]["train"]["batch_size_per_gpu"]
        items = [data[int(rng.integers(len(data)))] for _ in range(count)]
        batch = default_collate([{key: item[key] for key in ("lq", "gt", "mask")} for item in items])
        lq, gt, mask = (batch[key].to(device) for key in ("lq", "gt", "mask"))
        optimizer.zero_grad()
        loss(net(lq), gt, mask).backward()
        optimizer.step()
        scheduler.step()
    return net.eval()


def score_segmenter(
    net: nn.Module, options: str, raw: np.ndarray, ids: np.ndarray, by_section: bool
) -> dict[str, float]:
    """VOI and adapted Rand error of a stack, at the threshold with the lowest VOI."""
    val = read_options(options)["val"]
    affinities = predict_affinities(net, torch.from_numpy(raw / np.float32(255)), val["block"], val["context"])
    how = Agglomeration(THRESHOLDS, val.get("fragments", "2d"), val.get("seed_distance", 10), by_section)
    scores, _ = how.best(affinities, section_regions(ids) if by_section else connected_ids(ids))
    return {key: scores[key] for key in SEGMENTED}


class Labelled:
    """The stacks of a labelled volume: those that segmenters learn from, and last the one that they are scored on."""

    def __init__(self, arguments: argparse.Namespace) -> None:
        self.by_section = arguments.labels == "membranes"
        both = (arguments.raw, arguments.ids)
        if self.by_section:
            test = sum(len(info.sections) for info in open_section_store(arguments.test, "lmdb").volumes.values())
            self.raw, self.ids = ([v[:-test], v[-test:]] for v in map(tifffile.imread, both))
        else:
            self.raw, self.ids = map(halves, both)
            assert len(self.raw) == EVERY + 1


def made_by(net: nn.Module, hr: np.ndarray, device: str) -> tuple[np.ndarray, np.ndarray]:
    """A stack (z, y, x) uint8 super-resolved from LR made of it, and LR, both uint8."""
    lq = eight_bits(make_lr(hr / np.float32(255)))
    tensors = (torch.from_numpy(stack / np.float32(255))[:, None].to(device) for stack in (lq, hr))
    return eight_bits(super_resolve(net, *tensors)[:, 0].float().cpu().numpy()), lq


def score_images(net: nn.Module, arguments: argparse.Namespace) -> dict[str, float | None]:
    """Means over the sections of the test set; None for what is infinite."""
    pixel = pixel_size_of(open_section_store(arguments.test, "lmdb")) or 1.0
    hr = stack_of(open_section_store(arguments.test, "lmdb"))
    sr, lq = made_by(net, hr, arguments.device)
    rows = [measure_section(*three, SCALE, pixel) for three in zip(sr, hr, lq, strict=True)]
    columns = {key: [row[key] for row in rows] for key in MEASURED}
    return {key: None if None in values else float(np.mean(values)) for key, values in columns.items()}


def score_neurons(net: nn.Module, arguments: argparse.Namespace) -> dict[str, dict[str, float]]:
    """Of each segmenter, as it is and tuned on what the network makes of the stacks that segmenters learn from."""
    labelled = Labelled(arguments)
    made = [made_by(net, hr, arguments.device)[0] for hr in labelled.raw]
    found = {}
    for name, options, weights in arguments.segmenter:
        segmenter = load_network(options, weights, arguments.device)
        found[name] = score_segmenter(segmenter, options, made[-1], labelled.ids[-1], labelled.by_section)
        segmenter = tuned(segmenter, options, made[:-1], labelled.ids[:-1], arguments)
        found[f"{name}, tuned"] = score_segmenter(segmenter, options, made[-1], labelled.ids[-1], labelled.by_section)
    return found
