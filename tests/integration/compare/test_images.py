import json

import numpy as np
import pandas as pd
import pytest
from plain_records import IMAGES, curve, record

from bench.store.integrity import describe


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
    row, distance = json.loads(answer.out)["differences"]
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


def test_the_seed_of_the_bootstrap_is_an_option(per_image, rows_of):
    per_image()
    first, again, other = (rows_of("old", "new", "--seed", seed)[0] for seed in (0, 0, 1))
    assert first == again
    assert first["low"] != other["low"]


def test_curves_of_one_seed_use_the_images_at_their_budget(per_image, rows_of):
    differences = per_image(curve_at=4)
    (row,) = (r for r in rows_of("old", "new") if r["metric"] == "mse")
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
    assert [row["verdict"] for row in json.loads(answer.out)["differences"]] == [
        f"one seed, and {reason}"
    ]


@pytest.mark.parametrize("images", [None, "evaluation/gone/images.parquet"])
def test_one_seed_without_a_table_is_said(write, compare, images):
    write("old", [record(metrics={"mse": 0.1}, images=images)])
    write("new", [record(metrics={"mse": 0.2}, images=images)])
    answer = compare("old", "new")
    assert answer.code == 0
    assert "one seed, and no per-image table" in answer.out
    assert answer.out.splitlines()[-1].endswith("1 without a verdict")


def test_folders_of_two_stores_are_compared(per_image, tmp_path, rows_of):
    per_image()
    folders = [tmp_path / name / "records" / "any" for name in ("here", "there")]
    for suite, folder in zip(("old", "new"), folders, strict=True):
        folder.parent.mkdir(parents=True)
        (tmp_path / "store" / "records" / suite).rename(folder)
    (tmp_path / "store" / "evaluation").rename(tmp_path / "here" / "evaluation")
    (tmp_path / "there" / "evaluation").symlink_to(tmp_path / "here" / "evaluation")
    rows = rows_of(*folders, "--metric", "mse")
    assert [row["over"] for row in rows] == ["images"]
    rows = rows_of(*(f"{folder}:arm" for folder in folders))
    assert [row["group"] for row in rows] == ["arm", "arm"]
