"""TiTok (Yu et al. 2024, 2406.07550) and One-D-Piece (Miwa et al. 2025, 2501.10064)."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor

from adatok_core.published.codebook import Codebook
from adatok_core.published.heads import CodeHead, PixelHead
from adatok_core.published.layers import ROWS
from adatok_core.published.maskgit_vqgan import PixelDecoder
from adatok_core.published.one_dimensional import Decoder, Encoder
from adatok_core.published.tokenizer import Description, in_parts, open_weights
from adatok_core.published.weights import Weights

PixelCodes = Literal["mean", "nearest"]
SIZES = {512: "S", 768: "B", 1024: "L"}


@dataclass(frozen=True)
class TiTok:
    """A trained 1-D tokenizer, for inference."""

    encoder: Encoder
    codebook: Codebook
    decoder: Decoder
    head: CodeHead | PixelHead
    description: Description

    def describe(self) -> dict[str, Any]:
        """Facts about it: resolution, tokens, codes, what `decode` gives."""
        return self.description.plain()

    @torch.inference_mode()
    def encode(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Ids `[B, N]` and latents before quantization `[B, N, C]` of images in [0, 1].

        Raises:
            ValueError: other than float `[B, 3, resolution, resolution]`.
        """
        self.description.require_images(images)
        images = images.to(self.codebook.codes.device, torch.float32)
        rows = 1 + len(self.encoder.positions) + len(self.encoder.latent_rows)
        latents = in_parts(self.encoder, images, most=max(1, ROWS // rows))
        return self.codebook.nearest(latents), latents

    @torch.inference_mode()
    def decode(self, ids: Tensor) -> Tensor:
        """Images `[B, 3, H, W]` of `ids [B, k]`, nominally in [0, 1].

        Raises:
            ValueError: a length it does not decode, or ids that are no codes.
        """
        self.description.require_ids(ids)
        ids = ids.to(self.codebook.codes.device, torch.int64)
        rows = len(self.decoder.mask_rows) + ids.shape[1]
        return in_parts(self._pixels, ids, most=max(1, ROWS // rows))

    def _pixels(self, ids: Tensor) -> Tensor:
        return self.head(self.decoder(self.codebook(ids)))


def titok(
    weights: str | Path,
    *,
    pixel_decoder: str | Path | None = None,
    device: str | torch.device = "cpu",
    dtype: str | torch.dtype = "float32",
    legacy_reshape: bool | None = None,
    l2_normalised: bool | None = None,
    pixel_codes: PixelCodes | None = None,
) -> TiTok:
    """A TiTok with discrete tokens, from the file or folder that people download.

    Sizes, numbers of tokens and codes, and whether it has one stage or two follow from names and
    shapes. What they cannot tell is taken from `config.json` beside the file, and else from the
    number of stages, as in all released models.

    Args:
        weights: `.safetensors`, `.bin`, or a folder with one of them.
        pixel_decoder: MaskGIT's VQGAN in a file of its own. Two-stage models need it whose file has
            no pixel decoder; where the file has one, this is used in its place.
        device: where it computes.
        dtype: `float32`, or `bfloat16` for products and convolutions. The quantizer, norms and sums
            of the transformers are float32 in both.
        legacy_reshape: whether latents are read as [D, N] without a transpose (`is_legacy`). Else:
            two-stage models do.
        l2_normalised: whether codes and latents are scaled to unit length (`use_l2_norm`). Else:
            in two-stage models they are.
        pixel_codes: whether logits of a two-stage model give the `mean` of the pixel decoder's
            codes, as after stage 2, or the `nearest`, as its authors evaluate stage 1
            (`finetune_decoder: false`). Else: `mean`.

    Raises:
        ValueError: one line on a file that cannot be read, is incomplete or of another model.
    """
    options = Options(legacy_reshape, l2_normalised, pixel_codes)
    own = open_weights(weights, "TiTok", device=device, dtype=dtype)
    return _build(own, pixel_decoder, options, nested=False)


def one_d_piece(
    weights: str | Path,
    *,
    pixel_decoder: str | Path | None = None,
    device: str | torch.device = "cpu",
    dtype: str | torch.dtype = "float32",
    legacy_reshape: bool | None = None,
    l2_normalised: bool | None = None,
    pixel_codes: PixelCodes | None = None,
) -> TiTok:
    """A One-D-Piece: a TiTok whose first k tokens decode, for every k from 1. See `titok`."""
    options = Options(legacy_reshape, l2_normalised, pixel_codes)
    own = open_weights(weights, "One-D-Piece", device=device, dtype=dtype)
    return _build(own, pixel_decoder, options, nested=True)


@dataclass(frozen=True)
class Options:
    """What neither names nor shapes tell; None where nobody says."""

    legacy_reshape: bool | None
    l2_normalised: bool | None
    pixel_codes: PixelCodes | None


def _build(
    weights: Weights, pixel_decoder: str | Path | None, options: Options, *, nested: bool
) -> TiTok:
    path = weights.checkpoint.path
    settings = _settings(weights.checkpoint.config)
    if weights.has("latent_tokens") and not weights.has("quantize.embedding.weight"):
        raise ValueError(
            f"{path}: has no quantize.embedding.weight: a {weights.family} of continuous latents "
            "has no ids, and any other is incomplete without"
        )
    two_stages = any(weights.has(name) for name in ("decoder.ffn.2.", "pixel_decoder."))

    def either(given: bool | None, name: str) -> bool:
        return bool(settings.get(name, two_stages)) if given is None else given

    code_width = weights.size("quantize.embedding.weight", 1)
    legacy_reshape = either(options.legacy_reshape, "is_legacy")
    encoder = Encoder.of(weights, code_width=code_width, legacy_reshape=legacy_reshape)
    l2_normalised = either(options.l2_normalised, "use_l2_norm")
    codebook = Codebook.of(weights.under("quantize."), l2_normalised=l2_normalised)
    weights.leave("quantize.embed_prob")  # Usage statistics of training.
    under = weights.under("decoder.")
    decoder = Decoder.of(under, code_width=code_width)
    head: CodeHead | PixelHead
    if two_stages:
        default: PixelCodes = "mean" if settings.get("finetune_decoder", True) else "nearest"
        nearest = _is_nearest(options.pixel_codes or default)
        pixels, further = _pixel_decoder(weights, pixel_decoder)
        head = CodeHead.of(under, decoder.transformer.width, pixels, nearest=nearest)
    elif pixel_decoder is None and options.pixel_codes is None:
        head, further = PixelHead.of(under, decoder.transformer.width), 0
    else:
        name = "pixel_codes" if pixel_decoder is None else "pixel_decoder"
        raise ValueError(f"{path}: gives pixels itself; leave {name} out")
    weights.require_all_used()
    description = _describe(weights, encoder, codebook, decoder, head, further, nested=nested)
    return TiTok(encoder, codebook, decoder, head, description)


def _pixel_decoder(weights: Weights, given: str | Path | None) -> tuple[PixelDecoder, int]:
    """The pixel decoder, and its number of parameters where it is in a file of its own."""
    if given is None:
        if not weights.has("pixel_decoder."):
            raise ValueError(
                f"{weights.checkpoint.path}: has no pixel decoder; give the file of MaskGIT's "
                "VQGAN as pixel_decoder"
            )
        of = PixelDecoder.of(weights.under("pixel_quantize."), weights.under("pixel_decoder."))
        return of, 0
    for name in ("pixel_quantize.", "pixel_decoder."):
        weights.leave(name)
    other = open_weights(given, "MaskGIT's VQGAN", device=weights.device, dtype=weights.dtype)
    start = "pixel_" if other.has("pixel_decoder.") else ""
    pixels = PixelDecoder.of(other.under(f"{start}quantize."), other.under(f"{start}decoder."))
    other.leave("encoder.")
    other.require_all_used()
    return pixels, other.parameters(f"{start}quantize.", f"{start}decoder.")


def _is_nearest(pixel_codes: PixelCodes) -> bool:
    if pixel_codes not in ("mean", "nearest"):
        raise ValueError(f"pixel_codes: {pixel_codes} is none of mean, nearest")
    return pixel_codes == "nearest"


def _settings(config: Mapping[str, Any]) -> Mapping[str, Any]:
    """`model.vq_model` of the authors' configuration, empty where there is none."""
    model = config.get("model")
    settings = model.get("vq_model") if isinstance(model, Mapping) else None
    return settings if isinstance(settings, Mapping) else {}


def _describe(
    weights: Weights,
    encoder: Encoder,
    codebook: Codebook,
    decoder: Decoder,
    head: CodeHead | PixelHead,
    further: int,
    *,
    nested: bool,
) -> Description:
    tokens = len(encoder.latent_rows)
    sides = [
        math.isqrt(len(encoder.positions)) * encoder.patch_size,
        math.isqrt(len(decoder.mask_rows) - 1) * head.factor,
    ]
    if sides[0] != sides[1]:
        raise ValueError(
            f"{weights.checkpoint.path}: encodes images of {sides[0]} px and decodes {sides[1]} px"
        )
    letters = [
        SIZES.get(part.transformer.width, f"w{part.transformer.width}")
        for part in (encoder, decoder)
    ]
    size = letters[0] if letters[0] == letters[1] else "".join(letters)
    return Description(
        name=f"{weights.family}-{size}-{tokens}",
        resolution=sides[0],
        max_tokens=tokens,
        codebook_size=len(codebook.codes),
        nested=nested,
        range=(0.0, 1.0),
        rounding="truncate",
        parameters=weights.parameters("") + further,
        encoder_parameters=weights.parameters("encoder.", "latent_tokens"),
        patch_size=encoder.patch_size,
    )
