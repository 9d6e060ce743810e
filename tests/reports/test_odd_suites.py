"""Every report on small and odd suites: it is made, or says in words why it is not."""

import pytest

from bench.records.report_plugins import REPORTS

pytestmark = pytest.mark.usefixtures("unrendered")

REQUESTED = {"kind": "constraint", "mean_budget": 2.0}
OWN = {"kind": "own", "target": 0.9}


@pytest.fixture
def suites(tokenizer, policy, allocator, one_length, generated, timed, failed, vary):
    """Odd suites by name; most have one arm and one seed."""
    elastic, chosen = tokenizer(), policy(weighting=REQUESTED)
    pending = vary(failed(elastic), status="pending", error=None)
    unknown = vary(elastic, metrics=dict.fromkeys(("mse", "psnr", "fd_lite0")))
    nowhere = vary(elastic, curve=[row.plain() | {"mse": None} for row in elastic.curve])
    return {
        "a policy": [chosen],
        "two seeds of a policy": [chosen, policy(weighting=REQUESTED, seed=1)],
        "a collapsed policy": [policy(collapsed=True, skill=None)],
        "an allocator": [allocator()],
        "an own allocator": [allocator(allocator=OWN)],
        "one length": [one_length()],
        "one length of one token": [one_length(length=1)],
        "an elastic tokenizer": [elastic],
        "an elastic tokenizer without a curve": [vary(elastic, curve=[], trade_offs={})],
        "a curve of values that are not known": [nowhere],
        "an elastic tokenizer of one point": [vary(elastic, curve=[elastic.curve[0].plain()])],
        "a tokenizer of untrained lengths": [tokenizer(untrained=(2, 4, 8, 16))],
        "values that are not known": [unknown],
        "generated images": [generated()],
        "a throughput": [timed(rows=[{"arm": "adaptive", "mode": "padded"}])],
        "names with dollars": [
            *(tokenizer(name) for name in (r"x $\alpha$ y", "cost $$")),
            *(policy(name) for name in (r"$\frac{$", "$a_1$ vs ${b}$")),
        ],
        "all failed": [failed(elastic), failed(chosen), failed(one_length())],
        "all pending": [pending],
        "a policy whose tokenizer failed": [failed(elastic), chosen],
        "a policy and a length": [chosen, one_length()],
        "a policy against an arm that failed": [
            failed(tokenizer(reference_arm="elastic")),
            policy(reference_arm="elastic"),
        ],
    }


def test_every_report_is_made_or_says_why_not(suites, tmp_path):
    for name, records in suites.items():
        for report, declaration in REPORTS.items():
            made = declaration.make(records, tmp_path / name / report, store=tmp_path / "store")
            assert made.files or " no" in made.text, (name, report, made.text)
            assert all(path.stat().st_size for path in made.files), (name, report)
