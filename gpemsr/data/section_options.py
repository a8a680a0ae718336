"""Option keys that the data sets share, and the conditions across them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Annotated, Any, TypeVar

from pydantic import AfterValidator, ConfigDict, Field
from pydantic_core import PydanticCustomError

from gpemsr.data.degradations import DEGRADATIONS, complete_parameters
from gpemsr.errors import InputError
from gpemsr.options.place import Place, check_own, check_schema
from gpemsr.options.schema import (
    DatasetOptions,
    LoaderOptions,
    NonNegativeInt,
    OptionSection,
    PositiveInt,
)

PRIOR_FACTOR = 16  # HR pixels per latent vector of the prior (stage I), along y and x


def _known_kind(kind: str) -> str:
    if kind not in DEGRADATIONS:
        *others, last = (repr(name) for name in DEGRADATIONS)
        raise PydanticCustomError("degradation", f"Input should be {', '.join(others)} or {last}")
    return kind


class DegradationOptions(OptionSection):
    """LR made from HR as it is read; further keys are the parameters of the degradation.

    See :data:`gpemsr.data.degradations.DEGRADATIONS`; :func:`check_pair` checks the parameters.
    """

    model_config = ConfigDict(extra="allow")

    kind: Annotated[str, AfterValidator(_known_kind)]
    seed: NonNegativeInt = 0

    @property
    def parameters(self) -> dict[str, float]:
        """All parameters of the degradation. Raises InputError for those that it does not take."""
        return complete_parameters(self.kind, self.model_extra or {})


class CropOptions(DatasetOptions):
    """Keys of the data sets that crop and augment. ``gt_size: null`` gives whole sections."""

    gt_size: PositiveInt | None = None
    use_hflip: bool = False
    use_rot: bool = False


class PairOptions(DatasetOptions):
    """Keys that say where LR and HR come from: exactly one of ``dataroot_lq`` and ``degradation``.

    Of a list of degradations, each crop gets one at random; whole sections get the first.
    """

    dataroot_gt: str | None = None
    dataroot_lq: str | None = None
    degradation: DegradationOptions | Annotated[list[DegradationOptions], Field(min_length=1)] | None = None

    @property
    def degradations(self) -> list[DegradationOptions]:
        """Those given: none, one or several."""
        given = self.degradation
        return given if isinstance(given, list) else [] if given is None else [given]


class PairCropOptions(CropOptions, PairOptions):
    """Keys of the data sets that crop LR and HR alike; with ``use_shift`` crops begin between LR pixels too."""

    dataroot_gt: str
    use_shift: bool = False


def check_crop(opt: Mapping[str, Any], paired: bool) -> None:
    """Refuse crops that are not aligned to the latent vectors and, if ``paired``, to the LR grid. Raises ValueError."""
    gt_size, scale = opt.get("gt_size"), opt.get("scale")
    if gt_size is None:
        for key in ("use_hflip", "use_rot", "use_shift"):
            if opt.get(key):
                raise ValueError(f"{key}=true: false is expected, as whole sections (gt_size: null) are not augmented")
        return
    if gt_size % PRIOR_FACTOR:
        raise ValueError(f"gt_size={gt_size}: a multiple of {PRIOR_FACTOR} is expected")
    if paired and scale is not None and gt_size % scale:
        raise ValueError(f"gt_size={gt_size}: a multiple of the scale {scale} is expected")


def check_pair(opt: Mapping[str, Any]) -> None:
    """Refuse all but exactly one source of LR. Raises ValueError."""
    lq, degradation = opt.get("dataroot_lq"), opt.get("degradation")
    if lq is not None and degradation is not None:
        raise ValueError(f"dataroot_lq={lq}: null is expected with degradation, which makes LR from dataroot_gt")
    if lq is None and degradation is None:
        raise ValueError("dataroot_lq=null: the folder or LMDB of the LR sections is expected, or degradation instead")
    if degradation is None:
        return
    if opt.get("dataroot_gt") is None:
        raise ValueError("dataroot_gt=null: the folder or LMDB of the HR sections is expected, which degradation needs")
    for one in degradation if isinstance(degradation, list) else [degradation]:
        given = {key: value for key, value in one.items() if key not in DegradationOptions.model_fields}
        try:
            complete_parameters(one["kind"], given)
        except InputError as error:
            raise ValueError(f"degradation.{error}") from None


def check_num_frame(opt: Mapping[str, Any]) -> None:
    """Refuse windows without a centre. Raises ValueError."""
    num_frame = opt.get("num_frame", 5)
    if num_frame % 2 == 0:
        raise ValueError(f"num_frame={num_frame}: an odd number is expected")


OptionsT = TypeVar("OptionsT", bound=LoaderOptions)


def parse_options(
    schema: type[OptionsT], opt: Mapping[str, Any], check: Callable[[Mapping[str, Any]], None]
) -> OptionsT:
    """Options of a data set, checked by its schema and by ``check(opt)``. Raises InputError, one line."""
    place = Place(f"data set {opt.get('name', '?')}")
    options = check_schema(schema, opt, place)
    check_own(lambda: check(opt), place)
    return options
