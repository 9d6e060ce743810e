"""`adatok-bench decode`."""

from __future__ import annotations

from pathlib import Path

import click

from bench.commands.support.shared import PATH, batch_option, device_option, progress_of
from bench.commands.support.tokenizers import load_model, model_or_tokenizer


@click.command()
@click.argument("tokens", type=PATH)
@model_or_tokenizer
@click.option("--out", required=True, type=PATH, help="A new folder.")
@batch_option
@device_option
def decode(
    tokens: str,
    model: str | None,
    tokenizer: str | None,
    arguments: tuple[str, ...],
    python: str | None,
    out: str,
    batch: int,
    device: str,
) -> None:
    """Turn a file of TOKENS back into images.

    Images are PNG files with the relative paths that they were encoded from. Tokens of another
    model are refused.

    \b
    Examples:
      adatok-bench decode tokens.parquet --model exported --out reconstructions
      adatok-bench decode tokens.parquet --tokenizer my_tok.py:make --out back
    """
    from bench.models.token_files import TokenFile
    from bench.models.translation import decode_file, require_new

    folder = Path(out).absolute()
    require_new(folder)
    file = TokenFile.open(Path(tokens))
    loaded = load_model(model, tokenizer, arguments, python, device=device)
    with progress_of("decoding") as started:
        count = decode_file(
            file,
            loaded,
            folder,
            batch=batch,
            started=started,
        )
    click.echo(f"{out}: {count} images")
