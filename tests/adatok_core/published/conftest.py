"""Small checkpoints of the published layouts, made by the rule of the parity fixtures."""

import importlib
from pathlib import Path

import pytest
import torch

PATCH, GRID, DEPTH = 4, 4, 2


@pytest.fixture(scope="session")
def benchmark_module():
    """`benchmark_module(name)`: a module of `experiments/benchmarks`."""
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(Path(__file__).parents[3]))
        yield lambda name: importlib.import_module(f"experiments.benchmarks.{name}")


@pytest.fixture(scope="session")
def filled(benchmark_module):
    """`filled(shapes)`: tensors of these names and shapes."""
    synthetic = benchmark_module("synthetic")
    return lambda shapes: {name: synthetic.tensor(name, shape) for name, shape in shapes.items()}


@pytest.fixture(scope="session")
def images(benchmark_module):
    """`images(side)`: two smooth ones in [0, 1]."""
    return lambda side: benchmark_module("synthetic").images(side=side)


@pytest.fixture
def saved(tmp_path):
    """`saved(tensors, name)`: a torch file of them."""

    def saved(tensors, name="weights.bin"):
        torch.save(tensors, tmp_path / name)
        return tmp_path / name

    return saved


def affine(name, out, *shape):
    return {f"{name}.weight": (out, *shape), f"{name}.bias": (out,)}


def transformer(name, width, depth):
    shapes = affine(f"{name}.ln_pre", width) | affine(f"{name}.ln_post", width)
    for index in range(depth):
        block = f"{name}.transformer.{index}"
        shapes |= affine(f"{block}.ln_1", width) | affine(f"{block}.ln_2", width)
        shapes |= {
            f"{block}.attn.in_proj_weight": (3 * width, width),
            f"{block}.attn.in_proj_bias": (3 * width,),
        }
        shapes |= affine(f"{block}.attn.out_proj", width, width)
        shapes |= affine(f"{block}.mlp.c_fc", 4 * width, width)
        shapes |= affine(f"{block}.mlp.c_proj", width, 4 * width)
    return shapes


def residual(name, inputs, outputs, *, bias):
    conv = affine if bias else lambda name, *shape: {f"{name}.weight": shape}
    shapes = affine(f"{name}.norm1", inputs) | affine(f"{name}.norm2", outputs)
    shapes |= conv(f"{name}.conv1", outputs, inputs, 3, 3)
    shapes |= conv(f"{name}.conv2", outputs, outputs, 3, 3)
    if inputs != outputs:
        # MaskGIT's shortcut maps the block's output, LlamaGen's its input.
        shapes |= conv(f"{name}.nin_shortcut", outputs, inputs if bias else outputs, 1, 1)
    return shapes


def maskgit_shapes(quantizer="pixel_quantize", decoder="pixel_decoder", codes=20):
    """A pixel decoder of three levels, so of 4 px a place."""
    shapes = {f"{quantizer}.embedding.weight": (codes, 16)}
    shapes |= affine(f"{decoder}.conv_in", 64, 16, 3, 3)
    shapes |= residual(f"{decoder}.mid.0", 64, 64, bias=False)
    for level, inputs, outputs in ((2, 64, 64), (1, 64, 32), (0, 32, 32)):
        up = f"{decoder}.up.{level}"
        shapes |= residual(f"{up}.block.0", inputs, outputs, bias=False)
        if level:
            shapes |= affine(f"{up}.upsample_conv", outputs, outputs, 3, 3)
    return shapes | affine(f"{decoder}.norm_out", 32) | affine(f"{decoder}.conv_out", 3, 32, 3, 3)


def titok_shapes(*, stages=2, widths=(64, 128), tokens=6, codes=32, code_width=5):
    """A TiTok for images of 16 px; with one stage it gives pixels itself."""
    wide, deep = widths
    rows = GRID**2 + 1
    shapes = {
        "latent_tokens": (tokens, wide),
        "quantize.embedding.weight": (codes, code_width),
        "decoder.mask_token": (1, 1, deep),
    }
    for name, width in (("encoder", wide), ("decoder", deep)):
        shapes |= {
            f"{name}.class_embedding": (1, width),
            f"{name}.positional_embedding": (rows, width),
            f"{name}.latent_token_positional_embedding": (tokens, width),
        }
        shapes |= transformer(name, width, DEPTH)
    shapes |= affine("encoder.patch_embed", wide, 3, PATCH, PATCH)
    shapes |= affine("encoder.conv_out", code_width, wide, 1, 1)
    shapes |= affine("decoder.decoder_embed", deep, code_width)
    if stages == 1:
        shapes |= affine("decoder.ffn.0", 3 * PATCH**2, deep, 1, 1)
        return shapes | affine("decoder.conv_out", 3, 3, 3, 3)
    shapes |= affine("decoder.ffn.0", 2 * deep, deep, 1, 1)
    shapes |= affine("decoder.ffn.2", 20, 2 * deep, 1, 1)
    return shapes | maskgit_shapes()


def llamagen_shapes(multipliers=(1, 2), codes=24, code_width=4):
    """A LlamaGen tokenizer of one residual block a level, as many levels as `multipliers`."""
    channels = [32 * factor for factor in multipliers]
    last = len(channels) - 1
    shapes = {"quantize.embedding.weight": (codes, code_width), "quantize.codebook_used": (64,)}
    shapes |= affine("quant_conv", code_width, 16, 1, 1)
    shapes |= affine("post_quant_conv", 16, code_width, 1, 1)
    for name in ("encoder", "decoder"):
        encodes = name == "encoder"
        shapes |= attention_middle(name, channels[-1])
        width = channels[0] if encodes else channels[-1]
        shapes |= affine(f"{name}.conv_in", width, 3 if encodes else 16, 3, 3)
        for index in range(len(channels)):
            level = index if encodes else last - index
            block = f"{name}.conv_blocks.{index}"
            shapes |= residual(f"{block}.res.0", width, channels[level], bias=True)
            width = channels[level]
            if level == last:
                shapes |= attention(f"{block}.attn.0", width)
            if index != last:
                change = "downsample" if encodes else "upsample"
                shapes |= affine(f"{block}.{change}.conv", width, width, 3, 3)
        shapes |= affine(f"{name}.norm_out", width)
        shapes |= affine(f"{name}.conv_out", 16 if encodes else 3, width, 3, 3)
    return shapes


def attention(name, width):
    shapes = affine(f"{name}.norm", width)
    for part in ("q", "k", "v", "proj_out"):
        shapes |= affine(f"{name}.{part}", width, width, 1, 1)
    return shapes


def attention_middle(name, width):
    shapes = attention(f"{name}.mid.1", width)
    for index in (0, 2):
        shapes |= residual(f"{name}.mid.{index}", width, width, bias=True)
    return shapes


@pytest.fixture(scope="session")
def layouts():
    """Names and shapes of small checkpoints: `titok`, `maskgit`, `llamagen`."""
    return {"titok": titok_shapes, "maskgit": maskgit_shapes, "llamagen": llamagen_shapes}
