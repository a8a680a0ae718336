"""BasicSR's metrics in MMagic's validation loop."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np
from basicsr.metrics import calculate_metric
from mmagic.evaluation.metrics.base_sample_wise_metric import BaseSampleWiseMetric
from mmagic.registry import METRICS

from gpemsr.errors import InputWarning
from gpemsr.metrics.blank import is_blank


@METRICS.register_module()
class BasicSRMetrics(BaseSampleWiseMetric):
    """Metrics of BasicSR's registry, of 8-bit images, averaged over each volume and then over the volumes.

    These are the figures that BasicSR's video validation logs.

    Args:
        metrics: ``val: metrics`` of an option file, such as ``{"psnr": {"type": "calculate_psnr", "crop_border": 0}}``.
        collect_device: where results of several processes are gathered.
        prefix: before the names of the metrics, if there are several validation sets.
    """

    metric = "BasicSR"

    def __init__(self, metrics: dict[str, dict], collect_device: str = "cpu", prefix: str | None = None) -> None:
        super().__init__(collect_device=collect_device, prefix=prefix)
        self.metrics = metrics

    def process(self, data_batch: Any, data_samples: Sequence[dict]) -> None:
        """Score ``output.pred_img`` against ``gt_img``, both (1, H, W), 0 to 255."""
        for sample in data_samples:
            images = {"img": sample["output"]["pred_img"], "img2": sample["gt_img"]}
            images = {key: image[0].numpy().astype(np.uint8) for key, image in images.items()}
            if is_blank(images["img2"]):
                text = f"{sample['folder']}: a blank section is left out of the scores"
                warnings.warn(text, InputWarning, stacklevel=2)
                continue
            scores = {name: float(calculate_metric(images, dict(opt))) for name, opt in self.metrics.items()}
            self.results.append((sample["folder"], scores))

    def compute_metrics(self, results: list[tuple[str, dict[str, float]]]) -> dict[str, float]:
        """Mean over the volumes of the means over their sections."""
        volumes: dict[str, list[dict[str, float]]] = {}
        for volume, scores in results:
            volumes.setdefault(volume, []).append(scores)
        return {
            name: float(np.mean([np.mean([scores[name] for scores in volume]) for volume in volumes.values()]))
            for name in self.metrics
        }
