"""Time of TiTok's authors' code against ours, at equal weights and equal outputs.

Both take turns in one process, so that a busy machine slows both. Weights are made by the rule of
`synthetic.py`; only shapes matter. bfloat16: theirs under autocast, ours with `dtype="bfloat16"`.
CHECKOUT is one of github.com/bytedance/1d-tokenizer, whose model needs `einops`, `omegaconf`,
`huggingface_hub` and `accelerate`. Run from the repository's root, on an idle machine:
`python -m experiments.benchmarks.published_speed --reference CHECKOUT`.
"""

from __future__ import annotations

import argparse
import os
import statistics
import sys
import tempfile
import time
import types
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from adatok_core.published.titok import titok
from experiments.benchmarks import synthetic

Call = Callable[[], Tensor]
Exact = tuple[Tensor, Tensor]  # ids and pixels of their float32
SIDES = ("theirs", "ours")
# Largest difference of float32 pixels that counts as equal.
EQUAL = 1e-3
# bfloat16 is judged by its distance from float32: ours may be this many times theirs.
ROUNDER = 1.1


def reference_of(checkout: Path, config: Path) -> Any:
    """The authors' model of a file of `configs`, with weights by the rule of `synthetic.py`.

    Their packages' own imports, which their training needs, are passed by.
    """
    sys.path.insert(0, str(checkout))
    for name in ("modeling", "modeling.modules"):
        package = types.ModuleType(name)
        package.__path__ = [str(checkout / name.replace(".", "/"))]
        sys.modules[name] = package
    from modeling.titok import TiTok
    from omegaconf import OmegaConf

    model = TiTok(OmegaConf.load(checkout / "configs" / config))
    tensors = {
        name: synthetic.tensor(name, values.shape) for name, values in model.state_dict().items()
    }
    model.load_state_dict(tensors)
    return model


def seconds(calls: dict[str, Call], rounds: int) -> dict[str, tuple[list[float], list[float]]]:
    """Wall-clock and processor seconds of each call, by turns; the first round is left out."""
    taken: dict[str, tuple[list[float], list[float]]] = {name: ([], []) for name in calls}
    for number in range(-2, rounds):
        for name, call in calls.items():
            before = time.perf_counter(), time.process_time()
            call()
            if number >= 0:
                taken[name][0].append(time.perf_counter() - before[0])
                taken[name][1].append(time.process_time() - before[1])
    return taken


def compare(
    reference: Any, path: Path, dtype: str, exact: Exact | None, options: argparse.Namespace
) -> Exact:
    """Print times and ratios in one type, and give their float32, which is `exact` if known."""
    ours = titok(path, dtype=dtype)
    images = synthetic.images(options.batch, side=ours.describe()["resolution"])

    def theirs(run: Callable[[], Any]) -> Any:
        with torch.autocast("cpu", torch.bfloat16, enabled=dtype == "bfloat16"):
            return run()

    def their_ids() -> Tensor:
        ids: Tensor = theirs(lambda: reference.encode(images))[1]["min_encoding_indices"]
        return ids.squeeze(1)

    ids = their_ids() if exact is None else exact[0]
    calls: dict[str, dict[str, Call]] = {
        "encode": {"theirs": their_ids, "ours": lambda: ours.encode(images)[0]},
        "decode": {
            "theirs": lambda: theirs(lambda: reference.decode_tokens(ids.unsqueeze(1))),
            "ours": lambda: ours.decode(ids),
        },
    }
    print(dtype)
    told = exact or (ids, calls["decode"]["theirs"]())
    if not _same(calls, told, is_exact=exact is None):
        sys.exit(f"{dtype}: the two do not compute the same")
    for name, sides in calls.items():
        taken = seconds(sides, options.rounds)
        for clock, index in (("wall", 0), ("processor", 1)):
            lists = {side: times[index] for side, times in taken.items()}
            best, median = (
                {side: reduce(times) for side, times in lists.items()}
                for reduce in (min, statistics.median)
            )
            ratio, least = (times["theirs"] / times["ours"] for times in (median, best))
            print(
                f"  {name} {clock:9} theirs {median['theirs']:.3f} s, ours {median['ours']:.3f} s: "
                f"{ratio:.2f} times (of the fastest {least:.2f})",
                flush=True,
            )
    return told


def _same(calls: dict[str, dict[str, Call]], exact: Exact, *, is_exact: bool) -> bool:
    """Say how far ids and pixels are from their float32, and whether ours are near enough."""
    ids, pixels = exact
    off = {side: float((calls["encode"][side]() != ids).double().mean()) for side in SIDES}
    apart = {side: calls["decode"][side]().float() - pixels for side in SIDES}
    rms = {side: float(values.square().mean().sqrt()) for side, values in apart.items()}
    for side in SIDES:
        print(
            f"  {side}: {off[side]:.1%} of ids and, from the same ids, {rms[side]:.1e} of pixels "
            "(rms) off their float32"
        )
    if is_exact:
        return off["ours"] < 0.01 and float(apart["ours"].abs().max()) < EQUAL
    return all(far["ours"] <= ROUNDER * far["theirs"] for far in (off, rms))


def main() -> None:
    """Print times and ratios."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--reference", type=Path, required=True, metavar="CHECKOUT")
    parser.add_argument("--variant", default="titok_s128", help="a file of configs/infer/TiTok")
    parser.add_argument("--batch", type=int, default=4)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--threads", type=int, default=2)
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    torch.set_num_threads(options.threads)
    config = Path("infer", "TiTok", f"{options.variant}.yaml")
    reference = reference_of(options.reference, config).eval().requires_grad_(False)
    load = "/".join(f"{value:.1f}" for value in os.getloadavg())
    print(
        f"{options.variant}, {options.batch} images, {options.threads} threads, torch "
        f"{torch.__version__}, load {load}"
    )
    with tempfile.TemporaryDirectory() as folder, torch.inference_mode():
        path = Path(folder) / "weights.bin"
        torch.save(reference.state_dict(), path)
        exact = compare(reference, path, "float32", None, options)
        compare(reference, path, "bfloat16", exact, options)


if __name__ == "__main__":
    main()
