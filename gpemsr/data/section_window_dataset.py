"""Windows of LR sections with a crop of the centre's HR section: what stage III, the SR network, learns from."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from gpemsr.compat import importable_basicsr
from gpemsr.data.section_options import PairCropOptions, check_num_frame
from gpemsr.data.section_pair_dataset import PairCrops
from gpemsr.data.section_pairs import Rectangle
from gpemsr.options.schema import PositiveInt

with importable_basicsr():
    from basicsr.utils.registry import DATASET_REGISTRY


class SectionWindowOptions(PairCropOptions):
    """Option keys of :class:`SectionWindowDataset`."""

    num_frame: PositiveInt = 5
    use_zflip: bool = False


@DATASET_REGISTRY.register()
class SectionWindowDataset(PairCrops):
    """One item per section: ``lq`` float32 (num_frame, 1, h, w) around it and its ``gt`` (1, scale * h, scale * w).

    All sections are cropped, flipped and rotated alike. At the ends of a volume the edge section is repeated;
    neighbours are neighbours in the volume's list of sections, so gaps in the numbering are skipped. The
    order along z is kept, unless ``use_zflip`` reverses it half of the time.

    Args:
        opt: see :class:`SectionWindowOptions` and docs/datasets.md.

    Raises:
        InputError: a wrong option, LR and HR do not belong together or are smaller than ``gt_size``.
    """

    Options = SectionWindowOptions
    _options: SectionWindowOptions

    @classmethod
    def check_options(cls, opt: Mapping[str, Any]) -> None:
        """Conditions across keys. Raises ValueError("key=value: what is expected")."""
        super().check_options(opt)
        check_num_frame(opt)

    def _read_lq(
        self, volume: str, section: int, rectangle: Rectangle, shift: tuple[int, int], degradation: int
    ) -> np.ndarray:
        window = self._pairs.window(volume, section, self._options.num_frame)
        if self._options.use_zflip and self._random().random() < 0.5:
            window.reverse()
        return self._pairs.read_lq_sections(volume, window, rectangle, shift, degradation)
