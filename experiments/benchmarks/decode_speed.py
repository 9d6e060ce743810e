"""Cost of a step of the decoding engine, and gain of shorter sequences.

The defaults are LlamaGen-B's shape (111 M parameters, random weights: only shapes matter), 32
images at once, no guidance. Sides that are compared take turns, so that a busy machine slows both.
Run from the repository's root: `python -m experiments.benchmarks.decode_speed --threads 2`. With
`--images 256` lengths of mean `--mean` are decoded whole, in each of `--modes`: minutes, on an
idle machine. A tuned allocator helps: LD_PRELOAD of jemalloc with MALLOC_CONF=dirty_decay_ms:-1.
"""

from __future__ import annotations

import argparse
import itertools
import json
import random
import statistics
import time
from collections.abc import Callable, Sequence
from functools import partial

import torch
from torch import Tensor

from adatok_core.config import GeneratorConfig, Sampling
from adatok_core.generator.cache import attend_blocks
from adatok_core.generator.engine import Engine
from adatok_core.generator.model import Generator, hidden_width
from adatok_core.generator.requests import Request
from adatok_core.generator.schedule import Decoded, run
from adatok_core.generator.sequences import Vocabulary
from adatok_core.generator.weights import DTYPES

CLASSES = 1000
SHORTEST = 32  # tokens of the shortest image in the decoded distribution


def generator_of(options: argparse.Namespace) -> Generator:
    """A generator of fixed lengths with random weights."""
    config = GeneratorConfig(
        width=options.width, depth=options.depth, attention_heads=options.heads
    )
    torch.manual_seed(0)
    return Generator(
        config, vocabulary_size=options.codes, classes=CLASSES, max_steps=options.tokens
    )


def engine_of(options: argparse.Namespace, generator: Generator) -> Engine:
    """An engine with `--batch` slots."""
    return Engine(
        generator,
        Vocabulary(codes=options.codes, budgets=(options.tokens,), classes=CLASSES),
        sampling=Sampling(),
        slots=options.batch,
        precision=options.precision,
        block=options.block,
    )


def place(engine: Engine, positions: Sequence[int]) -> None:
    """Fill the slots with sequences at `positions`, over a cache of zeros."""
    for flight in list(engine.flights):
        engine.release(flight)
    for index, position in enumerate(positions):
        engine.start(Request(index=index, label=index % CLASSES, seed=index))
        for start in range(0, position, engine.cache.block):
            engine.cache.window([engine.flights[-1].slot], [start])
        engine.flights[-1].position, engine.flights[-1].tokens = position, [0] * position


def engine_step(engine: Engine) -> Callable[[], None]:
    """The engine's next step, over and over at the same positions."""

    def step() -> None:
        engine.step()
        for flight in engine.flights:
            flight.position -= 1
            flight.tokens.pop()

    return step


def bare_step(engine: Engine, options: argparse.Namespace, position: int) -> Callable[[], None]:
    """The transformer alone, all at one position, and the most probable token.

    Keys and values lie in plain rows of just as many positions as are read: no cache costs less.
    """
    batch, heads, width = options.batch, options.heads, options.width // options.heads
    shape = (options.depth, batch * heads, position + 1, width)
    caches = zip(*torch.zeros(2, *shape, dtype=DTYPES[options.precision]), strict=True)
    entries, positions = torch.zeros(batch, 1, dtype=torch.int64), torch.tensor([position])

    def read(cache: tuple[Tensor, Tensor], queries: Tensor, *new: Tensor) -> Tensor:
        for kept, added in zip(cache, new, strict=True):
            kept[:, position] = added.reshape(-1, width)
        keys, values = cache
        asked = queries.reshape(-1, 1, width) * width**-0.5
        weights = torch.bmm(asked, keys.transpose(1, 2)).softmax(-1)
        return torch.bmm(weights, values).view_as(queries)

    attends = [partial(read, cache) for cache in caches]

    @torch.inference_mode()
    def step() -> None:
        engine.generator.predict(entries, positions, attends).argmax(-1)

    return step


def linears(engine: Engine, options: argparse.Namespace) -> Callable[[], None]:
    """All linear layers of one step."""
    model, rows, dtype = engine.generator, options.batch, DTYPES[options.precision]
    x = torch.randn(rows, 1, options.width, dtype=dtype)
    gated = torch.randn(rows, 1, hidden_width(model.config), dtype=dtype)

    @torch.inference_mode()
    def apply() -> None:
        for block in model.blocks:
            block.qkv(x), block.out(x), block.gate_and_value(x), block.contract(gated)
        model.logits(x)

    return apply


def matmuls(generator: Generator, options: argparse.Namespace) -> Callable[[], None]:
    """Bare products of the same shapes."""
    dtype, layers = DTYPES[options.precision], [*generator.blocks, generator]
    names = ("qkv", "out", "gate_and_value", "contract", "logits")
    weights = [
        getattr(layer, name).weight.detach().to(dtype).T
        for layer in layers
        for name in names
        if hasattr(layer, name)
    ]
    inputs = {
        len(weight): torch.randn(options.batch, len(weight), dtype=dtype) for weight in weights
    }

    @torch.inference_mode()
    def multiply() -> None:
        for weight in weights:
            torch.mm(inputs[len(weight)], weight)

    return multiply


def seconds(function: Callable[[], None]) -> float:
    """Wall time of one call."""
    began = time.perf_counter()
    function()
    return time.perf_counter() - began


def in_turns(repeats: int, **sides: Callable[[], None]) -> dict[str, float]:
    """Least seconds of each side; they take turns. Whatever else the machine does only adds."""
    for function in sides.values():
        function()  # not counted: allocations, caches
    times: dict[str, list[float]] = {name: [] for name in sides}
    for _ in range(repeats):
        for name, function in sides.items():
            times[name].append(seconds(function))
    return {name: min(values) for name, values in times.items()}


def step_at(engine: Engine, options: argparse.Namespace, position: int) -> dict[str, float]:
    """Seconds of a step with all sequences at `position`, of the bare one, and of its parts."""
    place(engine, [position] * options.batch)
    slots = [flight.slot for flight in engine.flights]
    positions = torch.full((options.batch,), position)
    window = engine.cache.window(slots, positions.tolist())
    rows = torch.zeros(options.batch, 1, dtype=torch.int64)
    heads = torch.randn(options.batch, options.heads, options.width // options.heads)
    heads = heads.to(DTYPES[options.precision])
    logits = torch.randn(options.batch, 1, options.codes).to(heads.dtype)

    @torch.inference_mode()
    def attention() -> None:
        for layer in engine.cache.layers:
            attend_blocks(heads, heads, heads, layer=layer, window=window)

    @torch.inference_mode()
    def transformer() -> None:
        engine.logits(rows, positions, window)

    @torch.inference_mode()
    def sampling() -> None:
        engine.draw(logits, positions)

    return in_turns(
        options.repeats,
        engine=engine_step(engine),
        bare=bare_step(engine, options, position),
        transformer=transformer,
        linears=linears(engine, options),
        attention=attention,
        sampling=sampling,
    )


def report_of(times: dict[str, float]) -> dict[str, object]:
    """A step's milliseconds, whole and by part, and what it costs against the bare one."""
    parts = {name: times[name] for name in ("linears", "attention", "sampling")}
    parts["norms and the rest"] = times["transformer"] - times["linears"] - times["attention"]
    parts["bookkeeping"] = times["engine"] - times["transformer"] - times["sampling"]
    return {
        "engine_ms": milliseconds(times["engine"]),
        "bare_ms": milliseconds(times["bare"]),
        "ratio": round(times["engine"] / times["bare"], 3),
        "parts_ms": {name: milliseconds(value) for name, value in parts.items()},
    }


def milliseconds(value: float) -> float:
    """Rounded to microseconds."""
    return round(1e3 * value, 3)


def mean_over_positions(times: dict[int, float]) -> float:
    """Mean over all positions from the first to the last measured, linear between them."""
    places = sorted(times)
    areas = [(b - a) * (times[a] + times[b]) / 2 for a, b in itertools.pairwise(places)]
    return sum(areas) / (places[-1] - places[0])


def lengths_of(options: argparse.Namespace) -> list[int]:
    """`--images` lengths from `SHORTEST` to `--tokens` with the mean `--mean`, in random order."""
    reach = options.tokens - SHORTEST
    power = reach / (options.mean - SHORTEST) - 1
    shares = [(index + 0.5) / options.images for index in range(options.images)]
    lengths = [round(SHORTEST + reach * share**power) for share in shares]
    random.Random(0).shuffle(lengths)
    return lengths


def decode_whole(engine: Engine, options: argparse.Namespace) -> dict[str, object]:
    """Images per second at full length, and how many times as many in each mode.

    `ideal`: every token at what a step at its position took at full length. Each decoding is set
    against those at full length right before and after it, since a machine's speed drifts. Rates
    are medians over `--rounds`, of the ratios all are given, sorted.
    """
    lengths = lengths_of(options)

    def decoded(lengths: Sequence[int], mode: str, *, trace: bool = False) -> Decoded:
        requests = [
            Request(index=i, label=i % CLASSES, seed=i, length=length)
            for i, length in enumerate(lengths)
        ]
        return run(engine, requests, mode=mode, trace=trace)

    def full_length() -> list[float]:
        batch = decoded([options.tokens] * options.batch, "padded", trace=True)
        return [step.seconds for step in batch.trace]

    decoded([options.block] * options.batch, "padded")  # not counted: warms up
    before = full_length()
    rates: dict[str, list[float]] = {"fixed": [], "ideal": []}
    ratios: dict[str, list[float]] = {"ideal": []}
    for _, mode in itertools.product(range(options.rounds), options.modes):
        seconds = decoded(lengths, mode).seconds
        after = full_length()
        cost = [
            (one + other) / (2 * options.batch) for one, other in zip(before, after, strict=True)
        ]
        fixed, before = 1 / sum(cost), after
        ideal = options.images / sum(sum(cost[:length]) for length in lengths)
        for name, rate in (("fixed", fixed), ("ideal", ideal), (mode, options.images / seconds)):
            rates.setdefault(name, []).append(rate)
        ratios["ideal"].append(ideal / fixed)
        ratios.setdefault(mode, []).append(options.images / seconds / fixed)
        ratios.setdefault(f"{mode} of ideal", []).append(options.images / seconds / ideal)
    return {
        "mean_tokens": statistics.mean(lengths),
        "images_per_second": {name: round(statistics.median(of), 4) for name, of in rates.items()},
        "ratio": {name: [round(each, 3) for each in sorted(of)] for name, of in ratios.items()},
    }


def main() -> None:
    """Print all comparisons and their settings as JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--width", type=int, default=768)
    parser.add_argument("--depth", type=int, default=12)
    parser.add_argument("--heads", type=int, default=12)
    parser.add_argument("--codes", type=int, default=16384)
    parser.add_argument("--tokens", type=int, default=256, help="of an image at full length")
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--block", type=int, default=32, help="positions of a block of the cache")
    parser.add_argument("--precision", choices=tuple(DTYPES), default="bf16")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--repeats", type=int, default=15)
    parser.add_argument("--images", type=int, default=0, help="decoded whole; 0: none")
    parser.add_argument("--rounds", type=int, default=3, help="of each mode")
    parser.add_argument("--mean", type=float, default=118, help="tokens of these images")
    parser.add_argument(
        "--modes", nargs="*", default=("refilled",), choices=("refilled", "bucketed", "padded")
    )
    options = parser.parse_args()
    if not SHORTEST < options.mean < options.tokens:
        parser.error(f"--mean: must lie between {SHORTEST} and --tokens")
    torch.set_num_threads(options.threads)
    generator = generator_of(options)
    engine = engine_of(options, generator)
    last = options.tokens - 1
    places = sorted({0, last // 4, last // 2, 3 * last // 4, last})
    times = {position: step_at(engine, options, position) for position in places}
    step, bare = (
        mean_over_positions({position: each[side] for position, each in times.items()})
        for side in ("engine", "bare")
    )
    products = in_turns(
        options.repeats, linears=linears(engine, options), matmuls=matmuls(generator, options)
    )
    result = {
        "options": vars(options),
        "steps": {position: report_of(each) for position, each in times.items()},
        "mean_step_ms": milliseconds(step),
        "mean_ratio": round(step / bare, 3),
        "fixed_images_per_second": round(options.batch / (options.tokens * step), 4),
        "linears": {
            "ms": milliseconds(products["linears"]),
            "matmuls_ms": milliseconds(products["matmuls"]),
            "speed": round(products["matmuls"] / products["linears"], 3),
        },
    }
    if options.images:
        for flight in list(engine.flights):
            engine.release(flight)
        result["whole"] = decode_whole(engine, options)
    print(json.dumps(result, indent=2))


if __name__ == "__main__":
    main()
