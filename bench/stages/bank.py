"""The bank stage: encode every image, decode it at every budget, measure.

Nested tokens are encoded once, others once for every budget.

Built in shards. A shard is one safetensors file that appears by a rename, so an interrupted build
goes on with the first shard that is missing or torn; at the end the shards become plain arrays.
"""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from adatok_core.tokenizer import ElasticTokenizer, to_float, to_uint8
from bench.artifacts.bank import per_image_names, tokenizer_sha256
from bench.artifacts.decodings import Decodings, Facts, Originals
from bench.artifacts.networks import load_decodings, read_trained_lengths, self_halting
from bench.data.image_set import ImageSet, read_image_set
from bench.errors import UserError
from bench.files import write_json
from bench.metrics.extraction import BuiltExtractor, build_extractors
from bench.metrics.metric import Measure
from bench.metrics.per_image import load_measures
from bench.metrics.pixel import mse
from bench.metrics.weight_files import weights_of_runtime
from bench.speed.throughput import SECONDS, measure_throughput
from bench.store.checkpoints import is_whole, load_tensors, save_tensors
from bench.store.enough import require_bank
from bench.store.stage import StageContext

SPOT_CHECKS = 16
SPOT_SECONDS, FEWEST_SPOTS = 60.0, 4
# Others may compute in bfloat16, whose sums differ by a batch's size.
SPOT_TOLERANCE, SPOT_TOLERANCE_OF_OTHERS = 1e-3, 2e-2
SPOT_MOVED = 0.1


def run(context: StageContext) -> dict[str, Any]:
    """Build the bank for `purpose` "policy" (errors and latents) or "evaluation" (features too).

    Lengths that training never drew are decoded like the others, and flagged.

    Raises:
        UserError: there are fewer images than the configuration asks for.
        RuntimeError: a re-decoded sample does not agree with the bank.
    """
    config = context.spec.config
    device = context.spec.resources.device
    images = read_image_set(context.inputs["images"])
    decodings = load_decodings(
        context.inputs["tokenizer"],
        reconstructions=context.spec.runtime.get("reconstructions"),
        device=device,
    )
    facts = decodings.facts
    count = config.get("images") or len(images.pixels)
    require_bank(count, len(images.pixels))
    evaluation = config["purpose"] == "evaluation"
    budgets = config["budgets"] or list(facts.budgets)
    extractors = (
        build_extractors(
            resolution=config["extractor_resolution"],
            device=device,
            second=config.get("second_extractor", False),
            named=config.get("extractors", ()),
            # A file may have changed since the stage was planned: it is checked again.
            weights=weights_of_runtime(context.spec.runtime),
        )
        if config["extractor_resolution"]
        else []
    )
    named = config.get("metrics", [])
    shard = partial(
        _shard,
        decodings,
        extractors,
        budgets,
        images,
        measures=load_measures(named),
        batch=config["batch"],
        device=device,
        features=evaluation,
        own_targets=config.get("own_targets") or (),
    )
    shards = []
    for first in range(0, count, config["shard"]):
        shards.append(context.work / f"shard-{first:09d}.safetensors")
        last = min(first + config["shard"], count)
        if not is_whole(shards[-1]):
            about = {"first": first, "last": last}
            save_tensors(shards[-1], shard(first, last), about=about, sealed=True)
            context.progress(last, count, "images")
    names = _merge(shards, context.work)
    _spot_check(decodings, budgets, images, context.work, device)
    trained = read_trained_lengths(context.inputs["tokenizer"])
    about = {
        "budgets": budgets,
        "trained": [budget in trained for budget in budgets],
        "max_tokens": facts.max_tokens,
        "patch_size": facts.patch_size,
        "bits_per_token": facts.bits_per_token,
        "nested": facts.nested,
        "tokenizer_sha256": tokenizer_sha256(context.inputs["tokenizer"]),
        "own_targets": config.get("own_targets"),
        "codebook": _codebook(facts, context.work),
        "purpose": config["purpose"],
        "images": {
            "digest": _digest(images, count),
            "count": count,
            **({"selection": images.selection} if images.selection else {}),
        },
        "resolution": facts.image_size,
        "extractors": {extractor.name: extractor.card for extractor in extractors},
        "arrays": names,
        "parameters": facts.parameter_counts()[0],
        **({"metrics": named} if named else {}),
    }
    if evaluation:
        about["throughput"] = None
        if decodings.tokenizer is not None:
            sample = _pixels(images, 0, config["batch"])
            about["throughput"] = measure_throughput(
                decodings.tokenizer,
                budgets,
                sample,
                device=device,
                seconds=0 if context.dry else SECONDS,
            )
    _write_table(images, count, budgets, per_image_names(about), context.work)
    write_json(context.work / "bank.json", about)
    for path in shards:
        path.unlink()
    return {"budgets": budgets, "count": count}


@torch.inference_mode()
def _shard(
    decodings: Decodings,
    extractors: list[BuiltExtractor],
    budgets: list[int],
    images: ImageSet,
    first: int,
    last: int,
    *,
    measures: dict[str, Measure],
    batch: int,
    device: str,
    features: bool,
    own_targets: Sequence[float],
) -> dict[str, Tensor]:
    """Arrays of images `first` to `last`; features of the extractors only where asked for."""
    parts: dict[str, list[Tensor]] = {}

    def add(name: str, value: Tensor) -> None:
        parts.setdefault(name, []).append(value.cpu())

    def measured(original: Tensor, decoded: list[Tensor]) -> dict[str, Tensor]:
        return measure(original, decoded, measures, extractors, features=features)

    sizes = decodings.facts.code_sizes or ()
    id_type = torch.int32 if math.prod(sizes) <= 2**31 else torch.int64
    for start in range(first, last, batch):
        originals = _originals(images, start, min(start + batch, last), device)
        ids, latents = decodings.encoded(originals)
        if ids is not None:
            add("ids", ids.to(id_type))
        if latents is not None:
            add("latents", latents.half())
        decoded = decodings.pictures(originals, ids, budgets)
        for name, value in measured(originals.pixels, decoded).items():
            add(name, value)
        tokenizer = decodings.tokenizer
        if own_targets and tokenizer is not None:
            pixels = to_float(originals.pixels)
            own = [self_halting(tokenizer).own_allocation(pixels, target) for target in own_targets]
            add("own_tokens", torch.stack([kept for _, kept in own], 1).int())
            decoded = [to_uint8(tokenizer.decode(*allocated)) for allocated in own]
            for name, value in measured(originals.pixels, decoded).items():
                if not name.endswith("_originals"):
                    add(f"own_{name}", value)
    return {name: torch.cat(values) for name, values in parts.items()}


def measure(
    original: Tensor,
    decoded: list[Tensor],
    measures: dict[str, Measure],
    extractors: list[BuiltExtractor],
    *,
    features: bool,
) -> dict[str, Tensor]:
    """Metrics of `M` decoded batches, by the names of a bank's arrays: `[B, M]` float32 each.

    With `features`, also those of the networks, `[B, M, d]`, and of the originals, `[B, d]`.
    Batches are uint8 `[B, 3, H, W]`.

    Raises:
        UserError: a metric does not give one value per image.
    """
    measured = {}
    for name, of_images in measures.items():
        values = [of_images(original, image) for image in decoded]
        if any(value.shape != original.shape[:1] for value in values):
            raise UserError(
                f"metric '{name}': `measure` gives an array {list(values[0].shape)} for "
                f"{len(original)} images; it must give one value per image"
            )
        measured[name] = torch.stack(values, 1).float()
    for extractor in extractors:
        found, distances = extractor.compare(original, decoded)
        if features and found:
            measured[f"{extractor.name}_originals"] = found[0]
            measured[extractor.name] = torch.stack(found[1:], 1)
        perceptual = extractor.declared.perceptual
        if perceptual is not None and distances is not None:
            measured[perceptual.name] = distances
    return measured


def _pixels(images: ImageSet, first: int, last: int) -> Tensor:
    """A copy: torch warns of read-only memory maps."""
    return torch.from_numpy(np.array(images.pixels[first:last]))


def _originals(images: ImageSet, first: int, last: int, device: str) -> Originals:
    names = images.table["id"].iloc[first:last].tolist()
    return Originals(names, _pixels(images, first, last).to(device))


def _merge(shards: list[Path], folder: Path) -> list[str]:
    """Concatenate the shards' arrays into one `.npy` file each, by plain writes."""
    first, _ = load_tensors(shards[0])
    about = [load_tensors(shard)[1] for shard in shards]
    count = about[-1]["last"]
    for name, sample in first.items():
        values = sample.numpy()
        header = {"descr": np.lib.format.dtype_to_descr(values.dtype), "fortran_order": False}
        with (folder / f"{name}.npy").open("wb") as file:
            np.lib.format.write_array_header_1_0(
                file, {**header, "shape": (count, *values.shape[1:])}
            )
            for shard in shards:
                file.write(load_tensors(shard)[0][name].numpy().tobytes())
    return sorted(first)


def _spot_check(
    decodings: Decodings, budgets: list[int], images: ImageSet, folder: Path, device: str
) -> None:
    """Encode and decode a few images again, alone and unmerged, and compare with the arrays.

    `SPOT_CHECKS` of them, or as many as `SPOT_SECONDS` allow.
    """
    stored = np.load(folder / "mse.npy", mmap_mode="r")
    has_ids = (folder / "ids.npy").is_file()
    stored_ids = np.load(folder / "ids.npy", mmap_mode="r") if has_ids else None
    rng = np.random.default_rng(len(stored))
    others = not isinstance(decodings.tokenizer, ElasticTokenizer | None)
    tolerance = SPOT_TOLERANCE_OF_OTHERS if others else SPOT_TOLERANCE
    moved: list[float] = []
    wrong, began = [], time.monotonic()
    for checked, row in enumerate(rng.integers(len(stored), size=SPOT_CHECKS)):
        if checked >= FEWEST_SPOTS and time.monotonic() - began > SPOT_SECONDS:
            break
        column = int(rng.integers(len(budgets)))
        budget, ids = budgets[column], None
        original = _originals(images, row, row + 1, device)
        with torch.inference_mode():
            encoded, _ = decodings.encoded(original)
            if stored_ids is not None and encoded is not None:
                ids = torch.from_numpy(stored_ids[row : row + 1].astype(np.int64)).to(device)
                moved.append((encoded != ids).float().mean().item())
            again = decodings.again(original, ids, budget)
        error = float(mse(again, original.pixels))
        if abs(error - stored[row, column]) > tolerance * error + 1e-7:
            wrong.append(
                f"image {row} at budget {budget} decodes to an MSE of {error}, the bank "
                f"holds {stored[row, column]}: decoding is not deterministic here"
            )
    # A latent at a rounding boundary may take the other code, depending on the batch; few do. Where
    # tokens are not nested, errors are those of tokens encoded again, and may differ with them.
    if len(wrong) > (SPOT_MOVED * len(moved) if decodings.facts.nested is False else 0):
        raise RuntimeError(wrong[0])
    if moved and np.mean(moved) > SPOT_MOVED:
        raise RuntimeError(
            f"{np.mean(moved):.0%} of the sampled tokens differ when encoded again: "
            "encoding is not deterministic here"
        )


def _codebook(facts: Facts, folder: Path) -> dict[str, Any] | None:
    """How the codes of the merged ids are used; None where there are no ids."""
    if facts.code_sizes is None:
        return None
    ids = torch.from_numpy(np.load(folder / "ids.npy").astype(np.int64))
    return _codebook_use(facts.codes(ids).numpy(), facts.code_sizes)


def _codebook_use(codes: np.ndarray, sizes: Sequence[int]) -> dict[str, Any]:
    """Share of codes `[n, N, Q]` used and entropy in bits: together and per position.

    Where a token is several codes (residual quantization), usage is their mean, entropy their sum.
    """

    def use(codes: np.ndarray) -> tuple[float, float]:
        """Usage and bits of codes `[..., Q]`."""
        usage, bits = [], 0.0
        for part, size in enumerate(sizes):
            counts = np.unique(codes[..., part], return_counts=True)[1]
            share = counts / counts.sum()
            usage.append(len(counts) / size)
            bits -= float((share * np.log2(share)).sum())
        return float(np.mean(usage)), bits

    usage, bits = use(codes)
    by_position = [use(codes[:, position]) for position in range(codes.shape[1])]
    return {
        "usage": usage,
        "entropy_bits": bits,
        "usage_by_position": [usage for usage, _ in by_position],
        "entropy_bits_by_position": [bits for _, bits in by_position],
    }


def _digest(images: ImageSet, count: int) -> str:
    return images.digest if count == len(images.pixels) else f"{images.digest}[:{count}]"


def _write_table(
    images: ImageSet, count: int, budgets: list[int], metrics: list[str], folder: Path
) -> None:
    rows = images.table.iloc[:count]
    table = rows.loc[rows.index.repeat(len(budgets))].reset_index(drop=True)
    table["budget"] = np.tile(budgets, count)
    for name in metrics:
        if (folder / f"{name}.npy").exists():
            table[name] = np.load(folder / f"{name}.npy").ravel()
    table.to_parquet(folder / "images.parquet", index=False)
