"""Bicubic interpolation as a network, and networks of MMagic, with and without it."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from baseline_networks import demo_file, needs_mmagic
from tiny_stages import write_sections

import gpemsr

gpemsr.register()
from basicsr.archs import build_network  # noqa: E402
from basicsr.utils.matlab_functions import imresize  # noqa: E402


@pytest.mark.parametrize("shape", [(10, 14), (9, 31)])
@pytest.mark.parametrize("scale", [8, 16])
def test_bicubic_is_matlabs(shape, scale):
    lq = torch.rand(2, 5, 1, *shape)
    net = build_network({"type": "Bicubic", "scale": scale})
    expected = np.stack([imresize(section[2, 0].numpy(), scale).clip(0, 1) for section in lq])
    np.testing.assert_allclose(net(lq)[:, 0].numpy(), expected, atol=1e-6)
    assert torch.equal(net(lq[:, 2]), net(lq))
    assert not list(net.parameters())


@needs_mmagic
def test_basicvsr_plusplus_works_on_sections_of_their_own_size():
    """It refuses less than 64 pixels; what it is given beyond the section to pass costs nothing."""
    options = {"mid_channels": 8, "num_blocks": 1, "flow_levels": 1}
    net = build_network({"type": "SectionBasicVSRPlusPlus", "scale": 8, **options})
    sizes: list = []
    for module in (net.feat_extract, net.reconstruction, net.conv_last):
        module.register_forward_hook(lambda _, inputs, out: sizes.append(tuple(inputs[0].shape[-2:])))
    with torch.no_grad():
        net(torch.rand(1, 3, 1, 7, 10))
    assert sizes == [(7, 10)] + 3 * [(7, 10), (28, 40)]


BLOCKED = """
import sys
for name in ("mmagic", "mmcv", "mmengine"):
    sys.modules[name] = None  # its import fails as if it were not installed
import gpemsr, gpemsr.cli.train
gpemsr.register()
from basicsr.archs import build_network
for name in ("SectionTDAN", "SectionBasicVSRPlusPlus"):
    try:
        build_network({"type": name, "scale": 8})
    except ValueError as error:
        print(error)
try:
    import gpemsr.mmagic
except ImportError as error:
    print(error)
import gpemsr.cli.train_mmagic
assert gpemsr.cli.train_mmagic.main(["any.py"]) == 2
print(gpemsr.cli.train.main(["-opt", "tdan.yml"]), gpemsr.cli.train.main(["-opt", "edsr.yml"]))
"""


def test_without_mmagic_basicsr_trains_and_what_needs_it_says_what_to_install(tmp_path):
    write_sections(tmp_path, count=2)
    for file in ("edsr", "tdan"):
        options = demo_file(file, 8)
        for dataset in options["datasets"].values():
            dataset |= {"dataroot_gt": "hr", "dataroot_lq": "lr_x8", "io_backend": {"type": "disk"}}
        options["datasets"]["train"]["gt_size"] = 64
        options["num_gpu"] = 0
        if file == "edsr":
            options["network_g"] |= {"num_feat": 8, "num_block": 1}
        options["train"] |= {"total_iter": 1, "scheduler": {"type": "MultiStepLR", "milestones": [9]}}
        options["val"]["val_freq"] = 1
        (tmp_path / f"{file}.yml").write_text(yaml.safe_dump(options))
    checkout = Path(gpemsr.__file__).parents[1]
    environment = {**os.environ, "PYTHONPATH": str(checkout), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-c", BLOCKED]
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=280)
    assert done.returncode == 0, done.stderr
    what = "mmengine is not installed, which MMagic needs: pip install gpemsr[mmagic]"
    lines = done.stdout.splitlines()
    assert lines[:3] == [f"type=SectionTDAN: {what}", f"type=SectionBasicVSRPlusPlus: {what}", what]
    assert lines[-1] == "2 0"
    assert f"error: {what}" in done.stderr.splitlines()
    assert f"error: tdan.yml: network_g.type=SectionTDAN: {what}" in done.stderr.splitlines()
    assert (tmp_path / "experiments/edsr_x8/models/net_g_latest.pth").is_file()
