"""Suites as people name them: by name, or by YAML file."""

from __future__ import annotations

from pathlib import Path


def is_suite_file(text: str) -> bool:
    """Whether `text` names a YAML file rather than a suite."""
    return text.endswith((".yaml", ".yml"))


def suite_cells(text: str, store: Path | None = None) -> tuple[str, tuple[str, ...] | None]:
    """The name of the suite that `text` means, and the keys of its cells if `text` is a file.

    Those of a search are as far as the `store` knows them.

    Raises:
        UserError: the file is no suite.
    """
    if not is_suite_file(text):
        return text, None
    from bench.suite.loading import load_suite  # It imports pandas, which a name needs not.

    suite = load_suite(text, store=store)
    return suite.name, tuple(cell.key for cell in suite.cells)


def suite_name(text: str) -> str:
    """The name of the suite that `text`, a name or a YAML file, means.

    Raises:
        UserError: the file is no suite.
    """
    return suite_cells(text)[0]
