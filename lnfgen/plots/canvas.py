"""A figure to draw on, its colours, and the bytes of the file that it becomes: all pictures share
these.

Matplotlib is loaded when the first figure is made, so that importing this module costs nothing.
"""

import io
import textwrap
import warnings
from pathlib import Path
from typing import Any

from lnfgen.errors import OutputError
from lnfgen.files import require_parent
from lnfgen.wording import in_utf8

# and the metadata that is left out
FORMATS = {".png": "Software", ".svg": "Date", ".pdf": "CreationDate"}

DARK, MID, ACCENT = "#173a5e", "#5b8db8", "#c0392b"  # differ also when a picture is printed in grey
_DPI = 130
_CHARACTERS = 11  # at least so many characters of a title or a label fit on an inch


def require_picture(path: Path) -> str:
    """The suffix of a picture's file. Call it before the work that fills the file, so that a wrong
    name costs no time.

    Raises:
        OutputError: if pictures cannot be written with that suffix, or at that place.
    """
    suffix = path.suffix.lower()
    if suffix not in FORMATS:
        raise OutputError(
            f"cannot draw {path}: found suffix {suffix or 'none'!r}, expected one of {' '.join(FORMATS)}"
        )
    require_parent(path)
    return suffix


def new_figure(width: float, height: float) -> Any:
    """An empty matplotlib figure of that size in inches. It needs no display."""
    from matplotlib.figure import Figure

    return Figure(figsize=(width, height), dpi=_DPI, layout="constrained")


def style_axis(axis: Any, grid: str) -> None:
    """A light grid behind the curves (`grid` is "x" or "y"), small numbers, no frame at the top and
    right."""
    axis.grid(axis=grid, color="#e3e6ea", linewidth=0.6)
    axis.set_axisbelow(True)
    axis.spines[["top", "right"]].set_visible(False)
    axis.tick_params(labelsize=8)


def set_title(figure: Any, title: str) -> None:
    """Write the title at the top left, in lines that fit. A `$` in a name does not start a
    formula."""
    figure.suptitle(_wrapped(title, figure), x=0.01, ha="left", fontsize=10, parse_math=False)


def show_legend(figure: Any, axis: Any) -> None:
    """The labels of an axis below all panels, in three columns or as many as fit. The figure grows
    by their height."""
    handles, labels = axis.get_legend_handles_labels()
    # 8 for the stroke before a label
    fitting = int(_CHARACTERS * figure.get_figwidth()) // (max(map(len, labels)) + 8)
    look = {"fontsize": 8, "frameon": False, "loc": "outside lower center"}
    texts = [_wrapped(label, figure) for label in labels]
    legend = figure.legend(handles, texts, ncols=max(1, min(3, fitting)), **look)
    for text in legend.get_texts():
        text.set_parse_math(False)
    figure.set_figheight(figure.get_figheight() + legend.get_window_extent().height / figure.dpi)


def _wrapped(text: str, figure: Any) -> str:
    width = int(_CHARACTERS * figure.get_figwidth())
    return "\n".join(
        part for line in in_utf8(text).splitlines() for part in textwrap.wrap(line, width)
    )


def file_bytes(figure: Any, suffix: str) -> bytes:
    """The figure as a file. It holds no date and no random names, so that equal pictures are equal
    bytes."""
    from matplotlib import rc_context

    buffer = io.BytesIO()
    with rc_context({"svg.hashsalt": "lnfgen"}), warnings.catch_warnings():
        # a symbol without a glyph shows as a box
        warnings.filterwarnings("ignore", message="Glyph .* missing")
        figure.savefig(buffer, format=suffix[1:], metadata={FORMATS[suffix]: None})
    return buffer.getvalue()
