"""Stage III: GPEMSR, five LR sections and a generative prior -> the HR centre section (paper, section 3.4)."""

from __future__ import annotations

import math
from dataclasses import dataclass, fields
from types import SimpleNamespace

import torch
from basicsr.archs.arch_util import ResidualBlockNoBN, make_layer
from basicsr.utils.registry import ARCH_REGISTRY
from torch import nn
from torch.nn import functional as F

from gpemsr.archs.blocks import conv3, image_by_image, in_bands, pad_to_multiple, recomputed
from gpemsr.archs.flow import FLOWS, PUBLISHED_LEVELS, build_flow
from gpemsr.archs.gpemsr_start import start_weights
from gpemsr.archs.indexer_arch import LatentIndexer
from gpemsr.archs.mpf import MultiScalePriorFusion
from gpemsr.archs.perceptual import EncoderFeatures, VGG19Features, feature_cosine
from gpemsr.archs.pod import PODAlignment
from gpemsr.archs.three_da import ThreeDAFusion
from gpemsr.archs.vqgan_arch import DOWNSAMPLING
from gpemsr.archs.weights import DOWNLOAD
from gpemsr.options.networks import OptionChecked, check_nested, check_positive

PERCEPTUAL = ("vgg19", "vqgan")
MULTIPLE = 4  # the alignment pyramid halves the LR size twice


@dataclass
class SectionFeatures:
    """All that the network knows of each section on its own: the first axes are (b, t).

    Feature maps have the padded size (multiples of 4); ``size`` is the LR size (h, w) before padding.

    Attributes:
        lq: LR sections, (b, t, 1, h, w).
        feat: LR features, (b, t, c, h, w).
        fused: LR features with the prior fused in, (b, t, c, h, w): level 1 of the pyramid.
        level2, level3: coarser levels of the pyramid, (.., h/2, w/2) and (.., h/4, w/4).
        reference: reference images of the prior, (b, t, 1, r*h, r*w), cropped to the unpadded size.
        codes: codebook indices, (b, t, r*h/16, r*w/16).
        confidence: probability of the chosen codes, as ``codes``.
        entropy: of the probabilities of all codes, in bits, as ``codes``.
        similarity: patch similarity of LR section and reference, (b, t, 1, r*h/16, r*w/16).
        mask: trust in the prior made of it, in (0, 1), as ``similarity``.
        size: LR size (h, w) before padding.
    """

    lq: torch.Tensor
    feat: torch.Tensor
    fused: torch.Tensor
    level2: torch.Tensor
    level3: torch.Tensor
    reference: torch.Tensor
    codes: torch.Tensor
    confidence: torch.Tensor
    entropy: torch.Tensor
    similarity: torch.Tensor
    mask: torch.Tensor
    size: tuple[int, int]

    def window(self, sections: list[int]) -> SectionFeatures:
        """The named sections, repeats allowed, as a window: (b, len(sections), ...)."""
        return SectionFeatures(**{f.name: getattr(self, f.name)[:, sections] for f in tensor_fields()}, size=self.size)

    @staticmethod
    def cat(parts: list[SectionFeatures]) -> SectionFeatures:
        """Sections of one size, encoded apart, as one stack."""
        joined = {f.name: torch.cat([getattr(part, f.name) for part in parts], dim=1) for f in tensor_fields()}
        return SectionFeatures(**joined, size=parts[0].size)


def tensor_fields() -> list:
    """The fields of :class:`SectionFeatures` that are tensors."""
    return [f for f in fields(SectionFeatures) if f.name != "size"]


@ARCH_REGISTRY.register()
class GPEMSR(OptionChecked, nn.Module):
    """Super-resolution of EM sections by a factor of 8 or 16 with a generative prior.

    Args:
        scale: 8 or 16, HR size over LR size in x and y.
        num_feat: width of the features.
        hr_feat: width of the features larger than LR (fusion of the prior, upsampling); num_feat if null.
        num_frame: sections T of a window, odd.
        num_extract_block: residual blocks of the per-section features.
        num_fusion_block: residual blocks per fusion level of MPF.
        num_reconstruct_block: residual blocks of the reconstruction.
        deformable_groups: groups of the deformable convolutions.
        prior: options of :class:`LatentIndexer` (without ``scale``); it is frozen.
        perceptual: features compared for the mask: ``vgg19`` (relu1_2) or ``vqgan`` (stage I encoder's first).
        vgg_weights: path of torchvision's VGG19, ``download``, or null if a checkpoint brings them.
        flow: ``spynet`` (frozen) or ``train`` (learned with the rest).
        flow_weights: path of BasicSR's SPyNet, ``download``, or null if a checkpoint brings them.
        flow_scale: enlargement of the LR sections before the flow.
        flow_levels: levels of the flow's pyramid, 1 to 6; ``flow: spynet`` has 6.
        bidirectional_flow: feed the second flow branch centre -> neighbour instead of the same flow.
    """

    def __init__(
        self,
        scale: int = 8,
        num_feat: int = 64,
        hr_feat: int | None = None,
        num_frame: int = 5,
        num_extract_block: int = 5,
        num_fusion_block: int = 1,
        num_reconstruct_block: int = 10,
        deformable_groups: int = 8,
        prior: dict | None = None,
        perceptual: str = "vgg19",
        vgg_weights: str | None = DOWNLOAD,
        flow: str = "spynet",
        flow_weights: str | None = DOWNLOAD,
        flow_scale: int = 4,
        flow_levels: int = PUBLISHED_LEVELS,
        bidirectional_flow: bool = False,
    ) -> None:
        super().__init__()
        GPEMSR.check_options(
            scale=scale,
            num_feat=num_feat,
            hr_feat=hr_feat,
            num_frame=num_frame,
            num_extract_block=num_extract_block,
            num_fusion_block=num_fusion_block,
            num_reconstruct_block=num_reconstruct_block,
            deformable_groups=deformable_groups,
            prior=prior,
            perceptual=perceptual,
            flow=flow,
            flow_scale=flow_scale,
            flow_levels=flow_levels,
        )
        self.scale = scale
        self.num_frame = num_frame
        self.centre = num_frame // 2
        self.flow_scale = flow_scale
        self.bidirectional_flow = bidirectional_flow

        prior_options = dict(prior or {})
        vqgan_options = dict(prior_options.pop("vqgan", None) or {}, with_encoder=perceptual == "vqgan")
        self.prior = LatentIndexer(scale=scale, vqgan=vqgan_options, **prior_options).requires_grad_(False)
        if perceptual == "vqgan":
            self.perceptual = EncoderFeatures(self.prior.vqgan)
        else:
            self.perceptual = VGG19Features("relu1_2", vgg_weights)
        self.flow = build_flow(flow, flow_weights, flow_levels)
        self.flow_is_frozen = flow == "spynet"

        self.conv_first = conv3(1, num_feat)
        self.feature_extraction = make_layer(ResidualBlockNoBN, num_extract_block, num_feat=num_feat)
        hr_feat = hr_feat or num_feat
        self.mpf = MultiScalePriorFusion(scale, num_feat, self.prior.vqgan.channels[1:], num_fusion_block, hr_feat)
        self.level2 = nn.Sequential(conv3(num_feat, num_feat, 2), nn.LeakyReLU(0.1), conv3(num_feat, num_feat))
        self.level3 = nn.Sequential(conv3(num_feat, num_feat, 2), nn.LeakyReLU(0.1), conv3(num_feat, num_feat))
        self.align = PODAlignment(num_feat, deformable_groups, flow_scale)
        self.fusion = ThreeDAFusion(num_feat, num_frame, self.centre)
        self.reconstruction = make_layer(ResidualBlockNoBN, num_reconstruct_block, num_feat=num_feat)
        self.upsample = nn.Sequential(
            *(
                layer
                for i in range(int(math.log2(scale)))
                for layer in (
                    conv3(hr_feat if i else num_feat, 4 * hr_feat),
                    nn.PixelShuffle(2),
                    nn.LeakyReLU(0.1, inplace=True),
                )
            )
        )
        self.conv_hr = conv3(hr_feat, hr_feat)
        self.conv_last = conv3(hr_feat, 1)
        self.lrelu = nn.LeakyReLU(0.1, inplace=True)
        start_weights(self, own_start=("prior", "perceptual", "flow"))

    @classmethod
    def _check(cls, options: SimpleNamespace) -> None:
        check_positive(options, "num_feat", "num_frame", "num_extract_block", "num_fusion_block")
        check_positive(options, "num_reconstruct_block", "deformable_groups")
        if options.hr_feat is not None:
            check_positive(options, "hr_feat")
        if options.num_frame % 2 == 0:
            raise ValueError(f"num_frame={options.num_frame}: an odd number of sections")
        if options.num_feat % options.deformable_groups:
            raise ValueError(
                f"num_feat={options.num_feat}: a multiple of deformable_groups={options.deformable_groups}"
            )
        for key, fits in (("perceptual", PERCEPTUAL), ("flow", FLOWS), ("flow_scale", (1, 2, 4)), ("scale", (8, 16))):
            if getattr(options, key) not in fits:
                raise ValueError(f"{key}={getattr(options, key)}: one of {', '.join(map(str, fits))}")
        fits = (PUBLISHED_LEVELS,) if options.flow == "spynet" else range(1, PUBLISHED_LEVELS + 1)
        if options.flow_levels not in fits:
            wanted = str(fits[0]) if len(fits) == 1 else f"{fits[0]} to {fits[-1]}"
            raise ValueError(f"flow_levels={options.flow_levels}: {wanted} with flow: {options.flow}")
        if "scale" in (options.prior or {}):
            raise ValueError("prior.scale: leave it out, the prior has the scale of the network")
        check_nested(LatentIndexer, options.prior, "prior")

    def train(self, mode: bool = True) -> GPEMSR:
        """Set training mode; the frozen parts (prior, perceptual features, SPyNet) stay in eval mode."""
        super().train(mode)
        self.prior.eval()
        self.perceptual.eval()
        if self.flow_is_frozen:
            self.flow.eval()
        return self

    def encode_sections(self, lq: torch.Tensor) -> SectionFeatures:
        """What each section says on its own: features, prior, mask, pyramid.

        Args:
            lq: (b, t, 1, h, w) in [0, 1], any number t of sections, any size.
        """
        b, t, _, h, w = lq.shape
        lq = pad_to_multiple(lq, MULTIPLE)
        flat = lq.flatten(0, 1)
        feat = self.feature_extraction(self.lrelu(self.conv_first(flat)))
        from_prior = self.fuse_prior(flat, feat)
        level2, level3 = self.coarser(from_prior["fused"])
        from_prior["reference"] = from_prior["reference"][..., : h * self.scale, : w * self.scale]
        maps = {"feat": feat, "level2": level2, "level3": level3, **from_prior}
        return SectionFeatures(lq, **{name: x.reshape(b, t, *x.shape[1:]) for name, x in maps.items()}, size=(h, w))

    def fuse_prior(self, lq: torch.Tensor, feat: torch.Tensor) -> dict[str, torch.Tensor]:
        """What :class:`SectionFeatures` has of the prior, by its names, of LR sections and features (n, ., h, w)."""
        with torch.no_grad():
            prior = self.prior.prior(lq)
            pairs = zip(lq.split(1), prior.image.split(1), strict=True)
            similarity = torch.cat([self.similarity(*pair) for pair in pairs])
        fused, mask = self.mpf.by_section(feat, prior.features, similarity)
        return {
            "fused": fused,
            "reference": prior.image.float(),
            "codes": prior.codes,
            "confidence": prior.confidence,
            "entropy": prior.entropy,
            "similarity": similarity,
            "mask": mask,
        }

    def similarity(self, lq: torch.Tensor, image: torch.Tensor) -> torch.Tensor:
        """Similarity of LR sections (n, 1, h, w) to images (n, 1, r*h, r*w), of a patch for each latent vector."""
        return feature_cosine(self.perceptual, enlarge(lq, self.scale), image, DOWNSAMPLING)

    def coarser(self, fused: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Levels 2 and 3 of the pyramid for the alignment, of level 1 (n, c, h, w)."""
        level2 = self.lrelu(self.level2(fused))
        return level2, self.lrelu(self.level3(level2))

    def estimate_flow(self, neighbour: torch.Tensor, centre: torch.Tensor) -> torch.Tensor:
        """Flow neighbour -> centre, (n, 2, s*h, s*w) in pixels of that size, of LR sections (n, 1, h, w)."""
        with torch.set_grad_enabled(torch.is_grad_enabled() and not self.flow_is_frozen):
            return self.flow(*(enlarge(lq, self.flow_scale) for lq in (neighbour, centre)))

    def align_window(self, window: SectionFeatures) -> torch.Tensor:
        """Features of all sections of the window (b, t, ...) aligned to its centre: (b, t, c, h, w)."""
        pyramid = [window.lq, window.fused, window.level2, window.level3]
        pairs = [level.flatten(0, 1) for level in pyramid] + [self.repeat_centre(level) for level in pyramid]
        return image_by_image(self.align_pairs, *pairs, scale=self.flow_scale).reshape(window.fused.shape)

    def align_pairs(self, *pairs: torch.Tensor) -> torch.Tensor:
        """Features (n, c, h, w) aligned to the centre's: LR sections and pyramid of neighbours, then of the centre."""
        (lq, *neighbour), (centre_lq, *centre) = pairs[:4], pairs[4:]
        flow = self.estimate_flow(lq, centre_lq)
        flow_back = self.estimate_flow(centre_lq, lq) if self.bidirectional_flow else None
        return self.align(neighbour, centre, lq, centre_lq, flow, flow_back)

    def repeat_centre(self, x: torch.Tensor) -> torch.Tensor:
        """(b, t, ...) -> (b*t, ...), the centre section in every place."""
        return x[:, self.centre : self.centre + 1].expand_as(x).flatten(0, 1)

    def reconstruct(self, window: SectionFeatures) -> torch.Tensor:
        """Centre section of a window of T encoded sections: (b, 1, r*h, r*w)."""
        x = self.reconstruction(self.fusion(self.align_window(window)))
        x = in_bands(lambda x: recomputed(self.to_hr, x), x, halo=2, scale=self.scale)
        x = x + enlarge(window.lq[:, self.centre], self.scale)
        h, w = window.size
        return x[..., : h * self.scale, : w * self.scale]

    def to_hr(self, x: torch.Tensor) -> torch.Tensor:
        """LR features (b, c, h, w) -> what is added to the enlarged section, (b, 1, r*h, r*w)."""
        return self.conv_last(self.lrelu(self.conv_hr(self.upsample(x))))

    def forward(
        self, lq: torch.Tensor, return_reference: bool = False
    ) -> torch.Tensor | tuple[torch.Tensor, torch.Tensor]:
        """(b, t, 1, h, w) in [0, 1] -> (b, 1, r*h, r*w); with the reference images (b, t, 1, r*h, r*w) if asked."""
        sections = self.encode_sections(lq)
        sr = self.reconstruct(sections)
        return (sr, sections.reference) if return_reference else sr


def enlarge(lq: torch.Tensor, factor: int) -> torch.Tensor:
    """Bilinear enlargement of (n, 1, h, w) by ``factor``."""
    if factor == 1:
        return lq
    return F.interpolate(lq, scale_factor=factor, mode="bilinear", align_corners=False)
