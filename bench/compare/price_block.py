"""The price of being elastic where one of two sides is elastic: as text and plain values."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from bench.compare.elastic_arms import is_elastic_tokenizer, is_one_length
from bench.compare.price import METRIC, PARTS, Ratio
from bench.compare.prices import Price, prices
from bench.compare.sides import Side
from bench.metrics.declared import METRICS
from bench.records.protocol import require_one_protocol
from bench.records.record import Record
from bench.records.tables import as_text
from bench.statistics.intervals import PairedDifference, StudentInterval

TITLES = {"possible": "oracle's gain", "oracle": "oracle's net"}


@dataclass(frozen=True)
class PriceBlock:
    """Prices of the elastic side, `A` or `B`; `missing` says what has none, and why."""

    elastic: str
    rows: tuple[Price, ...]
    missing: tuple[str, ...]

    @property
    def worse(self) -> bool:
        """Whether side B has significantly more distortion at any budget or mean."""
        sign = 1 if self.elastic == "B" else -1
        return any(row.whole.direction == sign for row in self.rows)


def price_block(a: Side, b: Side) -> PriceBlock | None:
    """The prices; None where neither side is all elastic and the other all of one length.

    Raises:
        UserError: the protocols of the two sides differ.
    """
    ours, theirs = _records(a), _records(b)
    for name, elastic, fixed in (("A", ours, theirs), ("B", theirs, ours)):
        if all(map(is_elastic_tokenizer, elastic)) and all(map(is_one_length, fixed)):
            both = [*elastic, *fixed]
            require_one_protocol([record.protocol for record in both if record.protocol])
            found = prices(both)
            return PriceBlock(name, found.found, found.missing)
    return None


def _records(side: Side) -> list[Record]:
    return [*(record for group in side.groups for record in group.records), *side.unfinished]


def block_text(block: PriceBlock, *, width: int | None = None) -> str:
    """A table with a row per budget and mean, and what it means."""
    other = "A" if block.elastic == "B" else "B"
    lines = [
        f"Price of being elastic: {METRICS[METRIC].title} of {block.elastic} over that of {other}, "
        "minus 1"
    ]
    if block.rows:
        lines += [as_text(price_rows(block.rows), width=width, keys=2), _about(block)]
    return "\n".join([*lines, *block.missing])


def _about(block: PriceBlock) -> str:
    at_means = any(row.parts is not None for row in block.rows)
    parts = (
        "; at a policy's mean the price is that of the agnostic mixture, gain that of choosing, "
        "and (1 + price) (1 + gain) = 1 + net"
    )
    return (
        f"[95 %, {PairedDifference.kind()}, of logarithms]; p is of the price, or of the net "
        f"where there is one, by Holm over all of its column{parts * at_means}"
    )


def price_rows(rows: Sequence[Price]) -> list[dict[str, Any]]:
    """A row of text per price; parts have columns where any row has them."""
    known = [name for name in PARTS if any(name in row.ratios for row in rows)]
    return [_text_row(row, known) for row in rows]


def _text_row(row: Price, parts: Sequence[str]) -> dict[str, Any]:
    shown = {name: percent(one.share) for name, one in row.ratios.items()}
    p = row.whole.p
    tokens = row.tokens if row.budget is None else row.budget
    return {
        "elastic": row.allocation or row.arm,
        "tokens": f"{tokens:.4g} / {'-'.join(map(str, row.lengths))}",
        "seeds": row.price.n,
        **{TITLES.get(name, name): shown.get(name, "-") for name in parts},
        "p (Holm)": None if math.isnan(p) else float(f"{p:.3g}"),
        "against": row.against,
        "cost": row.cost.words,
        "elastic is": row.whole.verdict,
    }


def percent(share: StudentInterval | None) -> str:
    """`+16.2 % [+14.1, +18.3]`; without an interval where there is one seed."""
    if share is None:
        return "-"
    mean = f"{100 * share.mean:+.1f} %"
    return mean if share.n == 1 else f"{mean} [{100 * share.low:+.1f}, {100 * share.high:+.1f}]"


def block_json(block: PriceBlock) -> dict[str, Any]:
    """Plain values, shares of 1; null for what is not known."""
    return {
        "elastic": block.elastic.lower(),
        "metric": METRIC,
        "rows": [_json_row(row) for row in block.rows],
        "missing": list(block.missing),
    }


def _json_row(row: Price) -> dict[str, Any]:
    return {
        "arm": row.arm,
        "allocation": row.allocation or None,
        "budget": row.budget,
        "tokens": row.tokens,
        "lengths": list(row.lengths),
        "against": row.against,
        "cost": {"words": row.cost.words, **asdict(row.cost)},
        "elastic_is": row.whole.verdict,
        **{name: _json_ratio(one) for name, one in row.ratios.items()},
        "remarks": list(row.remarks),
    }


def _json_ratio(one: Ratio) -> dict[str, Any] | None:
    share = one.share
    if share is None:
        return None
    known = {"ratio_minus_1": share.mean, "low": share.low, "high": share.high, "p_holm": one.p}
    return {name: None if math.isnan(v) else v for name, v in known.items()} | {"n": share.n}
