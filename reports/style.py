"""How figures look: sizes for papers, fonts embedded, a palette safe for colour-blind readers."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import matplotlib

COLUMN_INCHES, PAGE_INCHES = 3.4, 7.0

# Okabe & Ito 2008, without black and yellow: black is for fixed lengths, yellow is too pale. Then
# four of Tol's muted colours (2021).
PALETTE = (
    *("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9"),
    *("#882255", "#999933", "#332288", "#44AA99"),
)
MARKERS = ("o", "^", "D", "v", "P", "<")  # a cross is for collapsed policies
INK, QUIET = "#1a1a1a", "#808080"

_RC = {
    "font.size": 8,
    "axes.titlesize": 8,
    "axes.labelsize": 8,
    "legend.fontsize": 7,
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
    "pdf.fonttype": 42,
    "svg.hashsalt": "adatok",
}


@contextmanager
def paper_style() -> Iterator[None]:
    """Draw inside this context; nothing is shown on a screen."""
    matplotlib.use("Agg")
    with matplotlib.rc_context(_RC):
        yield
