"""Small checkpoints of the published layouts, made by the rule of the parity fixtures."""

import importlib
from functools import partial
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


@pytest.fixture(scope="session")
def layouts(benchmark_module):
    """Names and shapes of small checkpoints: `titok`, `maskgit`, `llamagen`."""
    published = benchmark_module("layouts")
    # Of three levels, so of 4 px a place.
    maskgit = partial(
        published.maskgit, codes=20, code_width=16, channels=32, multipliers=(1, 1, 2), blocks=1
    )
    titok = partial(
        published.titok,
        widths=(64, 128),
        depths=(DEPTH, DEPTH),
        tokens=6,
        codes=32,
        code_width=5,
        grid=GRID,
        patch=PATCH,
        pixel_decoder=maskgit(),
    )
    llamagen = partial(
        published.llamagen,
        multipliers=(1, 2),
        codes=24,
        code_width=4,
        channels=32,
        middle=16,
        blocks=1,
    )
    return {"titok": titok, "maskgit": maskgit, "llamagen": llamagen}
