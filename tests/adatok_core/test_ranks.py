import json
import os
import subprocess
import sys
from contextlib import ExitStack
from pathlib import Path

import pytest
import tiny_training
import torch
from safetensors.torch import load_file

from adatok_core.config.checks import require_shares
from adatok_core.ranks import Ranks

SCRIPT = Path(__file__).with_name("ranks_training.py")


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """`(states, histories)` of one process, and of both of a pair: keys are `rank-count`."""
    folder = tmp_path_factory.mktemp("ranks")
    names = [(0, 1), (0, 2), (1, 2)]
    # Two ranks of one machine need no address of it.
    environment = {**os.environ, "GLOO_SOCKET_IFNAME": "lo", "OMP_NUM_THREADS": "1"}
    environment["PYTHONPATH"] = str(Path(tiny_training.__file__).parent)
    with ExitStack() as started:
        processes = []
        for rank, count in names:
            command = [sys.executable, SCRIPT, str(rank), str(count), folder]
            process = subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, text=True)
            processes.append(started.enter_context(process))
            started.callback(process.kill)
        for process in processes:
            _, said = process.communicate(timeout=300)
            assert process.returncode == 0, said
    of = [f"{rank}-{count}" for rank, count in names]
    states = {name: load_file(folder / f"{name}.safetensors") for name in of}
    return states, {name: json.loads((folder / f"{name}.json").read_text()) for name in of}


def determined(name, tensor, normalised):
    """The part of a weight on which a loss depends; Adam makes steps of the rest's rounding noise.

    Softmax does not see what all keys have in common, nor normalization what all points have.
    """
    if name.endswith("attention.qkv.bias"):
        queries, _, values = tensor.chunk(3)
        return torch.cat([queries, values])
    shifts = ("quantizer.project.bias", "encoder.transformer.norm.bias", "quantizer.norm.mean")
    return tensor[:0] if normalised and name.endswith(shifts) else tensor


def test_two_ranks_train_what_one_process_trains(trained):
    states, histories = trained
    alone, first, second = (states[name] for name in ("0-1", "0-2", "1-2"))
    normalised = {name.split("/")[0] for name in alone if "quantizer.norm.mean" in name}
    worst = {name.split("/")[0]: 0.0 for name in alone}
    assert len(worst) == 17
    assert alone.keys() == first.keys() == second.keys()
    for name, tensor in first.items():
        # What both ranks hold is the same to the bit, or they would drift apart.
        assert torch.equal(tensor, second[name]), name
        case, _, of = name.partition("/")
        if of.startswith(("model.", "ema.", "discriminator.", "length_weights.")):
            parts = (determined(of, each, case in normalised) for each in (tensor, alone[name]))
            apart = torch.sub(*parts).abs().flatten()
            # A code that was just revived is its own point: its gradient is rounding noise too.
            allowed = 1e-4 if "codebook" in of else 1e-5
            worst[case] = max([worst[case], *(apart / allowed).tolist()])
    assert {case: apart for case, apart in worst.items() if apart > 1} == {}
    assert histories["0-2"] == histories["1-2"]
    for case, rows in histories["0-1"].items():
        for row, shared in zip(rows, histories["0-2"][case], strict=True):
            assert shared == pytest.approx(row, rel=1e-5, abs=1e-6), case


def test_two_ranks_resume_to_the_bit(trained):
    for tensors in trained[0].values():
        resumed = {n.partition("/")[2]: t for n, t in tensors.items() if n.startswith("resumed/")}
        assert resumed
        assert all(torch.equal(tensor, tensors[f"vq/{name}"]) for name, tensor in resumed.items())


def test_ranks_share_out_every_micro_batch():
    halves = [Ranks(rank, 2).places(8, parts=2).tolist() for rank in range(2)]
    assert halves == [[0, 1, 4, 5], [2, 3, 6, 7]]
    assert Ranks().places(3).tolist() == [0, 1, 2]


def test_a_batch_that_cannot_be_shared_out_is_refused():
    require_shares(8, parts=4, ranks=2)
    with pytest.raises(ValueError, match=r"batch: 12 in 4 micro-batches .* 2 ranks; .* of 8"):
        require_shares(12, parts=4, ranks=2)
