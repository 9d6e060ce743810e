"""The command on record folders written by hand: every exit code, and every reason."""

import json
from dataclasses import asdict

import numpy as np
import pandas as pd
import pytest

from adatok_core.config import PolicyConfig, TrainingConfig
from bench.config.cell import CellConfig
from bench.data.datasets import FluentScenes
from bench.records.protocol import Protocol
from bench.records.record import SCHEMA_VERSION
from bench.statistics.intervals import holm, paired_difference
from bench.store.integrity import describe
from bench.suite.cells import Cell
from bench.suite.loading import load_suite

IMAGES = 60
PROTOCOL = asdict(
    Protocol(
        images_digest="d",
        images_count=IMAGES,
        resolution=32,
        estimators={},
        extractors={"lite0": {"weights_sha256": "w", "input_px": 64}},
        versions={},
    )
)
PROVENANCE = {
    **{"git_commit": None, "git_dirty": None, "packages": {}, "python": "3.11"},
    **{"platform": "Linux", "host": "made", "cpus": 2},
}
MSE = {0: 0.0100, 1: 0.0120, 2: 0.0110}


def settings(seed, policy):
    config = CellConfig(
        data=FluentScenes(train=8, validation=8),
        training=TrainingConfig(seed=seed),
        policy=policy and PolicyConfig(candidates=tuple(policy)),
    )
    return Cell("arm", config, {}).settings


def record(arm="arm", *, seed=0, metrics=None, curve=(), swept=(), policy=None, **changes):
    swept = dict(swept)
    named = ", ".join(f"{path} {value}" for path, value in swept.items())
    group = f"{arm}: {named}" if named else arm
    known = {
        "schema_version": SCHEMA_VERSION,
        "suite": "made",
        "question": "Which?",
        "cell_key": f"{group}, seed {seed}".replace(" ", "_").replace(":", ""),
        "arm": arm,
        "label": f"{group}, seed {seed}",
        "group": group,
        "swept": {**swept, "training.seed": seed},
        "reference_arm": None,
        "length_from": None,
        "settings": settings(seed, policy),
        "status": "done",
        "error": None,
        "stages": [],
        "provenance": PROVENANCE,
    }
    results = {
        "metrics": {"mean_tokens": 4.0, **(metrics or {})},
        "curve": list(curve),
        "controls": {},
        "histories": {},
        "protocol": PROTOCOL,
        "protocol_hash": "0" * 16,
    }
    done = changes.get("status", "done") == "done"
    return {**known, **(results if done else {}), **changes}


def arm(name, mse=MSE, **options):
    return [
        record(name, seed=seed, metrics={"mse": value}, **options) for seed, value in mse.items()
    ]


def changed(gains, mse=MSE):
    return {seed: mse[seed] + gain for seed, gain in zip(mse, gains, strict=True)}


WORSE, BETTER = changed((0.0010, 0.0011, 0.0012)), changed((-0.0010, -0.0011, -0.0012))


@pytest.fixture
def store(tmp_path):
    return tmp_path / "store"


@pytest.fixture
def write(store):
    """`write(suite, records)`: the folder of a suite's records in the store."""

    def write(suite, records, root=store):
        folder = root / "records" / suite
        folder.mkdir(parents=True)
        for one in records:
            text = json.dumps({**one, "suite": suite})
            (folder / f"{one['cell_key']}.json").write_text(text)
        return folder

    return write


@pytest.fixture
def compare(adatok, store):
    def compare(*arguments):
        return adatok("compare", *arguments, "--store", store)

    return compare


def rows_of(answer):
    return json.loads(answer.out)["differences"]


def refused(answer):
    assert answer.code == 2, answer
    assert answer.out == ""
    (line,) = answer.err.strip().splitlines()
    assert line.startswith("error: ")
    return line


@pytest.mark.parametrize(
    ("mse", "code", "verdict"),
    [(WORSE, 1, "worse"), (BETTER, 0, "better"), (MSE, 0, "no difference shown")],
)
def test_the_exit_code_says_whether_b_is_worse(write, compare, mse, code, verdict):
    write("old", arm("arm"))
    write("new", arm("arm", mse))
    answer = compare("old", "new", "--json")
    assert answer.code == code
    (row,) = rows_of(answer)
    assert (row["verdict"], row["over"], row["n"]) == (verdict, "seeds", 3)
    assert (row["seed"], row["method"]) == ("training.seed", "Student t")
    expected = paired_difference(mse, MSE)
    assert row["difference"] == pytest.approx(expected.mean)
    assert (row["low"], row["high"]) == pytest.approx((expected.low, expected.high))
    assert row["p_holm"] == pytest.approx(expected.p)
    assert row["b"] - row["a"] == pytest.approx(expected.mean)
    assert json.loads(answer.out)["worse"] == (code == 1)


def test_the_direction_is_the_metrics(write, compare):
    gains = {0: 20.0, 1: 21.0, 2: 20.5}
    write("old", [record(seed=s, metrics={"psnr": v}) for s, v in gains.items()])
    write("new", [record(seed=s, metrics={"psnr": v - 1 - s / 10}) for s, v in gains.items()])
    assert compare("old", "new", "--metric", "psnr").code == 1
    assert compare("new", "old", "--metric", "psnr").code == 0


def test_the_text_says_what_the_intervals_are_over(write, compare):
    write("old", arm("arm"))
    write("new", arm("arm", WORSE))
    answer = compare("old", "new")
    assert "3 training seeds" in answer.out
    assert "[95 %, Student t over seeds]" in answer.out
    assert "images" not in answer.out
    assert "detectable" in answer.out
    assert answer.out.splitlines()[-1] == (
        "1 worse, 0 better, 0 no difference shown, 0 without a verdict"
    )


def test_holm_runs_over_all_rows_and_can_take_the_regression_away(write, compare):
    slightly = changed((0.0002, 0.0003, 0.0003))
    write("alone_old", arm("a"))
    write("alone_new", arm("a", slightly))
    assert compare("alone_old", "alone_new").code == 1
    others = [f"n{index}" for index in range(8)]
    write("old", arm("a") + [r for name in others for r in arm(name)])
    write("new", arm("a", slightly) + [r for name in others for r in arm(name)])
    answer = compare("old", "new", "--json")
    assert answer.code == 0
    alone = paired_difference(slightly, MSE).p
    by_cell = {row["group"]: row["p_holm"] for row in rows_of(answer)}
    assert by_cell["a"] == pytest.approx(holm([alone, *[1.0] * 8])[0])


def test_groups_match_by_arm_and_swept_values(write, compare):
    old = [r for k in (4, 8) for r in arm("a", swept={"lora.rank": k})]
    new = [r for k in (8, 16) for r in arm("a", WORSE, swept={"lora.rank": k})]
    write("old", old)
    write("new", new)
    answer = compare("old", "new", "--json")
    assert [row["group"] for row in rows_of(answer)] == ["a: lora.rank 8"]
    assert json.loads(answer.out)["notes"] == [
        "only in old: a: lora.rank 4",
        "only in new: a: lora.rank 16",
    ]


def test_two_arms_match_by_what_they_sweep(write, compare):
    records = [r for n in ("a", "b") for k in (4, 8) for r in arm(n, swept={"lora.rank": k})]
    write("suite", records)
    rows = rows_of(compare("suite:a", "suite:b", "--json"))
    assert [row["group"] for row in rows] == ["b: lora.rank 4", "b: lora.rank 8"]


def test_single_groups_match_whatever_they_are_called(write, compare):
    records = [r for k in (4, 8) for r in arm("a", swept={"lora.rank": k})]
    write("suite", records + arm("other", WORSE))
    answer = compare("suite:a: lora.rank 4", "suite:other", "--json")
    assert answer.code == 1
    assert [row["group"] for row in rows_of(answer)] == ["other"]


def curve(values, **more):
    return [
        {"budget": budget, "trained": True, "mean_tokens": budget, "mse": value, **more}
        for budget, value in values.items()
    ]


def test_curves_are_compared_at_the_budgets_that_both_have(write, compare):
    def side(plus, budgets):
        return [
            record(seed=s, metrics={"mse": 9.0}, curve=curve({b: m / b + plus for b in budgets}))
            for s, m in MSE.items()
        ]

    write("old", side(0, (1, 2, 4)))
    write("new", side(1, (2, 4, 8)))
    rows = rows_of(compare("old", "new", "--json"))
    assert [(row["budget"], row["metric"]) for row in rows] == [(2, "mse"), (4, "mse")]
    assert [row["difference"] for row in rows] == pytest.approx([1, 1])
    write("fixed", side(0, (16,)))
    assert "arm: no budget in common with arm" in refused(compare("old", "fixed"))


@pytest.fixture
def fixed_length(write):
    """A suite `fixed` of tokenizers of 2 and of 4 tokens, and an elastic one that costs more."""
    lengths, elastic = [], []
    for seed, mse in MSE.items():
        dearer = {2: 1.1 * mse, 4: mse * (1.2 + 0.01 * seed)}
        elastic.append(record("elastic", seed=seed, curve=curve(dearer)))
        for length in (2, 4):
            one = record(
                "fixed",
                seed=seed,
                swept={"tokenizer.budgets": [length]},
                metrics={"mse": mse},
                curve=curve({length: mse}),
            )
            one["settings"]["tokenizer"]["budgets"] = [length]
            lengths.append(one)
    write("elastic", elastic)
    write("fixed", lengths)
    return elastic


def test_an_elastic_side_has_a_price_over_tokenizers_of_one_length(fixed_length, compare):
    answer = compare("fixed", "elastic", "--json")
    price = json.loads(answer.out)["price"]
    assert (price["elastic"], price["metric"], answer.code) == ("b", "mse", 1)
    two, four = price["rows"]
    assert (two["budget"], two["lengths"], two["price"]["n"]) == (2, [2], 3)
    assert two["price"]["ratio_minus_1"] == pytest.approx(0.1)
    logs = np.log([1.2, 1.21, 1.22])
    found = paired_difference(dict(enumerate(logs)), dict.fromkeys(range(3), 0.0))
    assert four["price"]["low"] == pytest.approx(np.exp(found.low) - 1)
    assert four["price"]["p_holm"] == pytest.approx(holm([0.0, found.p])[1])
    assert [two["elastic_is"], four["elastic_is"]] == ["worse", "worse"]
    assert four["cost"]["words"] == "equal steps and decoder passes"
    text = compare("fixed", "elastic").out
    assert "Price of being elastic: distortion (MSE) of B over that of A, minus 1" in text
    assert "+10.0 % [+10.0, +10.0]" in text
    assert "Student t over seeds, of logarithms" in text


def test_the_price_is_of_the_elastic_side_whichever_it_is(fixed_length, write, compare):
    answer = compare("elastic", "fixed", "--json")  # B is better.
    assert (json.loads(answer.out)["price"]["elastic"], answer.code) == ("a", 0)
    cheap = [{**one, "curve": curve({2: 0.5 * m, 4: 0.5 * m + s / 1e6})}
             for one, (s, m) in zip(fixed_length, MSE.items(), strict=True)]  # fmt: skip
    write("cheap", cheap)
    assert compare("cheap", "fixed").code == 1
    # The price is one of distortion; other metrics need a match of their own.
    assert "has its match in" in refused(compare("fixed", "elastic", "--metric", "psnr"))
    assert "price" not in json.loads(compare("elastic", "cheap", "--json").out)


def test_an_allocation_is_compared_with_a_curve_as_a_whole_and_its_tokens_are_told(write, compare):
    write("curve", [record(metrics={"mse": 0.02}, curve=curve({4: 0.02}))])
    write("policy", [record("p", metrics={"mse": 0.01, "mean_tokens": 3.0}, policy=[2, 4])])
    answer = compare("curve", "policy", "--json")
    (row,) = rows_of(answer)
    assert (row["budget"], row["a"], row["b"]) == (None, 0.02, 0.01)
    assert json.loads(answer.out)["notes"] == ["p: not at equal mean tokens: A spends 4.00, B 3.00"]


def test_the_default_metrics_are_those_that_both_have(write, compare):
    values = {"mse": 0.1, "psnr": 20.0, "perceptual": 1.0, "fd_lite0": 5.0, "ssim": 0.5}
    write("old", [record(metrics=values | {"rfid": 3.0})])
    write("new", [record(metrics=values)])
    rows = rows_of(compare("old", "new", "--json"))
    assert [row["metric"] for row in rows] == ["mse", "perceptual", "fd_lite0", "ssim"]
    write("newer", [record(metrics=values | {"rfid": 3.0})])
    rows = rows_of(compare("old", "newer", "--json"))
    assert [row["metric"] for row in rows] == ["mse", "perceptual", "rfid", "ssim"]
    rows = rows_of(compare("old", "newer", "--json", "--metric", "fd_lite0", "--metric", "psnr"))
    assert [row["metric"] for row in rows] == ["fd_lite0", "psnr"]


def test_skills_of_other_candidates_are_not_compared_and_collapse_counts_as_none(write, compare):
    def side(candidates, skill, collapsed):
        metrics = {"mse": 0.1, "allocation_skill": skill, "collapsed": collapsed}
        return [record(seed=s, metrics=metrics, policy=candidates) for s in range(2)]

    write("old", side([2, 4], 0.5, False))
    write("new", side([2, 4], None, True))
    write("other", side([2, 8], 0.5, False))
    skill = rows_of(compare("old", "new", "--json"))[1]
    assert (skill["metric"], skill["b"], skill["verdict"]) == ("allocation_skill", 0.0, "worse")
    assert [row["metric"] for row in rows_of(compare("old", "other", "--json"))] == ["mse"]
    line = refused(compare("old", "other", "--metric", "allocation_skill"))
    assert "skill is relative to the oracle of the candidates" in line


def write_images(root, name, mse, *, budget=4, ids=None, sha256=None):
    count = len(mse)
    ids = [f"i{index}" for index in range(count)] if ids is None else ids
    path = root / "evaluation" / name / "images.parquet"
    path.parent.mkdir(parents=True)
    columns = {"id": ids, "sha256": sha256 or [f"s{one}" for one in ids], "mse": mse}
    pd.DataFrame({**columns, "budget": budget}).to_parquet(path, index=False)
    describe(path.parent, {"stage": "evaluation", "key": name})
    return f"evaluation/{name}/images.parquet"


@pytest.fixture
def per_image(store, write):
    """Writes suites `old` and `new` of one seed, B worse by 0.1 per image in another order."""
    rng = np.random.default_rng(0)
    mse = rng.uniform(1, 2, IMAGES)
    other = mse + 0.1 + rng.normal(scale=0.05, size=IMAGES)
    order = rng.permutation(IMAGES)

    def per_image(*, curve_at=None, **options):
        curves = [curve({curve_at: v.mean()}) if curve_at else [] for v in (mse, other)]
        names = [
            write_images(store, "a", mse),
            write_images(store, "b", other[order], **{"ids": [f"i{i}" for i in order], **options}),
        ]
        for suite, name, values, rows in zip(
            ("old", "new"), names, (mse, other), curves, strict=True
        ):
            metrics = {"mse": values.mean(), "fd_lite0": 5.0}
            write(suite, [record(metrics=metrics, curve=rows, images=name)])
        return other - mse

    return per_image


def test_with_one_seed_the_images_are_resampled_and_it_says_so(per_image, compare):
    differences = per_image()
    answer = compare("old", "new", "--json")
    assert answer.code == 1
    row, distance = rows_of(answer)
    assert (row["over"], row["n"], row["method"]) == ("images", IMAGES, "BCa bootstrap")
    assert row["difference"] == pytest.approx(differences.mean())
    error = 1.96 * differences.std(ddof=1) / IMAGES**0.5
    assert row["high"] - row["low"] == pytest.approx(2 * error, rel=0.1)
    assert (row["verdict"], row["seed"], row["detectable"]) == ("worse", None, None)
    # A Fréchet distance is never bootstrapped.
    assert distance["verdict"] == "one seed, and no per-image values of it"
    text = compare("old", "new").out
    assert "60 images" in text
    assert "BCa bootstrap over images" in text
    assert "over seeds" not in text
    assert compare("new", "old").code == 0


def test_the_seed_of_the_bootstrap_is_an_option(per_image, compare):
    per_image()
    first, again, other = (
        rows_of(compare("old", "new", "--json", "--seed", seed))[0] for seed in (0, 0, 1)
    )
    assert first == again
    assert first["low"] != other["low"]


def test_curves_of_one_seed_use_the_images_at_their_budget(per_image, compare):
    differences = per_image(curve_at=4)
    (row,) = (r for r in rows_of(compare("old", "new", "--json")) if r["metric"] == "mse")
    assert (row["budget"], row["over"]) == (4, "images")
    assert row["difference"] == pytest.approx(differences.mean())


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({"sha256": ["other"] * IMAGES}, "the per-image tables hold other images"),
        ({"ids": [f"j{i}" for i in range(IMAGES)]}, "the per-image tables hold other images"),
        ({"ids": ["i0"] * IMAGES}, "the per-image tables hold other images"),
        ({"curve_at": 4, "budget": 8}, "no per-image values at this budget"),
    ],
)
def test_other_images_are_not_paired(per_image, compare, options, reason):
    per_image(**options)
    answer = compare("old", "new", "--json", "--metric", "mse")
    assert answer.code == 0
    assert [row["verdict"] for row in rows_of(answer)] == [f"one seed, and {reason}"]


@pytest.mark.parametrize("images", [None, "evaluation/gone/images.parquet"])
def test_one_seed_without_a_table_is_said(write, compare, images):
    write("old", [record(metrics={"mse": 0.1}, images=images)])
    write("new", [record(metrics={"mse": 0.2}, images=images)])
    answer = compare("old", "new")
    assert answer.code == 0
    assert "one seed, and no per-image table" in answer.out
    assert answer.out.splitlines()[-1].endswith("1 without a verdict")


def test_seeds_that_never_meet_are_said(write, compare):
    write("old", [record(seed=0, metrics={"mse": 0.1})])
    write("new", [record(seed=1, metrics={"mse": 0.2})])
    (row,) = rows_of(compare("old", "new", "--json"))
    assert row["verdict"] == "no training.seed in common"


def test_folders_of_two_stores_are_compared(write, per_image, compare, tmp_path):
    per_image()
    folders = [tmp_path / name / "records" / "any" for name in ("here", "there")]
    for suite, folder in zip(("old", "new"), folders, strict=True):
        folder.parent.mkdir(parents=True)
        (tmp_path / "store" / "records" / suite).rename(folder)
    (tmp_path / "store" / "evaluation").rename(tmp_path / "here" / "evaluation")
    (tmp_path / "there" / "evaluation").symlink_to(tmp_path / "here" / "evaluation")
    rows = rows_of(compare(*folders, "--json", "--metric", "mse"))
    assert [row["over"] for row in rows] == ["images"]
    rows = rows_of(compare(*(f"{folder}:arm" for folder in folders), "--json"))
    assert [row["group"] for row in rows] == ["arm", "arm"]


def test_a_suites_file_names_it_and_means_its_present_cells(write, compare, tiny, write_suite):
    path = write_suite(tiny)
    present = [cell.key for cell in load_suite(path).cells]
    write("old", arm("arm"))
    write("tiny", [record("arm", metrics={"mse": 0.1}, cell_key=present[0]), *arm("lost")])
    answer = compare("old", path)
    assert answer.code == 0
    assert f"left out: {len(MSE)} records of cells that the suite no longer has" in answer.err
    assert "lost" not in answer.out


def test_cells_without_a_result_are_listed(write, compare):
    lost = record(seed=3, status="failed", error="tokenizer: diverged")
    write("old", arm("arm"))
    write("new", [*arm("arm"), lost])
    answer = compare("old", "new")
    assert answer.code == 0
    assert "failed in new: arm, seed 3: tokenizer: diverged" in answer.out


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
def test_two_protocols_are_refused_by_the_field(write, compare, change, field, values):
    write("old", arm("arm"))
    write("new", arm("arm", protocol={**PROTOCOL, **change}))
    line = refused(compare("old", "new"))
    assert f"protocol field '{field}' differs ({values})" in line


def test_nothing_that_matches_is_refused(write, compare):
    write("old", arm("a") + arm("b"))
    write("new", arm("c") + arm("d"))
    line = refused(compare("old", "new"))
    assert "no group of old (a, b) has its match in new (c, d)" in line
    assert "SUITE:GROUP" in line


def test_no_metric_in_common_is_refused(write, compare):
    write("old", arm("arm"))
    write("new", [record(seed=s, metrics={"perceptual": 1.0}) for s in MSE])
    assert "no metric of mse, perceptual" in refused(compare("old", "new"))
    line = refused(compare("old", "new", "--metric", "mse"))
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


def test_comparing_changes_no_record(write, compare, store):
    write("old", arm("arm"))
    write("newer", arm("arm", schema_version=SCHEMA_VERSION + 1))
    files = {path: path.read_text() for path in store.rglob("*.json")}
    compare("old", "newer")
    compare("old", "old")
    assert {path: path.read_text() for path in store.rglob("*") if path.is_file()} == files
