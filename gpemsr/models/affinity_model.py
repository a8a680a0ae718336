"""Training of networks that predict affinities, from which neurons are segmented."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping
from typing import Annotated, Any, Literal

import torch
from basicsr.losses import build_loss
from basicsr.utils.registry import MODEL_REGISTRY
from pydantic import Field

from gpemsr.errors import InputError
from gpemsr.models.image_validation import means
from gpemsr.models.stage_base import StageModel
from gpemsr.models.stopping import STOPPING
from gpemsr.options.schema import NonNegativeInt, PositiveInt, TrainOptions, ValOptions
from gpemsr.segmentation.agglomeration import SEED_DISTANCE, THRESHOLDS, Agglomeration, require
from gpemsr.segmentation.membranes import membrane_f1
from gpemsr.segmentation.prediction import BLOCK, CONTEXT, predict_affinities


class AffinityTrainOptions(TrainOptions):
    """``train`` of :class:`AffinityModel`."""

    affinity_opt: dict
    ema_decay: Annotated[float, Field(ge=0, le=0)] = 0.0
    """Not averaged: batch statistics could not follow."""


class AffinityValOptions(ValOptions):
    """``val`` of :class:`AffinityModel`: blocks of the prediction and how neurons are made of it."""

    save_img: Annotated[bool, Field(le=False)]
    """There is no image to save."""
    metrics: Annotated[dict[str, dict], Field(max_length=0)] | None = None
    """There is no image to measure."""
    block: Annotated[list[PositiveInt], Field(min_length=3, max_length=3)] = list(BLOCK)
    context: Annotated[list[NonNegativeInt], Field(min_length=3, max_length=3)] = list(CONTEXT)
    fragments: Literal["2d", "3d"] = "2d"
    seed_distance: PositiveInt = SEED_DISTANCE
    thresholds: Annotated[list[Annotated[float, Field(ge=0, le=1)]], Field(min_length=1)] = list(THRESHOLDS)


@MODEL_REGISTRY.register()
class AffinityModel(StageModel):
    """Cross-entropy to the affinities made from instance ids.

    A validation volume is predicted block by block. It reports the loss and, at the threshold of the lowest variation
    of information, the two parts of that, the adapted Rand error and the threshold. Where membranes are labelled,
    sections are segmented and scored one by one, and the F1 score of the membrane is reported too.
    """

    Options = AffinityTrainOptions
    ValOptions = AffinityValOptions
    scalars_of_validation = ("l_affinity", "voi", "voi_split", "voi_merge", "adapted_rand", "membrane_f1")
    works_with = {
        "network_g": (),
        "datasets.train": ("AffinityDataset",),
        "datasets.val": ("AffinityDataset",),
        "datasets.test": ("AffinityDataset",),
    }

    @classmethod
    def check_options(cls, opt: Mapping) -> None:
        """Training takes crops, validation whole volumes and the libraries of the extra ``benchmark``."""
        for name, dataset in opt["datasets"].items():
            size = dataset.get("crop_size")
            if name == "train" and size is None:
                raise ValueError("datasets.train.crop_size=null: expected z, y, x of the crops")
            if name != "train" and size is not None:
                raise ValueError(f"datasets.{name}.crop_size={size}: expected null, whole volumes are segmented")
            if name != "train":
                cls._check_labels(opt, name)
        if opt.get("val"):
            thresholds = opt["val"].get("thresholds", [])
            if list(thresholds) != sorted(thresholds):
                raise ValueError(f"val.thresholds={thresholds}: expected increasing ones")
            if any(name != "train" for name in opt["datasets"]):
                try:
                    require("waterz", "cc3d")
                except InputError as error:
                    raise ValueError(f"val: {error}") from None

    @staticmethod
    def _check_labels(opt: Mapping, name: str) -> None:
        """Where membranes are labelled, nothing is known across sections."""
        trained, labels = ((opt["datasets"].get(n) or {}).get("labels", "neurons") for n in ("train", name))
        if trained == "membranes" != labels:
            raise ValueError(f"datasets.{name}.labels={labels}: expected membranes, as datasets.train has")
        if labels == "membranes" and (opt.get("val") or {}).get("fragments") == "3d":
            raise ValueError(
                f"val.fragments=3d: expected 2d, as datasets.{name}.labels=membranes are of single sections"
            )

    def init_training_settings(self) -> None:
        """Build the loss, the optimiser and the schedulers."""
        self.net_g.train()
        self.cri_affinity = build_loss(self.opt["train"]["affinity_opt"]).to(self.device)
        self.setup_optimizers()
        self.setup_schedulers()

    def feed_data(self, data: Mapping[str, Any]) -> None:
        """Take ``lq`` (b, 1, z, y, x), ``gt`` and ``mask`` (b, 3, z, y, x)."""
        super().feed_data(data)
        self.mask = data["mask"].to(self.device)

    def optimize_parameters(self, current_iter: int) -> None:
        """One step."""
        self.optimizer_g.zero_grad()
        loss = self.cri_affinity(self.net_g(self.lq), self.gt, self.mask)
        loss.backward()
        self.optimizer_g.step()
        self.log_dict = self.reduce_loss_dict(OrderedDict(l_affinity=loss.detach()))

    def start_validation(self) -> None:
        """Forget the last validation's figures."""
        self.figures: list[dict[str, float]] = []

    def nondist_validation(self, dataloader: Any, current_iter: int, tb_logger: Any, save_img: bool) -> None:
        """Segment each volume of the data set; the figures are reported by :meth:`validation`."""
        by_section = dataloader.dataset.by_section
        val = AffinityValOptions.model_validate({"save_img": False, **self.opt["val"]})
        for item in dataloader:
            STOPPING.pause()
            raw, affinities, mask = item["lq"][0, 0], item["gt"], item["mask"]
            predicted = predict_affinities(self.get_bare_model(self.net_g), raw, val.block, val.context)
            figures = {}
            if self.is_train:
                logits = torch.logit(torch.from_numpy(predicted)[None], eps=1e-6)
                figures["l_affinity"] = self.cri_affinity(logits, affinities, mask).item()
            ids = item["ids"][0].numpy()
            if by_section:
                figures["membrane_f1"] = membrane_f1(predicted, ids)
            how = Agglomeration(val.thresholds, val.fragments, val.seed_distance, by_section)
            figures |= how.best(predicted, ids)[0]
            self.figures.append(figures)
            if self.picture is None:
                middle = len(raw) // 2
                means = [torch.as_tensor(a)[1:, middle].mean(0) for a in (predicted, affinities[0])]
                self.picture = torch.cat([raw[middle], *means], dim=-1)[None]

    def validation_scalars(self) -> dict[str, float]:
        """Means over the validation volumes."""
        return means(self.figures)
