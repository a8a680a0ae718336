"""What importing our packages does, and what it does not."""

import subprocess
import sys

import gpemsr
from gpemsr.compat import importable_basicsr

with importable_basicsr():
    from basicsr.utils.registry import ARCH_REGISTRY, DATASET_REGISTRY, LOSS_REGISTRY, MODEL_REGISTRY


def test_reading_data_needs_neither_torch_nor_basicsr():
    code = "import sys, gpemsr, gpemsr.data; sys.exit(bool({'torch', 'basicsr'} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", code], timeout=60).returncode == 0


def test_registering_makes_our_names_known_and_can_be_repeated():
    gpemsr.register()
    gpemsr.register()
    assert {"VQGAN", "LatentIndexer", "GPEMSR"} <= set(ARCH_REGISTRY.keys())
    assert {"VQGANModel", "GPEMSRModel"} <= set(MODEL_REGISTRY.keys())
    assert {"SectionPairDataset", "SectionWindowTestDataset"} <= set(DATASET_REGISTRY.keys())
    assert "ContextualLoss" in LOSS_REGISTRY
