"""Compilation of transformer blocks by `torch.compile`."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterable

import torch
from torch import nn


def compile_blocks(blocks: Iterable[nn.Module]) -> None:
    """Compile each block's forward pass, in place and as one graph; all of a kind share the code.

    Names of parameters stay, and so do hooks, which are called from outside of the graph.

    Raises:
        ValueError: there is no C++ compiler, without which nothing can be compiled.
    """
    if not any(map(shutil.which, (os.environ.get("CXX", "g++"), "g++", "clang++", "c++"))):
        raise ValueError(
            "compile: needs a C++ compiler, and there is none on the PATH; install g++, or leave "
            "compile out"
        )
    for block in blocks:
        # Not the module itself, whose hooks would become part of the graph.
        vars(block)["forward"] = torch.compile(block.forward, fullgraph=True)
