"""Schemas of option files: sections that are the same in all of them, and base classes of the others.

A data set or model class that is registered has an attribute ``Options``: a subclass of one of those below that names
every key that it accepts, with its type and default. ``gpemsr.options.check`` checks an option file against them
before anything is built.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

PositiveInt = Annotated[int, Field(gt=0)]
NonNegativeInt = Annotated[int, Field(ge=0)]
PositiveFloat = Annotated[float, Field(gt=0)]
NonNegativeFloat = Annotated[float, Field(ge=0)]


class OptionSection(BaseModel):
    """One mapping of an option file: unknown keys and wrong types are refused."""

    model_config = ConfigDict(extra="forbid", strict=True, arbitrary_types_allowed=True)


class IOBackend(OptionSection):
    """Where sections come from: LMDBs made by ``gpemsr-lmdb`` or folders ``<root>/<volume>/<z>.png``.

    ``range``: of folders, the grey values that become 0 and 1.
    """

    type: Literal["lmdb", "disk"]
    range: Annotated[list[float], Field(min_length=2, max_length=2)] | None = None

    @property
    def arguments(self) -> dict[str, Any]:
        """Of :func:`gpemsr.data.section_store.open_section_store`."""
        return {"backend": self.type, "grey_range": self.range}


class LoaderOptions(OptionSection):
    """Keys of every data set: BasicSR's own (name, loader settings), to which a subclass adds."""

    name: str
    type: str
    phase: str = "train"
    """Set by BasicSR."""
    scale: PositiveInt | None = None
    """Set by BasicSR from the top level."""
    # BasicSR's loader settings
    use_shuffle: bool = True
    num_worker_per_gpu: Annotated[int, Field(ge=0, le=256)] = 0
    batch_size_per_gpu: PositiveInt = 1
    dataset_enlarge_ratio: PositiveInt = 1
    prefetch_mode: Literal["cpu", "cuda"] | None = None
    num_prefetch_queue: Annotated[int, Field(gt=0, le=1024)] = 1
    pin_memory: bool = True
    skip_bad: bool = False
    """Training goes on without sections that cannot be read."""


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
    grad_clip: PositiveFloat | None = None
    """Largest norm of an optimiser's gradients."""
    skip_non_finite: NonNegativeInt = 10
    """Steps in a row without a finite gradient before training stops."""


class StageTrainOptions(TrainOptions):
    """``train`` of the three stages.

    ``precision``: what the network being trained computes in; ``bf16`` and ``fp16`` (with scaled losses, for GPUs that
    lack bf16) by PyTorch's autocast. Weights, losses and discriminator stay in fp32.
    """

    precision: Literal["fp32", "bf16", "fp16"] = "fp32"


class ValOptions(OptionSection):
    """Keys of ``val`` that BasicSR's models read. A model that reads others has its own ``ValOptions``."""

    val_freq: Annotated[float, Field(gt=0)] | None = None
    save_img: bool
    suffix: str | None = None
    metrics: dict[str, dict] | None = None
    pbar: bool = False
    flip_seq: bool = False
    center_frame_only: bool = False


class SectionValOptions(ValOptions):
    """``val`` of stage III; ``precision``: what the network computes in."""

    precision: Literal["fp32", "bf16"] = "fp32"


class AdamOptions(OptionSection):
    """``train.optim_*``: Adam is the optimiser that BasicSR's models build."""

    type: Literal["Adam"]
    lr: PositiveFloat
    betas: Annotated[list[Annotated[float, Field(ge=0, lt=1)]], Field(min_length=2, max_length=2)] = [0.9, 0.999]
    eps: PositiveFloat = 1e-8
    weight_decay: NonNegativeFloat = 0.0
    amsgrad: bool = False


class KeepBest(OptionSection):
    """``logger.keep_best``: the network of the best validation is kept as ``net_g_best.pth``."""

    metric: str
    better: Literal["higher", "lower"] = "higher"


class LoggerOptions(OptionSection):
    """``logger``."""

    print_freq: PositiveFloat
    save_checkpoint_freq: PositiveFloat
    use_tb_logger: bool
    wandb: dict | None = None
    keep_last: PositiveInt | None = None
    """Number of checkpoints to keep; null keeps all."""
    keep_best: KeepBest | None = None


class DistOptions(OptionSection):
    """``dist_params``, which ``--launcher slurm`` reads."""

    backend: Literal["nccl", "gloo", "mpi"] = "nccl"
    port: NonNegativeInt | None = None


class GeneralOptions(OptionSection):
    """The keys of the top level but for the ``network_*`` sections."""

    name: Annotated[str, Field(min_length=1)]
    model_type: str
    scale: PositiveInt | None = None
    num_gpu: NonNegativeInt | Literal["auto"]
    manual_seed: Annotated[int, Field(ge=0, lt=2**31)] | None = None
    """Below 2**31, as numpy takes 32 bits and ranks are added."""
    find_unused_parameters: bool = False
    use_static_graph: bool = False
    datasets: dict
    path: dict
    train: dict | None = None
    val: dict | None = None
    logger: LoggerOptions | None = None
    dist_params: DistOptions | None = None
