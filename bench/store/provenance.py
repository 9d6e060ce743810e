"""Where a result comes from: code, packages, machine."""

from __future__ import annotations

import functools
import os
import platform
import socket
import subprocess
from collections.abc import Iterable
from importlib import metadata
from pathlib import Path
from typing import Any

PACKAGES = (
    "adatok-bench",
    "torch",
    "numpy",
    "scipy",
    "pandas",
    "pillow",
    "efficientnet-lite-pytorch",
    "torch-fidelity",
    "ray",
    "mlflow",
)


def _git(*arguments: str) -> str | None:
    """Output of a git command in this project's checkout; None when it is not one."""
    try:
        answer = subprocess.run(
            ["git", *arguments],
            cwd=Path(__file__).parent,
            capture_output=True,
            text=True,
            timeout=20,
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return answer.stdout.strip() if answer.returncode == 0 else None


def package_versions(names: Iterable[str] | None = None) -> dict[str, str]:
    """Versions of those packages that are installed, by default of all that numbers depend on."""
    versions = {}
    for name in PACKAGES if names is None else names:
        try:
            versions[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return versions


@functools.cache
def provenance() -> dict[str, Any]:
    """Git commit and whether the checkout is dirty, versions, host, platform. JSON-able."""
    status = _git("status", "--porcelain")
    return {
        "git_commit": _git("rev-parse", "HEAD"),
        "git_dirty": None if status is None else bool(status),
        "packages": package_versions(),
        "python": platform.python_version(),
        "platform": platform.platform(),
        "host": socket.gethostname(),
        "cpus": len(os.sched_getaffinity(0))
        if hasattr(os, "sched_getaffinity")
        else os.cpu_count(),
    }
