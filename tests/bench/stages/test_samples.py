import json
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch

from adatok_core.config import Sampling
from adatok_core.generator.reference import decode_reference
from adatok_core.tokenizer import to_uint8
from bench.artifacts.bank import Bank
from bench.artifacts.gallery import Gallery
from bench.artifacts.networks import load_generator, load_tokenizer
from bench.errors import UserError
from bench.judging.pictures import picture_features, pictures
from bench.stages import generator, samples
from bench.stages.sample_measures import SampleMeasures
from bench.stages.token_sets import TokenSet

KEYS = {"gfd_lite0", "gkd_lite0", "gfd_lite0_reconstructions", "gkd_lite0_reconstructions"}


@pytest.fixture
def record(generation_run):
    return generation_run.content


@pytest.fixture
def table(generation_run):
    def table(label):
        return pd.read_parquet(generation_run.artifact(label) / "images.parquet")

    return table


@pytest.fixture
def no_pictures(monkeypatch):
    """Pictures are not measured: where they do not matter, they take all the time."""
    monkeypatch.setattr(SampleMeasures, "all", lambda self, *images: ({}, [], []))


def test_every_sample_is_decoded_from_its_own_seed(generation_run, table):
    trained = load_generator(generation_run.artifact("adaptive", "generator"))
    ids = np.load(generation_run.artifact("adaptive") / "ids.npy")
    rows = table("adaptive")
    assert len(rows) == len(ids) == 20
    for index in (0, 7, 19):
        row = rows.iloc[index]
        expected = decode_reference(
            trained.generator,
            trained.vocabulary,
            label=int(row["label"]),
            seed=int(row["seed"]),
            length=None,
            sampling=Sampling(guidance=1.5),
        )
        assert ids[index, : row["budget"]].tolist() == expected.ids.tolist()
        assert (ids[index, row["budget"] :] == -1).all()
        assert row["unended"] == expected.unended


def test_the_record_tells_of_lengths(record, table):
    found = record("adaptive")
    generation, metrics, rows = found["generation"], found["metrics"], table("adaptive")
    assert found["kind"] == "generation"
    assert metrics["mean_tokens"] == rows["budget"].mean()
    shares = rows["budget"].value_counts(normalize=True)
    generated = {int(k): v for k, v in generation["lengths"]["generated"].items()}
    assert generated == pytest.approx(shares.to_dict())
    assert sum(generation["lengths"]["data"].values()) == pytest.approx(1)
    assert generation["unended"] == rows["unended"].sum()
    assert metrics["unended_share"] == rows["unended"].mean()
    distance = generation["distance"]["wasserstein_1"]
    assert metrics["length_wasserstein_1"] == distance["value"]
    assert distance["low"] <= distance["value"] <= distance["high"]
    assert metrics["nats_per_token"] > 0
    by_class = generation["by_class"]
    assert sum(row["n"] for row in by_class) == 20
    assert all(row["name"] == f"{row['label']} objects" for row in by_class)
    assert "generator" in found["histories"]


def test_distances_stand_beside_those_of_reconstructions(record):
    for label in ("fixed", "adaptive"):
        metrics = record(label)["metrics"]
        assert set(metrics) >= KEYS | {"gkd_lite0_low", "gkd_lite0_high"}
        assert not {"fd_lite0", "kid_lite0"} & set(metrics)
        assert metrics["gfd_lite0"] > 0


def test_samples_are_measured_at_every_shorter_length(record, table):
    rows = record("fixed")["generation"]["by_length"]
    assert [(row["tokens"], row["n"]) for row in rows] == [(1, 20), (2, 20)]
    assert record("fixed")["generation"]["by_group"] == []
    metrics = record("fixed")["metrics"]
    assert rows[-1]["gfd_lite0"] == metrics["gfd_lite0"]
    assert rows[0]["gfd_lite0"] != metrics["gfd_lite0"]
    adaptive, lengths = record("adaptive"), table("adaptive")["budget"]
    rows = adaptive["generation"]["by_length"]
    assert [row["tokens"] for row in rows] == [1, 2, 4]
    assert [row["mean_tokens"] for row in rows] == [lengths.clip(upper=k).mean() for k in (1, 2, 4)]
    assert [row["n_reference"] for row in rows] == [24] * 3
    assert rows[-1]["gfd_lite0"] == adaptive["metrics"]["gfd_lite0"]


def test_samples_of_own_lengths_are_measured_in_groups(record, table):
    rows, lengths = record("adaptive")["generation"]["by_group"], table("adaptive")["budget"]
    assert [row["tokens"] for row in rows] == [1, 2, 4]
    assert [row["n"] for row in rows] == [
        (lengths == 1).sum(), (lengths == 2).sum(), (lengths > 2).sum()
    ]  # fmt: skip
    assert sum(row["n_reference"] for row in rows) == 24
    for row in rows:
        assert (set(row) >= KEYS) == (min(row["n"], row["n_reference"]) >= 2)


def test_classes_are_those_asked_for_in_the_datas_proportions(generation_run, record, table):
    bank = Bank.read(generation_run.artifact("fixed", "bank"))
    labels = bank.table().iloc[:: len(bank.budgets)]["label"]
    wanted = labels[labels.isin([0, 2])].value_counts(normalize=True)
    drawn = table("fixed")["label"].value_counts()
    assert drawn.index.isin([0, 2]).all()
    assert all(abs(drawn[label] - 20 * share) < 1 for label, share in wanted.items())
    row = record("fixed")["generation"]["by_length"][-1]
    assert row["n_reference"] == labels.isin([0, 2]).sum()


def test_the_protocol_is_one_of_its_own(generation_run, record, small_run):
    found = record("adaptive")
    protocol = found["protocol"]
    assert protocol["reference"] == "unpaired originals of the validation images"
    assert protocol["sampling"] == found["generation"]["sampling"]
    assert protocol["sampling"]["guidance"] == 1.5
    assert protocol["sampling"]["images"] == 20
    assert found["protocol_hash"] != record("fixed")["protocol_hash"]
    assert found["protocol_hash"] != small_run.record("elastic").protocol_hash


def test_the_gallery_has_a_row_per_class(generation_run, record, table):
    folder = generation_run.store.root / record("fixed")["gallery"]
    gallery = Gallery.read(folder)
    assert [row.group for row in gallery.rows] == ["flat", "textured"]
    assert gallery.pixels.shape[2:] == (32, 32, 3)
    assert all(set(row.tokens) == {2} for row in gallery.rows)
    tokenizer = load_tokenizer(generation_run.artifact("fixed", "tokenizer"))
    first = table("fixed")["id"].tolist().index(gallery.rows[1].id)
    ids = torch.from_numpy(np.load(folder / "ids.npy")[first : first + 1, :2])
    with torch.no_grad():
        expected = to_uint8(tokenizer.decode(ids, torch.tensor([2])))[0].permute(1, 2, 0)
    assert np.abs(gallery.pixels[1, 0].astype(int) - expected.numpy().astype(int)).max() <= 1


@pytest.mark.parametrize(
    ("changes", "differs"),
    [
        ({"batch": 3}, False),
        ({"seed": 1}, True),
        ({"sampling": {"temperature": 0.0}}, True),
        ({"sampling": {"top_k": 1}}, True),
        ({"sampling": {"top_p": 1e-6}}, True),
        ({"sampling": {"guidance": 4.0}}, True),
    ],
)
def test_what_changes_the_samples(generation_run, context, no_pictures, changes, differs):
    again = context("adaptive", "", of=generation_run, config=changes)
    samples.run(again)
    before = np.load(generation_run.artifact("adaptive") / "ids.npy")
    after = np.load(again.work / "ids.npy")
    assert (before.shape != after.shape or not np.array_equal(before, after)) == differs


def test_too_few_images_and_unknown_classes_are_refused(generation_run, context, no_pictures):
    def refusal(**config):
        with pytest.raises(UserError) as error:
            samples.run(context("fixed", "", of=generation_run, config=config))
        return str(error.value)

    assert refusal(labels=[7]) == (
        "generation.labels: no validation image is of class 7; name others"
    )
    assert "exceed the bank's" in refusal(images=150)
    assert refusal(kid_subset=11).startswith("evaluation.kid_subset: ")


def test_a_class_that_was_never_learned_is_refused(generation_run, context, no_pictures, tmp_path):
    class_0 = TokenSet(np.zeros((2, 1)), np.ones(2), np.array([0, 3]), {})
    trained = load_generator(generation_run.artifact("fixed", "generator"))
    with pytest.raises(UserError, match="class 3 has validation images, but none in the bank"):
        samples._require_known(class_0.labels, trained)


def test_scores_of_generated_images_when_asked_for(generation_run, context):
    measured = context("fixed", "", of=generation_run, config={"generative": True})
    metrics = samples.run(measured)["metrics"]
    assert {"gis_lite0", "gprecision_lite0", "grecall_lite0"} <= set(metrics)
    assert metrics["gis_lite0"] >= 1


def test_features_do_not_depend_on_the_batch(generation_run):
    class Mean:
        name = "mean"

        @staticmethod
        def features(images):
            return images.float().mean((2, 3))

    tokenizer = load_tokenizer(generation_run.artifact("fixed", "tokenizer"))
    ids, lengths = np.arange(24).reshape(6, 4), np.array([4, 1, 2, 2, 4, 2])
    few, many = (
        picture_features(tokenizer, ids, lengths, extractors=[Mean], batch=batch, device="cpu")
        for batch in (1, 64)
    )
    assert few["mean"] == pytest.approx(many["mean"], abs=0.1)
    seen = [rows.tolist() for rows, _ in pictures(tokenizer, ids, lengths, batch=2, device="cpu")]
    assert seen == [[1], [2, 3], [5], [0, 4]]


def test_a_record_is_plain_json(record):
    json.dumps(record("adaptive"), allow_nan=False)


def test_a_generator_without_classes_is_asked_for_none(generation_run, context, no_pictures):
    spec = generation_run.spec("fixed", "generator")
    bare = {**spec.config["generator"], "class_conditional": False, "class_dropout": 0.0}
    trained = context(
        "fixed", "generator", of=generation_run, config={"generator": bare}, work="generator"
    )
    generator.run(trained)
    again = context(
        "fixed",
        "",
        of=generation_run,
        config={"labels": None},
        inputs={"generator": trained.work},
        work="samples",
    )
    result = samples.run(again)
    assert result["generation"]["by_class"] == []
    assert result["protocol"]["sampling"]["classes"] is None
    gallery = Gallery.read(again.work)
    assert [row.group for row in gallery.rows] == [""]
    assert len(gallery.columns) == 8
    with pytest.raises(ValueError, match="guidance"):
        samples.run(replace(again, spec=with_guidance(again.spec)))


def with_guidance(spec):
    sampling = {**spec.config["sampling"], "guidance": 2.0}
    return replace(spec, config={**spec.config, "sampling": sampling})
