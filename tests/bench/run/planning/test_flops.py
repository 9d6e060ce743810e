import copy

import pytest
import torch
from torch.nn import functional as F
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from adatok_core.onednn import linear
from bench.errors import UserError
from bench.graph.suite_graph import build_graph
from bench.run.planning import flops
from bench.run.planning.cost import Costs
from bench.run.planning.counting import counting
from bench.run.planning.gpus import Machine, parse_machine
from bench.run.planning.plan import plan_suite, plan_totals
from bench.run.planning.text import plan_text
from bench.store.store import Store


@pytest.fixture
def jobs(load, small, tmp_path):
    """`jobs(**settings)`: by stage a job of the suite with these settings of its base."""

    def jobs(**settings):
        content = copy.deepcopy(small)
        for name, value in settings.items():
            content["base"].setdefault(name, {}).update(value)
        content["arms"] = [{"name": "a"}]
        costs, nodes = Costs(Store(tmp_path / "none")), build_graph(load(content)).order()
        return {node.stage: costs.planned(node) for node in nodes}

    return jobs


def test_the_count_is_that_of_torch_for_the_whole_training(jobs):
    """At four layers a side and eight images, of which it has run two layers and two images."""
    from adatok_core.config import TokenizerConfig, TrainingConfig
    from adatok_core.training import TokenizerTrainer
    from bench.config.settings import parse

    shape = {"encoder_depth": 4, "decoder_depth": 3, "lora": {"rank": 0}}
    job = jobs(tokenizer=shape, training={"lengths": {"full_share": 1}})["tokenizer"]
    trainer = TokenizerTrainer(
        parse(TokenizerConfig, job.config["tokenizer"], where=""),
        parse(TrainingConfig, job.config["training"], where=""),
        image_size=32,
        count=48,
        load=lambda indices: torch.zeros(len(indices), 3, 32, 32, dtype=torch.uint8),
    )
    steps = trainer.run()
    with counting() as whole:
        next(steps)
    assert flops.counted_flops(job) == pytest.approx(40 * whole.get_total_flops(), rel=1e-9)
    with FlopCounterMode(display=False) as counter, sdpa_kernel(SDPBackend.MATH):
        next(steps)  # As products, of which torch's own counter knows all.
    assert whole.get_total_flops() == pytest.approx(counter.get_total_flops(), rel=0.05)


def test_attention_counts_as_torch_counts_it_on_a_gpu():
    """Two products forwards, and backwards four and the scores once more; of `4 x 8` by `8 x 4`."""
    q, k, v = (torch.randn(2, 3, 4, 8, requires_grad=True) for _ in range(3))
    product = 2 * 2 * 3 * 4 * 4 * 8
    with counting() as counter:
        read = F.scaled_dot_product_attention(q, k, v, attn_mask=torch.ones(4, 4) > 0)
        assert counter.get_total_flops() == 2 * product
        read.sum().backward()
        assert counter.get_total_flops() == 7 * product


def test_products_by_onednn_count_as_torchs():
    def counted(product):
        x, weight = (torch.randn(*shape, requires_grad=True) for shape in ((2, 3, 512), (256, 512)))
        with counting() as counter:
            product(x, weight, None).sum().backward()
        return counter.get_total_flops()

    assert counted(linear) == counted(F.linear) == 3 * 2 * 6 * 512 * 256


def test_adapters_of_every_budget_count(jobs):
    plain = flops.counted_flops(jobs(tokenizer={"lora": {"rank": 0}})["tokenizer"])
    adapted = flops.counted_flops(jobs()["tokenizer"])
    assert plain < adapted < 1.25 * plain


def test_the_network_of_the_perceptual_loss_counts(jobs):
    settings = {"perceptual": 1.0, "perceptual_network": "stlpips"}
    loss = {"bank": {"extractors": ["stlpips"]}, "training": settings}
    plain, lite0, stlpips = (
        flops.counted_flops(jobs(**of)["tokenizer"])
        for of in ({}, {"training": {"perceptual": 1.0}}, loss)
    )
    assert plain < lite0 < stlpips


def test_every_decoding_of_a_step_counts(jobs):
    one, pairs, sandwich = (
        flops.counted_flops(jobs(training={"lengths": lengths})["tokenizer"])
        for lengths in ({"full_share": 1}, {"decodes": "pairs"}, {"decodes": "sandwich"})
    )
    assert pairs > 1.3 * one
    assert sandwich - pairs == pytest.approx(pairs - one, rel=1e-9)


def test_what_is_linear_is_linear(jobs):
    more = {"training": {"steps": 80, "batch": 16}}
    once, four = (flops.counted_flops(jobs(**of)["tokenizer"]) for of in ({}, more))
    assert four == pytest.approx(4 * once, rel=0.05)  # The weights of heads are made once a step.
    bank = [flops.counted_flops(jobs(data={"validation": n})["bank"]) for n in (24, 48)]
    assert bank[1] == pytest.approx(2 * bank[0], rel=0.05)
    assert flops.counted_flops(jobs()["png_sizes"]) is None


def test_a_generator_counts_six_for_each_weight_and_token(jobs):
    generation = {
        "budget": 4,
        "images": 10,
        "generator": {"width": 64, "depth": 3, "attention_heads": 2, "hidden": 192},
        "training": {"steps": 10, "batch": 8, "warmup_steps": 5, "compile": True},
    }
    job = jobs(generation=generation)["generator"]
    layer, codes = 4 * 64**2 + 3 * 64 * 192, 25
    weights = 3 * layer + 64 * codes
    expected = 10 * 8 * 4 * 6 * weights
    assert flops.counted_flops(job) == pytest.approx(expected, rel=0.1)


def test_those_that_differ_in_seeds_only_are_counted_once(jobs, monkeypatch):
    counted = []
    monkeypatch.setattr(flops, "counted_flops", lambda job: counted.append(job) or 7.0)
    same = [jobs(training={"seed": seed})["tokenizer"] for seed in range(3)]
    other = jobs(training={"steps": 41})["tokenizer"]
    assert flops.distinct([*same, other]) == [7.0] * 4
    assert len(counted) == 2


def test_gpus_are_known_by_name_and_their_share_is_asked_for():
    machine = parse_machine("8xh100", 0.5)
    assert machine == Machine(8, "H100", 0.5)
    assert machine.flops == 989e12 / 2
    assert parse_machine("A100", 0.4).count == 1
    for text in ("8xH10", "0xH100", "many", "8 x"):
        with pytest.raises(UserError, match=rf"^--as {text}: give a number and a GPU"):
            parse_machine(text, 0.4)


def test_a_plan_for_another_machine_has_its_time(load, small, tmp_path, monkeypatch):
    def at_once(job):
        return 989e12 * 10 if job.stage == "tokenizer" else None

    monkeypatch.setattr(flops, "counted_flops", at_once)
    suite, store, machine = load(small), Store(tmp_path / "none"), Machine(2, "H100", 0.5)
    rows = plan_suite(suite, build_graph(suite), store, machine=machine)
    (seconds,) = {row["expected_seconds"] for row in rows if row["stage"] == "tokenizer"}
    assert seconds == pytest.approx(20.0)
    assert {row.get("flops") for row in rows} == {None, 989e13}
    totals = plan_totals(rows, cpus=4, gpus=machine.count)
    assert totals["gpu_hours"] == pytest.approx(3 * 20 / 3600)
    assert totals["critical_path"]["stages"] == ["tokenizer", "tokenizer"]
    text = plan_text("small", rows, totals, width=80, machine=machine).splitlines()
    assert text[-1].startswith("counted FLOPs: on 2xH100 at 50% MFU of 989 TFLOP/s (bf16)")
    assert max(map(len, text)) <= 80
