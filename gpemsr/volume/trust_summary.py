"""One picture of where a super-resolved volume is trusted least."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from gpemsr.files import replaced
from gpemsr.volume.run import Run
from gpemsr.volume.trust import FOLDER, MEANING, MOST, WINDOW, ranking

CELL = 2.2  # inches


def summary_file(output: Path) -> Path:
    """Where the picture of a volume lies."""
    return output.with_name(f"{output.name}.trust.png")


def write_summary(run: Run) -> None:
    """Draw the least trusted regions, in a box each, before the run is finished: LR, SR, the layer that ranks them."""
    import zarr

    found = sorted((place for _, record in run.records() for place in record["least_trusted"]), reverse=True)[:MOST]
    if not found:
        return
    name, r = ranking(run.plan.trust), run.plan.scale
    image: Any = zarr.open_array(str(run.image / "0"), mode="r")
    layer: Any = zarr.open_array(str(run.image / FOLDER / name / "0"), mode="r")
    rows = []
    for _, z, *corner in found:
        starts = [max(0, min(a - WINDOW // 2, n - 2 * WINDOW)) for a, n in zip(corner, run.plan.shape[1:], strict=True)]
        (y0, y1), (x0, x1) = ((a, min(a + 2 * WINDOW, n)) for a, n in zip(starts, run.plan.shape[1:], strict=True))
        lr, sr = run.stack.read(z, (y0, y1), (x0, x1)), image[z, r * y0 : r * y1, r * x0 : r * x1]
        rows.append((lr, sr, np.abs(layer[z, y0:y1, x0:x1]), (y0, x0), (z, *corner)))
    figure = Figure(figsize=(3 * CELL + 1, CELL * len(rows) + 0.6), layout="constrained")
    figure.suptitle(f"{name}: {MEANING[name]}", fontsize="medium")
    panels = figure.subplots(len(rows), 3, squeeze=False)
    scale = {"vmin": 0, "vmax": max(float(np.nanmax(row[2])) for row in rows)}
    for axes, (*pictures, start, place) in zip(panels, rows, strict=True):
        grey = {"cmap": "gray", "vmin": pictures[1].min(), "vmax": pictures[1].max()}
        for axis, picture, look in zip(axes, pictures, (grey, grey, scale), strict=True):
            shown = axis.imshow(picture, **look)
            axis.set(xticks=[], yticks=[])
            enlarged = picture.shape[1] / pictures[0].shape[1]
            y, x = (enlarged * (a - b) - 0.5 for a, b in zip(place[1:], start, strict=True))
            axis.add_patch(Rectangle((x, y), enlarged * WINDOW, enlarged * WINDOW, fill=False, edgecolor="#ffb000"))
        where = [a + first for a, (first, _) in zip(place, run.plan.region, strict=True)]
        axes[0].set_ylabel("z {}, y {}, x {}".format(*where), fontsize="small")
    figure.colorbar(shown, ax=panels[:, 2], shrink=min(1, 2 / len(rows)))
    for axis, title in zip(panels[0], ("LR", "super-resolved", name), strict=True):
        axis.set_title(title, fontsize="small")
    with replaced(summary_file(run.job.path)) as temporary:
        figure.savefig(temporary)
