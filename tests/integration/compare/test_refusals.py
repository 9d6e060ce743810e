import pytest
from plain_records import MSE, PROTOCOL, arm, record

from bench.records.record import SCHEMA_VERSION


@pytest.mark.parametrize(
    ("change", "field", "values"),
    [
        ({"images_count": 50}, "images_count", "60 and 50"),
        (
            {"extractors": {"lite0": {"weights_sha256": "w", "input_px": 128}}},
            "extractors.lite0.input_px",
            "64 and 128",
        ),
    ],
)
def test_two_protocols_are_refused_by_the_field(write, change, field, values, refused):
    write("old", arm("arm"))
    write("new", arm("arm", protocol={**PROTOCOL, **change}))
    line = refused("old", "new")
    assert f"protocol field '{field}' differs ({values})" in line


def test_nothing_that_matches_is_refused(write, refused):
    write("old", arm("a") + arm("b"))
    write("new", arm("c") + arm("d"))
    line = refused("old", "new")
    assert "no group of old (a, b) has its match in new (c, d)" in line
    assert "SUITE:GROUP" in line


def test_no_metric_in_common_is_refused(write, refused):
    write("old", arm("arm"))
    write("new", [record(seed=s, metrics={"perceptual": 1.0}) for s in MSE])
    assert "no metric of mse, perceptual" in refused("old", "new")
    line = refused("old", "new", "--metric", "mse")
    assert "arm: mse: not measured on both sides" in line


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (("old", "odl"), ["no suite 'odl'", "did you mean 'old'?"]),
        (("nothing", "old"), ["no suite 'nothing'", "valid: empty, lost, newer, old, torn"]),
        (("", "old"), ["no suite ''"]),
        (("old:amr", "old"), ["old:amr", "no arm or group is called 'amr'", "'arm'"]),
        (("old", "no.yaml"), ["no.yaml", "No such file"]),
        (("old", "empty"), ["no records in", "run the suite first"]),
        (("old", "newer"), ["newer/arm,_seed_0.json", "written by a newer adatok-bench"]),
        (("torn", "old"), ["torn/arm,_seed_0.json", "not a whole record", "run its suite again"]),
        (("old", "lost"), ["lost: no cell has a result (tokenizer: diverged)"]),
        (("old", "old", "--metric", "mes"), ["--metric", "unknown metric 'mes'", "'mse'"]),
        (("old", "old", "--seed", "-1"), ["--seed"]),
    ],
)
def test_what_cannot_be_read_is_refused(write, compare, arguments, expected):
    write("old", arm("arm"))
    write("empty", [])
    write("newer", arm("arm", schema_version=SCHEMA_VERSION + 1))
    write("lost", [record(status="failed", error="tokenizer: diverged")])
    torn = write("torn", arm("arm")) / "arm,_seed_0.json"
    torn.write_text(torn.read_text()[:100])
    answer = compare(*arguments)
    assert (answer.code, answer.out) == (2, "")
    assert "Traceback" not in answer.err
    for part in expected:
        assert part in answer.err
