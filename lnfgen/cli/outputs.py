"""The writer of the pieces that a command draws: to files by their suffix, to one page, or to stdout."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lnfgen.cli import console
from lnfgen.cli.options import require_fitting
from lnfgen.errors import LnfgenError

if TYPE_CHECKING:
    from lnfgen.formats.read_write import Piece
    from lnfgen.runs.folder import RunFolder


@dataclass
class PieceWriter:
    """Writes pieces one after another. Without --json it prints the path of each.

    Attributes:
        target: the file that a person named, or - for stdout.
        suffix: that of the format.
        instruments: the programs and the voices, as `options.played` gives them.
        facts: the path of each piece, with the facts that the command gives about it.
    """

    target: str
    suffix: str
    count: int
    instruments: dict[str, Any]
    json: bool
    facts: list[dict[str, Any]] = field(default_factory=list)
    _page: "list[Piece]" = field(default_factory=list)

    @property
    def next_name(self) -> str:
        """The name of the next piece in messages: its file, or its number if it has no file of its own."""
        from lnfgen.files import numbered
        from lnfgen.formats.read_write import PAGE

        if self.target == "-" or self.suffix == PAGE:
            return f"piece {len(self.facts) + 1}"
        return str(numbered(Path(self.target), len(self.facts), self.count))

    def write(self, piece: "Piece", facts: dict[str, Any]) -> None:
        from lnfgen.files import numbered
        from lnfgen.formats.read_write import PAGE, to_bytes, write

        name = numbered(Path(self.target), len(self.facts), self.count)
        if self.suffix == PAGE:
            self._page.append(piece)
        elif self.target == "-":
            console.result_bytes(to_bytes(piece, self.suffix, **self.instruments))
        else:
            write(name, piece, **self.instruments)
            if not self.json:
                console.result(str(name))
        self.facts.append({"path": self.target if self.suffix == PAGE else str(name), **facts})

    def close(self, **facts: Any) -> None:
        """Write the page, and print the JSON object."""
        from lnfgen.formats.read_write import write

        if self._page:
            write(self.target, self._page, **self.instruments)
            if not self.json:
                console.result(self.target)
        if self.json:
            console.result_json({**facts, "pieces": self.facts})


def piece_writer(
    folder: "RunFolder", target: str, count: int, instruments: dict[str, Any], json: bool, said: str | None = None
) -> PieceWriter:
    """Make the writer to a target, which is checked before a model is loaded. `said` is the option for the count.

    Raises:
        LnfgenError: if the suffix does not fit what the run makes, or stdout would have to hold too much.
        OutputError: if the folder is not there.
    """
    from lnfgen.files import require_parent
    from lnfgen.formats.read_write import WRITABLE_MUSIC, WRITABLE_TEXT

    fitting = WRITABLE_MUSIC if folder.encoding.kind == "music" else WRITABLE_TEXT
    suffix = fitting[0] if target == "-" else Path(target).suffix.lower()
    if suffix not in fitting:
        raise LnfgenError(
            f"--out {target}: found suffix {suffix or 'none'!r}, but {folder.name} makes {folder.encoding.kind}; "
            f"expected one of {' '.join(fitting)}"
        )
    if target == "-" and count > 1:
        raise LnfgenError(f"--out - holds one piece, found {said or f'--count {count}'}; give a file name")
    if target == "-" and json:
        raise LnfgenError("found --json beside --out -, and both write to stdout; give a file name")
    require_fitting(suffix, instruments)
    if target != "-":
        require_parent(Path(target))
    return PieceWriter(target, suffix, count, instruments, json)
