from dataclasses import replace

import pandas as pd
import pytest

from bench.artifacts.networks import load_generator, load_tokenizer
from bench.graph.suite_graph import build_graph
from bench.stages import throughput
from bench.store.stage import Resources

RANDOM = {
    "generator": {"width": 16, "depth": 1, "attention_heads": 2},
    "lengths": {"kind": "two_point", "low": 1, "high": 4, "mean": 2},
    "classes": 5,
    "images": 12,
    "batches": [2, 4],
    "guidance": [1.0, 2.0],
    "repeats": 2,
}


@pytest.fixture
def measured(load, generation, tmp_path, context, generation_run):
    """`measured(**changes)`: the result of a measurement of random weights."""

    def measured(inputs=(), **changes):
        arm = {"name": "speed", "set": {"generation": None, "throughput": {**RANDOM, **changes}}}
        if changes.get("lengths", {}).get("kind") == "policy":
            arm["set"]["policy"] = {"candidates": [1, 2, 4]}
        suite = load({**generation, "arms": [arm]})
        (node,) = build_graph(suite).evaluations
        given = context("trained speed", "", of=generation_run)
        spec = replace(given.spec, config=node.config)
        folders = {"tokenizer": given.inputs["tokenizer"]} if inputs else {}
        return throughput.run(replace(given, spec=spec, inputs={**folders, **dict(inputs)}))

    return measured


def test_every_arm_has_a_row(measured):
    result = measured()
    found = result["throughput"]
    places = [
        (row["batch"], row["guidance"], row["pixels"], row["arm"], row["mode"])
        for row in found["rows"]
    ]
    arms = [("fixed", "padded"), ("adaptive", "ideal")]
    arms += [("adaptive", mode) for mode in ("padded", "bucketed", "refilled")]
    assert places == [
        (batch, guidance, pixels, *arm)
        for batch in (2, 4)
        for guidance in (False, True)
        for pixels in (False, True)
        for arm in arms
    ]
    assert found["weights"] == "random"
    assert (found["device"], found["repeats"], found["vocabulary_size"]) == ("cpu", 2, 25)
    assert found["lengths"] == {
        "kind": "two_point",
        "fixed": 4,
        "mean": 2.0,
        "shares": {1: pytest.approx(8 / 12), 4: pytest.approx(4 / 12)},
        "token_ratio": 2.0,
    }
    assert all(load >= 0 for load in found["load_average"])
    costs = found["cost_by_position"]
    assert len(costs) == 2 * 2 * 4
    assert [row["position"] for row in costs[:4]] == [0, 1, 2, 3]
    assert all(row["seconds"] > 0 for row in costs)
    assert result["metrics"]["mean_tokens"] == 2
    name = "refilled/batch_4/guidance_2/pixels"
    (row,) = (
        row
        for row in found["rows"]
        if (row["batch"], row["guidance"], row["pixels"], row["mode"])
        == (4, True, True, "refilled")
    )
    assert result["metrics"][f"ratio/{name}"] == row["ratio"]
    assert result["metrics"][f"images_per_second/{name}"] == row["images_per_second"]["median"]


def test_rows_hold_what_was_counted(measured):
    rows = measured(batches=[4], guidance=[1.0])["throughput"]["rows"]
    by_mode = {(row["arm"], row["mode"]): row for row in rows if not row["pixels"]}
    fixed, refilled = by_mode["fixed", "padded"], by_mode["adaptive", "refilled"]
    # In a round 4 x 16 and 3 x 24 ids; no fewer than a batch of all tokens fits.
    assert (fixed["images"], refilled["images"]) == (4, 12)
    assert fixed["ratio"] == 1
    assert fixed["occupancy"] == by_mode["adaptive", "ideal"]["occupancy"] == 1
    # 12 images of 1 and 4 tokens in three batches: 24 tokens of at most 3 x 4 x 4.
    assert by_mode["adaptive", "padded"]["occupancy"] >= 24 / 48
    assert by_mode["adaptive", "bucketed"]["occupancy"] == pytest.approx(24 / (4 * (1 + 1 + 4)))
    for row in rows:
        rates = row["images_per_second"]
        assert 0 < rates["quartile_low"] <= rates["median"] <= rates["quartile_high"]
        assert row["tokens_per_second"]["median"] > 0
        measured_one = row["mode"] != "ideal"
        assert (row["first_image_seconds"] is not None) == measured_one
        assert (row["peak_memory_bytes"] is not None) == measured_one
    with_pixels = [row for row in rows if row["pixels"]]
    for before, after in zip(by_mode.values(), with_pixels, strict=True):
        assert after["images_per_second"]["median"] < before["images_per_second"]["median"]


def test_settings_are_obeyed(measured):
    rows = measured(
        batches=[3], guidance=[1.0], modes=["padded"], pixels=False, repeats=1, precision="bf16"
    )
    found = rows["throughput"]
    assert found["precision"] == "bf16"
    assert {(row["mode"], row["pixels"]) for row in found["rows"]} == {
        ("padded", False),
        ("ideal", False),
    }
    assert {row["batch"] for row in found["rows"]} == {3}


def test_lengths_are_in_the_policys_shares(measured, tmp_path):
    folder = tmp_path / "evaluation"
    folder.mkdir()
    pd.DataFrame({"budget": [1] * 6 + [2] * 3 + [4] * 3}).to_parquet(folder / "images.parquet")
    few = {"batches": [4], "guidance": [1.0], "repeats": 1, "pixels": False}
    result = measured({"evaluation": folder}, lengths={"kind": "policy"}, **few)
    assert result["throughput"]["lengths"]["shares"] == {1: 0.5, 2: 0.25, 4: 0.25}
    assert result["throughput"]["weights"] == "random"


def test_a_trained_generator_decides_its_lengths(generation_run):
    record = generation_run.content("trained speed")
    found = record["throughput"]
    assert (record["kind"], found["weights"]) == ("throughput", "trained")
    assert found["lengths"]["kind"] == "model"
    assert set(map(int, found["lengths"]["shares"])) <= {1, 2, 3, 4}
    assert found["lengths"]["fixed"] == 4
    assert {row["mode"] for row in found["rows"]} == {"padded", "ideal", "refilled"}
    trained = load_generator(generation_run.artifact("trained speed", "generator"))
    assert found["parameters"] == sum(p.numel() for p in trained.generator.parameters())
    assert record["images"] is record["gallery"] is None


def test_the_pixels_are_of_a_tokenizer_of_the_cells_shape(generation_run, context, measured):
    given = context("trained speed", "", of=generation_run)
    subject = throughput._subject(given, throughput_config(RANDOM))
    trained = load_tokenizer(generation_run.artifact("trained speed", "tokenizer"))
    assert subject.tokenizer.state_dict().keys() == trained.state_dict().keys()


def throughput_config(raw):
    from bench.config.generation import ThroughputConfig
    from bench.config.settings import parse

    return parse(ThroughputConfig, raw, where="throughput")


def test_every_other_round_goes_backwards(monkeypatch, measured):
    order, timed = [], throughput._Measuring._timed

    def noted(self, requests, mode, *, trace=False):
        order.append("fixed" if trace else mode)
        return timed(self, requests, mode, trace=trace)

    monkeypatch.setattr(throughput._Measuring, "_timed", noted)
    measured(batches=[4], guidance=[1.0], pixels=False)
    forth = ["fixed", "padded", "fixed", "bucketed", "fixed", "refilled", "fixed"]
    assert order == ["padded", *forth, *forth[::-1]]  # behind the warm-up


def test_on_a_gpu_the_warm_up_is_a_whole_round(monkeypatch, generation_run, context):
    """Every shape of a step is made ready at its first use there."""
    decoded = []

    class Recorder(throughput._Measuring):
        def __init__(self, device):
            self.device, self.asked = device, throughput_config({**RANDOM, "pixels": False})
            self.batch = 2

        def _timed(self, requests, mode, *, trace=False):
            decoded.append((mode, [request.length for request in requests]))
            return None, None

    given = context("trained speed", "", of=generation_run)
    assert given.spec.resources == Resources(1, 0.0, "cpu")
    requests = throughput._requests(
        given,
        throughput_config(RANDOM),
        throughput._subject(given, throughput_config(RANDOM)),
    )
    full = [replace(one, length=4) for one in requests[:4]]
    Recorder("cuda")._warm_up(full, requests)
    assert [mode for mode, _ in decoded] == ["padded", "padded", "bucketed", "refilled"]
    assert decoded[0][1] == [4] * 4
    assert [len(lengths) for _, lengths in decoded] == [4, 12, 12, 12]
