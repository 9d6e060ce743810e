"""`adatok-bench encode`."""

from __future__ import annotations

from pathlib import Path

import click

from bench.commands.support.shared import (
    PATH,
    batch_option,
    device_option,
    ids_option,
    limit_option,
    progress_of,
    say,
)
from bench.commands.support.tokenizers import load_model, model_or_tokenizer


@click.command()
@click.argument("folder", type=PATH)
@model_or_tokenizer
@click.option("--out", required=True, type=PATH, help="A new Parquet file.")
@click.option(
    "--budget",
    type=click.IntRange(1),
    metavar="K",
    help="Token budget of all images. Default: the policy's choice for each.",
)
@batch_option
@click.option(
    "--max-unreadable",
    default=0.01,
    show_default=True,
    type=click.FloatRange(0, 1),
    help="Stop where a larger share of the files cannot be decoded.",
)
@device_option
@limit_option
@ids_option
def encode(
    folder: str,
    model: str | None,
    tokenizer: str | None,
    arguments: tuple[str, ...],
    python: str | None,
    out: str,
    budget: int | None,
    batch: int,
    max_unreadable: float,
    device: str,
    limit: int | None,
    ids: str | None,
) -> None:
    """Turn a FOLDER of images into a file of tokens.

    Images of any size are read as a suite's data stage reads them: shorter side to the model's
    resolution, then the centre. The file has a row per image: path, sha256 of the pixels,
    file_sha256, budget and tokens; its metadata name the model. Files that cannot be decoded are
    listed and counted. Images are in the order of their paths, which are their ids; a file of a
    part of them says so.

    The tokenizer is that of an exported model, or what a factory makes; tokens of someone else's
    carry the hash of its code and arguments, those of files by content.

    \b
    Examples:
      adatok-bench encode photos --model exported --out tokens.parquet
      adatok-bench encode photos --model exported --out 16.parquet --budget 16
      adatok-bench encode photos --tokenizer tok.py:f --budget 4 --out t.parquet
    """
    from bench.data.selection import ImageIds, Selectable
    from bench.models.translation import encode_folder

    loaded = load_model(model, tokenizer, arguments, python, device=device)
    warning = loaded.check_budget(budget)
    if warning:
        say(warning)
    with progress_of("encoding") as started:
        encoded = encode_folder(
            Path(folder),
            loaded,
            Path(out).absolute(),
            budget=budget,
            batch=batch,
            max_unreadable=max_unreadable,
            part=Selectable(limit=limit, ids=None if ids is None else ImageIds(file=ids)),
            started=started,
        )
    for file in encoded.unreadable:
        say(f"unreadable: {file.path} ({file.reason})")
    if encoded.unreadable:
        say(f"warning: {len(encoded.unreadable)} unreadable image files left out")
    for line in encoded.told:
        say(line)
    if encoded.metadata_damaged:
        say(f"warning: {encoded.metadata_damaged} images with damaged metadata read without them")
    count = encoded.budgets.total()
    mean = sum(k * n for k, n in encoded.budgets.items()) / count
    shares = ", ".join(f"{k}: {n}" for k, n in sorted(encoded.budgets.items()))
    click.echo(f"{out}: {count} images, {mean:.4g} tokens on average (images by budget: {shares})")
