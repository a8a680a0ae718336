"""The option file of ``gpemsr-benchmark``: a test set and the methods that are compared on it."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field

from gpemsr.archs.precision import Precision
from gpemsr.options.place import Place, check_path, check_schema
from gpemsr.options.read import read_options, to_plain
from gpemsr.options.schema import IOBackend, NonNegativeInt, OptionSection, PositiveInt
from gpemsr.segmentation.agglomeration import SEED_DISTANCE, THRESHOLDS

Name = Annotated[str, Field(min_length=1, max_length=60)]
HR = "hr"  # the row of the HR sections themselves


class TestSet(OptionSection):
    """HR and LR sections. Every section is super-resolved, and compared with its HR section."""

    dataroot_gt: str
    dataroot_lq: str
    io_backend: IOBackend


class Method(OptionSection):
    """A row: a network, by an option file of its training or test, and its weights.

    An ``oracle`` is GPEMSR with what a user does not have: ``true_codes``, the codes of the HR sections instead of the
    predicted ones; or the prior's image alone, of the predicted codes (``reference``) or of the HR sections'
    (``true_reference``).
    """

    name: Name
    options: str
    """Option file, of which ``network_g`` and ``num_frame`` are used."""
    weights: str | None = None
    """A checkpoint; null for a network that learns nothing."""
    trainings: list[str] = []
    """Records of ``gpemsr-benchmark-train``, to report what training took."""
    oracle: Literal["true_codes", "reference", "true_reference"] | None = None
    precision: Precision = "fp32"
    """What GPEMSR computes in; other networks have fp32 only."""


class Segmenter(OptionSection):
    """A network trained to predict affinities of HR sections (``AffinityModel``)."""

    name: Name
    options: str
    weights: str


class Segmentation(OptionSection):
    """How well neurons or membranes can be found in the sections that each method makes."""

    ids: str
    """Labels of the volume that the test set was cut from: TIFF, or HDF5 with ``ids_dataset``."""
    labels: Literal["neurons", "membranes"] = "neurons"
    """``neurons``: instance ids in 3-D; ``membranes``: membranes (0) of single sections."""
    ids_dataset: str | None = None
    sections: Annotated[list[NonNegativeInt], Field(min_length=2, max_length=2)] | None = None
    """First section of the test set that is segmented, and the one after the last; all by default."""
    segmenters: Annotated[list[Segmenter], Field(min_length=1)]
    fragments: Literal["2d", "3d"] = "2d"
    """Like ``seed_distance`` and ``thresholds``, see :class:`~gpemsr.segmentation.agglomeration.Agglomeration`."""
    seed_distance: PositiveInt = SEED_DISTANCE
    thresholds: Annotated[list[Annotated[float, Field(ge=0, le=1)]], Field(min_length=1)] = list(THRESHOLDS)


class BenchmarkOptions(OptionSection):
    """The whole file."""

    name: Name
    """One word for the test set."""
    title: str
    """What it is, for the report."""
    note: str | None = None
    """Origin and licence of the data, shown below pictures."""
    show_sections: bool = True
    """False where the data's licence forbids pictures of sections."""
    scale: PositiveInt
    """HR over LR size."""
    out: str
    """Folder of the results."""
    threads: PositiveInt = 1
    """CPU threads of each row."""
    data: TestSet
    methods: Annotated[list[Method], Field(min_length=1)]
    segmentation: Segmentation | None = None


def read_benchmark(path: str | Path) -> BenchmarkOptions:
    """Read and check an option file; the methods' own files and weights are for their rows to check.

    Raises:
        InputError: a key is unknown, a value is not valid, or the test set is absent.
    """
    section, place = to_plain(read_options(path)), Place(str(path))
    options = check_schema(BenchmarkOptions, section, place)
    for key in ("dataroot_gt", "dataroot_lq"):
        check_path(section["data"][key], place / "data" / key)
    _check_names([method.name for method in options.methods], place / "methods", HR)
    segmentation = options.segmentation
    if segmentation is not None:
        here = place / "segmentation"
        check_path(segmentation.ids, here / "ids")
        for index, segmenter in enumerate(segmentation.segmenters):
            for key in ("options", "weights"):
                check_path(getattr(segmenter, key), here / "segmenters" / index / key)
        _check_names([segmenter.name for segmenter in segmentation.segmenters], here / "segmenters")
        if segmentation.thresholds != sorted(segmentation.thresholds):
            (here / "thresholds").fail(segmentation.thresholds, "expected increasing thresholds")
        if segmentation.sections and segmentation.sections[0] >= segmentation.sections[1]:
            (here / "sections").fail(segmentation.sections, "expected the first section and the one after the last")
    return options


def _check_names(names: list[str], place: Place, reserved: str = "") -> None:
    """Check that names give different folders, other than ``reserved``."""
    slugs = [slug(name) for name in names]
    if len(set(slugs)) < len(slugs) or reserved in slugs:
        others = f", none of them {reserved!r}" if reserved else ""
        place.fail(names, f"expected names that differ in letters and digits{others}")


def slug(name: str) -> str:
    """The folder of a row: letters and digits of its name, in lower case, other characters as ``_``."""
    return re.sub(r"[^a-z0-9]", "_", name.lower())
