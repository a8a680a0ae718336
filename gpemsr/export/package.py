"""The bioimage.io package: description, weights, test tensors, card and cover in one zip file."""

from __future__ import annotations

import re
import tempfile
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import torch

from gpemsr import compat, register
from gpemsr.archs.gpemsr_arch import GPEMSR
from gpemsr.checkpoints.shipped import SHIPPED, weights_file
from gpemsr.errors import InputError, RunError
from gpemsr.export import graph
from gpemsr.export.about import HALO, PAPER, About
from gpemsr.export.sample import phantom_sample, stack_sample, write_cover
from gpemsr.files import replaced
from gpemsr.volume.network import load_network

SIDE = 64  # LR pixels of the test tensors along y and x
CLOSE = 1e-4  # between a graph's image and the network's, grey values in [0, 1]
NEEDS = ("bioimageio", "jinja2", "onnx", "onnxruntime")
FORMATS = {"torchscript": graph.run_torchscript, "onnx": graph.run_onnx}


@dataclass(frozen=True)
class Export:
    """What to export."""

    weights: str
    """Checkpoint of stage III that names its network, or a network that the package brings."""
    out: Path
    """The package, ``.zip``."""
    name: str | None = None
    """Name of the model, five characters or more; by default ``GPEMSR <weights>``."""
    authors: tuple[str, ...] = ()
    """Names of the authors."""
    licence: str | None = None
    """SPDX identifier of the weights' licence."""
    sample: str | None = None
    """LR stack whose middle is the test input; None for sections of the synthetic stack."""

    @property
    def is_shipped(self) -> bool:
        """Whether the package brings the network."""
        return self.weights in SHIPPED


@dataclass(frozen=True)
class Exported:
    """What was found while the package was written."""

    differences: dict[str, float]
    """Largest difference of each format from the network, grey values in [0, 1]."""
    step: int
    """LR heights and widths are multiples of it."""
    size: int
    """Bytes of the package."""


def check_export(export: Export) -> None:
    """Raise :class:`InputError` for what can be seen before any work."""
    if export.out.suffix != ".zip":
        raise InputError(f"{export.out}: expected a name that ends in .zip")
    if not export.out.absolute().parent.is_dir():
        raise InputError(f"{export.out}: no such folder")
    if export.out.is_dir():
        raise InputError(f"{export.out}: a folder; expected a file to write")
    if not export.is_shipped and not (export.authors and export.licence):
        raise InputError(f"{export.weights}: --author and --licence are expected, who made it and under what licence")
    absent = [name for name in NEEDS if find_spec(name) is None]
    if absent:
        raise InputError(f"{absent[0]} is not installed; expected: pip install gpemsr[export]")


def export_package(export: Export) -> Exported:
    """Write the package, after its weights gave the network's image and bioimageio.core passed it.

    Raises:
        InputError: bad input, or another network than GPEMSR.
        RunError: the package does not do what it says.
    """
    check_export(export)
    from gpemsr.export.description import check_words, pack

    words: dict[str, Any] = {
        "name": export.name or f"GPEMSR {re.sub('[^A-Za-z0-9_-]', '_', Path(export.weights).stem)}",
        "authors": export.authors or ("The GPEMSR contributors",),
        "licence": export.licence or "Apache-2.0",
    }
    check_words(**words)
    register()
    compat.apply()
    net = load_network(None, str(weights_file(export.weights)), "cpu")
    if not isinstance(net, GPEMSR):
        raise InputError(f"{export.weights}: {type(net).__name__}; expected GPEMSR, the network of stage III")
    step = graph.size_step(net)
    side = -(-SIDE // step) * step
    read = (export.sample, net.num_frame, side)
    lr = stack_sample(*read) if export.sample else phantom_sample(*read[1:], net.scale)  # type: ignore[arg-type]
    about = About(**words, frames=net.num_frame, scale=net.scale, step=step)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        graph.write_torchscript(net, folder / "torchscript.pt")
        graph.write_onnx(net, folder / "model.onnx")
        sources = {"torchscript": folder / "torchscript.pt", "onnx": folder / "model.onnx"}
        differences = {key: difference(net, FORMATS[key], path) for key, path in sources.items()}
        worst = max(differences.values())
        if not worst <= CLOSE:
            raise RunError(f"{export.weights}: graph and network differ by {worst:.2g}; expected {CLOSE} or less")
        with torch.no_grad():
            sr = graph.SectionsAsChannels(net)(torch.from_numpy(lr[None] / np.float32(255))).clip(0, 1).numpy() * 255
        np.save(folder / "test_input.npy", lr[None])
        np.save(folder / "test_output.npy", sr)
        write_cover(folder / "cover.png", lr[net.num_frame // 2], np.rint(sr[0, 0]).astype(np.uint8))
        (folder / "README.md").write_text(card(export, about), encoding="utf-8")
        with replaced(export.out) as temporary:
            pack(folder, about, temporary, export.out)
    return Exported(differences, step, export.out.stat().st_size)


def difference(net: GPEMSR, run: Any, path: Path) -> float:
    """Largest difference of a graph's image from the network's, of sections of another size than it was traced with."""
    step = graph.size_step(net)
    shape = (1, net.num_frame, 3 * step, 5 * step)
    lr = np.random.default_rng(0).random(shape, np.float32)
    with torch.no_grad():
        expected = graph.SectionsAsChannels(net)(torch.from_numpy(lr)).numpy()
    return float(np.abs(run(path, lr) - expected).max())


def card(export: Export, about: About) -> str:
    """The package's README: how it is used, then the model card next to the weights, if there is one."""
    model_card = weights_file(export.weights).with_suffix(".md")
    text = model_card.read_text(encoding="utf-8") if model_card.is_file() else ""
    text = re.sub(r"^!\[.*\n", "", text, flags=re.MULTILINE)  # the package has no other files
    text = re.sub(r"\[([^\]]*)\]\((?![a-z]+://)[^)]*\)", r"\1", text)
    from jinja2 import Environment, PackageLoader

    template = Environment(loader=PackageLoader("gpemsr.export"), trim_blocks=True).get_template("README.md.jinja")
    return template.render(
        **vars(about), least=about.least, halo=HALO, card=text.strip(), sample=export.sample, paper=PAPER[0]
    )
