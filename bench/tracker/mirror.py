"""A suite's records in MLflow: an experiment with a run for the suite, and one for each cell.

The driver is the only writer. What is there already is left alone, so mirroring twice changes
nothing. Stages that cells share have runs of their own, in one experiment for all suites.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from bench.records.record import Record
from bench.records.runs import read_runs
from bench.records.settings_paths import varying
from bench.store.store import Store
from bench.tracker.experiments import STAGES, experiment_of, opened
from bench.tracker.parameters import parameters
from bench.tracker.stage_runs import StageRuns
from bench.tracker.suite_runs import About, SuiteRuns

Say = Callable[[str], None]


def mirror(
    records: list[Record],
    store: Store,
    *,
    uri: str,
    superseded: Sequence[Record] = (),
    say: Say = lambda line: None,
) -> None:
    """Bring MLflow at `uri` up to date with the records of one suite and the files of its reports.

    `records` are of its current cells. The runs of others have the tag `superseded`, which says by
    the run of which time; it is `no` for current ones. `superseded` records get a run, too. `say`
    hears of what was mended on the way.

    Raises:
        TrackerError: the tracker is down, refuses, takes too long, or is none.
    """
    suite = records[0].suite
    with opened(store, uri, say=say) as client:
        experiment, shared = (experiment_of(client, n, store, uri, say) for n in (suite, STAGES))
        stage_runs = StageRuns(client, shared, store)
        stage_runs.look()
        versions = read_runs(store.root / "records" / suite)
        runs = SuiteRuns(client, experiment, store, About.of(records), stage_runs, versions)
        runs.look()
        shown = varying([*records, *superseded])
        for record in (*records, *superseded):
            runs.cell(record, parameters(record, shown))
        runs.tidy(frozenset(record.cell_key for record in (*records, *superseded)))
        complete = all(record.done or record.stopped for record in records)
        if complete:
            done = len({stage.key for record in records for stage in record.stages})
            runs.progress(done, done)
        runs.reports(store.root / "reports" / suite)
        runs.end(status="FINISHED" if complete else "FAILED")
