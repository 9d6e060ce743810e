"""Exporting a trained cell: its weights, its configuration and a model card in one folder.

tokenizer.safetensors   the tokenizer's artifact, byte for byte
tokenizer.json          instead of it, of a tokenizer that was not trained here: its settings, the
                        folder that paths in them are relative to, and the hashes of its code and
                        of the files they name; the files stay where they are
policy.safetensors      the policy's, where the cell has one
config.yaml             a suite of this one cell: `adatok-bench run` makes it again
README.md               the model card
NOTICE                  the licence of the embedded images, where they were trained on
SHA256SUMS              for `sha256sum -c`
"""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import yaml

from bench.artifacts.bank import TOKENIZER_WEIGHTS
from bench.artifacts.exported import CHECKSUMS
from bench.artifacts.foreign import SETTINGS, ForeignSettings
from bench.artifacts.networks import POLICY_WEIGHTS
from bench.config.tokenizers import Reconstructions
from bench.data.datasets import FluentScenes
from bench.data.emoji import NOTICE
from bench.errors import UserError, suggestion
from bench.files import file_sha256, written_aside
from bench.models.model_card import model_card
from bench.records.reading import SuiteRecords, read_suite
from bench.records.record import Record
from bench.store.integrity import verified_file
from bench.store.store import Store
from bench.suite.naming import suite_cells

CONFIG = "config.yaml"
CARD = "README.md"
NAMED = 6


def export_cell(
    name: str, store: Store, folder: Path, *, say: Callable[[str], None] = lambda message: None
) -> list[str]:
    """Export the cell that `name` means into a new `folder`; the names of its files.

    `say` hears of superseded records of its suite.

    Raises:
        UserError: `name` means no cell or several, the cell has no result, its artifacts are not in
            the store, or there is something at `folder`.
    """
    if folder.exists() or folder.is_symlink():
        raise UserError(f"--out {folder}: is there already; name a new folder")
    records = find_cells(name, store, say=say)
    record = _only(records, name)
    if record.kind != "reconstruction":
        raise UserError(f"{name}: is a cell of {record.kind}; name one that trains a tokenizer")
    if isinstance(record.config.tokenizer, Reconstructions):
        raise UserError(
            f"{name}: is a cell of reconstructions that were made elsewhere, which have no "
            "tokenizer to export, encode or decode with; name another"
        )
    weights = _weights(record, store)
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        with written_aside(folder) as aside:
            aside.mkdir()
            for file, source in weights.items():
                shutil.copyfile(source, aside / file)
            foreign = ForeignSettings.read(aside) if SETTINGS in weights else None
            (aside / CONFIG).write_text(_config(record, foreign), "utf-8")
            if isinstance(record.config.data, FluentScenes):
                shutil.copyfile(NOTICE, aside / "NOTICE")
            sums = {path.name: file_sha256(path) for path in aside.iterdir()}
            (aside / CARD).write_text(
                model_card(record, store, sums=sums, foreign=foreign), "utf-8"
            )
            sums[CARD] = file_sha256(aside / CARD)
            lines = [f"{sums[file]}  {file}\n" for file in sorted(sums)]
            (aside / CHECKSUMS).write_text("".join(lines), "utf-8")
    except OSError as error:
        raise UserError(f"cannot write {folder}: {error.strerror}; give another --out") from error
    return sorted((*sums, CHECKSUMS))


def find_cells(
    name: str, store: Store, *, say: Callable[[str], None] = lambda message: None
) -> list[Record]:
    """Records that `name` means: `SUITE:ARM`, `SUITE:LABEL`, `SUITE:KEY`, or the key of a cell.

    Arms and labels are those of current cells; keys are also those of superseded ones.

    Raises:
        UserError: there are none; names what is near.
    """
    suite, colon, selector = name.partition(":")
    suite, cells = suite_cells(suite, store.root) if colon else (suite, None)
    folders = {path.name: path for path in sorted((store.root / "records").glob("*"))}
    if not colon:
        for folder in folders.values():
            if (folder / f"{name}.json").is_file():
                return _by_key(name, read_suite(folder), say)
        known = sorted(path.stem for folder in folders.values() for path in folder.glob("*.json"))
        remedy = suggestion(name, known) if name not in folders and known else ""
        raise UserError(
            f"{name}: no cell with this key in {store.root}; give SUITE:ARM, SUITE:LABEL or a key "
            f"as 'results' shows them{remedy if 'did you mean' in remedy else ''}"
        )
    if suite not in folders:
        raise UserError(
            f"{name}: no suite '{suite}' has records in {store.root}"
            f"{suggestion(suite, list(folders)) or '; run it first, or give --store'}"
        )
    read, selector = read_suite(folders[suite], cells), selector.strip()
    if selector in read.others:
        return _by_key(selector, read, say)
    records = read.records
    if read.notes:
        say(f"{suite}: {'; '.join(read.notes)}")
    for found in (
        [record for record in records if record.label == selector],
        [record for record in records if record.cell_key == selector],
        [record for record in records if record.group == selector],
        [record for record in records if record.arm == selector],
    ):
        if found:
            return found
    known = sorted({name for record in records for name in (record.arm, record.label)})
    raise UserError(f"{name}: no arm, label or key is called so{suggestion(selector, known)}")


def _by_key(key: str, read: SuiteRecords, say: Callable[[str], None]) -> list[Record]:
    if key not in read.others:
        return [one for one in read.records if one.cell_key == key]
    say(f"{read.folder.name}: {key} is superseded: the suite no longer has this cell")
    return [one for one in read.other_records() if one.cell_key == key]


def _only(records: list[Record], name: str) -> Record:
    if len(records) > 1:
        labels = [f"'{record.label}'" for record in records]
        more = f" and {len(labels) - NAMED} more" * (len(labels) > NAMED)
        raise UserError(
            f"{name}: means {len(records)} cells; name one by its label or key: "
            f"{', '.join(labels[:NAMED])}{more}"
        )
    (record,) = records
    if not record.done:
        reason = record.error or "it was not run"
        raise UserError(f"{name}: the cell has no result ({reason}); run its suite again")
    return record


def _weights(record: Record, store: Store) -> dict[str, Path]:
    """Files of the cell's last tokenizer and its policy, by the names they are to have.

    A policy that only chose lengths of training images is none of the cell's.
    """
    files = {}
    wanted = {"tokenizer": TOKENIZER_WEIGHTS, "external": SETTINGS}
    if record.config.policy is not None:
        wanted["policy"] = POLICY_WEIGHTS
    for stage, file in wanted.items():
        keys = [one.key for one in record.stages if one.stage == stage]
        if keys:
            files[file] = store.artifact(stage, keys[-1]) / file
    if not {TOKENIZER_WEIGHTS, SETTINGS} & set(files):
        raise UserError(f"{record.label}: the cell has no tokenizer to export; name another")
    return {name: verified_file(path, suite=record.suite) for name, path in files.items()}


def _config(record: Record, foreign: ForeignSettings | None) -> str:
    """The suite of one cell; it may be run elsewhere, so someone else's files get full paths."""
    settings = record.settings
    if foreign is not None:
        settings = {**settings, "tokenizer": foreign.placed()}
    suite = {
        "suite": f"{record.suite.replace('@', '-')}-{record.cell_key[:8]}",
        "question": record.question,
        "base": settings,
        "arms": [{"name": record.arm}],
    }
    head = f"# Cell {record.cell_key} of {record.suite}: {record.label}\n"
    if foreign is not None:
        head += f"# Run it in {foreign.folder}, where its tokenizer's modules are looked for.\n"
    return head + yaml.safe_dump(suite, sort_keys=False, allow_unicode=True)
