"""Warning of a training of stage III that has not left its start."""

from __future__ import annotations

import math

from basicsr.utils import get_root_logger

SHUT = 1e-3  # mean attention over sections below which next to nothing of them arrives
GAIN = 0.02  # dB above the bilinear image, below which nothing has been learned
PATIENCE = 0.1  # of the iterations


class StartWatch:
    """Warns once if, after a tenth of the iterations, the network still gives the bilinear image.

    Attributes:
        gain: mean PSNR of the sections validated last minus that of their bilinear images (dB); None before that.
    """

    def __init__(self, total_iter: int) -> None:
        self.total_iter = total_iter
        self.first = math.ceil(PATIENCE * total_iter)
        self.gain: float | None = None
        self.has_warned = False

    def check(self, iteration: int, attention: float | None) -> None:
        """Warn if ``gain`` or ``attention`` says that nothing is learned.

        Args:
            attention: mean weight of the sections in that step, 0 to 1; None if the network has no attention.
        """
        is_shut = attention is not None and attention < SHUT
        is_bilinear = self.gain is not None and self.gain < GAIN
        if self.has_warned or iteration < self.first or not (is_shut or is_bilinear):
            return
        self.has_warned = True
        gain = "not validated yet" if self.gain is None else f"{self.gain:+.2f} dB"
        weight = "none" if attention is None else f"{attention:.2g}"
        get_root_logger().warning(
            f"After {iteration} of {self.total_iter} iterations stage III has not left the bilinear image (PSNR above "
            f"it: {gain}; attention over sections: {weight}). Start again with a lower learning rate, a longer "
            "train.warmup_iter or another manual_seed."
        )
