"""The contracts of `make lint` hold the order of rooms: an import upwards breaks them."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
LINT = (
    "import sys; from importlinter.cli import lint_imports; sys.exit(lint_imports(no_cache=True))"
)


@pytest.fixture
def checkout(tmp_path):
    for package in ("adatok_core", "bench", "reports"):
        shutil.copytree(
            ROOT / package, tmp_path / package, ignore=shutil.ignore_patterns("*.zip", "*.pyc")
        )
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    return tmp_path


def lint(checkout):
    return subprocess.run(
        [sys.executable, "-c", LINT],
        cwd=checkout,
        env={"PYTHONPATH": str(checkout), "PATH": ""},
        capture_output=True,
        text=True,
    )


@pytest.mark.parametrize(
    ("module", "upwards", "contract"),
    [
        ("bench/store/machine.py", "bench.run.runner", "Rooms of the harness"),
        ("reports/paper/text.py", "reports.figures.pareto", "Rooms of the reports"),
        ("adatok_core/schedule.py", "bench.errors", "The core knows the method only"),
    ],
)
def test_an_import_upwards_breaks_its_contract(checkout, module, upwards, contract):
    with (checkout / module).open("a") as file:
        file.write(f"\nimport {upwards}\n")
    done = lint(checkout)
    assert done.returncode == 1
    broken = [line for line in done.stdout.splitlines() if line.endswith("BROKEN")]
    assert any(line.startswith(contract) for line in broken)


def test_the_checkout_keeps_them(checkout):
    done = lint(checkout)
    assert done.returncode == 0, done.stdout
