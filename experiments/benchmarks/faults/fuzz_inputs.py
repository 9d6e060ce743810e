"""Damaged suites, token files, model folders and records: each is used, or refused in one line.

Changes texts and values at random, and hands them to the commands that read them, in processes that
are watched. Run from the repository's root:

    python -m experiments.benchmarks.faults.fuzz_inputs suites --count 1000
    python -m experiments.benchmarks.faults.fuzz_inputs tokens --workspace W --count 300

`W` is a folder with what `prepare` makes of a finished store, once: `--store STORE --cell CELL`.
The seed decides every input; `--only 417` uses one of them here, and shows a traceback.
"""

from __future__ import annotations

import contextlib
import io
import json
import shutil
import tempfile
from pathlib import Path
from typing import Any

import click
import numpy as np
import pyarrow as pa
import pyarrow.parquet as parquet
import yaml
from PIL import Image
from safetensors import safe_open
from safetensors.numpy import save_file

from adatok_core.registry import RegistryError
from bench.commands.cli import cli
from bench.errors import UserError
from bench.files import file_sha256
from bench.store.sums import sum_path
from experiments.benchmarks.faults.fuzzing import WORDS, changed, mutated, options
from experiments.benchmarks.faults.fuzzing import main as fuzz

MODULE = "experiments.benchmarks.faults.fuzz_inputs"
SUITES = Path(__file__).parents[2]


def prepare(folder: Path, store: Path, cell: str) -> None:
    """Fill a workspace: the store's records, an exported model, images, and their tokens."""
    shutil.copytree(store, folder / "store", symlinks=True)
    (folder / "images").mkdir()
    pixels = np.random.default_rng(0).integers(0, 256, (6, 32, 32, 3), np.uint8)
    for number, image in enumerate(pixels):
        Image.fromarray(image).save(folder / "images" / f"{number}.png")
    use("export", cell, "--out", folder / "model", "--store", folder / "store")
    images, out = folder / "images", folder / "tokens.parquet"
    use("encode", images, "--model", folder / "model", "--out", out, "--budget", 2)


def use(*arguments: object) -> str:
    """What a command comes to: `used`, or the line that refuses it. Anything else is raised."""
    told = io.StringIO()
    try:
        with contextlib.redirect_stdout(told), contextlib.redirect_stderr(told):
            cli.main([*map(str, arguments)], standalone_mode=False)
    except (UserError, RegistryError, click.ClickException) as error:
        return f"refused: {error}"
    except SystemExit as end:
        return f"exit {end.code}"
    return "used"


def _text(plain: Any, raw: list[bytes], number: int, seed: int) -> bytes:
    """A third of the inputs have changed bytes, the others one to three changed values."""
    if number % 3 == 0:
        return mutated(raw, number // 3, seed)
    rng = np.random.default_rng([seed, number])
    for _ in range(rng.integers(1, 4)):
        plain = changed(plain, rng)
    return json.dumps(plain).encode()


def suites(number: int, seed: int, here: Path, workspace: Path) -> str:
    """Validate, and plan what is valid: it has to be refused before, or not at all."""
    originals = [path.read_bytes() for path in sorted(SUITES.glob("*.yaml"))]
    plain = yaml.safe_load(originals[number % len(originals)])
    text = _text(plain, originals, number, seed)
    text = text.replace(b"NaN", b".nan").replace(b"Infinity", b".inf")
    (here / "suite.yaml").write_bytes(text)
    found = use("validate", here / "suite.yaml")
    if found == "used":
        planned = use("plan", here / "suite.yaml", "--store", here / "store")
        assert planned == "used", f"valid, then {planned}"
    return found


def tokens(number: int, seed: int, here: Path, workspace: Path) -> str:
    """Decode."""
    path, rng = workspace / "tokens.parquet", np.random.default_rng([seed, number])
    if number % 2:
        (here / "t.parquet").write_bytes(mutated([path.read_bytes()], number, seed))
    else:
        table = parquet.read_table(path)
        about = json.loads(parquet.read_metadata(path).metadata[b"adatok_bench"])
        columns = table.to_pydict()
        if rng.random() < 0.4:
            about = changed(about, rng)
        else:
            columns = changed(columns, rng)
        try:
            table = pa.table(columns)
        except (pa.ArrowException, TypeError, ValueError, OverflowError, AttributeError):
            table = table.drop_columns([str(rng.choice(table.column_names))])
        metadata = {b"adatok_bench": json.dumps(about).encode()}
        parquet.write_table(table.replace_schema_metadata(metadata), here / "t.parquet")
    return use("decode", here / "t.parquet", "--model", workspace / "model", "--out", here / "out")


def models(number: int, seed: int, here: Path, workspace: Path) -> str:
    """Encode, with checksums that are right for most of the damaged files."""
    folder, rng = here / "model", np.random.default_rng([seed, number])
    shutil.copytree(workspace / "model", folder)
    damaged = folder / str(rng.choice([path.name for path in folder.glob("*.safetensors")]))
    if number % 2:
        damaged.write_bytes(mutated([damaged.read_bytes()], number, seed))
    else:
        with safe_open(damaged, framework="np") as file:
            about = json.loads(file.metadata()["about"])
            held = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        if rng.random() < 0.3:
            name = str(rng.choice([*held]))
            held[name] = held[name][:1] if number % 4 else held[name] * np.nan
        save_file(held, damaged, metadata={"about": json.dumps(changed(about, rng))})
    if number % 5:
        names = sorted(path.name for path in folder.iterdir() if path.name != "SHA256SUMS")
        lines = [f"{file_sha256(folder / name)}  {name}\n" for name in names]
        (folder / "SHA256SUMS").write_text("".join(lines))
    return use(
        "encode", workspace / "images", "--model", folder, "--out", here / "t", "--budget", 2
    )


def records(number: int, seed: int, here: Path, workspace: Path) -> str:
    """List and compare, with a hash that is right for most; every fifth is drawn too."""
    (suite,) = (path for path in (workspace / "store" / "records").iterdir())
    shutil.copytree(suite, here / "records" / suite.name)
    paths = sorted((here / "records" / suite.name).glob("*.json"))
    path = paths[number % len(paths)]
    raw = path.read_bytes()
    path.write_bytes(_text(json.loads(raw), [raw], number, seed))
    if number % 7:
        sum_path(path).write_text(f"{file_sha256(path)}  {path.name}\n")
    stored = (suite.name, "--store", here)
    found = [use("results", *stored, "--where", f"training.seed={WORDS[number % len(WORDS)]}")]
    found.append(use("results", *stored, "--format", "csv"))
    found.append(use("compare", suite.name, *stored))
    if number % 5 == 0:
        found.append(use("report", *stored, "--out", here / "page"))
    return found[-1]


KINDS = {"suites": suites, "tokens": tokens, "models": models, "records": records}


def fate(kind: str, number: int, seed: int, workspace: Path) -> str:
    """What becomes of one input, in a folder of its own."""
    with tempfile.TemporaryDirectory() as here:
        return KINDS[kind](number, seed, Path(here), workspace).replace(here, "")


def main() -> None:
    """Use the inputs that the options name, and tell what became of them."""
    parser = options(__doc__ or "")
    parser.add_argument("kind", choices=KINDS)
    parser.add_argument("--workspace", type=Path, default=Path())
    parser.add_argument("--store", type=Path)
    parser.add_argument("--cell")
    given = parser.parse_args()
    workspace = given.workspace.absolute()
    if given.store:
        prepare(workspace, given.store, given.cell)

    def one(number: int, seed: int) -> str:
        return fate(given.kind, number, seed, workspace)

    fuzz(MODULE, given, one, given.kind, f"--workspace={workspace}")


if __name__ == "__main__":
    main()
