"""The networks and losses that an option file can name, by the same names in MMagic's ``MODELS``.

``PatchDiscriminator`` is ``GPEMSRPatchDiscriminator`` there: MMagic has another one of that name.
"""

from mmagic.registry import MODELS

from gpemsr.archs.gpemsr_arch import GPEMSR
from gpemsr.archs.indexer_arch import LatentIndexer
from gpemsr.archs.patchgan_arch import PatchDiscriminator
from gpemsr.archs.vqgan_arch import VQGAN
from gpemsr.losses.contextual_loss import ContextualLoss

for kind in (VQGAN, LatentIndexer, GPEMSR, ContextualLoss):
    MODELS.register_module(module=kind)
MODELS.register_module(name="GPEMSRPatchDiscriminator", module=PatchDiscriminator)
