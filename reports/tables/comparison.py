"""The main comparison: every system, its tokens, its metrics, and what is tied with the best."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from bench.metrics.declared import METRICS, QUALITIES
from bench.statistics.bootstrap import BootstrapInterval
from bench.statistics.intervals import StudentInterval
from reports.analysis.contenders import NEAR, Contender, contenders, near_tokens, nearest
from reports.analysis.foreign_contests import foreign_contests
from reports.analysis.groups import Record, protocol_line, reconstructions
from reports.analysis.price import verdict_words
from reports.analysis.settling import differences
from reports.analysis.systems import PRIMARY, System, measured_by, tied_with_best
from reports.paper.text import caption, show_share
from reports.tables.declared import TableReport
from reports.tables.table import WORDS, Column, Row, Table, Value, measured, remark_column, words

NAME, TITLE = "comparison", "Main comparison"
SKILL = "allocation_skill"
NOT_RANKED = (SKILL, "bits")  # Skill is relative to a system's own candidates; bits are the price.


def table(records: list[Record], *, store: Path | None = None) -> Table:
    """A row per fixed budget, per fixed length and per allocation, in sections of equal tokens.

    Against a tokenizer that is not trained here, an allocation's remark has the verdict; its
    interval is over images, from the `store`.
    """
    records = reconstructions(records)
    found = contenders(records)
    if not any(one.system.metrics for one in found):
        return Table(NAME, TITLE, notes=("Not made: no cell that reconstructs has a result.",))
    systems = [one.system for one in found]
    others = [SKILL, "bits"] if _prices_differ(systems) else [SKILL]
    metrics = measured_by(systems, [*QUALITIES, *others])
    numbers, against = near_tokens(found, records), _against_foreign(records, store)
    families = {number: [c for c in found if nearest(c, numbers) == number] for number in numbers}
    tied = {
        (metric, id(system))
        for family in families.values()
        for metric in metrics
        if metric not in NOT_RANKED
        for system in tied_with_best([c.system for c in family if not c.is_oracle], metric)
    }
    rows = [
        _row(one, metrics, tied, against, section=f"about {number:g} token{'s' * (number != 1)}")
        for number, family in families.items()
        for one in family
    ]
    others = [one for one in found if nearest(one, numbers) is None]
    others.sort(key=lambda one: one.tokens or 0)
    for section in ("other numbers of tokens", "no result"):
        here = [one for one in others if bool(one.tokens) == (section != "no result")]
        rows += [_row(one, metrics, tied, against, section=section) for one in here]
    return Table(NAME, TITLE, _columns(metrics, rows), tuple(rows), _notes(records))


def _prices_differ(systems: Sequence[System]) -> bool:
    """Whether a token costs more bits in one system than in another."""
    prices = set()
    for system in systems:
        bits, tokens = system.mean("bits"), system.mean("mean_tokens")
        if bits is not None and tokens is not None:
            prices.add(round(bits / tokens, 6))
    return len(prices) > 1


def _columns(metrics: Sequence[str], rows: Sequence[Row]) -> tuple[Column, ...]:
    return (
        Column("tokenizer", "tokenizer", WORDS),
        Column("allocation", "allocation", WORDS),
        Column("seeds", "seeds", WORDS),
        Column("mean_tokens", "mean tokens"),
        *(Column(m, _title(m), compared=m not in NOT_RANKED) for m in metrics),
        *remark_column(rows),
    )


def _title(metric: str) -> str:
    info = METRICS[metric]
    arrow = "↑" if info.higher_is_better else "↓"
    return f"{info.title}{f' ({info.unit})' if info.unit else ''} {arrow}"


def _against_foreign(records: list[Record], store: Path | None) -> dict[str, list[str]]:
    """Verdicts against tokenizers that are not trained here, by the cells of the allocation."""
    found: dict[str, list[str]] = {}
    for contest in foreign_contests(records, store):
        primary = differences(contest)[0].get(PRIMARY)
        if primary is not None and primary.interval is not None:
            words = f"{verdict_words(primary)} against {contest.fixed.label}: "
            words += f"distortion {show_share(primary.share, alone=contest.alone)}"
            if primary.over_seeds is not None:
                words += f", over {contest.repetitions} {show_share(primary.share_over_seeds)}"
            for record in contest.allocations:
                found.setdefault(record.cell_key, []).append(words)
    return found


def _row(
    one: Contender,
    metrics: Sequence[str],
    tied: set,
    against: Mapping[str, Sequence[str]],
    *,
    section: str,
) -> Row:
    verdicts = dict.fromkeys(words for key in one.cells for words in against.get(key, ()))
    lost = "failed" if one.status == "done" else one.status
    error = f"{lost}: {one.error}" if one.error else ""
    # Where every image is given the same, no skill is defined.
    same = one.system.values("min_tokens") == one.system.values("max_tokens")
    values = {
        "tokenizer": words(one.tokenizer),
        "allocation": words(one.allocation),
        "seeds": words(one.seeds),
        "remark": words("; ".join(filter(None, [one.remark, *verdicts, error]))),
    }
    if one.system.metrics:
        done = len(one.system.metrics)
        for name in ("mean_tokens", *metrics):
            is_tied, over = (name, id(one.system)) in tied, one.system.interval(name)
            if over is not None or not (name == SKILL and same):
                values[name] = measured(over, planned=done, tied=is_tied)
    else:
        values["mean_tokens"] = Value(one.status)
    return Row(values, one.cells, section, one.status)


def _notes(records: list[Record]) -> tuple[str, ...]:
    return (
        protocol_line(records),
        f"mean [{caption(StudentInterval)}]; policies on one trained tokenizer are averaged first "
        "where trainings differ; without brackets there is one seed and no interval, or all seeds "
        "have that value",
        f"bold: of the systems within {100 * NEAR:g} % of the same mean tokens the best, or tied "
        "with it: the difference, paired by seed, is not significant at 5 % with p corrected by "
        "Holm; few seeds tie much, and what shares no two seeds with the best is not marked; the "
        "oracle, which sees the result, does not take part",
        *_foreign_notes(records),
        "allocation skill: 0 ignores the image, 1 is the oracle of the same candidates",
    )


def _foreign_notes(records: list[Record]) -> list[str]:
    if not foreign_contests(records):
        return []
    return [
        "against a tokenizer that is not trained here: paired by image "
        f"[{caption(BootstrapInterval)}], shown over the seeds of the adaptive side, too, where it "
        "has several; p corrected by Holm over distances; equal tokens are not equal bits where "
        "bits are shown"
    ]


REPORT = TableReport(title=TITLE, place=10, build=table, takes=("store",))
