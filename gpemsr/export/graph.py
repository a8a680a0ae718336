"""GPEMSR as one graph of standard operators, sections as channels: TorchScript, and ONNX."""

from __future__ import annotations

import contextlib
import math
import warnings
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
from torch import nn

from gpemsr.archs.gpemsr_arch import GPEMSR, MULTIPLE

OPSET = 16  # the first with GridSample
INPUT, OUTPUT = "lr", "sr"  # names of the tensors
SIZE = 32  # about the LR pixels along y and x that a graph is traced with


class SectionsAsChannels(nn.Module):
    """The network, in eval mode, with the sections of its window as channels, as programs know images."""

    def __init__(self, net: GPEMSR) -> None:
        super().__init__()
        self.net = net

    def forward(self, lr: torch.Tensor) -> torch.Tensor:
        """(1, t, h, w) in [0, 1], h and w multiples of :func:`size_step` -> (1, 1, r*h, r*w), not clipped."""
        return self.net(lr.unsqueeze(2))


def size_step(net: GPEMSR) -> int:
    """LR heights and widths are multiples of it in a graph, which cannot pad only where it has to."""
    flow = 2 ** (len(net.flow.basic_module) - 1) if hasattr(net, "flow") else 1
    return math.lcm(MULTIPLE, max(1, flow // net.flow_scale))


def traced_with(net: GPEMSR) -> torch.Tensor:
    """LR sections (1, t, h, w) to trace with: of different h and w, for no operator to take one for the other."""
    step = size_step(net)
    side = -(-SIZE // step) * step
    return torch.rand(1, net.num_frame, side, side + step, generator=torch.Generator().manual_seed(0))


@torch.no_grad()
def write_torchscript(net: GPEMSR, path: Path) -> None:
    """Write the network as TorchScript, for LR sections of any size that is a multiple of :func:`size_step`."""
    with quiet():
        torch.jit.trace(SectionsAsChannels(net), traced_with(net), check_trace=False).save(str(path))


@torch.no_grad()
def write_onnx(net: GPEMSR, path: Path) -> None:
    """Write the network as ONNX, for the same sizes as :func:`write_torchscript`.

    With ``dynamo=True`` PyTorch writes a graph that is as good, of opset 18, in 30 times the time.
    """
    sizes = {2: "height", 3: "width"}
    with quiet():
        torch.onnx.export(
            SectionsAsChannels(net), (traced_with(net),), str(path), dynamo=False, opset_version=OPSET,
            input_names=[INPUT], output_names=[OUTPUT], dynamic_axes={INPUT: sizes, OUTPUT: sizes},
        )  # fmt: skip


def run_torchscript(path: Path, lr: np.ndarray) -> np.ndarray:
    """The graph's image of LR sections (1, t, h, w) float32."""
    with quiet(), torch.no_grad():
        return torch.jit.load(str(path))(torch.from_numpy(lr)).numpy()


def run_onnx(path: Path, lr: np.ndarray) -> np.ndarray:
    """As :func:`run_torchscript`, by ONNX Runtime on the CPU."""
    import onnxruntime

    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    return session.run([OUTPUT], {INPUT: lr})[0]


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Without what PyTorch warns of its own exporters and readers."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield
