import json

import numpy as np
import pytest
import torch

from adatok_core.tokenizer import to_float
from bench.artifacts.bank import Bank
from bench.artifacts.networks import load_elastic
from bench.config.cell import CellConfig
from bench.config.settings import parse
from bench.errors import UserError
from bench.graph.suite_graph import build_graph
from bench.metrics.frechet import frechet_distance, gaussian_statistics
from bench.run.extra_results import with_diagnostic
from bench.stages.diagnostics import perturbed, prefix_cosine
from bench.store.stage import StageContext, StageSpec
from bench.store.store import Store

PERTURBED = {"alphas": [0.0, 1.0], "neighbours": [1, 25], "images": 20, "seed": 0}


@pytest.fixture
def given(small_run, tmp_path):
    """`given(**config)`: the context of a diagnostic of the small run's curve."""

    def given(**config):
        spec = small_run.spec("elastic")
        inputs = {name: small_run.store.artifact(*at) for name, at in spec.inputs.items()}
        spec = StageSpec("diagnostic", 1, config, spec.inputs, {}, spec.resources)
        return StageContext(spec, inputs, tmp_path)

    return given


class Colours:
    """A stand-in for a metric network: a Fréchet distance in 12 dimensions costs nothing."""

    name = "lite0"

    def features(self, images):
        return torch.nn.functional.adaptive_avg_pool2d(images.float(), 2).flatten(1)


@pytest.fixture
def colours(monkeypatch, small_run):
    """Features of the originals and of what is decoded are mean colours."""
    pixels = np.load(small_run.artifact("elastic", "images") / "images.npy")
    originals = Colours().features(torch.from_numpy(pixels)).numpy()
    array = Bank.array
    monkeypatch.setattr(
        Bank, "array", lambda bank, name: originals if "originals" in name else array(bank, name)
    )
    monkeypatch.setattr(perturbed, "_extractors", lambda context, bank: [Colours()])
    return originals


def perturb(given, **changes):
    asked = {**PERTURBED, **changes}
    return perturbed.run(given(perturbed=asked, extractor_resolution=32, batch=8))


def test_tokens_that_stay_have_the_ordinary_distance(given, colours, small_run):
    found = perturb(given)
    rows = {(row["budget"], row["alpha"], row["neighbours"]): row for row in found["perturbed"]}
    assert len(rows) == len(found["perturbed"]) == 3 * 2 * 2
    tokenizer = load_elastic(small_run.artifact("elastic", "tokenizer"))
    ids = torch.from_numpy(np.array(Bank.read(small_run.artifact("elastic", "bank")).array("ids")))
    for budget in (1, 2, 4):
        decoded = tokenizer.prefix_decoder(budget)(ids[:20, :budget].long())
        own = (
            Colours()
            .features((decoded.clamp(0, 1) * 255).round().to(torch.uint8))
            .numpy(force=True)
        )
        expected = frechet_distance(*map(gaussian_statistics, (colours[:20], own)))
        for setting in ((0.0, 1), (1.0, 1), (0.0, 25)):
            assert rows[budget, *setting]["pfd_lite0"] == pytest.approx(expected, rel=1e-8)
        assert rows[budget, 1.0, 25]["pfd_lite0"] != pytest.approx(expected, rel=1e-6)
    means = {row["budget"]: row["pfd_lite0"] for row in found["by_budget"]}
    assert means[2] == pytest.approx(
        np.mean([row["pfd_lite0"] for row in found["perturbed"] if row["budget"] == 2])
    )
    assert found["metrics"] == {"pfd_lite0": means[4]}
    assert all(row["n"] == 20 for row in found["perturbed"])


def test_how_tokens_are_perturbed_is_as_asked(given, colours):
    def last(**changes):
        return perturb(given, alphas=[1.0], **changes)["metrics"]["pfd_lite0"]

    assert last() == last()
    values = [last(), last(seed=1), last(neighbours=None), last(images=None), last(neighbours=[3])]
    assert len({*values}) == len(values)
    with pytest.raises(UserError, match=r"perturbed\.images: 25 exceeds the 24 validation images"):
        last(images=25)


def test_a_record_has_them_by_budget_and_setting(small_run):
    result = json.loads(json.dumps(small_run.content("elastic")))
    found = {
        "perturbed": [{"budget": 1, "alpha": 0.5, "neighbours": None, "n": 2, "pfd_lite0": 3.0}],
        "by_budget": [{"budget": 1, "pfd_lite0": 3.0}],
        "metrics": {"pfd_lite0": 4.0},
    }
    merged = with_diagnostic(result, found)
    assert merged["perturbed"] == found["perturbed"]
    assert merged["metrics"]["pfd_lite0"] == 4.0
    assert [row.get("pfd_lite0") for row in merged["curve"]] == [3.0, None, None]
    assert merged["curve"][0]["mse"] == result["curve"][0]["mse"]


def test_a_prefix_of_all_tokens_is_all_alike(given, small_run):
    found = prefix_cosine.run(given(images=10, budgets=None, batch=4))
    values = {row["budget"]: row["prefix_cosine"] for row in found["by_budget"]}
    assert values[4] == pytest.approx(1, abs=1e-6)
    assert values[1] < values[4]
    assert found["metrics"] == {"mean_prefix_cosine": pytest.approx((values[1] + values[2]) / 2)}
    few = prefix_cosine.run(given(images=3, budgets=[1], batch=4))["by_budget"]
    assert few[0]["prefix_cosine"] != values[1]
    with pytest.raises(UserError, match="25 exceeds the 24 validation images"):
        prefix_cosine.run(given(images=25, budgets=None, batch=4))


def test_features_are_those_behind_the_first_layer(small_run):
    """Against a forward pass written out."""
    tokenizer = load_elastic(small_run.artifact("elastic", "tokenizer"))
    images = to_float(torch.randint(0, 256, (3, 3, 32, 32), dtype=torch.uint8))
    with torch.inference_mode():
        found = prefix_cosine.first_layer(tokenizer, 2)(images)
        decoder = tokenizer.merged_decoder(2).decoder
        ids, _ = tokenizer.encode(images, 2)
        tokens, _ = decoder._tokens(tokenizer.quantizer.decode(ids), None, None)
        queries = decoder.queries.expand(3, -1, -1)
        layer = decoder.transformer.blocks[0](torch.cat([queries, tokens], 1), None, None)
    size = decoder.grid**2
    expected = torch.cat([layer[:, :size], layer[:, size:].mean(1, keepdim=True)], 1)
    torch.testing.assert_close(found, expected)


def test_histograms_are_of_the_samples_and_of_their_real_images(generation_run):
    for label, tokens in (("fixed", 40), ("adaptive", None)):
        found = generation_run.record(label).code_histograms
        metrics = generation_run.content(label)["metrics"]
        ids = np.load(generation_run.artifact(label) / "ids.npy")
        assert found.tokens == (tokens or (ids >= 0).sum())
        assert metrics["chd"] == found.distance > 0
        assert metrics["chd_position"] == found.metrics()["chd_position"]
    fixed, samples = generation_run.record("fixed"), generation_run.artifact("fixed")
    bank = Bank.read(generation_run.artifact("fixed", "bank"))
    wanted = bank.table()["label"].to_numpy()[:: len(bank.budgets)]
    real = np.array(bank.array("ids"))[np.isin(wanted, [0, 2]), :2].ravel()
    shares = [
        np.bincount(x, minlength=25) / len(x) for x in (np.load(samples / "ids.npy").ravel(), real)
    ]
    expected = np.sqrt(1 - np.sqrt(shares[0] * shares[1]).sum())
    assert fixed.metrics.number("chd") == pytest.approx(expected)
    assert fixed.code_histograms.tokens_data == len(real)


def test_to_ask_for_a_diagnostic_computes_nothing_else_anew(load, small, tmp_path):
    def keys(**evaluation):
        small["base"]["evaluation"] = evaluation
        suite = load(small)
        graph, store = build_graph(suite), Store(tmp_path)
        extras = [[one.stage for one in stages] for stages in graph.extras]
        return suite.cells[0].key, graph.evaluations[0].spec(store).key, extras

    plain, asked = keys(), keys(perturbed=PERTURBED, prefix_cosine_images=8)
    assert keys(perturbed=None, prefix_cosine_images=None) == plain
    assert plain[1] == asked[1]
    assert plain[0] != asked[0]
    assert plain[2][0] == []
    assert asked[2][0] == ["perturbed", "prefix_cosine"]
    assert asked[2][1] == []  # Of a policy's cell there is no curve.


RECONSTRUCTIONS = {"kind": "reconstructions", "path": "r", "budgets": [1, 2]}
EXTERNAL = {"kind": "external", "factory": "m:f", "budgets": [1, 2]}


@pytest.mark.parametrize(
    ("tokenizer", "evaluation", "message"),
    [
        ({}, {"perturbed": {**PERTURBED, "alphas": []}}, "alphas: give one or more"),
        (
            {},
            {"perturbed": {**PERTURBED, "alphas": [1.5]}},
            r"alphas: \[1.5\] must lie within 0..1",
        ),
        ({}, {"perturbed": {**PERTURBED, "neighbours": [0]}}, "neighbours: give one or more"),
        ({}, {"perturbed": {**PERTURBED, "neighbours": [5000]}}, "5000 exceeds the 1000 codes"),
        ({}, {"perturbed": {**PERTURBED, "images": 1}}, "images: must be 2 or more"),
        ({}, {"perturbed": {**PERTURBED, "images": 99}}, "99 exceeds the 24 validation images"),
        ({}, {"prefix_cosine_images": 0}, "prefix_cosine_images: must be 1 or more"),
        ({}, {"prefix_cosine_images": 25}, "25 exceeds the 24 validation images"),
        (EXTERNAL, {"prefix_cosine_images": 2}, "not trained here are not known"),
        (EXTERNAL, {"perturbed": PERTURBED}, "neighbours: which codes of a tokenizer that is not"),
        (RECONSTRUCTIONS, {"perturbed": PERTURBED}, "perturbed: takes a tokenizer that decodes"),
    ],
)
def test_what_cannot_be_is_refused(tokenizer, evaluation, message):
    data = {"kind": "fluent_scenes", "resolution": 32, "train": 48, "validation": 24}
    raw = {
        "data": data,
        "evaluation": evaluation,
        **({"tokenizer": tokenizer} if tokenizer else {}),
    }
    with pytest.raises(UserError, match=message):
        parse(CellConfig, raw, where="cell")
