"""Appearance of figures: sizes for papers, fonts embedded, a palette safe for colour-blind readers.

All figures that are drawn inside one `paper_style` have its width, and a system has the same colour
and marker in all of them.
"""

from __future__ import annotations

import functools
import os
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Any, Literal, get_args

Size = Literal["column", "page"]
COLUMN_INCHES, PAGE_INCHES = 3.4, 7.0
INCHES: dict[str, float] = {"column": COLUMN_INCHES, "page": PAGE_INCHES}

# Okabe & Ito 2008, without black and yellow: black is for fixed lengths, yellow is too pale. Then
# four of Tol's muted colours (2021).
PALETTE = (
    *("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9"),
    *("#882255", "#999933", "#332288", "#44AA99"),
)
MARKERS = ("o", "^", "D", "v", "P", "<")  # a cross is for collapsed policies
FONT = "DejaVu Sans"
FALLBACK_FONTS = (  # TrueType, as PDF files embed them, with Chinese and more
    *("WenQuanYi Micro Hei", "WenQuanYi Zen Hei", "Droid Sans Fallback", "Noto Sans SC"),
    *("Microsoft YaHei", "SimHei", "Arial Unicode MS", "Unifont"),
)
INK, QUIET = "#1a1a1a", "#808080"

_RC = {
    "font.size": 8,
    "axes.titlesize": 8,
    "axes.labelsize": 8,
    "legend.fontsize": 7,
    "legend.title_fontsize": 7,
    "xtick.labelsize": 7,
    "ytick.labelsize": 7,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.linewidth": 0.6,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": "#e6e6e6",
    "grid.linewidth": 0.5,
    "lines.linewidth": 1.2,
    "lines.markersize": 4,
    "legend.frameon": False,
    "savefig.dpi": 200,
    "image.composite_image": False,  # in a PDF each picture stays as it is
    "pdf.fonttype": 42,
    "text.parse_math": False,  # `$` in names is a `$`
    "svg.hashsalt": "adatok",
}


@dataclass(frozen=True)
class _Style:
    """The style in force: width of figures, and the systems drawn so far by their number."""

    size: Size
    systems: dict[str, int] = field(default_factory=dict)


_current: ContextVar[_Style | None] = ContextVar("style", default=None)


@contextmanager
def paper_style(size: Size | None = None) -> Iterator[None]:
    """Draw inside this context; nothing is shown on a screen.

    `size` is `column` (3.4 in) or `page` (7.0 in, the default) of a two-column paper. A context
    inside another one goes on with its width and colours, unless it names a size.

    Raises:
        ValueError: there is no such size.
    """
    if size is not None and size not in get_args(Size):
        raise ValueError(f"size must be one of {', '.join(get_args(Size))}, not {size!r}")
    os.environ["MPLBACKEND"] = "agg"  # Whatever the user's is: an unknown one stops the import.
    import matplotlib  # It takes long to import, and tables and listings need it not.

    matplotlib.use("Agg")
    outer = _current.get()
    inherited = outer is not None and size in (None, outer.size)
    token = _current.set(outer if inherited else _Style(size or "page"))
    try:
        with matplotlib.rc_context(), warnings.catch_warnings():
            warnings.filterwarnings("ignore", "Glyph .* missing")  # `shown_text` says it in words.
            matplotlib.rcdefaults()  # A user's own settings are for figures of theirs.
            matplotlib.rcParams.update({**_RC, "font.family": [*_fonts()]})
            yield
    finally:
        _current.reset(token)


@functools.cache
def _fonts() -> dict[str, Any]:
    """The first font and those that stand in for its missing glyphs, of what is installed."""
    from matplotlib.font_manager import FontProperties, findfont, fontManager, get_font

    installed = {font.name for font in fontManager.ttflist}
    names = [name for name in (FONT, *FALLBACK_FONTS) if name in installed]
    return {name: get_font(findfont(FontProperties(family=[name]))) for name in names}


def shown_text(text: str) -> str:
    """Text as a figure can show it: a sign that no font has is named by its number.

    A legend leaves out what begins with `_`, unless something that is not seen stands before it.
    """
    signs = (
        sign
        if sign.isascii() or any(font.get_char_index(ord(sign)) for font in _fonts().values())
        else f"[U+{ord(sign):04X}]"
        for sign in text
    )
    return ("\u200b" if text.startswith("_") else "") + "".join(signs)


def width_inches() -> float:
    """Width of a figure in the style in force."""
    return INCHES[_in_force().size]


def look(index: int) -> dict[str, Any]:
    """Colour and marker of the series number `index`; none twice among the first 36."""
    marker = MARKERS[(index + index // len(PALETTE)) % len(MARKERS)]
    return {"color": PALETTE[index % len(PALETTE)], "marker": marker}


def look_of(system: str) -> dict[str, Any]:
    """Colour and marker of a system: the same in all figures of a report."""
    systems = _in_force().systems
    return look(systems.setdefault(system, len(systems)))


def color_of(system: str) -> str:
    """Colour of a system: the same in all figures of a report."""
    return look_of(system)["color"]


def _in_force() -> _Style:
    style = _current.get()
    if style is None:
        raise LookupError("figures are drawn inside `paper_style()`")
    return style
