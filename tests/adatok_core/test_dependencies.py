import subprocess
import sys
from pathlib import Path

import adatok_core

ABSENT = ("ray", "mlflow", "pandas", "pydantic", "bench", "reports")
IMPORT_ALL = f"""
import importlib, pkgutil, sys

class Absent:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in {ABSENT}:
            raise ModuleNotFoundError(f"{{name}} is absent here", name=name)

sys.meta_path.insert(0, Absent())
import adatok_core
names = [module.name for module in pkgutil.iter_modules(adatok_core.__path__)]
for name in names:
    importlib.import_module(f"adatok_core.{{name}}")
print(*names)
"""


def run(code):
    root = Path(adatok_core.__file__).parents[1]
    command = [sys.executable, "-c", code]
    return subprocess.run(command, cwd=root, capture_output=True, text=True, timeout=60)


def test_the_core_imports_where_the_harness_cannot():
    result = run(IMPORT_ALL)
    assert result.returncode == 0, result.stderr
    assert {"config", "tokenizer", "training", "policy_training"} <= set(result.stdout.split())


def test_an_absent_package_is_noticed():
    result = run(IMPORT_ALL + "import pandas")
    assert result.returncode == 1
    assert "pandas is absent here" in result.stderr
