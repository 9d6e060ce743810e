"""Names and shapes of checkpoints of published tokenizers, at any size.

Defaults are the published sizes. What a tokenizer is follows from them, so that weights of these
shapes stand for the real ones where only layout and cost matter.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence

Shapes = dict[str, tuple[int, ...]]


def affine(name: str, out: int, *further: int) -> Shapes:
    """A weight `[out, ...]` and a bias `[out]`."""
    return {f"{name}.weight": (out, *further), f"{name}.bias": (out,)}


def titok(
    *,
    stages: int = 2,
    widths: Sequence[int] = (512, 512),
    depths: Sequence[int] = (8, 8),
    tokens: int = 128,
    codes: int = 4096,
    code_width: int = 12,
    grid: int = 16,
    patch: int = 16,
    pixel_decoder: Shapes | None = None,
) -> Shapes:
    """TiTok or One-D-Piece for images of `grid * patch` px; with one stage it gives pixels itself.

    `widths` and `depths` are those of encoder and decoder.
    """
    wide, deep = widths
    shapes: Shapes = {
        "latent_tokens": (tokens, wide),
        "quantize.embedding.weight": (codes, code_width),
        "decoder.mask_token": (1, 1, deep),
    }
    for name, width, depth in zip(("encoder", "decoder"), widths, depths, strict=True):
        shapes |= {
            f"{name}.class_embedding": (1, width),
            f"{name}.positional_embedding": (grid**2 + 1, width),
            f"{name}.latent_token_positional_embedding": (tokens, width),
        }
        shapes |= _transformer(name, width, depth)
    shapes |= affine("encoder.patch_embed", wide, 3, patch, patch)
    shapes |= affine("encoder.conv_out", code_width, wide, 1, 1)
    shapes |= affine("decoder.decoder_embed", deep, code_width)
    if stages == 1:
        shapes |= affine("decoder.ffn.0", 3 * patch**2, deep, 1, 1)
        return shapes | affine("decoder.conv_out", 3, 3, 3, 3)
    pixels = maskgit() if pixel_decoder is None else pixel_decoder
    pixel_codes = pixels["pixel_quantize.embedding.weight"][0]
    shapes |= affine("decoder.ffn.0", 2 * deep, deep, 1, 1)
    shapes |= affine("decoder.ffn.2", pixel_codes, 2 * deep, 1, 1)
    return shapes | pixels


def maskgit(
    quantizer: str = "pixel_quantize",
    decoder: str = "pixel_decoder",
    *,
    codes: int = 1024,
    code_width: int = 256,
    channels: int = 128,
    multipliers: Sequence[int] = (1, 1, 2, 2, 4),
    blocks: int = 2,
) -> Shapes:
    """The decoder of MaskGIT's VQGAN: so many residual blocks in the middle and at each level."""
    width = channels * multipliers[-1]
    shapes: Shapes = {f"{quantizer}.embedding.weight": (codes, code_width)}
    shapes |= affine(f"{decoder}.conv_in", width, code_width, 3, 3)
    for block in range(blocks):
        shapes |= _residual(f"{decoder}.mid.{block}", width, width, bias=False)
    for level in reversed(range(len(multipliers))):
        up, out = f"{decoder}.up.{level}", channels * multipliers[level]
        for block in range(blocks):
            shapes |= _residual(f"{up}.block.{block}", width, out, bias=False)
            width = out
        if level:
            shapes |= affine(f"{up}.upsample_conv", out, out, 3, 3)
    return (
        shapes
        | affine(f"{decoder}.norm_out", width)
        | affine(f"{decoder}.conv_out", 3, width, 3, 3)
    )


def llamagen(
    *,
    multipliers: Sequence[int] = (1, 1, 2, 2, 4),
    codes: int = 16384,
    code_width: int = 8,
    channels: int = 128,
    middle: int = 256,
    blocks: int = 2,
) -> Shapes:
    """LlamaGen's VQ tokenizer: its decoder has one residual block more at each level."""
    shapes: Shapes = {"quantize.embedding.weight": (codes, code_width)}
    shapes["quantize.codebook_used"] = (65536,)
    shapes |= affine("quant_conv", code_width, middle, 1, 1)
    shapes |= affine("post_quant_conv", middle, code_width, 1, 1)
    widths = [channels * factor for factor in multipliers]
    for name, levels, more in (("encoder", widths, 0), ("decoder", widths[::-1], 1)):
        ends = (3, middle) if name == "encoder" else (middle, 3)
        shapes |= _attention(f"{name}.mid.1", widths[-1])
        for index in (0, 2):
            shapes |= _residual(f"{name}.mid.{index}", widths[-1], widths[-1], bias=True)
        shapes |= affine(f"{name}.conv_in", levels[0], ends[0], 3, 3)
        change = "downsample" if name == "encoder" else "upsample"
        attends = len(levels) - 1 if name == "encoder" else 0
        inputs = levels[0]
        for index, width in enumerate(levels):
            part = f"{name}.conv_blocks.{index}"
            for block in range(blocks + more):
                shapes |= _residual(f"{part}.res.{block}", inputs, width, bias=True)
                inputs = width
                if index == attends:
                    shapes |= _attention(f"{part}.attn.{block}", width)
            if index < len(levels) - 1:
                shapes |= affine(f"{part}.{change}.conv", width, width, 3, 3)
        shapes |= affine(f"{name}.norm_out", levels[-1])
        shapes |= affine(f"{name}.conv_out", ends[1], levels[-1], 3, 3)
    return shapes


def _transformer(name: str, width: int, depth: int) -> Shapes:
    shapes = affine(f"{name}.ln_pre", width) | affine(f"{name}.ln_post", width)
    for index in range(depth):
        block = f"{name}.transformer.{index}"
        shapes |= affine(f"{block}.ln_1", width) | affine(f"{block}.ln_2", width)
        shapes[f"{block}.attn.in_proj_weight"] = (3 * width, width)
        shapes[f"{block}.attn.in_proj_bias"] = (3 * width,)
        shapes |= affine(f"{block}.attn.out_proj", width, width)
        shapes |= affine(f"{block}.mlp.c_fc", 4 * width, width)
        shapes |= affine(f"{block}.mlp.c_proj", width, 4 * width)
    return shapes


def _residual(name: str, inputs: int, outputs: int, *, bias: bool) -> Shapes:
    shapes = affine(f"{name}.norm1", inputs) | affine(f"{name}.norm2", outputs)
    convolutions = {"conv1": (outputs, inputs, 3, 3), "conv2": (outputs, outputs, 3, 3)}
    if inputs != outputs:
        # MaskGIT's shortcut maps the block's output, LlamaGen's its input.
        convolutions["nin_shortcut"] = (outputs, inputs if bias else outputs, 1, 1)
    for part, shape in convolutions.items():
        whole = affine(f"{name}.{part}", *shape)
        shapes |= dict(itertools.islice(whole.items(), 2 if bias else 1))
    return shapes


def _attention(name: str, width: int) -> Shapes:
    shapes = affine(f"{name}.norm", width)
    for part in ("q", "k", "v", "proj_out"):
        shapes |= affine(f"{name}.{part}", width, width, 1, 1)
    return shapes
