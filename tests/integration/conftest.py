import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest
import yaml
from small_suites import suite

from bench.commands import cli

TINY = """
suite: tiny
question: Does letting the image choose beat not letting it?
reports: [summary, pareto]
base:
  data: {kind: fluent_scenes, resolution: 32, train: 192, validation: 64}
  tokenizer:
    {budgets: [2, 4, 8], width: 32, encoder_depth: 1, decoder_depth: 1, lora: {rank: 2, alpha: 1.0}}
  training: {<<: *training, steps: 60, learning_rate: 3.0e-3}
  bank: {extractor_resolution: 32, shard: 48}
arms:
  - name: elastic
    set: {}
  - name: policy
    set:
      policy: {candidates: [2, 4, 8], steps: 40, batch: 64}
    sweep:
      policy.weighting: [{kind: constraint, mean_budget: 4}]
      policy.seed: [0, 1]
  - name: fixed_at_mean
    set: {tokenizer.budgets: {mean_budget_of: policy}, tokenizer.lora.rank: 0}
"""


@pytest.fixture
def tiny():
    return suite(TINY)


@pytest.fixture
def write_suite(tmp_path):
    def write(content, name="suite.yaml"):
        path = tmp_path / name
        path.write_text(yaml.safe_dump(content, sort_keys=False))
        return path

    return write


@dataclass(frozen=True)
class Answer:
    code: int
    out: str
    err: str


@pytest.fixture
def adatok(capsys, monkeypatch):
    """The command line in this process: `adatok("run", path)`."""

    def invoke(*arguments):
        monkeypatch.setattr(sys, "argv", ["adatok-bench", *map(str, arguments)])
        code = 0
        try:
            cli.main()
        except SystemExit as stop:
            code = stop.code or 0
        captured = capsys.readouterr()
        return Answer(code, captured.out, captured.err)

    return invoke


def start(*arguments, log):
    """The command line as a process of its own session, so that it can be killed alone."""
    command = [Path(sys.executable).with_name("adatok-bench"), *map(str, arguments)]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    with log.open("wb") as file:
        return subprocess.Popen(
            command, stdout=file, stderr=file, env=environment, start_new_session=True
        )


@pytest.fixture
def spawn(tmp_path):
    processes = []

    def spawn(*arguments, name="log"):
        log = tmp_path / f"{name}.txt"
        process = start(*arguments, log=log)
        process.log = log
        processes.append(process)
        return process

    yield spawn
    for process in processes:
        if process.poll() is None:
            process.kill()
        process.wait()
