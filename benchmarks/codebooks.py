r"""What do codes hold, and how well can they be predicted? Stage I with other codebooks, each with its indexers.

    python benchmarks/codebooks.py --train shipped/data/fib25_train_hr.lmdb --test shipped/data/fib25_test_hr.lmdb \
        --out runs/codebooks

Needs ``pip install vector-quantize-pytorch``. Each codebook has the encoder and the decoder of ``options/demo``,
trained on the same crops with L1 and the codebook's loss, without the adversarial part. Then indexers learn to predict
its codes from LR (x8, bicubic): from the section alone by cross-entropy, as published; from five sections; and from
five sections by an image loss on what the frozen decoder makes of the expected latent vectors (``soft``). Without
quantisation the indexer predicts latent vectors by the image loss. PSNR is of 8-bit images of the test sections.
Prints a table; finished codebooks are not trained again.
"""

from __future__ import annotations

import argparse
import json
from dataclasses import asdict, dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np
import torch
from oracle_codes import FRAMES, SCALE, make_lr, stacks
from torch import nn
from torch.nn import functional as F
from tqdm import trange

from gpemsr import compat, register
from gpemsr.archs.baselines_arch import Bicubic
from gpemsr.archs.blocks import NonLocal, ResBlock, conv3
from gpemsr.archs.vqgan_arch import Codebook, Decoder, Encoder
from gpemsr.data.section_sampling import window_indices
from gpemsr.files import replaced
from gpemsr.models.gpemsr_model import psnr
from gpemsr.options.read import read_options, to_plain

INDEXERS = {"section": (1, False), "five sections": (FRAMES, False), "soft": (FRAMES, True)}  # sections, image loss


@dataclass(frozen=True)
class Kind:
    """A codebook.

    Attributes:
        quantiser: ``ours`` (as in :class:`VQGAN`), ``ema`` (averaged entries, rotation trick), ``residual`` (``depth``
            codebooks one after the other), ``fsq`` (finite scalar quantisation), or ``none`` (an autoencoder).
        codes: entries of each codebook; of ``none`` the dimensions of a latent vector.
        step: HR pixels per latent vector and axis, 8 or 16.
        residual_image: code HR less the bicubic enlargement of LR, not HR.
        depth: codebooks.
    """

    quantiser: str
    codes: int = 256
    step: int = 16
    residual_image: bool = False
    depth: int = 1


KINDS = {
    "as published, 256 codes": Kind("ours"),
    "1024 codes": Kind("ours", 1024),
    "EMA, rotation trick": Kind("ema"),
    "FSQ": Kind("fsq", 1000),
    "residual, 4 x 256": Kind("residual", depth=4),
    "latents at HR/8": Kind("ours", step=8),
    "1024 codes, latents at HR/8": Kind("ours", 1024, step=8),
    "of HR less bicubic": Kind("ours", residual_image=True),
    "of HR less bicubic, 1024 codes at HR/8": Kind("ours", 1024, step=8, residual_image=True),
    "no quantisation": Kind("none", 32),
}
FSQ_LEVELS = [8, 5, 5, 5]


class Quantiser(nn.Module):
    """One face for the quantisers: latent vectors -> quantised ones, loss, codes (b, depth, h, w)."""

    def __init__(self, kind: Kind, dim: int) -> None:
        super().__init__()
        self.kind = kind
        if kind.quantiser == "ours":
            self.inner: nn.Module = Codebook(kind.codes, dim, 1.0)
        elif kind.quantiser in ("ema", "residual"):
            from vector_quantize_pytorch import ResidualVQ, VectorQuantize

            shared = {
                "dim": dim,
                "codebook_size": kind.codes,
                "decay": 0.95,
                "threshold_ema_dead_code": 1,
                "kmeans_init": True,
            }
            shared |= {"rotation_trick": True}
            depth = {"num_quantizers": kind.depth}
            self.inner = VectorQuantize(**shared) if kind.quantiser == "ema" else ResidualVQ(**shared, **depth)
        elif kind.quantiser == "fsq":
            from vector_quantize_pytorch import FSQ

            self.inner = FSQ(FSQ_LEVELS)

    def forward(self, z: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """(b, c, h, w) -> quantised, loss, codes."""
        quantiser, zero = self.kind.quantiser, z.new_zeros(())
        if quantiser == "none":
            return z, zero, zero.long().expand(len(z), 1, *z.shape[-2:])
        if quantiser == "ours":
            latent, loss, codes = self.inner(z)
            return latent, loss, codes[:, None]
        if quantiser == "fsq":
            latent, codes = self.inner(z)
            return latent, zero, codes.long()[:, None]
        latent, codes, loss = self.inner(z.flatten(2).mT)  # (b, h*w, c); codes (b, h*w) or (b, h*w, depth)
        codes = codes.reshape(len(z), *z.shape[-2:], self.kind.depth).movedim(-1, 1)
        return latent.mT.unflatten(2, z.shape[-2:]), loss.sum(), codes

    def entries(self) -> torch.Tensor:
        """The latent vector of each code, (depth, codes, c)."""
        if self.kind.quantiser == "ours":
            return self.inner.embedding.weight[None]
        if self.kind.quantiser == "ema":
            return self.inner.codebook[None]
        if self.kind.quantiser == "residual":
            return self.inner.codebooks
        return self.inner.implicit_codebook[None].float()

    @torch.no_grad()
    def restart(self, z: torch.Tensor, counts: torch.Tensor) -> None:
        """Move codes that were not chosen (``counts`` 0) onto latent vectors of the batch; only ours needs it."""
        if self.kind.quantiser == "ours":
            dead = (counts == 0).nonzero()[:, 0]
            flat = z.permute(0, 2, 3, 1).flatten(0, 2)
            self.inner.embedding.weight[dead] = flat[torch.randint(len(flat), (len(dead),), device=z.device)]


class StageOne(nn.Module):
    """Encoder, quantiser and decoder."""

    def __init__(self, kind: Kind, options: dict) -> None:
        super().__init__()
        widths = options["channels"] if kind.step == 16 else options["channels"][:1] + options["channels"][2:]
        self.dim = len(FSQ_LEVELS) if kind.quantiser == "fsq" else options["code_dim"]
        sizes = (self.dim, 1, options["norm_groups"])
        self.kind, self.widths = kind, widths
        self.encoder, self.decoder = Encoder(widths, *sizes), Decoder(widths, *sizes)
        self.quantiser = Quantiser(kind, self.dim)
        self.enlarge = Bicubic(SCALE)

    def base(self, lr: torch.Tensor) -> torch.Tensor | float:
        """What is not coded: the enlarged LR section (b, 1, H, W), or 0."""
        return self.enlarge(lr) if self.kind.residual_image else 0.0

    def forward(self, hr: torch.Tensor, lr: torch.Tensor, quantise: bool = True) -> tuple[torch.Tensor, ...]:
        """(b, 1, H, W), (b, 1, h, w) -> image, loss of the codebook, codes (b, depth, h', w'), latent vectors."""
        base = self.base(lr)
        z = self.encoder(hr - base)
        latent, loss, codes = self.quantiser(z)
        return self.decoder(latent if quantise else z)[0] + base, loss, codes, z

    def decode(self, latent: torch.Tensor, lr: torch.Tensor) -> torch.Tensor:
        """Image of latent vectors."""
        return self.decoder(latent)[0] + self.base(lr)


class Indexer(nn.Module):
    """LR sections (b, t, h, w) -> logits (b, depth, codes, h', w'); :class:`LatentIndexer` for any codebook."""

    def __init__(self, sections: int, kind: Kind, channels: list[int], groups: int) -> None:
        super().__init__()
        blocks: list[nn.Module] = [conv3(sections, channels[0]), nn.ReLU(inplace=True)]
        for i, (c_in, c_out) in enumerate(pairwise(channels)):
            blocks.append(ResBlock(c_in, c_in, groups))
            down = kind.step == 16 and i == len(channels) - 2
            blocks.append(conv3(c_in, c_out, 2) if down else ResBlock(c_in, c_out, groups))
        width = channels[-1]
        blocks += [NonLocal(width, groups), *(ResBlock(width, width, groups) for _ in range(3))]
        self.body, self.kind = nn.Sequential(*blocks), kind
        self.head = nn.Conv2d(width, kind.depth * kind.codes, 1)

    def forward(self, lr: torch.Tensor) -> torch.Tensor:
        """See the class."""
        return self.head(self.body(lr)).unflatten(1, (self.kind.depth, self.kind.codes))


class Sections:
    """HR volumes and their LR on the device."""

    def __init__(self, root: str, device: str) -> None:
        volumes = stacks(root)
        self.hr = [torch.from_numpy(volume)[:, None].to(device) for volume in volumes]
        self.lr = [torch.from_numpy(make_lr(volume)).to(device) for volume in volumes]
        self.weights = np.array([volume.size for volume in volumes], float)

    def window(self, volume: int, z: int) -> torch.Tensor:
        """LR sections (5, h, w) around ``z``."""
        return self.lr[volume][window_indices(z, len(self.lr[volume]), FRAMES)]

    def batch(self, rng: np.random.Generator, count: int, size: int) -> tuple[torch.Tensor, torch.Tensor]:
        """Random crops, flipped and transposed: HR (b, 1, size, size) and LR (b, 5, h, w)."""
        items, small = [], size // SCALE
        for _ in range(count):
            volume = int(rng.choice(len(self.hr), p=self.weights / self.weights.sum()))
            depth, height, width = self.lr[volume].shape
            z, y, x = (int(rng.integers(n)) for n in (depth, height - small + 1, width - small + 1))
            hr = self.hr[volume][z, :, SCALE * y : SCALE * y + size, SCALE * x : SCALE * x + size]
            lr = self.window(volume, z)[:, y : y + small, x : x + small]
            lr = lr.flip(0) if rng.random() < 0.5 else lr
            axes = [axis for axis in (1, 2) if rng.random() < 0.5]
            pair = [part.flip(axes) for part in (hr, lr)]
            items.append([part.mT for part in pair] if rng.random() < 0.5 else pair)
        hr, lr = zip(*items, strict=True)
        return torch.stack(hr), torch.stack(lr)

    def all(self) -> list[tuple[torch.Tensor, torch.Tensor]]:
        """All sections: HR (1, 1, H, W), LR windows (1, 5, h, w)."""
        return [(hr[z][None], self.window(v, z)[None]) for v, hr in enumerate(self.hr) for z in range(len(hr))]


def middle(lr: torch.Tensor) -> torch.Tensor:
    """The centre section (b, 1, h, w) of windows (b, 5, h, w)."""
    return lr[:, FRAMES // 2, None]


def adam(net: nn.Module, total: int) -> tuple[torch.optim.Optimizer, torch.optim.lr_scheduler.LRScheduler]:
    """Adam with a learning rate that falls from 0.001 along a cosine."""
    optimizer = torch.optim.Adam(net.parameters(), lr=1e-3, betas=(0.9, 0.99))
    return optimizer, torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, total)


def train_stage_one(net: StageOne, data: Sections, arguments: argparse.Namespace, rng: np.random.Generator) -> None:
    """A third as an autoencoder where the codebook is ours, then with codes; codes that are not chosen start again."""
    total = arguments.iterations
    start = total // 3 if net.kind.quantiser == "ours" else 0
    optimizer, scheduler = adam(net, total)
    counts = torch.zeros(max(1, net.kind.codes), device=arguments.device)
    for i in trange(total, desc="stage I", disable=None):
        hr, lr = data.batch(rng, arguments.batch, arguments.crop)
        image, loss, codes, z = net(hr, middle(lr), quantise=i >= start)
        if i == start or (i > start and i % 50 == 0 and i < 0.8 * total):
            net.quantiser.restart(z, counts if i > start else 0 * counts)
            counts.zero_()
        optimizer.zero_grad()
        (F.l1_loss(image, hr) + arguments.codebook_weight * loss).backward()
        optimizer.step()
        scheduler.step()
        counts += torch.bincount(codes.flatten(), minlength=len(counts))
    net.eval().requires_grad_(False)


def train_indexer(
    net: StageOne, indexer: Indexer, through_decoder: bool, data: Sections, arguments: argparse.Namespace
) -> None:
    """Cross-entropy against the codes of HR, or L1 of the image of the expected latent vectors."""
    rng, total = np.random.default_rng(1), arguments.indexer_iterations
    optimizer, scheduler = adam(indexer, total)
    for _ in trange(total, desc="indexer", disable=None):
        hr, lr = data.batch(rng, arguments.batch, arguments.crop)
        logits = indexer(seen_by(indexer, lr))
        if through_decoder:
            loss = F.l1_loss(net.decode(expected(net, logits), middle(lr)), hr)
        else:
            codes = net(hr, middle(lr))[2]
            loss = F.cross_entropy(logits.flatten(0, 1), codes.flatten(0, 1))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        scheduler.step()
    indexer.eval()


def seen_by(indexer: Indexer, lr: torch.Tensor) -> torch.Tensor:
    """The sections of windows (b, 5, h, w) that an indexer sees."""
    return lr if indexer.body[0].in_channels == FRAMES else middle(lr)


def expected(net: StageOne, logits: torch.Tensor) -> torch.Tensor:
    """Latent vectors (b, c, h, w), the mean over all codes with the probabilities of ``logits``."""
    if net.kind.quantiser == "none":
        return logits[:, 0]
    return torch.einsum("bqkhw,qkc->bchw", logits.softmax(2), net.quantiser.entries())


def chosen(net: StageOne, codes: torch.Tensor) -> torch.Tensor:
    """Latent vectors (b, c, h, w) of codes (b, depth, h, w)."""
    entries = net.quantiser.entries()
    return (
        torch.stack([table[part] for table, part in zip(entries, codes.unbind(1), strict=True)]).sum(0).movedim(-1, 1)
    )


def rounded(image: torch.Tensor) -> torch.Tensor:
    """As 8-bit images hold it."""
    return (255 * image.clamp(0, 1)).round() / 255


@torch.no_grad()
def scores(net: StageOne, indexers: dict[str, Indexer], data: Sections) -> dict[str, float]:
    """Means over the sections."""
    found: dict[str, list[float]] = {}
    counts = torch.zeros(max(1, net.kind.codes), device=data.hr[0].device)
    for hr, lr in data.all():
        image, _, codes, _ = net(hr, middle(lr))
        counts += torch.bincount(codes.flatten(), minlength=len(counts))
        row = {"bicubic": psnr(rounded(net.enlarge(middle(lr))), hr), "true codes": psnr(rounded(image), hr)}
        for name, indexer in indexers.items():
            logits = indexer(seen_by(indexer, lr))
            row[f"{name}: expected"] = psnr(rounded(net.decode(expected(net, logits), middle(lr))), hr)
            if net.kind.quantiser != "none":
                best = logits.argmax(2)
                row[f"{name}: right"] = (best == codes).float().mean()
                row[f"{name}: best code"] = psnr(rounded(net.decode(chosen(net, best), middle(lr))), hr)
        for key, value in row.items():
            found.setdefault(key, []).append(float(value.mean()))
    shares = counts[counts > 0] / counts.sum()
    means = {key: float(np.mean(values)) for key, values in found.items()}
    return means | {"perplexity": float((-(shares * shares.log()).sum()).exp())}


def run(arguments: argparse.Namespace, kind: Kind, training: Sections, test: Sections) -> dict[str, float]:
    """Train one codebook and its indexers; what they reach."""
    torch.manual_seed(arguments.seed)
    options = to_plain(read_options("options/demo/stage3_x8.yml"))["network_g"]["prior"]
    net = StageOne(kind, options["vqgan"]).to(arguments.device)
    train_stage_one(net, training, arguments, np.random.default_rng(arguments.seed))
    indexers = {}
    for name, (sections, through_decoder) in INDEXERS.items():
        if kind.quantiser == "none" and not through_decoder:
            continue
        indexer = Indexer(sections, kind, options["channels"], options["norm_groups"]).to(arguments.device)
        train_indexer(net, indexer, through_decoder, training, arguments)
        indexers[name] = indexer
    return scores(net, indexers, test)


def line(name: str, kind: Kind, found: dict[str, float]) -> str:
    """A row of the table."""
    coded = kind.quantiser != "none"
    bits = f"{np.log2(kind.codes) * kind.depth * (16 / kind.step) ** 2:.0f}" if coded else "-"
    cells = [name, bits, f"{found['perplexity']:.0f}" if coded else "-", f"{found['true codes']:.2f}"]
    for indexer in INDEXERS:
        figures = [found.get(f"{indexer}: {key}") for key in ("right", "best code", "expected")]
        texts = (f"{x:{form}}" for x, form in zip(figures, (".1%", ".2f", ".2f"), strict=True) if x is not None)
        cells.append(", ".join(texts) or "-")
    return "| " + " | ".join(cells) + " |"


def main() -> int:
    """Train what is asked for and print the table."""
    parse = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parse.add_argument("--train", required=True, help="LMDB of HR sections")
    parse.add_argument("--test", required=True, help="LMDB of HR sections held back")
    parse.add_argument("--out", type=Path, required=True, help="folder of the results")
    parse.add_argument(
        "--kinds", nargs="+", type=int, default=list(range(len(KINDS))), help="which (0, 1, ...; default: all)"
    )
    parse.add_argument("--seed", type=int, default=0)
    parse.add_argument("--iterations", type=int, default=1500, help="of stage I (default 1500)")
    parse.add_argument("--indexer-iterations", type=int, default=500, help="of each indexer (default 500)")
    parse.add_argument("--batch", type=int, default=8)
    parse.add_argument("--crop", type=int, default=192, help="side of the HR crops (default 192)")
    parse.add_argument("--codebook-weight", type=float, default=0.01)
    parse.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    arguments = parse.parse_args()
    register()
    compat.apply()
    arguments.out.mkdir(parents=True, exist_ok=True)
    training, test = Sections(arguments.train, arguments.device), Sections(arguments.test, arguments.device)
    print("| codebook | bits of 16 x 16 HR pixels | perplexity | true codes (dB) | " + " | ".join(INDEXERS) + " |")
    print("|" + (4 + len(INDEXERS)) * "---|")
    names = list(KINDS)
    for number in arguments.kinds:
        kind = KINDS[names[number]]
        file = arguments.out / f"{number}_{arguments.seed}.json"
        if not file.exists():
            found = run(arguments, kind, training, test)
            with replaced(file) as temporary:
                temporary.write_text(json.dumps({**asdict(kind), **found}))
        print(line(names[number], kind, json.loads(file.read_text())), flush=True)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
