"""Learning the error to expect from held-back sections whose HR is known."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
from matplotlib.figure import Figure
from scipy.stats import spearmanr
from tqdm import tqdm

from gpemsr.data.degradations import block_means
from gpemsr.data.section_window_test_dataset import SectionStack
from gpemsr.errors import InputError
from gpemsr.files import replaced
from gpemsr.volume.blocks import super_resolve_tiles
from gpemsr.volume.calibration import Calibration
from gpemsr.volume.columns import Turned
from gpemsr.volume.network import VolumeNetwork
from gpemsr.volume.trust import section_layers

BINS = 10


@dataclass
class Known:
    """LR pixels whose error is known."""

    layers: dict[str, np.ndarray]
    """Layers by name, (n,) each; grey values in [0, 1]."""
    squared: np.ndarray
    """Mean squared error of the HR pixels under each, (n,), grey values in [0, 1]."""

    def halves(self) -> list[Known]:
        """The first and the second half, in the order of the sections."""
        middle = len(self.squared) // 2
        parts = (slice(0, middle), slice(middle, None))
        return [Known({name: layer[part] for name, layer in self.layers.items()}, self.squared[part]) for part in parts]


def measure(
    network: VolumeNetwork,
    stacks: Sequence[SectionStack],
    names: Sequence[str],
    degradation: str,
    progress: bool = False,
) -> Known:
    """Super-resolve whole sections, and compare with HR; ``names`` are those of the layers.

    Raises:
        InputError: fewer than two sections.
    """
    layers: dict[str, list[np.ndarray]] = {name: [] for name in names}
    squared: list[np.ndarray] = []
    r, count = network.scale, sum(map(len, stacks))
    if count < 2:
        raise InputError(f"{count} section; expected two or more")
    with tqdm(total=count, unit="section", disable=not progress) as bar:
        for stack in stacks:
            both = (
                super_resolve_tiles(network, sections, [(0, 0)], (0, len(stack))) for sections in (stack, Turned(stack))
            )
            for section, turned in zip(*both, strict=True):
                for name, layer in section_layers(section, turned, names, r, degradation).items():
                    layers[name].append(layer.ravel())
                gt = stack.gt(section.z)
                assert gt is not None
                error = np.clip(section.sr, 0, 1) - gt[0].numpy()
                squared.append(block_means(np.square(error), r).ravel())
                bar.update()
    return Known({name: np.concatenate(parts) for name, parts in layers.items()}, np.concatenate(squared))


class Score(NamedTuple):
    """How well a layer says where the error is."""

    rank: float
    """Spearman's correlation of the error to expect by it with the true one."""
    ratio: float
    """Mean squared error of the tenth of the LR pixels with the largest, over that of the others."""


def score(expected: np.ndarray, squared: np.ndarray) -> Score:
    """Of errors to expect (n,) and squared errors (n,)."""
    order = np.argsort(expected, kind="stable")
    rest, worst = np.split(order, [len(order) - max(1, len(order) // 10)])
    rank = float(spearmanr(expected, squared)[0]) if np.ptp(expected) > 0 else 0.0
    return Score(rank, float(squared[worst].mean() / max(squared[rest].mean(), 1e-12)))


def scores(calibration: Calibration, known: Known) -> dict[str, Score]:
    """Of each layer and of all together (``expected_error``)."""
    each = {name: curve(np.abs(known.layers[name])) for name, curve in calibration.layers.items()}
    each["expected_error"] = calibration.expected_error(known.layers)
    return {name: score(expected, known.squared) for name, expected in each.items()}


def draw_reliability(path: Path, calibration: Calibration, known: Known, levels: float, note: str) -> None:
    """Draw expected against true error, in tenths of the LR pixels.

    Args:
        calibration: made without ``known``.
    """
    expected = calibration.expected_error(known.layers)
    parts = np.array_split(np.argsort(expected, kind="stable"), BINS)
    said, true = (levels * np.sqrt([of[part].mean() for part in parts]) for of in (expected**2, known.squared))
    figure = Figure(figsize=(4.6, 4.4), layout="constrained")
    axes = figure.subplots()
    ends = [0, 1.05 * max(said.max(), true.max())]
    axes.plot(ends, ends, color="0.6", linewidth=1, label="as expected")
    axes.plot(said, true, "o-", label="a tenth of the LR pixels each")
    axes.set(xlim=ends, ylim=ends, xlabel="expected RMS error (grey levels)", ylabel="true RMS error (grey levels)")
    axes.legend(loc="upper left")
    figure.supxlabel(note, fontsize="x-small")
    with replaced(path) as temporary:
        figure.savefig(temporary, dpi=110)
