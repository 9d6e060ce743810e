"""The graph of a suite."""

from __future__ import annotations

from collections.abc import Callable

from bench.data.fingerprint import fingerprint
from bench.data.image_folder import SplitFolders
from bench.errors import UserError
from bench.graph.builder import Builder
from bench.graph.diagnostics import diagnostics
from bench.graph.extra_stages import extra_stages
from bench.graph.generation_graph import last_stage
from bench.graph.nodes import Graph, Node
from bench.graph.source_naming import NameSource, digest_of
from bench.suite.cells import Cell
from bench.suite.loading import Suite


def build_graph(
    suite: Suite,
    *,
    name_folder: Callable[[str, SplitFolders], str] | None = None,
    name_source: NameSource | None = None,
) -> Graph:
    """All stages of a suite's cells, each once.

    `name_folder` gives the name of an image folder's content, `name_source` that of images that
    stay where they are; by default fingerprint and digest, for which every file is read.

    Raises:
        UserError: a folder of images or a weight file that the suite names cannot be read, or the
            file is not the one it should be.
    """
    builder = Builder(suite, name_folder or fingerprint, name_source or digest_of)
    graph = Graph([], [])

    def grow(cell: Cell) -> tuple[Node, ...]:
        try:
            others = extra_stages(builder, cell, graph.evaluations)
            last = last_stage(builder, cell, graph.evaluations)
            more = (*diagnostics(builder, cell, last), *others)
        except UserError as error:
            raise UserError(f"{suite.path}: arm '{cell.arm}': {error}") from None
        graph.extras.append(more)
        graph.evaluations.append(last)
        graph.cells.append(cell)
        return (last, *more)

    graph.grow = grow
    for cell in suite.cells:
        grow(cell)
    return graph
