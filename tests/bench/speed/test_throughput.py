from dataclasses import replace

import pytest
import torch

from adatok_core.build import build_tokenizer
from adatok_core.config import FSQ, LoRA, TokenizerConfig
from bench.speed import throughput
from bench.speed.decode_timing import spread
from bench.speed.throughput import REPEATS, WARM_UP, measure_throughput, policy_time_share

CONFIG = TokenizerConfig(
    budgets=(1, 3),
    width=16,
    encoder_depth=1,
    decoder_depth=1,
    attention_heads=2,
    quantizer=FSQ(levels=(5, 5)),
    lora=LoRA(rank=1),
)


@pytest.fixture(params=["one_pass", "grid", "told", "recurrent", "halting"])
def tokenizer(request):
    torch.manual_seed(0)
    rollouts = 3 if request.param == "recurrent" else None
    budgets = (4,) if request.param == "grid" else (1, 3)
    config = replace(CONFIG, encoding=request.param, budgets=budgets, rollouts=rollouts)
    return build_tokenizer(config, image_size=16).eval()


IMAGES = torch.zeros(5, 3, 16, 16, dtype=torch.uint8)


def test_measures_encoding_and_decoding_at_every_budget(tokenizer, monkeypatch):
    merged, seen = tokenizer.merged_decoder, []

    def watched(budget):
        decoder = merged(budget)
        decoder.register_forward_pre_hook(lambda module, given: seen.append(given[0].shape[:2]))
        return decoder

    monkeypatch.setattr(tokenizer, "merged_decoder", watched)
    measured = measure_throughput(tokenizer, [1, 2], IMAGES, device="cpu")
    rounds = WARM_UP + REPEATS
    assert seen == [(1, 2)] + [(5, 1)] * rounds + [(5, 2)] * rounds
    assert measured["batch"] == 5
    assert measured["repeats"] == REPEATS
    assert measured["device"] == "cpu"
    assert measured["threads"] == torch.get_num_threads()
    assert set(measured["decode_images_per_second"]) == {"1", "2"}
    for rate in (
        measured["encode_images_per_second"],
        *measured["decode_images_per_second"].values(),
    ):
        assert 0 < rate["quartile_low"] <= rate["median"] <= rate["quartile_high"]


def test_median_and_quartiles_of_the_rounds_after_the_warm_up(monkeypatch):
    clock = [0.0]
    seconds = iter([11.0] * WARM_UP + [0.5, 0.1, 0.25, 0.2, 1.0, 0.4, 0.125])

    def work():
        clock[0] += next(seconds)

    monkeypatch.setattr(throughput.time, "perf_counter", lambda: clock[0])
    assert spread(10 / throughput._rounds(work, "cpu")) == pytest.approx(
        {"median": 40.0, "quartile_low": 22.5, "quartile_high": 65.0}
    )


@pytest.mark.parametrize(
    ("each", "counted"),
    [(12.0, 1), (40.0, 1), (6.0, 4), (0.1, REPEATS)],
)
def test_a_slow_network_is_measured_less_often_but_once_at_least(monkeypatch, each, counted):
    clock = [0.0]

    def work():
        clock[0] += each

    monkeypatch.setattr(throughput.time, "perf_counter", lambda: clock[0])
    assert throughput._rounds(work, "cpu") == pytest.approx([each] * counted)


def test_the_policys_share_is_the_median_of_ratios_side_by_side(monkeypatch):
    clock, counts = [0.0], set()

    def works(*seconds):
        durations = iter(seconds)

        def work(count):
            counts.add(count)
            clock[0] += next(durations)

        return work

    monkeypatch.setattr(throughput.time, "perf_counter", lambda: clock[0])
    # Ratios 0.1, 0.4 and 0.2, while the machine gets slower by the round.
    encode = works(0.05, *([0.05] * WARM_UP), 0.1, 0.2, 0.4)
    policy = works(*([0.05] * WARM_UP), 0.01, 0.08, 0.08)
    share = policy_time_share(encode, policy, images=40, device="cpu", repeats=3)
    assert share == pytest.approx(0.2)
    assert counts == {1, 8}  # At 50 ms an image, eight take a tenth of the time.


@pytest.mark.parametrize(("seconds", "images"), [(0.001, 64), (0.1, 30), (2.0, 1), (100.0, 1)])
def test_a_slow_network_is_measured_on_fewer_images(seconds, images):
    assert throughput.affordable(seconds, 64) == images
