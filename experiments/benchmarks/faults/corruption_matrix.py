"""Damages every file of a finished small store in five ways, and sees what commands make of it.

    python -m experiments.benchmarks.faults.corruption_matrix --folder NEW [--every N]

Each case is a copy of the store with one file that is truncated, emptied, deleted, flipped in one
byte or replaced by foreign content. Right is:

healed      `run` ends with 0, its records are those of the undisturbed run, and nothing is wrong
            with the store afterwards
refused     `run` ends with 2 and one line that says what to do

and `results`, asked before that, shows the same as ever, says how many cells have no record, or is
refused. Everything else is printed, and ends this with 1. Speeds are measured anew by whatever is
computed again, and not compared.
"""

from __future__ import annotations

import argparse
import json
import shutil
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import yaml
from click.testing import CliRunner

from bench.commands.cli import cli
from bench.errors import UserError
from bench.stages.training import checkpointing

TRAINING = {"steps": 20, "batch": 8, "warmup_steps": 2, "log_every": 10, "checkpoint_every": 5}
POLICY = {"candidates": [1, 2, 4], "steps": 20, "batch": 8, "checkpoint_every": 5}
SUITE = {
    "suite": "matrix",
    "question": "Is anything wrong in silence?",
    "base": {
        "data": {"kind": "fluent_scenes", "resolution": 32, "train": 32, "validation": 16},
        "tokenizer": {
            **{"budgets": [1, 2, 4], "width": 16, "encoder_depth": 1, "decoder_depth": 1},
            **{"attention_heads": 2, "quantizer": {"kind": "fsq", "levels": [5, 5]}},
            "lora": {"rank": 0},
        },
        "training": {**TRAINING, "learning_rate": 1.0e-2},
        "bank": {"extractor_resolution": 32, "batch": 8, "shard": 16},
    },
    "arms": [
        *({"name": "elastic"}, {"name": "policy", "set": {"policy": POLICY}}),
        {"name": "diverged", "set": {"training.learning_rate": 1.0e30}},
    ],
}
UNEQUAL = ("per_second", "seconds", "provenance", "peak_memory", "time_share")


def flipped(content: bytes) -> bytes:
    """One bit in the middle is another."""
    middle = len(content) // 2
    return content[:middle] + bytes([content[middle] ^ 4]) + content[middle + 1 :]


DAMAGES: dict[str, Callable[[bytes, bytes], bytes | None]] = {
    "truncated": lambda content, foreign: content[: len(content) // 2],
    "empty": lambda content, foreign: b"",
    "deleted": lambda content, foreign: None,
    "flipped": lambda content, foreign: flipped(content),
    "foreign": lambda content, foreign: foreign,
}


def called(*arguments: str) -> tuple[int, str, str]:
    """Exit code, stdout and stderr of a command, run in this process."""
    done = CliRunner().invoke(cli, arguments)
    error = done.exception
    if error is None or isinstance(error, SystemExit):
        return done.exit_code, done.stdout, done.stderr
    code = 2 if isinstance(error, UserError) else 70
    return code, done.stdout, f"{done.stderr}{type(error).__name__}: {error}\n"


def comparable(value: Any) -> Any:
    """A record without what is measured anew."""
    if isinstance(value, dict):
        kept = {k: v for k, v in value.items() if not any(word in k for word in UNEQUAL)}
        return {name: comparable(one) for name, one in kept.items()}
    return [comparable(one) for one in value] if isinstance(value, list) else value


def differing(right: Any, found: Any, path: str = "") -> Iterator[str]:
    """Paths of the values that are not equal, with both."""
    if isinstance(right, dict) and isinstance(found, dict):
        for name in sorted(right.keys() | found.keys()):
            yield from differing(right.get(name), found.get(name), f"{path}/{name}")
    elif isinstance(right, list) and isinstance(found, list) and len(right) == len(found):
        for number, (one, other) in enumerate(zip(right, found, strict=True)):
            yield from differing(one, other, f"{path}/{number}")
    elif right != found:
        yield f"{path} {str(right)[:40]} became {str(found)[:40]}"


def records(store: Path) -> dict[str, Any]:
    """What can be compared of the records, by cell."""
    paths = sorted((store / "records").glob("*/*.json"))
    return {path.name: comparable(json.loads(path.read_text())) for path in paths}


def verdict(store: Path, suite: Path, right: dict[str, Any], shown: str) -> str:
    """`healed`, `refused`, or whatever went wrong."""
    code, out, err = called("results", "matrix", "--json", "--store", str(store))
    same = code == 0 and comparable(json.loads(out)) == comparable(json.loads(shown))
    lacks = code == 0 and "have no record yet" in err
    if not same and not lacks and not (code == 2 and "run" in err):
        return f"wrong: results end with {code}: {err[-200:] or 'other results'}"
    code, _, err = called("run", str(suite), "--store", str(store), "--executor", "serial")
    if code == 2:
        return "refused: " + err.splitlines()[-1].replace(str(store), "")
    if code != 1:  # One of the cells diverges.
        return f"wrong: run ends with {code}: {err[-200:]}"
    if (found := records(store)) != right:
        return f"wrong: another record: {', '.join(differing(right, found))[:300]}"
    code, out, _ = called("check-store", "--store", str(store))
    return "healed" if code == 0 else f"wrong: {out[:300]}"


def finished(folder: Path, suite: Path) -> tuple[Path, Path]:
    """A finished store, and one whose run was stopped while a policy trained."""
    save, calls = checkpointing.save_state, []

    def stopping(work: Path, state: Any) -> None:
        save(work, state)
        calls.extend([work] * work.name.startswith("policy-"))
        if len(calls) == 3:
            raise KeyboardInterrupt

    checkpointing.save_state = stopping
    arguments = ("run", str(suite), "--executor", "serial", "--store", str(folder / "whole"))
    called(*arguments)
    checkpointing.save_state = save
    shutil.copytree(folder / "whole", folder / "stopped")
    called(*arguments)
    return folder / "whole", folder / "stopped"


def main() -> None:
    """Run the matrix, print a table by kind of file, end with 1 where anything went wrong."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--folder", type=Path, required=True, help="a new folder")
    parser.add_argument("--every", type=int, default=1, help="take only every Nth case")
    options = parser.parse_args()
    folder: Path = options.folder.absolute()
    folder.mkdir(parents=True)
    suite = folder / "suite.yaml"
    suite.write_text(yaml.safe_dump(SUITE, sort_keys=False))
    whole, stopped = finished(folder, suite)
    right = records(whole)
    shown = called("results", "matrix", "--json", "--store", str(whole))[1]
    table: dict[str, Counter[str]] = {}
    files = [path for path in whole.rglob("*") if path.is_file()]
    files += [path for path in stopped.glob("work/*/*")]
    cases = [(path, how) for path in sorted(files) for how in DAMAGES]
    for number, (path, how) in enumerate(cases[:: options.every]):
        root = whole if path.is_relative_to(whole) else stopped
        name = path.relative_to(root)
        place = folder / f"case-{number}"  # MLflow remembers databases by their paths.
        others = [one.read_bytes() for one in files if one.suffix == path.suffix]
        before = path.read_bytes()
        foreign = next((one for one in others if one and one != before), b"foreign")
        after = DAMAGES[how](before, foreign) if before else None if how == "deleted" else b"x"
        shutil.copytree(root, place)
        (place / name).unlink() if after is None else (place / name).write_bytes(after)
        found = verdict(place, suite, right, shown)
        kind = f"{name.parts[0]} {name.suffix}"
        table.setdefault(kind, Counter())[found.split(":")[0]] += 1
        if found != "healed":
            print(f"{how} {name}: {found}", flush=True)
        shutil.rmtree(place)
    for kind, counts in sorted(table.items()):
        print(f"{kind:32}", ", ".join(f"{count} {what}" for what, count in counts.items()))
    sys.exit(any("wrong" in counts for counts in table.values()))


if __name__ == "__main__":
    main()
