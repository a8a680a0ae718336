"""Option keys that the data sets share, and the conditions across them."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Annotated, Any, Literal, TypeVar

from pydantic import Field, ValidationError

from gpemsr.data.degradations import EM_DEFAULTS
from gpemsr.errors import InputError
from gpemsr.options.schema import (
    DatasetOptions,
    LoaderOptions,
    NonNegativeFloat,
    NonNegativeInt,
    OptionSection,
    PositiveInt,
)

PRIOR_FACTOR = 16  # HR pixels per latent vector of the prior (stage I), along y and x


class DegradationOptions(OptionSection):
    """LR made from HR as it is read; see :func:`gpemsr.data.degradations.degrade`."""

    kind: Literal["bicubic", "area", "em"]
    seed: NonNegativeInt = 0
    # of kind em
    dose: Annotated[float, Field(gt=0)] = EM_DEFAULTS["dose"]
    read_noise: NonNegativeFloat = EM_DEFAULTS["read_noise"]
    blur: NonNegativeFloat = EM_DEFAULTS["blur"]

    @property
    def parameters(self) -> dict[str, float]:
        """What ``degrade`` takes beside kind and seed."""
        return {"dose": self.dose, "read_noise": self.read_noise, "blur": self.blur}

    @property
    def context(self) -> int:
        """LR pixels around a crop that decide on its values: twice bicubic's 2, or where the blur is cut off."""
        return max(4, math.ceil(4 * self.blur) + 1)


class CropOptions(DatasetOptions):
    """Keys of the data sets that crop and augment. ``gt_size: null`` gives whole sections."""

    gt_size: PositiveInt | None = None
    use_hflip: bool = False
    use_rot: bool = False


class PairOptions(DatasetOptions):
    """Keys that say where LR and HR come from: exactly one of ``dataroot_lq`` and ``degradation``."""

    dataroot_gt: str | None = None
    dataroot_lq: str | None = None
    degradation: DegradationOptions | None = None


def check_crop(opt: Mapping[str, Any], paired: bool) -> None:
    """Refuse crops that fit neither the prior nor, if ``paired``, the LR grid. Raises ValueError."""
    gt_size, scale = opt.get("gt_size"), opt.get("scale")
    if gt_size is None:
        for key in ("use_hflip", "use_rot", "use_shift"):
            if opt.get(key):
                raise ValueError(f"{key}=true: false fits whole sections (gt_size: null), which are not augmented")
        return
    if gt_size % PRIOR_FACTOR:
        raise ValueError(f"gt_size={gt_size}: a multiple of {PRIOR_FACTOR} fits")
    if paired and scale is not None and gt_size % scale:
        raise ValueError(f"gt_size={gt_size}: a multiple of the scale {scale} fits")


def check_pair(opt: Mapping[str, Any]) -> None:
    """Refuse all but exactly one source of LR. Raises ValueError."""
    lq, degradation = opt.get("dataroot_lq"), opt.get("degradation")
    if lq is not None and degradation is not None:
        raise ValueError(f"dataroot_lq={lq}: null fits beside degradation, which makes LR from dataroot_gt")
    if lq is None and degradation is None:
        raise ValueError("dataroot_lq=null: the folder or LMDB of the LR sections, or degradation in its stead, fits")
    if degradation is None:
        return
    if opt.get("dataroot_gt") is None:
        raise ValueError("dataroot_gt=null: degradation needs the HR sections; their folder or LMDB fits")
    for key in EM_DEFAULTS:
        if key in degradation and degradation["kind"] != "em":
            raise ValueError(f"degradation.{key}={degradation[key]}: it fits kind em only")


def check_num_frame(opt: Mapping[str, Any]) -> None:
    """Refuse windows without a centre. Raises ValueError."""
    num_frame = opt.get("num_frame", 5)
    if num_frame % 2 == 0:
        raise ValueError(f"num_frame={num_frame}: an odd number fits")


OptionsT = TypeVar("OptionsT", bound=LoaderOptions)


def parse_options(
    schema: type[OptionsT], opt: Mapping[str, Any], check: Callable[[Mapping[str, Any]], None]
) -> OptionsT:
    """Options of a data set, checked by its schema and by ``check(opt)``. Raises InputError, one line."""
    where = f"data set {opt.get('name', '?')}"
    try:
        options = schema.model_validate(dict(opt))
        check(opt)
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join(str(part) for part in first["loc"])
        raise InputError(f"{where}: {key}={first['input']!r}: {first['msg']}") from None
    except ValueError as error:
        raise InputError(f"{where}: {error}") from None
    return options
