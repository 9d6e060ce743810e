"""Numbers, intervals, shares, p-values and unfinished cells in words."""

from __future__ import annotations

import math
from collections.abc import Iterable

from bench.compare.price_block import percent
from bench.records.record import Record
from bench.statistics.intervals import Interval, StudentInterval


def show_interval(interval: Interval | None, *, digits: int = 2, over: bool = False) -> str:
    """`0.52 [0.48, 0.57]`; with `over`, where no caption says it: `... over 5 seeds`."""
    if interval is None:
        return "-"
    if interval.n == 1:
        return f"{interval.mean:.{digits}f} (one {interval.over.removesuffix('s')})"
    ends = f"[{interval.low:.{digits}f}, {interval.high:.{digits}f}]"
    return f"{interval.mean:.{digits}f} {ends}" + (f" over {interval.n} {interval.over}" * over)


def caption(kind: type[Interval]) -> str:
    """`95 % Student t over seeds`: what the intervals of a table or figure are."""
    return f"95 % {kind.kind()}"


def show_half(interval: Interval | None, *, digits: int = 2) -> str:
    """`19.48 ± 0.12`; without the half-width where there is one seed."""
    if interval is None:
        return "-"
    half = "" if math.isnan(interval.half) else f" ± {interval.half:.{digits}f}"
    return f"{interval.mean:.{digits}f}{half}"


def show_percent(share: float | None, *, digits: int = 1, sign: bool = False) -> str:
    """`1.4 %` of the share 0.014."""
    return "-" if share is None else f"{100 * share:{'+' if sign else ''}.{digits}f} %"


def show_significant(interval: Interval | None, *, digits: int = 4) -> str:
    """`0.01234 [0.01210, 0.01258]`: so many significant digits of the mean, and its decimals."""
    if interval is None:
        return "-"
    before = math.floor(math.log10(abs(interval.mean))) + 1 if interval.mean else 1
    return show_interval(interval, digits=max(digits - before, 0))


def show_share(interval: StudentInterval | None, *, alone: str = "one seed") -> str:
    """`-1.4 % [-2.0, -0.8]` of an interval of shares; `-1.4 % (one seed)` where there is one."""
    note = "" if interval is None or interval.n > 1 else f" ({alone})"
    return percent(interval) + note


def show_p(p: float) -> str:
    """`0.012`, `< 0.001`, or a dash where there is none."""
    if math.isnan(p):
        return "-"
    return "< 0.001" if p < 0.001 else f"{p:.3f}"


def said_p(p: float) -> str:
    """`p = 0.012`, `p < 0.001`, or `p -`."""
    return f"p = {p:.3f}" if p >= 0.001 else f"p {show_p(p)}"


def unfinished(records: Iterable[Record]) -> list[str]:
    """A line per cell without a result: `failed: label: error`."""
    return [
        f"{record.status}: {record.label}: {record.error or 'not run'}"
        for record in records
        if not record.done
    ]


def page(*blocks: str | list[str]) -> str:
    """Blocks of lines with an empty line between them; empty blocks are left out."""
    texts = [block if isinstance(block, str) else "\n".join(block) for block in blocks]
    text = "\n\n".join(filter(None, texts))
    return f"{text}\n" if text else ""
