"""Summaries of elastic tokenizers' curves, seed by seed, and their differences to a reference."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from statistics import fmean
from typing import Any

from bench.compare.curve_summaries import (
    Curve,
    HypervolumeReference,
    area_under,
    bd_rate,
    curve_hypervolume,
    quality_of,
    require_one_grid,
)
from bench.metrics.declared import QUALITIES
from bench.statistics.intervals import PairedDifference, paired_difference
from reports.analysis.comparisons import counterpart
from reports.analysis.groups import Group, Record, repetition_seed
from reports.analysis.measures import measured_by_all
from reports.analysis.systems import PRIMARY

METRICS = tuple(name for name in QUALITIES if name != PRIMARY)  # PSNR tells the same.
RATES = ("tokens", "bits")
OCTAVES_TO_SPARE = 2.0  # The reference lies beyond the largest rate, which counts so, too.

Curves = dict[Any, Curve]


@dataclass(frozen=True)
class Row:
    """One summary of one group's curves: a value per seed, and the difference to the reference.

    A BD-rate is a difference by itself. `remark` says why there is no value.
    """

    group: str
    against: str | None
    metric: str
    summary: str
    rate: str
    bits_per_token: float | None
    values: dict[Any, float] = field(default_factory=dict)
    difference: PairedDifference | None = None
    points: int | None = None
    overlap: float | None = None
    reference: HypervolumeReference | None = None
    remark: str | None = None


def summary_rows(groups: list[Group], arm: str) -> list[Row]:
    """All summaries of all groups of elastic tokenizers; none where the reference arm has none.

    The reference arm's own are shown without a difference.
    """
    references = [group for group in groups if group.records[0].arm == arm]
    if not references:
        return []
    rows = []
    for metric in measured_by_all(groups, METRICS):
        for group in groups:
            own = group in references
            reference = group if own else counterpart(group, references)
            if reference is None:
                remark = f"no counterpart in arm '{arm}'"
                rows.append(replace(_row(group, None, metric, "BD", "tokens"), remark=remark))
                continue
            for rate in RATES:
                rows += _rows(group, reference, metric, rate, own=own)
    return rows


def _row(group: Group, reference: Group | None, metric: str, summary: str, rate: str) -> Row:
    price = group.records[0].metrics.value("bits_per_token")
    against = None if reference is None else reference.label
    return Row(group.label, against, metric, summary, rate, price)


def _rows(group: Group, reference: Group, metric: str, rate: str, *, own: bool) -> list[Row]:
    """BD-rate, area and hypervolume of one group over one rate."""
    path = repetition_seed([*group.records, *reference.records])
    bd, area, volume = (
        _row(group, None if own else reference, metric, summary, rate)
        for summary in ("BD", "AUC", "hypervolume")
    )
    try:
        ours, theirs = (_curves(each, path, metric, rate) for each in (group, reference))
        if not ours.keys() & theirs.keys():
            raise ValueError(f"no {path} in common with the reference")
    except ValueError as error:
        return [replace(row, remark=str(error)) for row in (area, volume)]
    corner = HypervolumeReference(
        rate=OCTAVES_TO_SPARE * max(curve.rates[-1] for curve in theirs.values()),
        quality=fmean(curve.quality[0] for curve in theirs.values()),
    )

    def hypervolume(curve: Curve) -> float:
        return curve_hypervolume(curve, corner)

    rows = [
        _summarised(area, ours, theirs, area_under, one_grid=True),
        _summarised(replace(volume, reference=corner), ours, theirs, hypervolume),
    ]
    return rows if own else [_bd(bd, ours, theirs), *rows]


def _curves(group: Group, path: str, metric: str, rate: str) -> Curves:
    """The curve of each seed over the lengths that training drew."""
    curves: Curves = {}
    for record in group.records:
        seed = record.setting(path)
        try:
            curves.setdefault(seed, _curve(record, metric, rate))
        except ValueError as error:
            raise ValueError(f"seed {seed}: {error}") from None
    return curves


def _curve(record: Record, metric: str, rate: str) -> Curve:
    rows = sorted((row for row in record.curve if row.trained), key=lambda row: row.budget)
    values = [row.value(metric) for row in rows]
    if None in values:
        raise ValueError(f"{metric} is missing at a length")
    rates = [row.budget if rate == "tokens" else row.value("bits") for row in rows]
    if None in rates:
        raise ValueError("the bits of a token are not known")
    return Curve(tuple(map(float, rates)), quality_of(metric, values))


def _bd(row: Row, ours: Curves, theirs: Curves) -> Row:
    found = {}
    for seed in ours.keys() & theirs.keys():
        try:
            found[seed] = bd_rate(ours[seed], theirs[seed])
        except ValueError as error:
            return replace(row, remark=f"seed {seed}: {error}")
    values = {seed: found[seed].percent for seed in sorted(found, key=str)}
    return replace(
        row,
        values=values,
        difference=paired_difference(values, dict.fromkeys(values, 0.0)),
        points=min(one.points for one in found.values()),
        overlap=min(one.overlap for one in found.values()),
    )


def _summarised(
    row: Row,
    ours: Curves,
    theirs: Curves,
    summary: Callable[[Curve], float],
    *,
    one_grid: bool = False,
) -> Row:
    """A summary of each curve by itself, then the difference to the reference by seed."""
    row = replace(row, points=min(len(curve.rates) for curve in ours.values()))
    try:
        if one_grid:
            require_one_grid([*theirs.values(), *ours.values()])
        values = {seed: summary(curve) for seed, curve in ours.items()}
        reference = {seed: summary(curve) for seed, curve in theirs.items()}
    except ValueError as error:
        return replace(row, remark=str(error))
    difference = None if row.against is None else paired_difference(values, reference)
    return replace(row, values=values, difference=difference)
