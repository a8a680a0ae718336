"""A picture of one place before a long run."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image

from gpemsr.data.grey_values import eight_bits
from gpemsr.files import replaced
from gpemsr.volume.blocks import super_resolve_tiles
from gpemsr.volume.columns import Column
from gpemsr.volume.run import Run

LARGEST = 1024  # HR pixels


def write_preview(run: Run, path: Path) -> None:
    """The middle of the middle section: LR, its pixels enlarged, next to the result. Writes nothing else.

    Raises:
        InputError: it cannot be written.
    """
    grid, r = run.grid, run.plan.scale
    z, tile = grid.shape[0] // 2, (grid.y.count // 2, grid.x.count // 2)
    column = Column(run.stack, [(grid.y.seen(tile[0]), grid.x.seen(tile[1]))])
    (section,) = super_resolve_tiles(run.network, column, [tile], (z, z + 1))
    lr = column[z][0, 0].numpy().repeat(r, 0).repeat(r, 1)
    y, x = (slice(max(0, n - LARGEST) // 2, (n + min(n, LARGEST)) // 2) for n in lr.shape)
    pair = np.hstack([image[y, x] for image in (lr, section.sr)])
    with replaced(path) as temporary:
        Image.fromarray(eight_bits(pair)).save(temporary, format="png")
