"""Networks of all three stages as narrow as the authors' code could have them, with random weights."""

from functools import cache

import torch

import gpemsr

gpemsr.register()
from basicsr.archs import build_network  # noqa: E402

from gpemsr.checkpoints.authors import to_authors  # noqa: E402

VQGAN = {"channels": [32, 32, 32, 64, 32], "num_codes": 7, "code_dim": 12, "num_res_blocks": 2}
INDEXER = {"channels": [32, 32, 64, 32, 32], "num_res_blocks": 3, "vqgan": VQGAN}
NARROW = {
    "VQGAN": {"type": "VQGAN", **VQGAN},
    "PatchDiscriminator": {"type": "PatchDiscriminator", "channels": [4, 6, 8, 10]},
    "LatentIndexer-x8": {"type": "LatentIndexer", "scale": 8, **INDEXER},
    "LatentIndexer-x16": {"type": "LatentIndexer", "scale": 16, **INDEXER},
    **{
        f"GPEMSR-x{scale}": {
            "type": "GPEMSR",
            "scale": scale,
            "num_feat": 8,
            "num_frame": 3,
            "num_extract_block": 2,
            "num_fusion_block": 2,
            "num_reconstruct_block": 1,
            "deformable_groups": 4,
            "prior": INDEXER,
            "vgg_weights": None,
            "flow_weights": None,
        }
        for scale in (8, 16)
    },
}


@cache
def narrow_network(name: str) -> torch.nn.Module:
    """A network to look at, not to change."""
    torch.manual_seed(0)
    return build_network(NARROW[name]).eval()


def authors_state(name: str) -> dict[str, torch.Tensor]:
    """The weights of :func:`narrow_network` under the authors' names, with layers that they never use."""
    state = dict(_to_authors(name))
    if name.startswith("GPEMSR"):
        state |= {
            "vgg.slice3.12.weight": torch.zeros(2, 2, 3, 3),
            "refmodel.encoder.feat_extract.8.gn.weight": torch.ones(2),
        }
    return state


@cache
def _to_authors(name: str) -> dict[str, torch.Tensor]:
    return to_authors(NARROW[name], narrow_network(name).state_dict())
