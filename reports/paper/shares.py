"""Intervals in significant digits, shares with their sign, and p-values, in words."""

from __future__ import annotations

import math

from bench.statistics.intervals import StudentInterval
from reports.paper.text import show_interval


def show_significant(interval: StudentInterval | None, *, digits: int = 4) -> str:
    """`0.01234 [0.01210, 0.01258]`: so many significant digits of the mean, and its decimals."""
    if interval is None:
        return "-"
    before = math.floor(math.log10(abs(interval.mean))) + 1 if interval.mean else 1
    return show_interval(interval, digits=max(digits - before, 0))


def show_share(
    interval: StudentInterval | None, *, digits: int = 1, alone: str = "one seed"
) -> str:
    """`-1.4 % [-2.0, -0.8]` of an interval of shares; `-1.4 % (one seed)` where there is one."""
    if interval is None:
        return "-"
    mean = f"{100 * interval.mean:+.{digits}f} %"
    if interval.n == 1:
        return f"{mean} ({alone})"
    return f"{mean} [{100 * interval.low:+.{digits}f}, {100 * interval.high:+.{digits}f}]"


def show_p(p: float) -> str:
    """`0.012`, `< 0.001`, or a dash where there is none."""
    if math.isnan(p):
        return "-"
    return "< 0.001" if p < 0.001 else f"{p:.3f}"
