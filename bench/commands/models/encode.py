"""`adatok-bench encode`."""

from __future__ import annotations

from pathlib import Path

import click

from bench.commands.support.shared import (
    PATH,
    batch_option,
    device_option,
    model_option,
    progress_of,
    say,
)


@click.command()
@click.argument("folder", type=PATH)
@model_option
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
def encode(
    folder: str,
    model: str,
    out: str,
    budget: int | None,
    batch: int,
    max_unreadable: float,
    device: str,
) -> None:
    """Turn a FOLDER of images into a file of tokens.

    Images of any size are read as a suite's data stage reads them: shorter side to the model's
    resolution, then the centre. The file has a row per image: path, sha256 of the pixels,
    file_sha256, budget and tokens; its metadata name the model. Files that cannot be decoded are
    listed and counted.

    \b
    Examples:
      adatok-bench encode photos --model exported --out tokens.parquet
      adatok-bench encode photos --model exported --out 16.parquet --budget 16
    """
    from bench.models.exported_model import ExportedModel
    from bench.models.translation import encode_folder

    loaded = ExportedModel.load(Path(model), device=device)
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
