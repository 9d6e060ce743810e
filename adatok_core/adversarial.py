"""The adversary of a tokenizer's decoder: a PatchGAN discriminator with its own optimizer."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.func import functional_call

from adatok_core.config import Adversarial
from adatok_core.lecam import LeCam
from adatok_core.losses import discriminator_hinge, generator_hinge


class Discriminator(nn.Module):
    """Scores of overlapping 38 px patches (Isola et al. 2017, section 3.2.2).

    Norms are per image, so that micro-batches add up to the batch.
    """

    def __init__(self, width: int):
        super().__init__()
        self.layers = nn.Sequential(
            nn.Conv2d(3, width, 4, stride=2, padding=1),
            nn.LeakyReLU(0.2),
            nn.Conv2d(width, 2 * width, 4, stride=2, padding=1),
            nn.GroupNorm(1, 2 * width),
            nn.LeakyReLU(0.2),
            nn.Conv2d(2 * width, 4 * width, 4, stride=2, padding=1),
            nn.GroupNorm(1, 4 * width),
            nn.LeakyReLU(0.2),
            nn.Conv2d(4 * width, 1, 3, padding=1),
        )

    def forward(self, images: Tensor) -> Tensor:
        """Scores `[B, 1, H / 8, W / 8]` of `images [B, 3, H, W]`, of 8 px or more."""
        # Convolutions read this layout fastest; weights, and so the optimizer, keep theirs.
        centred = (images * 2 - 1).contiguous(memory_format=torch.channels_last)
        scores: Tensor = self.layers(centred).float()
        return scores


class Adversary:
    """A discriminator in training; the losses of either side leave the other's gradients alone."""

    def __init__(self, config: Adversarial, *, device: str):
        self.start_step = config.start_step
        self.discriminator = Discriminator(config.width).to(device)
        self.lecam = LeCam().to(device) if config.lecam else None
        self.optimizer = torch.optim.AdamW(
            self.discriminator.parameters(),
            lr=config.learning_rate,
            betas=(0.5, 0.9),
            weight_decay=0.0,
            fused=True,
        )

    def generator_loss(self, reconstructions: Tensor) -> Tensor:
        """Hinge loss of the decoder for `reconstructions [B, 3, H, W]`.

        They are not clamped: values out of range would then never be pulled back.
        """
        weights = {name: p.detach() for name, p in self.discriminator.named_parameters()}
        return generator_hinge(functional_call(self.discriminator, weights, (reconstructions,)))

    def discriminator_losses(self, images: Tensor, reconstructions: Tensor) -> dict[str, Tensor]:
        """Hinge loss of the discriminator and its LeCam term, if any; batches `[B, 3, H, W]`."""
        real, fake = (self.discriminator(x) for x in (images, reconstructions.detach()))
        losses = {"discriminator_loss": discriminator_hinge(real, fake)}
        if self.lecam is not None:
            losses["lecam_loss"] = self.lecam(real, fake)
        return losses

    def losses(self, images: Tensor, reconstructions: Tensor, *, step: int) -> dict[str, Tensor]:
        """Losses of both sides at a step, unweighted; zeros before the start step."""
        if step < self.start_step:
            lecam = ["lecam_loss"] if self.lecam is not None else []
            names = ["adversarial_loss", "discriminator_loss", *lecam]
            return dict.fromkeys(names, reconstructions.new_zeros(()))
        adversarial = {"adversarial_loss": self.generator_loss(reconstructions)}
        return adversarial | self.discriminator_losses(images, reconstructions)

    def end_step(self, step: int) -> None:
        """Move what follows the scores of a step's batch."""
        if self.lecam is not None and step >= self.start_step:
            self.lecam.move()
