"""The writer of the pieces that a command draws: to files, to one page, or to stdout.

It loads all formats, and so a command imports it when it runs.
"""

from pathlib import Path
from typing import Any

from lnfgen.cli import console
from lnfgen.cli.options import Instruments, require_fitting
from lnfgen.cli.sources import require_no_text
from lnfgen.errors import LnfgenError
from lnfgen.files import numbered, require_parent
from lnfgen.formats.read_write import PAGE, GivenPiece, to_bytes, write
from lnfgen.music.chord_finding import naming_chords
from lnfgen.music.song import as_song
from lnfgen.runs.folder import RunFolder


class PieceWriter:
    """Writes pieces one after another. Without --json it prints the path of each.

    It is made before a model is loaded, and checks all that can be wrong with the place to write
    to.

    Args:
        target: the file that a person named, or - for stdout.
        count: how many pieces there will be, by the option `counted_by`.
        instruments: the programs and the voices, as `options.instruments` gives them.
        json: print one JSON object in place of paths.
        chords: name the chords of each piece.

    Raises:
        LnfgenError: if the suffix does not fit what the run makes, or stdout would have to hold too
        much. OutputError: if the folder is not there.
    """

    # The commands have these things apart.
    def __init__(  # noqa: PLR0913
        self,
        run: RunFolder,
        target: str,
        count: int,
        counted_by: str,
        instruments: Instruments,
        json: bool,
        chords: bool = False,
    ) -> None:
        require_no_text(run, chords=chords)
        self.target = target
        self.count = count
        self.instruments = instruments
        self.json = json
        self.chords = chords
        self.num_written = 0
        self._facts: list[dict[str, Any]] = []  # of each piece, if they are to be printed
        self.suffix = _fitting_suffix(run, target)
        if target == "-":
            self._require_stdout(counted_by)
        require_fitting(self.suffix, instruments, chords)
        if run.encoding.roles and instruments["voices"] is not None:
            raise LnfgenError(
                f"found --voices; {run.name} makes bands, whose parts are written apart; "
                "leave it out"
            )
        if target != "-":
            require_parent(Path(target))
        self._page: list[GivenPiece] | None = [] if self.suffix == PAGE else None

    def _require_stdout(self, counted_by: str) -> None:
        if self.count > 1:
            raise LnfgenError(
                f"--out - holds one piece, found {counted_by} {self.count}; give a file name"
            )
        if self.json:
            raise LnfgenError(
                "found --json beside --out -, and both write to stdout; give a file name"
            )

    @property
    def next_name(self) -> str:
        """The name of the next piece in messages: its file, or its number without a file."""
        if self.target == "-" or self._page is not None:
            return f"piece {self.num_written + 1}"
        return str(numbered(Path(self.target), self.num_written, self.count))

    def write(self, piece: GivenPiece, facts: dict[str, Any]) -> None:
        """Write a piece, and keep its path and these facts if they are to be printed as JSON."""
        path = self.next_name
        if isinstance(piece, str) and not piece.endswith("\n"):
            piece += "\n"  # the last line of a file ends, that of a model's text need not
        if self.chords and not isinstance(piece, str):
            piece = naming_chords(as_song(piece))
        if self._page is not None:
            self._page.append(piece)
            path = self.target
        elif self.target == "-":
            console.result_bytes(to_bytes(piece, self.suffix, **self.instruments))
        else:
            write(path, piece, **self.instruments)
            if not self.json:
                console.result(path)
        self.num_written += 1
        if self.json:
            self._facts.append({"path": path, **facts})

    def close(self, **facts: Any) -> None:
        """Write the page, which names the seed among the facts, and print the JSON object."""
        if self._page:
            write(self.target, self._page, seed=facts.get("seed"), **self.instruments)
        if self.json:
            console.result_json({**facts, "pieces": self._facts})
        elif self._page:
            console.result(self.target)


def _fitting_suffix(run: RunFolder, target: str) -> str:
    """The suffix of a file that can hold what the run makes; for stdout MIDI or plain text."""
    fitting = run.encoding.writable_suffixes
    if target == "-":
        return fitting[0]
    suffix = Path(target).suffix.lower()
    if suffix not in fitting:
        found = f"found suffix {suffix or 'none'!r}, but {run.name} makes {run.encoding.kind}"
        raise LnfgenError(f"--out {target}: {found}; expected one of {' '.join(fitting)}")
    return suffix
