"""Losses between prefixes of an image and its full length, decoded in one step."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from adatok_core.budgets import prefix_mask
from adatok_core.config import LengthSampling
from adatok_core.losses import PixelLoss, pixel_distance
from adatok_core.tokenizer import ElasticTokenizer


class FirstLayer:
    """The features after the first layer of a model's decoder, the last time it decoded."""

    def __init__(self, model: ElasticTokenizer):
        self.ends = torch.tensor(model.budgets, device=next(model.parameters()).device)
        self.patches = (model.image_size // model.patch_size) ** 2
        self.seen: list[Tensor] = []
        layer: nn.Module = model.decoder.get_submodule("transformer.blocks.0")
        layer.register_forward_hook(lambda _, __, output: self.seen.append(output))

    def take(self, kept: Tensor) -> Tensor:
        """Features `[B, P + 1, D]` of the decoding at `kept [B]`: patches, mean of kept tokens."""
        (seen,) = self.seen
        self.seen.clear()
        # The decoder had the images in the order of their heads.
        heads = torch.searchsorted(self.ends, kept)
        features = seen[torch.argsort(torch.argsort(heads, stable=True))].float()
        tokens = features[:, self.patches :]
        visible = prefix_mask(kept, tokens.shape[1])[..., None]
        mean = (tokens * visible).sum(1, keepdim=True) / kept[:, None, None]
        return torch.cat([features[:, : self.patches], mean], dim=1)


def alignment_losses(
    output: Tensor, features: Tensor | None, *, config: LengthSampling, pixel_loss: PixelLoss
) -> dict[str, Tensor]:
    """Losses of prefixes towards the full length, which is the first of the `R` decodings.

    Sums over an image's prefixes, divided by `R`; unweighted.

    Args:
        output: reconstructions `[R * B, 3, H, W]`, the batch once for each decoding.
        features: `[R * B, P + 1, D]` of the decoder's first layer, where a loss looks at them.
    """
    losses: dict[str, Tensor] = {}
    count = config.decodings
    full = len(output) // count
    share = (count - 1) / count

    def towards_full(values: Tensor) -> tuple[Tensor, Tensor]:
        first, prefixes = values[:full].detach(), values[full:]
        return prefixes, first.repeat(count - 1, *[1] * (values.ndim - 1))

    if config.distillation is not None and config.distillation.of == "images":
        distance = pixel_distance(*towards_full(output), kind=pixel_loss)
        losses["distillation_loss"] = share * distance
    if features is None:
        return losses
    prefixes, taught = towards_full(features)
    if config.distillation is not None and config.distillation.of == "features":
        losses["distillation_loss"] = share * F.mse_loss(prefixes[:, :-1], taught[:, :-1])
    if config.self_alignment:
        apart = 1 - F.cosine_similarity(prefixes, taught, dim=-1)
        losses["alignment_loss"] = share * apart.mean()
    return losses
