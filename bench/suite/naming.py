"""Suites as people name them: by name, or by YAML file."""

from __future__ import annotations


def is_suite_file(text: str) -> bool:
    """Whether `text` names a YAML file rather than a suite."""
    return text.endswith((".yaml", ".yml"))


def suite_name(text: str) -> str:
    """The name of the suite that `text`, a name or a YAML file, means.

    Raises:
        UserError: the file is no suite.
    """
    if not is_suite_file(text):
        return text
    from bench.suite.loading import load_suite  # It imports pandas, which a name needs not.

    return load_suite(text).name
