import copy
import json
import subprocess
import sys

import pytest

from bench.errors import UserError
from bench.graph.suite_graph import build_graph
from bench.run.planning.cost import Costs
from bench.run.planning.memory import USABLE, require_memory, training_bytes
from bench.store.store import Store

SHAPE = {"width": 192, "encoder_depth": 3, "decoder_depth": 3, "attention_heads": 3}
# A training in a process of its own: what its largest resident set grows by, from a first image on.
GROWN = """
import json, sys, torch
from adatok_core.config import TokenizerConfig, TrainingConfig
from adatok_core.training import TokenizerTrainer
from bench.config.settings import parse
from bench.store.stage import peak_memory_bytes

def train(shape, training):
    trainer = TokenizerTrainer(
        parse(TokenizerConfig, shape, where=""), parse(TrainingConfig, training, where=""),
        image_size=32, count=training["batch"],
        load=lambda indices: torch.zeros(len(indices), 3, 32, 32, dtype=torch.uint8),
    )
    for step in trainer.run():
        pass

torch.set_num_threads(1)
shape, training = json.loads(sys.argv[1])
small = {"width": 16, "attention_heads": 2, "encoder_depth": 1, "decoder_depth": 1}
train(shape | small, training | {"batch": 2})
before = peak_memory_bytes()
train(shape, training)
print(peak_memory_bytes() - before)
"""


@pytest.fixture
def jobs(load, small, tmp_path):
    """`jobs(**settings)`: by stage a job of the suite with these settings of its base."""

    def jobs(resources=None, **settings):
        content = copy.deepcopy(small) | {"resources": resources or {}}
        for name, value in settings.items():
            content["base"].setdefault(name, {}).update(value)
        content["arms"] = [{"name": "a"}]
        costs, nodes = Costs(Store(tmp_path / "none")), build_graph(load(content)).order()
        return {node.stage: costs.planned(node) for node in nodes}

    return jobs


@pytest.mark.skipif(sys.platform != "linux", reason="resident sets are counted otherwise")
def test_a_process_takes_no_less_than_the_estimate_and_not_much_more(jobs):
    training = {"steps": 2, "warmup_steps": 0, "batch": 192, "log_every": 1}
    job = jobs(tokenizer=SHAPE | {"budgets": [4, 16]}, training=training)["tokenizer"]
    given = json.dumps([job.config["tokenizer"], job.config["training"]])
    done = subprocess.run(
        [sys.executable, "-c", GROWN, given], capture_output=True, text=True, check=True
    )
    assert USABLE * 0.9 < training_bytes(job) / float(done.stdout) <= 1


def test_what_is_kept_for_longer_counts(jobs):
    plain = training_bytes(jobs(training={"batch": 32})["tokenizer"])
    parts = training_bytes(jobs(training={"batch": 32, "accumulate": 4})["tokenizer"])
    ranks = {"tokenizer": {"cpus": 4, "ranks": 4}}
    shared = training_bytes(jobs(ranks, training={"batch": 32})["tokenizer"])
    half = training_bytes(jobs(training={"batch": 32, "precision": "bf16"})["tokenizer"])
    long = {"tokenizer": {"budgets": [4, 256]}, "training": {"batch": 32}}
    fp32 = training_bytes(jobs(**long)["tokenizer"])
    bf16 = training_bytes(
        jobs(**long | {"training": {"batch": 32, "precision": "bf16"}})["tokenizer"]
    )
    pairs = training_bytes(
        jobs(training={"batch": 32, "lengths": {"decodes": "pairs"}})["tokenizer"]
    )
    more = training_bytes(jobs(training={"batch": 32, "adversarial": {"width": 8}})["tokenizer"])
    assert shared <= parts < plain
    assert half < plain < min(pairs, more)
    assert bf16 < fp32  # A GPU keeps no scores of attention.
    assert training_bytes(jobs()["bank"]) is None


def test_a_generator_counts_too_and_values_are_not_looked_at(jobs):
    generation = {
        "budget": 4,
        "images": 10,
        "generator": {"width": 32, "depth": 2, "attention_heads": 2},
        "training": {"steps": 10, "batch": 500, "warmup_steps": 5},
    }
    many = {"data": {"train": 1000}, "bank": {"policy_images": 1000}, "generation": generation}
    half = training_bytes(jobs(**many)["generator"])
    generation["training"]["batch"] = 1000
    assert 1.5 * half < training_bytes(jobs(**many)["generator"]) < 2 * half
    separate = {"decoders": "per_budget", "lora": {"rank": 0}}
    assert training_bytes(jobs(tokenizer=separate)["tokenizer"]) is None


def test_what_does_not_fit_is_refused_with_the_batch_that_does(jobs):
    def job(**training):
        return jobs(training=training)["tokenizer"]

    there = 1.2 / USABLE * training_bytes(job(batch=32))
    require_memory(job(batch=32), there=there, gpu="an X")
    with pytest.raises(UserError) as refused:
        require_memory(job(batch=64), there=there, gpu="an X")
    line = str(refused.value)
    assert line.startswith("training.batch: 64 on 1 GPU takes 0.0 GB of each, and an X has 0 GB")
    fitting = int(line.split("a training.batch of ")[1].split()[0])
    assert 32 <= fitting < 64
    require_memory(job(batch=fitting), there=there, gpu="an X")
    parts = int(line.split("training.accumulate: ")[1])
    require_memory(job(batch=64, accumulate=parts), there=there, gpu="an X")
    with pytest.raises(UserError, match="not even one image fits"):
        require_memory(job(batch=64), there=1e5, gpu="an X")
