"""What each of our modules is called in the authors' checkpoints, and what the shapes there say about the network.

One table per network: our module -> the authors' module. A key is renamed by the longest prefix of it that the
table holds, so that a row covers everything below it except what longer rows cover.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping
from itertools import pairwise

from torch import Tensor

Names = dict[str, str]

# modules of the authors' networks that no forward pass of theirs uses (GPEMSR: at both scales, then at x8 only)
UNUSED = ("refmodel.encoder", "vgg.slice2", "vgg.slice3", "vgg.slice4", "vgg.slice5")
UNUSED_X8 = ("reffea_L4_conv1", "down_fea_conv3", "reffusionconv4", "fusion_fea_block4")


def rename(key: str, names: Names) -> str:
    """``key`` with its longest prefix (whole components) that is in ``names`` replaced; KeyError if there is none."""
    parts = key.split(".")
    for length in range(len(parts), 0, -1):
        prefix = ".".join(parts[:length])
        if prefix in names:
            return ".".join([names[prefix], *parts[length:]])
    raise KeyError(key)


def authors_names(options: Mapping) -> Names:
    """The table of a network, from its ``network_g`` options with every one of them given."""
    return {
        "VQGAN": vqgan_names,
        "PatchDiscriminator": lambda _: {"model": "model"},
        "LatentIndexer": indexer_names,
        "GPEMSR": gpemsr_names,
    }[options["type"]](options)


def vqgan_names(options: Mapping) -> Names:
    """Stage I generator: the authors number all layers of all steps in one list."""
    blocks = options["num_res_blocks"]
    steps = len(options["channels"]) - 1
    names = {
        "encoder.stem": "encoder.input_layer",
        "encoder.head": "encoder.output_layer",
        "decoder.stem": "decoder.input_layer",
        "decoder.head": "decoder.output_layer",
        "codebook": "codebook",
        **_attention("encoder.attention", f"encoder.feat_extract.{steps * (blocks + 1)}"),
        **_attention("decoder.attention", "decoder.feat_extract.0"),
    }
    for step in range(steps):
        first = step * (blocks + 1)
        for block in range(blocks):
            names[f"encoder.steps.{step}.{block}"] = f"encoder.feat_extract.{first + block}"
            names[f"decoder.res_blocks.{step}.{block}"] = f"decoder.feat_extract.{first + block + 1}"
        names[f"encoder.steps.{step}.{blocks}"] = f"encoder.feat_extract.{first + blocks}.downblock"
        names[f"decoder.ups.{step}"] = f"decoder.feat_extract.{first + blocks + 1}.upblock"
    return names


def indexer_names(options: Mapping) -> Names:
    """Stage II generator: the indexer and the parts of stage I."""
    layers = (len(options["channels"]) - 1) * options["num_res_blocks"]
    names = {
        "stem": "indexer.input_layer",
        "steps": "indexer.feat_extract",
        "head": "indexer.output_layer",
        "classifier": "indexer.embedding",
        **_attention("attention", f"indexer.feat_extract.{layers}"),
        **{f"steps.{layer}.shortcut": f"indexer.feat_extract.{layer}.channel_up" for layer in range(layers)},
        **{f"vqgan.{ours}": theirs for ours, theirs in vqgan_names(options["vqgan"]).items()},
    }
    if options["scale"] == 8:
        names[f"steps.{layers - 1}"] = f"indexer.feat_extract.{layers - 1}.downblock"
    return names


def gpemsr_names(options: Mapping) -> Names:
    """Full network; its `align_module` and `ThreeDA` are EDVR's modules under other names."""
    names = {
        "conv_first": "conv_first",
        "conv_last": "conv_last",
        "conv_hr": "HRconv",
        "feature_extraction": "feature_extraction",
        "reconstruction": "recon_trunk",
        "perceptual.features": "vgg.slice1",
        "flow": "align_module.spynet",
        "mpf.reduce": "reduce_dim_conv",
        "fusion": "ThreeDA",
        "fusion.feat_skip": "ThreeDA.conv2D_fusion_3",
    }
    prior = indexer_names({**options["prior"], "scale": options["scale"]})
    names |= {f"prior.{ours}": f"refmodel.{theirs}" for ours, theirs in prior.items()}
    levels = {8: 3, 16: 4}[options["scale"]]
    for i in range(levels):
        names[f"mpf.levels.{i}.conv"] = f"reffusionconv{i + 1}"
        names[f"mpf.levels.{i}.blocks"] = f"fusion_fea_block{i + 1}"
        names[f"upsample.{3 * i}"] = f"upconv{i + 1}"
    for i in range(levels - 1):
        names[f"mpf.lr_ups.{i}"] = f"reffea_L{i + 2}_conv1"
        names[f"mpf.downs.{i}"] = f"down_fea_conv{i + 1}"
    for i in range(3):
        names[f"mpf.mask.layers.{2 * i}"] = f"refmaskconv{i + 1}"
    for level in (1, 2, 3):
        for offset_conv in (1, 2, 3):
            names[f"align.offset_conv{offset_conv}.l{level}"] = f"align_module.L{level}_offset_conv{offset_conv}"
        names[f"align.dcn_pack.l{level}"] = f"align_module.L{level}_dcnpack"
        names[f"align.feat_conv.l{level}"] = f"align_module.L{level}_fea_conv"
    for branch in (1, 2):
        for level in (1, 2, 3):
            names[f"align.flow_branch{branch}.l{level}"] = f"align_module.flowdsconv{level - 1}_{branch}"
        names[f"fusion.mixer{branch}.mix"] = f"ThreeDA.conv3D_{branch}"
        names[f"fusion.mixer{branch}.fuse"] = f"ThreeDA.conv3D_fusion_{branch}"
    for level in (2, 3):
        for i in (0, 1):
            names[f"level{level}.{2 * i}"] = f"fea_L{level}_conv{i + 1}"
    for part in ("cas_offset_conv1", "cas_offset_conv2", "cas_dcnpack"):
        names[f"align.{part}"] = f"align_module.{part}"
    return names


def _attention(ours: str, theirs: str) -> Names:
    return {ours: theirs, f"{ours}.norm": f"{theirs}.gn", f"{ours}.proj": f"{theirs}.proj_out"}


def options_of(network: str, state: Mapping[str, Tensor]) -> dict:
    """Constructor options (but the scale) of our ``network`` that the shapes of an authors' state dict show.

    Each is read from several keys, so that a missing or misshapen one does not mislead; 0 if no key shows it.
    """
    return {
        "VQGAN": _vqgan_options,
        "PatchDiscriminator": _discriminator_options,
        "LatentIndexer": _indexer_options,
        "GPEMSR": _gpemsr_options,
    }[network](state)


def _vqgan_options(state: Mapping[str, Tensor]) -> dict:
    blocks = _count(state, "decoder.feat_extract") // 4 - 1
    coarse_to_fine = []
    for step in range(4):
        block = f"decoder.feat_extract.{step * (blocks + 1) + 1}.block"
        coarse_to_fine.append(_size(state, (f"{block}.0.bias", 0), (f"{block}.1.bias", 0), (f"{block}.3.bias", 0)))
    last_up = f"decoder.feat_extract.{4 * (blocks + 1)}.upblock"  # transposed: (in, out, 3, 3)
    finest = _size(state, (f"{last_up}.bias", 0), (f"{last_up}.weight", 1), ("decoder.output_layer.weight", 1))
    codebook, classifier = "codebook.embedding.weight", "indexer.embedding.weight"
    return {
        "channels": [finest, *coarse_to_fine[::-1]],
        "num_codes": _size(state, (codebook, 0), (classifier, 0), ("indexer.embedding.bias", 0)) or 1024,
        "code_dim": _size(
            state, (codebook, 1), ("decoder.input_layer.0.weight", 1), ("encoder.output_layer.3.bias", 0)
        ),
        "num_res_blocks": blocks,
    }


def _discriminator_options(state: Mapping[str, Tensor]) -> dict:
    layers = [f"model.{i}.weight" for i in (0, 2, 5, 8, 11)]
    return {"channels": [_size(state, (layer, 0), (after, 1)) for layer, after in pairwise(layers)]}


def _indexer_options(state: Mapping[str, Tensor]) -> dict:
    blocks = _count(state, "indexer.feat_extract") // 4
    channels = []
    for layer in (f"indexer.feat_extract.{blocks * step}.block" for step in range(4)):
        channels.append(_size(state, (f"{layer}.0.weight", 1), *((f"{layer}.{i}.bias", 0) for i in (0, 1, 3))))
    attention = f"indexer.feat_extract.{4 * blocks}"
    channels.append(_size(state, *((f"{attention}.{part}.bias", 0) for part in ("gn", "q", "k"))))
    return {"channels": channels, "num_res_blocks": blocks, "vqgan": _vqgan_options(state)}


def _gpemsr_options(state: Mapping[str, Tensor]) -> dict:
    prior = {key.removeprefix("refmodel."): value for key, value in state.items() if key.startswith("refmodel.")}
    offsets = (f"align_module.{part}_dcnpack.conv_offset.bias" for part in ("L1", "L2", "L3"))
    return {
        "num_feat": _size(state, ("conv_first.bias", 0), ("HRconv.bias", 0), ("reduce_dim_conv.bias", 0)),
        "num_frame": _size(state, *((f"ThreeDA.{part}", 0) for part in ("conv3D_1.bias", "conv3D_2.bias"))),
        "num_extract_block": _count(state, "feature_extraction"),
        "num_fusion_block": _count(state, "fusion_fea_block1"),
        "num_reconstruct_block": _count(state, "recon_trunk"),
        "deformable_groups": _size(state, *((offset, 0) for offset in offsets)) // 27,  # x, y, mask for 3 x 3
        "prior": _indexer_options(prior),
    }


def is_unused(key: str, scale: int | None) -> bool:
    """Whether ``key`` belongs to a layer that the authors' full network of this scale never uses."""
    return key.startswith(tuple(f"{module}." for module in UNUSED + (UNUSED_X8 if scale == 8 else ())))


def modules_of(keys: Iterable[str]) -> list[str]:
    """The unused modules that ``keys`` belong to, in the order of the tables above."""
    keys = list(keys)
    return [module for module in UNUSED + UNUSED_X8 if any(key.startswith(f"{module}.") for key in keys)]


def _size(state: Mapping[str, Tensor], *places: tuple[str, int]) -> int:
    """The size that most of the (key, axis) have, or 0."""
    sizes = [state[key].shape[axis] for key, axis in places if key in state and state[key].dim() > axis]
    return Counter(sizes).most_common(1)[0][0] if sizes else 0


def _count(state: Mapping[str, Tensor], module: str) -> int:
    """How many layers of ``module`` there are, by the highest number in its keys ``<module>.<number>.*``."""
    matches = (re.match(rf"{re.escape(module)}\.(\d+)\.", key) for key in state)
    return max((int(match[1]) + 1 for match in matches if match), default=0)
