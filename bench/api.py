"""Banks from Python: `from bench import bank`."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import torch

from adatok_core.protocols import Tokenizer
from bench.artifacts.bank import Bank
from bench.artifacts.exported import CHECKSUMS
from bench.config.settings import parse, plain
from bench.config.tokenizers import foreign_kind
from bench.errors import UserError
from bench.external.guest import MissingFileError
from bench.files import content_key
from bench.graph.folder_naming import by_content
from bench.graph.suite_graph import build_graph
from bench.metrics.extractors import EXTRACTORS
from bench.records.record import Record
from bench.run.executors import SerialExecutor
from bench.run.runner import run_suite
from bench.store.integrity import verified
from bench.store.store import Store
from bench.suite.expansion import Arm, Taken
from bench.suite.loading import StageResources, SuiteFile, make_suite

if TYPE_CHECKING:
    from bench.run.watch import Watch

ARM = "curve"
LONGEST_NAME = 60
# The columns of a curve that people look at, where they were measured.
SHOWN = (
    *("budget", "bits", "mse", "psnr", "ssim", "perceptual"),
    *("encode_images_per_second", "decode_images_per_second"),
)


@dataclass(frozen=True)
class MadeBank:
    """A bank in the store, and what it comes to.

    `suite` is the name that its record goes by: `results`, `compare` and `report` know it.
    """

    suite: str
    record: Record
    bank: Bank

    @property
    def curve(self) -> pd.DataFrame:
        """A row per budget: all metrics by name; `budget`, `trained`, `bits` per image."""
        return pd.DataFrame(
            [
                {"budget": row.budget, "trained": row.trained, **row.values}
                for row in self.record.curve
            ]
        )

    @property
    def shown(self) -> pd.DataFrame:
        """The curve's main columns: rate, errors, Fréchet distances, images per second."""
        curve = self.curve
        measured = [EXTRACTORS[name].reconstructions for name in self.bank.extractors]
        distances = [one.frechet.name for one in measured if one is not None]
        names = [*SHOWN[:6], *distances, *SHOWN[6:]]
        return curve[[name for name in names if name in curve]]

    @property
    def images(self) -> pd.DataFrame:
        """A row per image and budget: id, hash, label, errors."""
        return self.bank.table()

    def array(self, name: str) -> np.ndarray:
        """An array of the bank by its file's name (`bench.artifacts.bank`), memory-mapped."""
        return self.bank.array(name)


def bank(
    tokenizer: str,
    folder: str | os.PathLike[str],
    *,
    arguments: Mapping[str, Any] | None = None,
    python: str | None = None,
    budgets: Sequence[int] | None = None,
    limit: int | None = None,
    ids: str | os.PathLike[str] | None = None,
    batch: int = 64,
    device: str = "cpu",
    store: str | os.PathLike[str] = "store",
    say: Callable[[str], None] = lambda message: None,
    watch: Watch | None = None,
) -> MadeBank:
    """Make the bank of all images below a folder, or read it where the store has it.

    Args:
        tokenizer: a factory (`module:function`, `file.py:function`, a registered name), or the
            folder of an exported model.
        folder: images; they are brought to the tokenizer's own resolution.
        arguments: of the factory.
        python: another interpreter to run the factory under.
        budgets: numbers of tokens to decode at; the tokenizer's own by default.
        limit: take the first images only, in the order of their paths.
        ids: a file of the paths of those to take, one a line.
        batch: images at a time.
        device: `cpu` or `cuda`.
        store: the folder of artifacts and records.
        say: hears of what is done.
        watch: shows how far it is; by default `say` is told.

    Raises:
        UserError: bad input, in one line.
    """
    taken = Taken.of(limit, None if ids is None else os.fspath(ids))
    raw = _settings(tokenizer, arguments or {}, python, budgets)
    made = _made(raw, device)
    file = _suite_file(raw, made, os.path.abspath(os.path.expanduser(folder)), batch, device)
    suite = make_suite(file, Path(folder), taken)
    there = Store.open(Path(store).expanduser())
    graph = build_graph(suite, name_folder=by_content(there, remember=True, say=say))
    threads = torch.get_num_threads()  # Stages set it to what they ask for.
    try:
        result = run_suite(suite, graph, there, SerialExecutor(there), say=say, watch=watch)
    finally:
        torch.set_num_threads(threads)
    (record,) = result.records
    if not record.done:
        raise UserError(f"{tokenizer}: {record.error or 'its bank was not made'}")
    (key,) = (one.key for one in record.stages if one.stage == "bank")
    return MadeBank(suite.name, record, Bank.read(verified(there.artifact("bank", key))))


def _settings(
    tokenizer: str,
    arguments: Mapping[str, Any],
    python: str | None,
    budgets: Sequence[int] | None,
) -> dict[str, Any]:
    """Settings of a suite's tokenizer."""
    place = Path(os.path.expanduser(tokenizer))
    chosen = {} if budgets is None else {"budgets": sorted(set(budgets))}
    if place.is_dir():
        if arguments or python is not None:
            raise UserError(f"{tokenizer}: is an exported model, which has its own arguments")
        if not (place / CHECKSUMS).is_file():
            raise UserError(
                f"{tokenizer}: is no exported model; make one with: adatok-bench export CELL --out"
            )
        return {"kind": "exported", "model": str(place.absolute()), **chosen}
    asked = {} if python is None else {"python": python}
    return {
        "kind": "external",
        "factory": tokenizer,
        "arguments": dict(arguments),
        **asked,
        **chosen,
    }


def _made(raw: dict[str, Any], device: str) -> Tokenizer:
    """The tokenizer, which knows its resolution and its budgets."""
    kind = foreign_kind(raw["kind"])
    settings = parse(kind.config, raw, where="tokenizer")
    try:
        made: Tokenizer = kind.load()(settings, folder=os.getcwd(), device=device)
    except MissingFileError as error:
        raise UserError(f"{error}; correct the arguments") from None
    return made


def _suite_file(
    raw: dict[str, Any], made: Tokenizer, folder: str, batch: int, device: str
) -> SuiteFile:
    """A suite of one cell; what tells banks apart is in its name, so that none replaces another."""
    base = {
        "data": {
            "kind": "image_folder",
            "path": folder,
            "resolution": made.image_size,
            "undivided": True,
        },
        "tokenizer": {**raw, "budgets": list(made.budgets)},
        "bank": {"batch": batch},
    }
    tokenizer = raw.get("factory") or os.path.basename(raw["model"])
    short = re.sub(r"[^A-Za-z0-9]+", "-", f"{tokenizer.rpartition('/')[2]}-{Path(folder).name}")
    return SuiteFile(
        suite=f"bank-{short[:LONGEST_NAME].strip('-')}-{content_key(plain(base))[:8]}",
        question=f"How well does {tokenizer} reconstruct the images of {Path(folder).name}?",
        base=base,
        arms=[Arm(name=ARM)],
        device="cuda" if device == "cuda" else "cpu",
        resources={"bank": StageResources(cpus=torch.get_num_threads())},
    )
