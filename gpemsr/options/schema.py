"""Base classes of the option schemas that our data sets and models declare.

A registered data set or model class has an attribute ``Options``: a subclass of one of the models
below that names every key it accepts, with its type and default. ``gpemsr.options.check`` checks an option
file against them before anything is built.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

PositiveInt = Annotated[int, Field(gt=0)]
NonNegativeInt = Annotated[int, Field(ge=0)]
PositiveFloat = Annotated[float, Field(gt=0)]
NonNegativeFloat = Annotated[float, Field(ge=0)]


class OptionSection(BaseModel):
    """One mapping of an option file: unknown keys and wrong types are refused."""

    model_config = ConfigDict(extra="forbid", strict=True, arbitrary_types_allowed=True)


class IOBackend(OptionSection):
    """Where sections come from: LMDBs made by ``gpemsr-lmdb`` or folders ``<root>/<volume>/<z>.png``."""

    type: Literal["lmdb", "disk"]


class LoaderOptions(OptionSection):
    """Keys of every data set: BasicSR's own (name, loader settings) beside the subclass's."""

    name: str
    type: str
    phase: str = "train"  # set by BasicSR
    scale: PositiveInt | None = None  # set by BasicSR from the top level
    # BasicSR's loader settings
    use_shuffle: bool = True
    num_worker_per_gpu: NonNegativeInt = 0
    batch_size_per_gpu: PositiveInt = 1
    dataset_enlarge_ratio: PositiveInt = 1
    prefetch_mode: Literal["cpu", "cuda"] | None = None
    num_prefetch_queue: PositiveInt = 1
    pin_memory: bool = True


class DatasetOptions(LoaderOptions):
    """Keys of every data set of sections."""

    io_backend: IOBackend


class TrainOptions(OptionSection):
    """Keys of ``train`` that BasicSR's loop reads, whatever the model."""

    total_iter: PositiveInt
    warmup_iter: int = -1
    scheduler: dict
    optim_g: dict
    ema_decay: Annotated[float, Field(ge=0, lt=1)] = 0.0


class ValOptions(OptionSection):
    """Keys of ``val`` that BasicSR's models read. A model that reads others has its own ``ValOptions``."""

    val_freq: Annotated[float, Field(gt=0)] | None = None
    save_img: bool
    suffix: str | None = None
    metrics: dict[str, dict] | None = None
    pbar: bool = False
    flip_seq: bool = False
    center_frame_only: bool = False
