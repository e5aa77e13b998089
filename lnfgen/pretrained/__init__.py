"""The models in the box: trained runs that come with the package.

With them it makes music before anything is trained. Each is a folder here with the files of a run
(`lnfgen.runs.folder`) that sampling and scoring need, without `last/`. Its weights are in half
precision. `card.json` says what the model is and how it scores, and `card.md` is the same to read.
`python examples/pretrained.py NAME` makes such a folder.
"""

from pathlib import Path

BOXED = ("chorales", "folk-abc", "band")
"""The names of the models. The datasets of the first two have the same names; each place of a
command takes either runs or datasets. That of `band` comes with no package."""

DEFAULT = "chorales"
"""The model that commands take where there is no run."""

BOX = Path(__file__).parent


def is_boxed(folder: Path) -> bool:
    """True if a folder is that of a model in the box."""
    return folder.parent == BOX
