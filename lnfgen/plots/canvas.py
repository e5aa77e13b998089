"""What all pictures share: a figure to draw on, its colours, and the bytes of its file.

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

FORMATS = {".png": "Software", ".svg": "Date", ".pdf": "CreationDate"}
"""The suffixes that pictures can have, each with the metadata that is left out of its files."""

# These colours differ also when a picture is printed in grey.
DARK = "#173a5e"
MID = "#5b8db8"
ACCENT = "#c0392b"
_DPI = 130
_CHARACTERS = 11  # at least so many characters of a title or a label fit on an inch


def require_picture(path: Path) -> str:
    """The suffix of a picture's file.

    Call it before the work that fills the file, so that a wrong name costs no time.

    Raises:
        OutputError: if pictures cannot be written with that suffix, or at that place.
    """
    suffix = path.suffix.lower()
    if suffix not in FORMATS:
        found = suffix or "none"
        raise OutputError(
            f"cannot draw {path}: found suffix {found!r}, expected one of {' '.join(FORMATS)}"
        )
    require_parent(path)
    return suffix


def new_figure(width: float, height: float) -> Any:
    """An empty matplotlib figure of that size in inches. It needs no display."""
    from matplotlib.figure import Figure

    return Figure(figsize=(width, height), dpi=_DPI, layout="constrained")


def style_axis(axis: Any, grid: str) -> None:
    """Give an axis a light grid behind the curves, small numbers, no frame at the top and right.

    `grid` is "x" or "y".
    """
    axis.grid(axis=grid, color="#e3e6ea", linewidth=0.6)
    axis.set_axisbelow(True)
    axis.spines[["top", "right"]].set_visible(False)
    axis.tick_params(labelsize=8)


def set_title(figure: Any, title: str) -> None:
    """Write the title at the top left, in lines that fit.

    A `$` in a name does not start a formula.
    """
    figure.suptitle(_wrapped(title, figure), x=0.01, ha="left", fontsize=10, parse_math=False)


def show_legend(figure: Any, axis: Any) -> None:
    """Write the labels of an axis below all panels, in three columns or as many as fit.

    The figure grows by their height.
    """
    handles, labels = axis.get_legend_handles_labels()
    longest = max(map(len, labels)) + 8  # with the stroke before a label
    fitting = _width(figure) // longest
    legend = figure.legend(
        handles,
        [_wrapped(label, figure) for label in labels],
        ncols=max(1, min(3, fitting)),
        fontsize=8,
        frameon=False,
        loc="outside lower center",
    )
    for text in legend.get_texts():
        text.set_parse_math(False)
    height = legend.get_window_extent().height / figure.dpi
    figure.set_figheight(figure.get_figheight() + height)


def _width(figure: Any) -> int:
    """How many characters fit into a line."""
    return int(_CHARACTERS * figure.get_figwidth())


def _wrapped(text: str, figure: Any) -> str:
    lines = []
    for line in in_utf8(text).splitlines():
        lines.extend(textwrap.wrap(line, _width(figure)))
    return "\n".join(lines)


def file_bytes(figure: Any, suffix: str) -> bytes:
    """The figure as a file.

    It holds no date and no random names, so that equal pictures are equal bytes.
    """
    from matplotlib import rc_context

    buffer = io.BytesIO()
    with rc_context({"svg.hashsalt": "lnfgen"}), warnings.catch_warnings():
        # A symbol without a glyph shows as a box.
        warnings.filterwarnings("ignore", message="Glyph .* missing")
        figure.savefig(buffer, format=suffix[1:], metadata={FORMATS[suffix]: None})
    return buffer.getvalue()
