"""Verdicts of a suite's records in a few sentences: the first thing on a report's page."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from reports.analysis.foreign_contests import all_contests
from reports.analysis.groups import Record, done_records, reconstructions, with_results
from reports.analysis.price import price_lines
from reports.analysis.settling import differences, verdict
from reports.figures.summary import verdict as summary_verdict
from reports.tables.ablations import table as ablations
from reports.tables.generation_verdict import generation_verdict


def verdict_lines(records: Sequence[Record], store: Path | None = None) -> list[str]:
    """The settling experiment's verdict where there is one, else that of generators at a policy's
    mean length, else the summary's, else ablations'.

    The price of being elastic follows, where there is one. Never empty: says that there is no
    verdict, and why. The `store` has the tables of single images.
    """
    done = with_results(records)
    if not done:
        counts = Counter(record.status for record in records)
        words = ", ".join(f"{count} {status}" for status, count in counts.items())
        return [f"No cell of this suite has a result: {words}."]
    images = reconstructions(records)
    prices = price_lines(images) if images else []
    if images and (lines := _settled(images, store)):
        return [*lines, *prices]
    if lines := generation_verdict(done):
        return lines
    if images and (lines := summary_verdict(done_records(images)) or _ablated(images)):
        return [*lines, *prices]
    if prices:
        return prices
    if lines := [line for record in done if (line := _timed(record))]:
        return lines
    return [
        "No verdict: nothing in this suite is set against anything else with a policy or an arm."
    ]


def _settled(records: list[Record], store: Path | None) -> list[str]:
    found = [
        contest
        for contest in all_contests(records, store)
        if len(contest.paired) > 1 or (contest.foreign is not None and contest.paired)
    ]
    lines = []
    for contest in found:
        head = [f"{contest.label}:"] if len(found) > 1 else []
        said = verdict(contest, *differences(contest))
        lines += [" ".join([*head, said[0]]), *said[1:]]
    return lines


def _ablated(records: list[Record]) -> list[str]:
    """Number of differences to the reference arm that are shown, and which."""
    table = ablations(records)
    differences = [
        (row.values["system"].text, row.values["against"].text, column.title, value)
        for row in table.rows
        for column in table.columns
        if column.name != "mean_tokens"
        if (value := row.values.get(column.name)) is not None and value.interval is not None
    ]
    if not differences:
        return [*table.notes[:1]] if table.rows else []
    counts = {w: sum(v.verdict == w for *_, v in differences) for w in ("better", "worse", "")}
    arm = records[0].reference_arm
    if all(value.interval.n == 1 for *_, value in differences):
        return [f"One training seed each, so no interval and no verdict against arm '{arm}'."]
    first = (
        f"Against arm '{arm}': better in {counts['better']} of {len(differences)} comparisons, "
        f"worse in {counts['worse']}, no difference shown in {counts['']} (5 %, p corrected by "
        "Holm over the systems of a metric)."
    )
    shown = [
        f"{system} is {value.verdict} in {title.removeprefix('Δ ')}: {value.text}."
        for system, _, title, value in differences
        if value.verdict
    ]
    return [first, *shown]


def _timed(record: Record) -> str | None:
    """Gain of adaptive lengths in refilled batches: the largest batch, bare tokens."""
    speed = record.generation_speed
    if speed is None:
        return None
    bare = [row for row in speed.rows if not row.guidance and not row.pixels]
    refilled = [row for row in bare if row.arm == "adaptive" and row.mode == "refilled"]
    if not refilled:
        return None
    row = max(refilled, key=lambda row: row.batch)
    return (
        f"{record.label}: in refilled batches of {row.batch}, lengths of mean "
        f"{speed.lengths.mean:g} make {row.ratio:.2f} times the images per second of the fixed "
        f"length {speed.lengths.fixed}."
    )
