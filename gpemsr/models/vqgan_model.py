"""Stage I: training of the VQGAN."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping

import torch
from basicsr.archs import build_network
from basicsr.losses import build_loss
from basicsr.utils.registry import MODEL_REGISTRY
from torch import distributed

from gpemsr.archs.patchgan_arch import PATCH
from gpemsr.metrics.codebook_usage import CodebookUsage
from gpemsr.models.image_validation import ImageValidation
from gpemsr.models.stage_base import StageModel
from gpemsr.options.schema import NonNegativeFloat, NonNegativeInt, PositiveInt, StageTrainOptions


class VQGANTrainOptions(StageTrainOptions):
    """``train`` of :class:`VQGANModel`."""

    pixel_opt: dict
    codebook_weight: NonNegativeFloat = 10.0
    gan_opt: dict
    gan_start_iter: NonNegativeInt = 40000
    r1_opt: dict | None = None
    r1_every: PositiveInt = 16
    optim_d: dict
    quantize_start_iter: NonNegativeInt = 0
    restart_dead_codes_every: NonNegativeInt = 0


@MODEL_REGISTRY.register()
class VQGANModel(StageModel, ImageValidation):
    """Reconstruction + codebook loss; from ``gan_start_iter`` on also adversarial, with R1 every few steps.

    Two options of ours keep short trainings from collapsing to a few codes; their default 0 is the paper's way.
    Up to ``quantize_start_iter`` the network trains as a plain autoencoder; then all codes are moved onto latent
    vectors of the current batch. Every ``restart_dead_codes_every`` iterations the codes that are hardly chosen any
    more are moved likewise.
    """

    Options = VQGANTrainOptions
    scalars_of_validation = ("perplexity", "codes_used")
    works_with = {
        "network_g": ("VQGAN",),
        "network_d": ("PatchDiscriminator",),
        "datasets.train": ("HRSectionDataset",),
        "datasets.val": ("HRSectionDataset",),
    }

    @classmethod
    def check_options(cls, opt: Mapping) -> None:
        """A test needs a checkpoint, and crops must be as large as what the discriminator sees."""
        cls.check_tested(opt)
        train, crop = opt.get("train"), opt["datasets"].get("train", {}).get("gt_size")
        if train and crop and crop < PATCH and train.get("gan_start_iter", 40000) < train["total_iter"]:
            raise ValueError(f"datasets.train.gt_size={crop}: at least {PATCH} is expected, the discriminator's patch")

    def init_training_settings(self) -> None:
        """Build discriminator, losses, optimisers and schedulers."""
        train = self.opt["train"]
        self.net_d = self.model_to_device(build_network(self.opt["network_d"]))
        self.print_network(self.net_d)
        load_path = self.opt["path"].get("pretrain_network_d")
        if load_path:
            self.load_network(self.net_d, load_path, self.opt["path"].get("strict_load_d", True))
        self.cri_gan = build_loss(train["gan_opt"]).to(self.device)
        self.cri_r1 = build_loss(train["r1_opt"]).to(self.device) if train.get("r1_opt") else None
        super().init_training_settings()
        num_codes = self.get_bare_model(self.net_g).codebook.embedding.num_embeddings
        self.usage = CodebookUsage(num_codes, device=self.device)

    def setup_optimizers(self) -> None:
        """One optimiser for the generator and one for the discriminator."""
        super().setup_optimizers()
        options = dict(self.opt["train"]["optim_d"])
        self.optimizer_d = self.get_optimizer(options.pop("type"), self.net_d.parameters(), **options)
        self.optimizers.append(self.optimizer_d)

    def feed_data(self, data: Mapping) -> None:
        """``gt`` (b, 1, H, W) is both input and target."""
        self.gt = self.lq = data["gt"].to(self.device, non_blocking=True)

    def optimize_parameters(self, current_iter: int) -> None:
        """One step of the generator and, once the adversarial part has begun, of the discriminator."""
        train = self.opt["train"]
        adversarial = current_iter > train.get("gan_start_iter", 40000)
        losses: OrderedDict[str, torch.Tensor] = OrderedDict()

        start, every = train.get("quantize_start_iter", 0), train.get("restart_dead_codes_every", 0)
        if start and current_iter == start + 1:
            self.usage.counts.zero_()
            self.restart_dead_codes()
        elif every and current_iter > start and current_iter % every == 0 and self.usage.steps >= every - 1:
            self.restart_dead_codes()  # not on what has been seen since weights were loaded
        if adversarial:
            self.net_d.requires_grad_(False)
        self.optimizer_g.zero_grad()
        with self.autocast():
            self.output, codebook_loss, codes = self.net_g(self.gt, quantize=current_iter > start)
        self.output = self.output.float()
        losses["l_pix"] = self.cri_pix(self.output, self.gt)
        losses["l_codebook"] = train.get("codebook_weight", 10.0) * codebook_loss
        if adversarial:
            losses["l_g_gan"] = self.cri_gan(self.net_d(self.output), True, is_disc=False)
        self.step(*losses.values())

        if adversarial:
            self.net_d.requires_grad_(True)
            losses |= self.optimize_discriminator(current_iter)
        self.usage.update(codes)
        if self.ema_decay > 0:
            self.model_ema(decay=self.ema_decay)
        losses["perplexity"] = self.usage.perplexity()
        losses["dead_codes"] = self.usage.num_dead()
        self.losses = OrderedDict((name, value.detach()) for name, value in losses.items())

    def get_current_log(self) -> OrderedDict[str, float]:
        """The last iteration's losses, averaged over the processes, which all call this; waits for the device."""
        return self.reduce_loss_dict(self.losses)

    def optimize_discriminator(self, current_iter: int) -> dict[str, torch.Tensor]:
        """0.5 * (-mean D(real) + mean D(fake)), and R1 every ``r1_every`` steps (weighted for those skipped)."""
        every = self.opt["train"].get("r1_every", 16)
        penalised = self.cri_r1 is not None and current_iter % every == 0
        images = self.gt.detach().requires_grad_(penalised)
        self.optimizer_d.zero_grad()
        scores = self.net_d(images)
        real = self.cri_gan(scores, True, is_disc=True)
        fake = self.cri_gan(self.net_d(self.output.detach()), False, is_disc=True)
        losses = {"l_d_real": real.detach(), "l_d_fake": fake.detach()}
        loss = 0.5 * (real + fake)
        if penalised:
            loss = loss + every * self.cri_r1(scores, images)
        loss.backward()  # once: DDP expects a gradient of every parameter in each backward pass
        self.optimizer_d.step()
        return losses

    @torch.no_grad()
    def restart_dead_codes(self) -> None:
        """Move the codes that are no longer chosen onto random latent vectors of the current batch."""
        net = self.get_bare_model(self.net_g)
        dead = self.usage.dead()
        latent = net.encoder(self.gt).permute(0, 2, 3, 1).flatten(0, 2)
        chosen = latent[torch.randint(len(latent), (len(dead),), device=latent.device)]
        entries = net.codebook.embedding.weight
        if chosen.isfinite().all():
            entries[dead] = chosen
            self.usage.revive(dead)
        if self.opt["dist"]:
            distributed.broadcast(entries, 0)
            distributed.broadcast(self.usage.counts, 0)

    def process_state(self) -> Mapping:
        """As of every stage, and how often this process has seen each code."""
        return {**super().process_state(), "codes": self.usage.counts.cpu(), "steps": self.usage.steps}

    def load_process_state(self, state: Mapping) -> None:
        """Go on with these counts."""
        super().load_process_state(state)
        self.usage.counts.copy_(state["codes"])
        self.usage.steps = state["steps"]

    def start_validation(self) -> None:
        """Count the codes of the validation images apart from those of training."""
        num_codes = self.get_bare_model(self.net_g).codebook.embedding.num_embeddings
        self.val_usage = CodebookUsage(num_codes, memory=10**9, device=self.device)

    def test(self) -> None:
        """Reconstruct ``gt``."""
        net = self.net_g_ema if hasattr(self, "net_g_ema") else self.get_bare_model(self.net_g)
        net.eval()
        with torch.no_grad():
            self.output, _, codes = net(self.gt)
        self.val_usage.update(codes)
        net.train(self.is_train)

    def validation_scalars(self) -> dict[str, float]:
        """Perplexity of the codes chosen for the validation images, and how many were ever chosen."""
        if self.opt["dist"]:
            distributed.all_reduce(self.val_usage.counts)
        used = (self.val_usage.counts > 0).sum().item()
        return {"perplexity": self.val_usage.perplexity().item(), "codes_used": float(used)}

    def save(self, epoch: int, current_iter: int) -> None:
        """Save both networks and the training state."""
        self.save_network(self.net_d, "net_d", current_iter)
        super().save(epoch, current_iter)
