"""Stage III as a model of MMagic."""

from __future__ import annotations

from typing import Any

import torch
from mmagic.models.base_models import BaseEditModel
from mmagic.registry import MODELS
from mmagic.structures import DataSample
from mmengine.logging import MMLogger

from gpemsr.archs.blocks import lay_out
from gpemsr.checkpoints.loading import load_network_state
from gpemsr.models.gpemsr_model import attach_features, load_prior
from gpemsr.volume.section_loop import SlidingWindow


def to_8bit(img: torch.Tensor) -> torch.Tensor:
    """Images in [0, 1] as whole numbers from 0 to 255, as BasicSR rounds them; still float, on the CPU."""
    return (img.detach().float().cpu().clamp(0, 1) * 255).round()


@MODELS.register_module()
class GPEMSREditor(BaseEditModel):
    """GPEMSR with a frozen prior, trained by a pixel loss and a contextual loss, as ``GPEMSRModel`` is in BasicSR.

    Images go in as they come out of our data sets, float32 in [0, 1]. Predictions (``pred_img``) and their
    HR sections (``gt_img``) are 8-bit values, 0 to 255, which is what MMagic's metrics and visualisers
    expect. Sections are encoded once while the windows of a validation slide along a stack.

    Args:
        generator: the network, ``network_g`` of an option file.
        contextual_loss: :class:`~gpemsr.losses.contextual_loss.ContextualLoss` between result and reference images.
        pretrain_prior: checkpoint of stage II, loaded into the prior when training starts.
        pretrain_network_g: checkpoint of a whole network, BasicSR's, this package's or the authors'.
        param_key_g: the weights of it to take, ``params`` or ``params_ema``.
    """

    def __init__(
        self,
        generator: dict,
        pixel_loss: dict,
        contextual_loss: dict | None = None,
        pretrain_prior: str | None = None,
        pretrain_network_g: str | None = None,
        param_key_g: str = "params",
    ) -> None:
        if pretrain_network_g:  # a whole checkpoint brings these weights
            generator = {**generator, "vgg_weights": None, "flow_weights": None}
        # sections are in [0, 1] already: nothing is normalised, padded or reordered
        preprocessor = {"type": "mmagic.DataPreprocessor", "mean": None, "std": None, "data_keys": None}
        super().__init__(generator, pixel_loss, data_preprocessor=preprocessor)
        lay_out(self.generator)
        self.contextual_loss = None
        if contextual_loss:
            self.contextual_loss = attach_features(MODELS.build(contextual_loss), self.generator)
        self.pretrain_prior = pretrain_prior
        self.pretrain_network_g = pretrain_network_g
        self.param_key_g = param_key_g
        self.sliding_window = SlidingWindow(self.generator)
        self.generator.register_load_state_dict_post_hook(self.forget_sections)

    def init_weights(self) -> None:
        """Load the checkpoints that the model was given; the Runner calls it before training, and before resuming."""
        logger = MMLogger.get_current_instance()
        if self.pretrain_prior:
            logger.info(f"Loading the prior from {self.pretrain_prior}.")
            load_prior(self.generator, self.pretrain_prior)
        if self.pretrain_network_g:
            logger.info(f"Loading GPEMSR from {self.pretrain_network_g} [{self.param_key_g}].")
            self.generator.load_state_dict(load_network_state(self.pretrain_network_g, self.param_key_g))

    def train(self, mode: bool = True) -> GPEMSREditor:
        """Set training mode; what is frozen stays in eval mode."""
        self.forget_sections()
        super().train(mode)
        if self.contextual_loss is not None:
            self.contextual_loss.eval()
        return self

    def forget_sections(self, *_: Any) -> None:
        """Drop the encoded sections, as the weights may have changed."""
        self.sliding_window = SlidingWindow(self.generator)

    def forward_train(
        self, inputs: torch.Tensor, data_samples: DataSample | None = None, **kwargs: Any
    ) -> dict[str, torch.Tensor]:
        """Losses of windows (b, t, 1, h, w)."""
        assert data_samples is not None
        result, reference = self.generator(inputs, return_reference=True)
        losses = {"loss_pix": self.pixel_loss(result, data_samples.gt_img)}
        if self.contextual_loss is not None:
            losses["loss_contextual"] = self.contextual_loss(result, reference)
        return losses

    def forward_inference(
        self, inputs: torch.Tensor, data_samples: DataSample | None = None, **kwargs: Any
    ) -> DataSample:
        """Results of windows (b, t, 1, h, w): ``pred_img`` (b, 1, r*h, r*w), 8-bit; ``gt_img`` becomes 8-bit too."""
        result = torch.cat([self.reconstruct(window) for window in inputs])
        if data_samples is not None and "gt_img" in data_samples:
            data_samples.set_tensor_data({"gt_img": to_8bit(data_samples.gt_img)})
        return DataSample(pred_img=to_8bit(result))

    @torch.no_grad()
    def reconstruct(self, window: torch.Tensor) -> torch.Tensor:
        """Result (1, 1, r*h, r*w) of a window (t, 1, h, w); MMagic's loop names no sections, so their values do."""
        keys = [(section.shape, section.cpu().numpy().tobytes()) for section in window]
        sections = dict(zip(keys, window, strict=True))
        return self.generator.reconstruct(self.sliding_window.encode(keys, sections.__getitem__))
