"""What all pictures share: a figure to draw on, its colours, and the bytes of the file that it becomes.

Matplotlib is loaded when the first figure is made, so that importing this module costs nothing.
"""

from __future__ import annotations

import io
import textwrap
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from lnfgen.errors import OutputError
from lnfgen.files import require_parent
from lnfgen.wording import in_utf8

FORMATS = (".png", ".svg", ".pdf")

DARK, MID, ACCENT = "#173a5e", "#5b8db8", "#c0392b"
"""Colours that can still be told apart when a picture is printed in grey."""

PALETTE = (DARK, ACCENT, "#2e7d32", "#b36b00", "#7a5195", MID)
"""Colours of curves that are beside one another."""

_DPI = 130

_TITLE_CHARACTERS = 11
"""So many characters of a title stand on an inch, at the least."""

_LABEL_CHARACTERS = 45
"""A label of a legend beside an axis goes on in another line after so many."""


def require_picture(path: Path) -> str:
    """The suffix of a picture's file. Call it before the work that fills the file, so that a wrong name costs no time.

    Raises:
        OutputError: if pictures cannot be written with that suffix, or at that place.
    """
    suffix = path.suffix.lower()
    if suffix not in FORMATS:
        raise OutputError(f"cannot draw {path}: found suffix {suffix or 'none'!r}, expected one of {' '.join(FORMATS)}")
    require_parent(path)
    return suffix


def new_figure(width: float, height: float) -> Any:
    """An empty matplotlib figure of that size in inches. It needs no display."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), dpi=_DPI, layout="constrained")
    FigureCanvasAgg(figure)
    return figure


def set_title(figure: Any, title: str) -> None:
    """Write the title at the top left, in lines that fit. A `$` in a name does not start a formula."""
    width = int(_TITLE_CHARACTERS * figure.get_figwidth())
    lines = [part for line in in_utf8(title).splitlines() for part in textwrap.wrap(line, width)]
    figure.suptitle("\n".join(lines), x=0.01, ha="left", fontsize=10, parse_math=False)


def style_axis(axis: Any, grid: str = "both") -> None:
    """A light grid behind the curves (`grid` is "x", "y" or "both"), small numbers, no frame at the top and right."""
    axis.grid(axis=grid, color="#e3e6ea", linewidth=0.6)
    axis.set_axisbelow(True)
    for side in ("top", "right"):
        axis.spines[side].set_visible(False)
    axis.tick_params(labelsize=8)


def label_log_axis(axis: Any) -> None:
    """Name 1, 2 and 5 of each decade of a logarithmic y axis in plain numbers."""
    from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

    axis.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axis.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axis.yaxis.set_minor_formatter(NullFormatter())


def show_legend(where: Any, width: int = _LABEL_CHARACTERS, **options: Any) -> Any:
    """A small legend of an axis or a figure, its labels as they stand, in lines of `width` characters.

    Names of files may be any bytes.
    """
    legend = where.legend(fontsize=8, frameon=False, **options)
    for text in legend.get_texts():
        text.set_text("\n".join(textwrap.wrap(in_utf8(text.get_text()), width)))
        text.set_parse_math(False)
    return legend


def show_legend_below(figure: Any, handles: Sequence[Any], labels: Sequence[str], columns: int, **options: Any) -> None:
    """A legend below all panels, in at most so many columns: fewer where long labels would not fit beside each other.

    The figure grows by its height.
    """
    width = int(_TITLE_CHARACTERS * figure.get_figwidth())
    options = {"loc": "outside lower center", **options}
    for count in range(min(columns, len(labels)), 0, -1):
        legend = show_legend(figure, width, handles=handles, labels=labels, ncols=count, **options)
        box = legend.get_window_extent()
        if box.width <= figure.bbox.width or count == 1:
            figure.set_figheight(figure.get_figheight() + box.height / figure.dpi)
            return
        legend.remove()


def file_bytes(figure: Any, suffix: str) -> bytes:
    """The figure as a file. It holds no date and no random names, so that equal pictures are equal bytes."""
    from matplotlib import rc_context

    metadata = {".png": {"Software": None}, ".svg": {"Date": None}, ".pdf": {"CreationDate": None}}[suffix]
    buffer = io.BytesIO()
    with rc_context({"svg.hashsalt": "lnfgen"}), warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Glyph .* missing")  # a symbol without a glyph shows as a box
        figure.savefig(buffer, format=suffix[1:], metadata=metadata)
    return buffer.getvalue()
