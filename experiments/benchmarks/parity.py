"""Differences of a published tokenizer, as implemented here, from its authors' code.

Reads a parity folder (see `synthetic.py`), makes its weights, writes them as the file that people
download, loads that, and prints a line for each array: the largest difference and the allowed one,
the root of the mean square and the strict limit. Exits with 1 where one is over.
Run from the repository's root: `python -m experiments.benchmarks.parity FOLDER`.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from adatok_core.published.heads import CodeHead
from adatok_core.published.llamagen import LlamaGenVQ, llamagen
from adatok_core.published.titok import TiTok, one_d_piece, titok
from experiments.benchmarks import synthetic

FAMILIES: Mapping[str, Callable[..., Any]] = {
    "titok": titok,
    "onedpiece": one_d_piece,
    "llamagen": llamagen,
}
# The array whose tolerance holds for debugging arrays of a part, times its own spread.
PART_OF = {"enc": "latents", "dec": "decoder_out", "pixel": "recon_raw"}
NOT_NUMBERS = ("ids_safe", "ids_relative_gap", "lengths")


@dataclass(frozen=True)
class Row:
    """An array's differences; `limit` and `strict` are None where none is set."""

    name: str
    largest: float
    rms: float
    limit: float | None
    strict: float | None
    note: str = ""

    @property
    def within(self) -> bool:
        """Whether both limits are kept."""
        return not (
            (self.limit is not None and not self.largest <= self.limit)
            or (self.strict is not None and not self.rms <= self.strict)
        )

    def __str__(self) -> str:
        limit, strict = (
            "" if value is None else f" <= {value:.1e}" for value in (self.limit, self.strict)
        )
        verdict = "ok" if self.within else "OVER"
        numbers = f"max {self.largest:.2e}{limit:<11}  rms {self.rms:.2e}{strict:<11}"
        return f"{self.name:22} {numbers}  {verdict} {self.note}".rstrip()


def load(folder: Path) -> Any:
    """The tokenizer of a parity folder, from a file as people download it."""
    about, layout = (synthetic.read(folder, f"{name}.json") for name in ("about", "state_dict"))
    with tempfile.TemporaryDirectory() as made:
        tensors = synthetic.state_dict(folder)
        file = synthetic.save(tensors, layout["container"], Path(made))
        del tensors
        return FAMILIES[about["family"]](file)


def compare(folder: Path, model: Any) -> Iterator[Row]:
    """A row for each array of `expected.npz` that holds numbers of the model."""
    about = synthetic.read(folder, "about.json")
    with np.load(folder / "expected.npz") as file:
        expected = dict(file)
    with torch.inference_mode():
        found = dict(_arrays(model, expected))
    for name, values in expected.items():
        if name in NOT_NUMBERS:
            continue
        if name not in found:
            yield Row(name, np.nan, np.nan, None, None, "not computed here")
            continue
        yield _row(name, found[name].numpy(), values, expected, about)


def _row(
    name: str,
    found: np.ndarray,
    values: np.ndarray,
    expected: Mapping[str, np.ndarray],
    about: Mapping[str, Any],
) -> Row:
    limits = about["tolerance"]["recommended_absolute_tolerance"]
    strict = about["tolerance"]["strict_rms_tolerance"]
    found = _strided(found, values.shape)
    if name == "ids":
        wrong = (found != values)[expected["ids_safe"]]
        return Row(name, wrong.max(), wrong.mean(), 0.0, None, f"of {wrong.size} that are safe")
    difference = np.abs(found.astype(np.float64) - values)
    limit = limits.get(name.removesuffix("_stats"))
    note = ""
    if name == "recon_u8":
        limit = 1.0
    elif name == "decoder_out_argmax":
        difference, note = difference > 0, "share that differs; may be close to ties"
    elif name.startswith("dbg_"):
        part = PART_OF[name.split("_")[1]]
        limit = limits.get(part, limits["recon_raw"]) * max(1.0, float(values.std()))
    rms = float(np.sqrt(np.mean(np.square(difference, dtype=np.float64))))
    return Row(name, float(difference.max()), rms, limit, strict.get(name), note)


def _strided(found: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """Every n-th of each axis, as many as were kept."""
    steps = (-(-have // keep) for have, keep in zip(found.shape, shape, strict=True))
    return found[tuple(slice(None, None, step) for step in steps)]


def _arrays(model: Any, expected: Mapping[str, np.ndarray]) -> Iterator[tuple[str, Tensor]]:
    images = synthetic.images(side=model.describe()["resolution"])[: len(expected["ids"])]
    ids, latents = model.encode(images)
    yield "ids", ids
    stored = torch.from_numpy(expected["ids"]).long()
    last = latents[0].T
    yield "latents", last.reshape(expected["latents"].shape)
    lengths = expected.get("lengths")
    kept = [stored] if lengths is None else [stored[:, : int(k)] for k in lengths]
    count = expected["recon_raw"].shape[-4]
    decoded = torch.stack([model.decode(ids[:count]) for ids in kept])
    yield from _pixels(model, decoded if lengths is not None else decoded[0])
    if isinstance(model, LlamaGenVQ):
        yield from _of_llamagen(model, images[:1], stored[:1])
        return
    yield from _of_encoder(model, images[:1])
    yield from _of_decoder(model, [ids[:1] for ids in kept], nested=lengths is not None)


def _pixels(model: Any, raw: Tensor) -> Iterator[tuple[str, Tensor]]:
    low, high = model.describe()["range"]
    clamped = raw.clamp(low, high)
    levels = (clamped - low) / (high - low) * 255
    nearest = model.describe()["rounding"] == "nearest"
    yield "recon_raw", raw
    yield "recon", clamped
    yield "recon_u8", levels.round() if nearest else levels.floor()
    yield "recon_stats", _stats(clamped, 3)
    yield "recon_raw_stats", _stats(raw, 3)


def _stats(values: Tensor, axes: int) -> Tensor:
    flat = values.double().flatten(-axes)
    return torch.stack((flat.mean(-1), flat.std(-1, correction=0)), -1)


def _image(rows: Tensor) -> Tensor:
    side = int(rows.shape[1] ** 0.5)
    return rows[0].T.unflatten(1, (side, side))


def _of_encoder(model: TiTok, images: Tensor) -> Iterator[tuple[str, Tensor]]:
    encoder = model.encoder
    yield "dbg_enc_patch", _image(encoder.patches(images))
    x = encoder.sequence(images)
    yield "dbg_enc_ln_pre", x[0]
    for index, block in enumerate(encoder.transformer.blocks):
        x = block(x)
        yield f"dbg_enc_block{index}", x[0]
    yield "dbg_enc_block_last", x[0]
    latents = x[:, 1 + len(encoder.positions) :]
    yield "dbg_enc_ln_post", encoder.transformer.norm_after(latents)[0]


def _of_decoder(model: TiTok, kept: list[Tensor], *, nested: bool) -> Iterator[tuple[str, Tensor]]:
    decoder, head = model.decoder, model.head
    rows = [decoder(model.codebook(ids)) for ids in kept]
    if isinstance(head, CodeHead):
        logits = [head.logits(one)[0].permute(2, 0, 1) for one in rows]
    else:
        logits = [head.patches(one)[0] for one in rows]
    outs = torch.stack(logits) if nested else logits[0]
    yield "decoder_out", outs
    yield "decoder_out_stats", _stats(outs, 3)
    yield "decoder_out_argmax", outs.argmax(-3)
    x = decoder.sequence(model.codebook(kept[-1]))
    yield "dbg_dec_ln_pre", x[0]
    for index, block in enumerate(decoder.transformer.blocks):
        x = block(x)
        yield f"dbg_dec_block{index}", x[0]
    yield "dbg_dec_block_last", x[0]
    yield "dbg_dec_ln_post", rows[-1][0]
    if isinstance(head, CodeHead):
        yield from _of_pixel_decoder(head, rows[-1])


def _of_pixel_decoder(head: CodeHead, rows: Tensor) -> Iterator[tuple[str, Tensor]]:
    pixels = head.pixels
    x = pixels.mix(head.logits(rows), nearest=head.nearest)
    yield "dbg_pixel_in", x[0]
    x = pixels.conv_in(x)
    for block in pixels.middle:
        x = block(x)
    yield "dbg_pixel_mid", x[0].clone()
    for index, level in enumerate(pixels.levels):
        for layer in level:
            x = layer(x)
        yield f"dbg_pixel_up{len(pixels.levels) - 1 - index}", x[0].clone()


def _of_llamagen(model: LlamaGenVQ, images: Tensor, ids: Tensor) -> Iterator[tuple[str, Tensor]]:
    levels = len(model.encoder.parts) - 1
    x = model.encoder.conv_in(images * 2 - 1)
    yield "dbg_enc_conv_in", x[0].clone()
    for name, part in zip(
        [*(f"level{i}" for i in range(levels)), "mid"], model.encoder.parts, strict=True
    ):
        for layer in part:
            x = layer(x)
        yield f"dbg_enc_{name}", x[0].clone()
    yield "dbg_enc_out", model.encoder.conv_out(model.encoder.norm_out(x))[0]
    side = images.shape[-1] // model.describe()["patch_size"]
    x = model.from_codes(model.codebook(ids).unflatten(1, (side, side)).permute(0, 3, 1, 2))
    yield "dbg_dec_post_quant", x[0].clone()
    x = model.decoder.conv_in(x)
    for name, part in zip(
        ["mid", *(f"level{i}" for i in range(levels))], model.decoder.parts, strict=True
    ):
        for layer in part:
            x = layer(x)
        yield f"dbg_dec_{name}", x[0].clone()


def main() -> None:
    """Print a line for each array of a folder."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--threads", type=int, default=1)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    model = load(options.folder)
    print(model.describe())
    rows = []
    for row in compare(options.folder, model):
        print(row, flush=True)
        rows.append(row)
    over = [row.name for row in rows if not row.within]
    print(f"{len(rows)} arrays, over: {', '.join(over) or 'none'}")
    sys.exit(bool(over))


if __name__ == "__main__":
    main()
