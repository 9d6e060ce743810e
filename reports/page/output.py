"""The folder that a report is written to: aside first, then renamed; nothing else's is replaced."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from bench.errors import UserError
from bench.files import name_as_it_would_be

PAGE, FIGURES, TABLES = "index.html", "figures", "tables"
SIGN = '<meta name="generator" content="adatok-bench report">'
_PARTS = {PAGE, FIGURES, TABLES}


@contextmanager
def new_report(folder: Path) -> Iterator[Path]:
    """A folder to write a report into, which takes the place of `folder` when the block is left.

    If the block raises, `folder` is as it was.

    Raises:
        UserError: something lies at `folder` that is not a report alone.
    """
    folder = folder.expanduser().absolute()
    require_replaceable(folder)
    folder.parent.mkdir(parents=True, exist_ok=True)
    aside = folder.with_name(f".{folder.name}.{os.getpid()}.new")
    old = folder.with_name(f".{folder.name}.{os.getpid()}.old")
    shutil.rmtree(aside, ignore_errors=True)
    try:
        aside.mkdir()
        yield aside
        if folder.exists():
            os.replace(folder, old)
        try:
            os.replace(aside, folder)
        except OSError:
            if old.exists():
                os.replace(old, folder)
            raise
    except OSError as error:
        name_as_it_would_be(error, aside, folder)
        raise
    finally:
        shutil.rmtree(aside, ignore_errors=True)
        shutil.rmtree(old, ignore_errors=True)


def require_replaceable(folder: Path) -> None:
    """Refuse to write over what is not an earlier report.

    Raises:
        UserError: a file, a folder that is no report, or a report with other things in it.
    """
    if not folder.exists() or (folder.is_dir() and not any(folder.iterdir())):
        return
    if not folder.is_dir():
        raise UserError(f"--out: {folder} is a file; name a folder")
    page = folder / PAGE
    if not page.is_file() or SIGN not in page.read_text("utf-8", errors="replace")[:2000]:
        raise UserError(f"--out: {folder} is no report and is not replaced; name another folder")
    others = sorted({path.name for path in folder.iterdir()} - _PARTS)
    if others:
        raise UserError(
            f"--out: {folder} also holds '{others[0]}', which a new report would remove; move it "
            "elsewhere, or name another folder"
        )
