"""Metrics of single decoded images: those that every bank holds, and those that a suite names."""

from __future__ import annotations

from collections.abc import Iterable

from bench.errors import UserError
from bench.metrics.declared import METRICS, declared_metric
from bench.metrics.metric import Measure

ALWAYS = ("mse", "psnr", "ssim")


def load_measures(named: Iterable[str]) -> dict[str, Measure]:
    """Import what measures images: the functions of `ALWAYS` and of the metrics named."""
    return {name: METRICS[name].load_measure() for name in (*ALWAYS, *named)}


def require_measured(names: Iterable[str]) -> None:
    """Refuse names in `bank.metrics` that are no metrics of single images, or always measured.

    Raises:
        UserError: the first such name, with what to do.
    """
    for name in names:
        metric = declared_metric(name, where="bank.metrics")
        if name in ALWAYS:
            raise UserError(f"bank.metrics: '{name}' is measured always; remove it here")
        if metric.measure is None or metric.name != name:
            raise UserError(
                f"bank.metrics: '{name}' declares no `measure` under this name, so a bank cannot "
                "measure it; name metrics of single images"
            )
