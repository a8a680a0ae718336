"""``gpemsr-fit-degradation``."""

import cv2
import numpy as np
import tifffile
import yaml

from gpemsr.cli.fit_degradation import main
from gpemsr.data.degradations import degrade


def test_the_options_are_printed_and_written_and_the_residuals_drawn(tmp_path, capsys):
    noise = cv2.GaussianBlur(np.random.default_rng(0).random((256, 256), np.float32), (0, 0), 5)
    slow = cv2.normalize(noise, None, 0, 255, cv2.NORM_MINMAX).astype(np.uint8)
    fast = degrade(slow / np.float32(255), 8, "em", dose=100, correlation=0.4)
    tifffile.imwrite(tmp_path / "slow.tif", slow, photometric="minisblack")
    tifffile.imwrite(tmp_path / "fast.tif", np.uint8(fast * 255), photometric="minisblack")
    out = tmp_path / "fit.yml"
    assert main([str(tmp_path / "slow.tif"), str(tmp_path / "fast.tif"), "--out", str(out)]) == 0
    options = yaml.safe_load(out.read_text())["degradation"]
    assert options.pop("kind") == "em"
    degrade(slow / np.float32(255), 8, "em", **options)
    assert "lag-1 correlation along x" in capsys.readouterr().out
    assert cv2.imread(str(tmp_path / "fit.png")).shape[1] > 1000


def test_scans_that_do_not_belong_together_are_one_line(tmp_path, capsys):
    for name, side in (("slow", 128), ("fast", 100)):
        tifffile.imwrite(tmp_path / f"{name}.tif", np.eye(side, dtype=np.uint8) * 255, photometric="minisblack")
    assert main([str(tmp_path / "slow.tif"), str(tmp_path / "fast.tif"), "--out", str(tmp_path / "fit.yml")]) == 2
    assert "expected the same size, or slow = 8 x fast" in capsys.readouterr().err
