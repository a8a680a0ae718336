"""Make ``docs/images/napari.png``, the plugin at work: ``xvfb-run python tools/plot_napari.py --fib25 raw.tif``."""

from __future__ import annotations

import argparse
from pathlib import Path

import napari
import numpy as np
import tifffile
from qtpy.QtWidgets import QApplication

from gpemsr.data.degradations import degrade
from gpemsr.errors import command
from gpemsr.files import replaced

RECTANGLE = (800.0, 800.0), (1840.0, 1840.0)  # y, x from and to, in nm


@command
def main(argv: list[str] | None = None) -> int:
    """Super-resolve a rectangle of five LR sections in napari and take a screenshot; returns the exit code."""
    parse = argparse.ArgumentParser(description=__doc__)
    parse.add_argument("--fib25", type=Path, required=True, help="the FIB-25 volume (10 nm voxels) as TIFF")
    parse.add_argument("--out", type=Path, default=Path("docs/images/napari.png"))
    arguments = parse.parse_args(argv)
    sections = [tifffile.imread(arguments.fib25, key=z)[:240, :240] / 255 for z in range(0, 20, 4)]
    lr = np.uint8([np.round(255 * degrade(section, 8, "area")) for section in sections])
    viewer = napari.Viewer()
    viewer.window.resize(1120, 760)
    scale, units = (40, 80, 80), ("nm",) * 3
    viewer.add_image(lr, name="lr", scale=scale, units=units)
    (top, left), (bottom, right) = RECTANGLE
    corners = np.array([[80, top, left], [80, top, right], [80, bottom, right], [80, bottom, left]])
    viewer.add_shapes(
        [corners], name="rectangle", face_color="transparent", edge_color="yellow", edge_width=20, units=units
    )
    _, widget = viewer.window.add_plugin_dock_widget("gpemsr")
    widget.image.value, widget.shapes.value = viewer.layers["lr"], viewer.layers["rectangle"]
    widget.run()
    while not widget.start.enabled:
        QApplication.processEvents()
    viewer.dims.set_point(0, 80)
    viewer.scale_bar.visible = True
    viewer.reset_view()
    QApplication.processEvents()
    with replaced(arguments.out) as temporary:
        viewer.screenshot(str(temporary), canvas_only=False, flash=False)
    QApplication.closeAllWindows()
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
