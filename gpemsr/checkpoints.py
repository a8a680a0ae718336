"""Names <-> names: checkpoints of the GPEMSR authors' release and ours.

The weights are the same tensors; only the key names differ, and some of the authors' layers are never
used in their forward pass (those are dropped, knowingly, and named).
"""

from __future__ import annotations

import re

# our key -> the authors' key, first match wins; `{}` takes the groups, `{n+1}`-like parts are computed
Rule = tuple[str, str]

VQGAN_RULES: list[Rule] = [
    (r"encoder\.stem\.0\.(.+)", r"encoder.input_layer.0.\1"),
    (r"encoder\.steps\.(\d)\.0\.(.+)", r"encoder.feat_extract.<2*\1>.\2"),
    (r"encoder\.steps\.(\d)\.1\.(.+)", r"encoder.feat_extract.<2*\1+1>.downblock.\2"),
    (r"encoder\.attention\.(.+)", r"encoder.feat_extract.8.\1"),
    (r"encoder\.head\.(.+)", r"encoder.output_layer.\1"),
    (r"decoder\.stem\.(.+)", r"decoder.input_layer.\1"),
    (r"decoder\.attention\.(.+)", r"decoder.feat_extract.0.\1"),
    (r"decoder\.res_blocks\.(\d)\.0\.(.+)", r"decoder.feat_extract.<2*\1+1>.\2"),
    (r"decoder\.ups\.(\d)\.(.+)", r"decoder.feat_extract.<2*\1+2>.upblock.\2"),
    (r"decoder\.head\.(.+)", r"decoder.output_layer.\1"),
    (r"(codebook\..+)", r"\1"),
]
INDEXER_RULES: list[Rule] = [
    (r"vqgan\.(.+)", r"@vqgan:\1"),
    (r"stem\.0\.(.+)", r"indexer.input_layer.0.\1"),
    (r"steps\.(\d)\.(weight|bias)", r"indexer.feat_extract.\1.downblock.\2"),
    (r"steps\.(\d)\.shortcut\.(.+)", r"indexer.feat_extract.\1.channel_up.\2"),
    (r"steps\.(\d)\.(.+)", r"indexer.feat_extract.\1.\2"),
    (r"attention\.(.+)", r"indexer.feat_extract.8.\1"),
    (r"head\.(.+)", r"indexer.output_layer.\1"),
    (r"classifier\.(.+)", r"indexer.embedding.\1"),
]
GPEMSR_RULES: list[Rule] = [
    (r"prior\.(.+)", r"refmodel.@indexer:\1"),
    (r"perceptual\.features\.(.+)", r"vgg.slice1.\1"),
    (r"flow\.(.+)", r"align_module.spynet.\1"),
    (r"((?:conv_first|conv_last|feature_extraction)\..+)", r"\1"),
    (r"mpf\.mask\.layers\.(\d)\.(.+)", r"refmaskconv<\1//2+1>.\2"),
    (r"mpf\.lr_ups\.(\d)\.(.+)", r"reffea_L<\1+2>_conv1.\2"),
    (r"mpf\.levels\.(\d)\.conv\.(.+)", r"reffusionconv<\1+1>.\2"),
    (r"mpf\.levels\.(\d)\.blocks\.(.+)", r"fusion_fea_block<\1+1>.\2"),
    (r"mpf\.downs\.(\d)\.(.+)", r"down_fea_conv<\1+1>.\2"),
    (r"mpf\.reduce\.(.+)", r"reduce_dim_conv.\1"),
    (r"level(\d)\.(\d)\.(.+)", r"fea_L\1_conv<\2//2+1>.\3"),
    (r"align\.(offset_conv\d)\.l(\d)\.(.+)", r"align_module.L\2_\1.\3"),
    (r"align\.dcn_pack\.l(\d)\.(.+)", r"align_module.L\1_dcnpack.\2"),
    (r"align\.feat_conv\.l(\d)\.(.+)", r"align_module.L\1_fea_conv.\2"),
    (r"align\.flow_branch(\d)\.l(\d)\.(.+)", r"align_module.flowdsconv<\2-1>_\1.\3"),
    (r"align\.(cas_.+)", r"align_module.\1"),
    (r"fusion\.mixer(\d)\.mix\.(.+)", r"ThreeDA.conv3D_\1.\2"),
    (r"fusion\.mixer(\d)\.fuse\.(.+)", r"ThreeDA.conv3D_fusion_\1.\2"),
    (r"fusion\.feat_skip\.(.+)", r"ThreeDA.conv2D_fusion_3.\1"),
    (r"fusion\.(.+)", r"ThreeDA.\1"),
    (r"reconstruction\.(.+)", r"recon_trunk.\1"),
    (r"upsample\.(\d+)\.(.+)", r"upconv<\1//3+1>.\2"),
    (r"conv_hr\.(.+)", r"HRconv.\1"),
]
