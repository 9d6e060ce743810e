"""`adatok-bench shards`."""

from __future__ import annotations

import json
from pathlib import Path

import click

from bench.commands.support.shared import PATH, progress_of, say
from bench.errors import UserError


@click.command()
@click.argument("folder", type=PATH)
@click.option("--out", required=True, type=PATH, help="Folder of the shards.")
@click.option(
    "--size",
    default=256,
    show_default=True,
    type=click.IntRange(1),
    metavar="MB",
    help="Largest size of a shard.",
)
@click.option("--train-folder", help="As data.train_folder of a suite.")
@click.option("--validation-folder", help="As data.validation_folder of a suite.")
def shards(
    folder: str, out: str, size: int, train_folder: str | None, validation_folder: str | None
) -> None:
    """Write the images of FOLDER as tar shards.

    They are in the layout of webdataset. Files keep their bytes, splits get shards of their own,
    and classes are numbers beside the images, with their names in classes.txt. A key is an image's
    path. Shards are written in an order that mixes classes, the same each time; an interrupted
    command goes on with the first shard that is missing. The last line is what a suite says of
    them.

    \b
    Examples:
      adatok-bench shards photos --out shards
      adatok-bench shards /data/imagenet --out /data/shards --size 1000
    """
    from bench.data.image_folder import SplitFolders, list_images
    from bench.data.sources.shard_writing import write_shards

    place = Path(out).absolute()
    if place.exists() and not place.is_dir():
        raise UserError(f"--out: {place} is a file; give a folder")
    listing = list_images(Path(folder), SplitFolders(train_folder, validation_folder))
    for line in listing.told():
        say(line)
    with progress_of("images") as started:
        advance = started(len(listing.paths))
        written = write_shards(listing, place, size=size * 10**6, progress=advance)
    if written.renamed:
        say(f"{written.renamed} images have another name than their file: keys end at a dot")
    say(f"{place}: {written.images} images in {written.shards} shards")
    data = {"kind": "webdataset", "train": written.patterns.get("train", "")}
    if "" in written.patterns:
        data["train"] = written.patterns[""]
    if "validation" in written.patterns:
        data["validation"] = written.patterns["validation"]
    if written.classes:
        data["classes"] = str(written.classes)
    click.echo(f"data: {json.dumps(data)}")
