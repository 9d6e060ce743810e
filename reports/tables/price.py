"""Price of being elastic: every elastic arm against tokenizers that were trained for one length."""

from __future__ import annotations

from collections.abc import Sequence

from bench.compare.price import Ratio
from bench.compare.price_block import percent
from bench.compare.prices import Price
from bench.statistics.intervals import PairedDifference
from reports.analysis.groups import Record, protocol_line, reconstructions
from reports.analysis.price import lengths, suite_prices
from reports.paper.text import caption, unfinished
from reports.tables.declared import TableReport
from reports.tables.table import (
    NOT_MEASURED,
    WORDS,
    Column,
    Row,
    Table,
    Value,
    compared,
    number,
    remark_column,
    words,
)

NAME, TITLE = "price", "Price of being elastic"
RATIOS = {
    "price": "price of being elastic",
    "gain": "gain of choosing",
    "net": "net",
    "possible": "the oracle's gain",
    "oracle": "the oracle's net",
}


def table(records: list[Record]) -> Table:
    """A row per elastic arm, in sections of equal tokens; then one per policy, at its mean."""
    records = reconstructions(records)
    prices = suite_prices(records)
    if not prices.found:
        none = "no elastic tokenizer and one of a single length have results of one seed"
        return Table(NAME, TITLE, notes=(f"Not made: {none}.", *prices.missing))
    budgets = sorted({row.budget for row in prices.found if row.budget is not None})
    rows = [_row(row) for budget in budgets for row in prices.found if row.budget == budget]
    rows += [_row(row) for row in prices.found if row.parts is not None]
    return Table(NAME, TITLE, _columns(rows), tuple(rows), _notes(records, prices.missing))


def _columns(rows: Sequence[Row]) -> tuple[Column, ...]:
    ratios = [name for name in RATIOS if any(name in row.values for row in rows)]
    return (
        Column("elastic", "elastic tokenizer", WORDS),
        *(Column("steps", "steps"), Column("mean_tokens", "mean tokens")),
        *(Column("against", "trained for one length", WORDS), Column("length", "length")),
        *(Column("cost", "cost", WORDS), Column("seeds", "seeds", WORDS)),
        *(Column(name, f"{RATIOS[name]} (%)") for name in ratios),
        *remark_column(rows),
    )


def _row(row: Price) -> Row:
    n = row.price.n
    values = {
        "elastic": words(row.allocation or row.arm),
        "steps": number(row.steps, str(row.steps)),
        "mean_tokens": number(row.tokens, f"{row.tokens:.4g}"),
        "against": words(row.against),
        "length": number(row.lengths[0]) if len(row.lengths) == 1 else Value(lengths(row)),
        "cost": words(row.cost.words),
        "seeds": words(str(n) if n == row.planned else f"{n} of {row.planned}"),
        "remark": words("; ".join([*row.remarks, *(["one seed: no interval"] if n == 1 else [])])),
        **{name: _value(one) for name, one in row.ratios.items()},
    }
    return Row(values, row.cells, row.place)


def _value(one: Ratio) -> Value:
    share = one.share
    if share is None:
        return Value(NOT_MEASURED)
    return compared(percent(share).replace(" %", ""), share, one)


def _notes(records: list[Record], missing: Sequence[str]) -> tuple[str, ...]:
    return (
        protocol_line(records),
        "distortion (MSE) of the elastic tokenizer over that of one trained for exactly this "
        "length, minus 1, in %: geometric mean of ratios paired by training seed "
        f"[{caption(PairedDifference)}]; the CSV file has shares of 1",
        "at the mean of a policy: the price is that of the best mixture of budgets that ignores "
        "the image, gain that of choosing over this mixture, net that of the policy over the fixed "
        "length; (1 + price) (1 + gain) = 1 + net, and so for the oracle",
        "cost: of all trainings of a tokenizer together; steps are optimizer steps; 2 x stands "
        "for the elastic side's being twice the other's",
        "better, worse: less or more distortion is shown at 5 %, p corrected by Holm over the "
        "column; no word: no difference shown",
        *missing,
        *unfinished(records),
    )


REPORT = TableReport(title=TITLE, place=25, build=table)
