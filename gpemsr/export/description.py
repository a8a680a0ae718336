"""The description of a model as bioimage.io has it, and the zip file with all that it names."""

from __future__ import annotations

import re
from importlib.metadata import version
from pathlib import Path
from typing import Any

from bioimageio.core import test_model
from bioimageio.spec import save_bioimageio_package
from bioimageio.spec.model import v0_5 as spec
from loguru import logger

from gpemsr.errors import InputError, RunError
from gpemsr.export import graph
from gpemsr.export.about import BASICSR, HALO, PAPER, About

GREY = (0.0, 255.0)


def lr_tensor(about: About, test: spec.FileDescr) -> spec.InputTensorDescr:
    """The input: sections as channels, uint8."""
    as_float = spec.EnsureDtypeDescr(kwargs=spec.EnsureDtypeKwargs(dtype="float32"))
    to_unit = spec.ScaleLinearDescr(kwargs=spec.ScaleLinearKwargs(gain=1 / GREY[1]))
    size = spec.ParameterizedSize(min=about.least, step=about.step)
    axes = [spec.SpaceInputAxis(id=axis, size=size, scale=about.scale) for axis in yx()]
    return spec.InputTensorDescr(
        id=spec.TensorId(graph.INPUT),
        description="neighbouring LR sections in the order of z",
        axes=[*leading_axes(about.channels), *axes],
        data=spec.IntervalOrRatioDataDescr(type="uint8", range=GREY),
        test_tensor=test,
        pad=spec.EdgePadding(mode="edge"),  # what is not stated is not written
        preprocessing=[as_float, to_unit, as_float],
    )


def sr_tensor(about: About, test: spec.FileDescr) -> spec.OutputTensorDescr:
    """The output: one section, grey values as float32."""
    axes = [
        spec.SpaceOutputAxisWithHalo(
            id=axis,
            halo=HALO * about.scale,
            size=spec.SizeReference(tensor_id=spec.TensorId(graph.INPUT), axis_id=axis),
        )
        for axis in yx()
    ]
    return spec.OutputTensorDescr(
        id=spec.TensorId(graph.OUTPUT),
        description="the section in the middle, super-resolved",
        axes=[*leading_axes(["section"]), *axes],
        data=spec.IntervalOrRatioDataDescr(type="float32", range=GREY),
        test_tensor=test,
        postprocessing=[
            spec.ClipDescr(kwargs=spec.ClipKwargs(min=0, max=1)),
            spec.ScaleLinearDescr(kwargs=spec.ScaleLinearKwargs(gain=GREY[1])),
        ],
    )


def leading_axes(channels: list[str]) -> list[Any]:
    """Batch, of one, and channels."""
    return [spec.BatchAxis(size=1), spec.ChannelAxis(channel_names=channels)]


def yx() -> list[spec.AxisId]:
    """The axes of a section."""
    return [spec.AxisId("y"), spec.AxisId("x")]


def check_words(name: str, authors: tuple[str, ...], licence: str) -> None:
    """Raise :class:`InputError` for a licence, a name or an author that bioimage.io does not take."""
    try:
        spec.LicenseId(licence)
    except ValueError:
        raise InputError(f"licence {licence}: expected an SPDX identifier, such as CC-BY-4.0") from None
    if not re.fullmatch(r"[\w+\- ()]{5,128}", name, re.ASCII):
        raise InputError(f"name {name}: expected 5 to 128 letters, digits, spaces or _ + - ( )")
    if any("/" in author or not author for author in authors):
        raise InputError(f"author {', '.join(authors)}: expected names without /")


def pack(folder: Path, about: About, path: Path, name: Path) -> None:
    """Describe the model whose files are in ``folder``, write the package and let bioimageio.core test it.

    Args:
        folder: with ``torchscript.pt``, ``model.onnx``, ``test_input.npy``, ``test_output.npy``, ``README.md``
            and ``cover.png``.

    Raises:
        RunError: the test failed.
    """
    logger.disable("bioimageio")

    def file(source: str) -> spec.FileDescr:
        return spec.FileDescr(source=folder / source)

    authors = [spec.Author(name=author) for author in about.authors]
    description = spec.ModelDescr(
        name=about.name,
        description=f"{about.frames} electron-microscopy sections to one, {about.scale} times as large.",
        authors=authors,
        license=spec.LicenseId(about.licence),
        cite=[spec.CiteEntry(text=text, url=spec.HttpUrl(url)) for text, url in (PAPER, BASICSR)],
        tags=["electron-microscopy", "super-resolution", "2d", "neurons", "pytorch"],
        documentation=file("README.md"),
        covers=[file("cover.png")],
        inputs=[lr_tensor(about, file("test_input.npy"))],
        outputs=[sr_tensor(about, file("test_output.npy"))],
        weights=spec.WeightsDescr(
            torchscript=spec.TorchscriptWeightsDescr(
                source=folder / "torchscript.pt",
                authors=authors,
                pytorch_version=spec.Version(version("torch").partition("+")[0]),
            ),
            onnx=spec.OnnxWeightsDescr(source=folder / "model.onnx", parent="torchscript", opset_version=graph.OPSET),
        ),
    )
    save_bioimageio_package(description, output_path=path)
    with graph.quiet():
        summary = test_model(path)
    if summary.status != "passed":
        found = [f"{detail.name}: {error.msg}" for detail in summary.details for error in detail.errors]
        raise RunError(f"{name}: bioimageio.core says: {'; '.join(found)}")
