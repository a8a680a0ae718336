"""Stage II: training of the latent indexer."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping
from typing import Annotated

import torch
from basicsr.losses import build_loss
from basicsr.utils.registry import MODEL_REGISTRY
from pydantic import Field

from gpemsr.checkpoints.loading import load_network_state
from gpemsr.data.stored_codes import check_weights
from gpemsr.models.image_validation import ImageValidation, means, of_all_processes
from gpemsr.models.stage_base import StageModel
from gpemsr.options.schema import StageTrainOptions


class IndexerTrainOptions(StageTrainOptions):
    """``train`` of :class:`LatentIndexerModel`."""

    index_opt: dict
    ema_decay: Annotated[float, Field(ge=0, le=0)] = 0.0
    """The indexer is not averaged."""


@MODEL_REGISTRY.register()
class LatentIndexerModel(StageModel, ImageValidation):
    """Cross-entropy against the codes that the frozen stage I network gives the HR image.

    ``path.pretrain_prior`` is the checkpoint of stage I. Validation reports index accuracy, top-5
    accuracy and cross-entropy, and BasicSR's metrics on the reference image.
    """

    Options = IndexerTrainOptions
    path_keys = ("pretrain_prior",)
    prior_prefix = "vqgan."
    scalars_of_validation = ("accuracy", "accuracy_top5", "cross_entropy")
    works_with = {
        "network_g": ("LatentIndexer",),
        "datasets.train": ("SectionPairDataset",),
        "datasets.val": ("SectionPairDataset",),
    }

    @classmethod
    def check_options(cls, opt: Mapping) -> None:
        """Stage II needs the result of stage I."""
        cls.check_prior(opt, "I")
        cls.check_tested(opt)
        if opt.get("train") and opt["datasets"]["train"].get("codes") and not opt["path"].get("pretrain_prior"):
            raise ValueError("path.pretrain_prior=null: expected the checkpoint whose codes datasets.train.codes holds")

    def init_training_settings(self) -> None:
        """Load the frozen stage I network; build the loss, the optimiser and the schedulers."""
        path = self.opt["path"]
        if path.get("pretrain_prior") and not path.get("resume_state"):
            state = load_network_state(path["pretrain_prior"])
            self.get_bare_model(self.net_g).vqgan.load_state_dict(state)
        if codes := self.opt["datasets"]["train"].get("codes"):  # a resumed training may have another stage I by now
            check_weights(codes, self.get_bare_model(self.net_g).vqgan.state_dict(), "the training")
        self.net_g.train()
        self.cri_index = build_loss(self.opt["train"]["index_opt"]).to(self.device)
        self.setup_optimizers()
        self.setup_schedulers()

    def feed_data(self, data: Mapping[str, torch.Tensor]) -> None:
        """Take a batch, with the target codes that the data set has stored."""
        super().feed_data(data)
        self.codes = data["codes"].to(self.device) if "codes" in data else None

    def optimize_parameters(self, current_iter: int) -> None:
        """One step."""
        codes = self.get_bare_model(self.net_g).targets(self.gt) if self.codes is None else self.codes
        self.optimizer_g.zero_grad()
        with self.autocast():
            logits = self.net_g(self.lq)
        loss = self.cri_index(logits, codes)
        self.step(loss)
        losses = OrderedDict(l_index=loss.detach(), accuracy=accuracy(logits, codes, 1))
        self.log_dict = self.reduce_loss_dict(losses)

    def start_validation(self) -> None:
        """Forget the last validation's figures."""
        self.figures: list[dict[str, float]] = []

    def test(self) -> None:
        """Reference image of ``lq``; with ``gt``, also how well the codes were predicted."""
        net = self.get_bare_model(self.net_g)
        net.eval()
        with torch.no_grad():
            logits = net(self.lq)
            image, _ = net.vqgan.decode(logits.argmax(1))
            self.output = image[..., : self.lq.shape[-2] * net.scale, : self.lq.shape[-1] * net.scale]
            if hasattr(self, "gt"):
                codes = net.targets(self.gt)
                self.figures.append(
                    {
                        "accuracy": accuracy(logits, codes, 1).item(),
                        "accuracy_top5": accuracy(logits, codes, 5).item(),
                        "cross_entropy": torch.nn.functional.cross_entropy(logits, codes).item(),
                    }
                )
        net.train(self.is_train)

    def validation_scalars(self) -> dict[str, float]:
        """Means over the validation sections, those of all processes."""
        return means(of_all_processes(self.figures))


def accuracy(logits: torch.Tensor, codes: torch.Tensor, top: int) -> torch.Tensor:
    """Share of places whose code is among the ``top`` most probable; logits (b, k, h, w), codes (b, h, w)."""
    best = logits.detach().topk(min(top, logits.shape[1]), dim=1).indices
    return (best == codes.unsqueeze(1)).any(1).float().mean()
