"""The harness: data, banks, metrics, stages, suites, executors and the command line.

`from bench import bank` makes a bank from Python (`bench.api`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from bench.api import MadeBank, bank

__all__ = ["MadeBank", "bank"]


def __getattr__(name: str) -> Any:
    """Import what needs torch when it is asked for: `import bench` alone stays fast."""
    if name in __all__:
        from bench import api

        return getattr(api, name)
    raise AttributeError(f"module 'bench' has no attribute '{name}'")
