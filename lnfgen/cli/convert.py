"""`lnfgen convert`: write pieces in another file format."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from lnfgen.cli import console, options
from lnfgen.errors import LnfgenError, OutputError
from lnfgen.files import make_folder, numbered, real_path, require_parent, write_bytes
from lnfgen.wording import counted

if TYPE_CHECKING:
    from lnfgen.formats.read_write import Piece
    from lnfgen.music.song import Song


# Each argument is an option that a person has.
def command(  # noqa: PLR0913
    files: Annotated[
        list[str],
        typer.Argument(
            metavar="FILE",
            help="IN and OUT, or with --to only IN, any number: "
            ".mid .musicxml .mxl .abc .krn .npz .txt.",
        ),
    ],
    to: Annotated[
        str | None,
        typer.Option(
            help="Format to write each IN in: mid, musicxml, npz, txt, chords, png, html, wav."
        ),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(help="Folder for the files of --to.", show_default="the folder of each IN"),
    ] = None,
    steps_per_quarter: options.StepsPerQuarter = 4,
    tracks: options.Tracks = "all",
    parts: options.Parts = "auto",
    transpose: Annotated[
        int, typer.Option(help="Move up by this many semitones, or down if negative.")
    ] = 0,
    key: options.InKey = None,
    tempo: options.Tempo = None,
    program: options.Programs = None,
    voices: options.Voices = None,
    chords: options.Chords = False,
    quiet: options.Quiet = False,
) -> None:
    """Write the piece in IN as OUT, in the format of OUT's suffix, and print the path.

    With --to, each IN is written in that format under its own name. If OUT is a .html, any number
    of IN become one page. If one fails, the others are still converted.

    If IN holds several pieces, as a book of ABC tunes does, they become OUT-01, OUT-02 ..., or one
    page.

    Chord symbols stay: in a .mid they are markers, and a .png or .html names them above the notes.
    --chords finds them from the notes where a file has none.
    With --parts 4, a lead sheet is written with chords and a bass that play them.

    The song of a band keeps its parts: drums, bass, chords and melody. --transpose and --key leave
    the drums where they are.

    A .chords is the chart of a piece: its chords over its bars, four bars a line. They are those of
    the file, or found from the notes.

    IN and OUT may be -, for stdin and stdout. Stdout takes one piece, as MIDI (music) or UTF-8
    (text).
    """
    from lnfgen.cli.sources import for_each
    from lnfgen.music.parts import AUTO, ONE
    from lnfgen.music.tonality import tonic_of

    targets = _targets(files, to, out)
    tonic = None if key is None else tonic_of(key)
    if tonic is not None and transpose:
        raise typer.BadParameter("found --key and --transpose; expected one of them")
    suffix = Path(next(iter(targets.values()))).suffix.lower()  # empty: stdout
    # Whether a file is of a band is known only when it has been read.
    instruments = options.instruments(program, voices, is_band=parts not in (AUTO, ONE))
    options.require_fitting(suffix or ".mid", instruments, chords)
    if to is None and files[-1] != "-":
        require_parent(Path(files[-1]))
    conversion = _Conversion(
        steps_per_quarter=steps_per_quarter,
        tracks=tracks,
        parts=parts,
        transpose=transpose,
        tonic=tonic,
        tempo=tempo,
        program=program,
        voices=voices,
        chords=chords,
        suffix=suffix,
    )
    if to is None and len(targets) > 1:
        failed = _write_page(conversion, list(targets), files[-1])
    else:
        # A file that was given is not replaced, and none is written twice. With IN OUT a person has
        # said what to replace.
        taken = {real_path(Path(file)) for file in files} if to is not None else set()

        def convert(source: str) -> None:
            _write(conversion, source, targets[source], taken)

        failed = for_each(list(targets), convert)
    if failed:
        raise typer.Exit(1)


@dataclass(frozen=True)
class _Conversion:
    """What is asked for, for all files."""

    steps_per_quarter: int
    tracks: str
    parts: str
    transpose: int
    tonic: int | None
    tempo: float | None
    program: str | None
    voices: int | None
    chords: bool
    suffix: str  # of what is written; empty for stdout

    def pieces(self, source: str) -> "Sequence[Piece]":
        """The pieces in a file, with the pitch and the tempo that are asked for.

        Remarks on them go to stderr.
        """
        from lnfgen.cli.sources import read_pieces, require_no_roll, shown_name, tell_of_file
        from lnfgen.formats.read_write import WRITABLE_TEXT

        name = shown_name(source)
        pieces = read_pieces(source, self.steps_per_quarter, self.tracks, self.parts)
        songs = [piece for piece in pieces if not isinstance(piece, str)]
        # The writers of other formats refuse any text.
        takes_text = self.suffix in ("", *WRITABLE_TEXT)
        for_music = self._options_for_music()
        if takes_text and for_music and len(songs) < len(pieces):
            raise LnfgenError(f"{name} is a text; leave {for_music[0]} out, which is for music")
        require_no_roll(source, for_music)
        tell_of_file(songs, name, self._mended())
        if songs:
            return [self._changed(song, name) for song in songs]
        return pieces

    def instruments(self, pieces: "Sequence[Piece]", name: str) -> options.Instruments:
        """The programs and the voices for a writer of these pieces of a file."""
        is_band = any(not isinstance(piece, str) and piece.roll.parts for piece in pieces)
        if is_band and self.voices is not None:
            raise LnfgenError(
                f"found --voices, but {name} is the song of a band, whose parts are written apart; "
                "leave it out, or read one piano-roll with --parts 1"
            )
        return options.instruments(self.program, self.voices, is_band=is_band)

    def _options_for_music(self) -> list[str]:
        """The options given that are for music alone."""
        from lnfgen.music.parts import AUTO

        is_given = {
            "--steps-per-quarter": self.steps_per_quarter != 4,
            "--tracks": self.tracks != "all",
            "--parts": self.parts != AUTO,
            "--transpose": self.transpose != 0,
            "--key": self.tonic is not None,
            "--tempo": self.tempo is not None,
            "--chords": self.chords,
        }
        return [option for option, given in is_given.items() if given]

    def _mended(self) -> list[str]:
        """What files lose on the way to a piano-roll, but not in what is written."""
        from lnfgen.formats.read_write import SOUND
        from lnfgen.music.conversion import REPORTED

        if self.suffix == SOUND and self.program is None and self.voices is None:
            return list(REPORTED)  # the file itself is played
        return [] if self.tempo is None else ["tempo_changes"]

    def _changed(self, song: "Song", name: str) -> "Song":
        from lnfgen.formats.song import at_tempo, transposed_song
        from lnfgen.music.chord_finding import naming_chords

        if self.transpose:
            song = transposed_song(song, self.transpose)
        if self.tempo is not None:
            song = at_tempo(song, self.tempo)
        if self.tonic is not None:
            song = _in_key(song, self.tonic, name)
        if self.chords:
            song = naming_chords(song)
        return song


def _in_key(song: "Song", tonic: int, name: str) -> "Song":
    """Move a piece the nearest way to a tonic, and print the key that was found and the move."""
    from lnfgen.formats.song import transposed_song
    from lnfgen.music.key_signature import home_under
    from lnfgen.music.tonality import find_key

    found = find_key(song.roll.merged)
    if song.origin.key is not None:
        found = home_under(song.roll, song.origin.key)
    if found is None:
        console.warn(f"{name} has no notes and so no key; it is left as it is")
        return song
    semitones = (tonic - found.tonic + 5) % 12 - 5  # -5 to 6
    now = type(found)(tonic, found.mode)
    console.note(f"{name}: found {found}, moved {semitones:+} semitones to {now}")
    try:
        return transposed_song(song, semitones)
    except LnfgenError:  # a model, or a piano, has too few keys for the move; MIDI has 128
        return transposed_song(song.in_range(0, 128), semitones)


def _write(conversion: _Conversion, source: str, target: str, taken: set[Path]) -> None:
    """Write the pieces of a file, and print the paths.

    None may be in `taken`, to which they are added.
    """
    from lnfgen.cli.sources import shown_name
    from lnfgen.formats.read_write import PAGE, to_bytes

    name = shown_name(source)
    pieces = conversion.pieces(source)
    instruments = conversion.instruments(pieces, name)
    if target == "-":
        if len(pieces) > 1:
            raise LnfgenError(
                f"{name} holds {len(pieces)} pieces, stdout takes one; name a file such as out.mid"
            )
        suffix = ".txt" if isinstance(pieces[0], str) else ".mid"
        console.result_bytes(to_bytes(pieces[0], suffix, **instruments))
        return
    if Path(target).suffix.lower() == PAGE:
        contents: Sequence[Piece | Sequence[Piece]] = [pieces]
    else:
        contents = pieces
    for index, content in enumerate(contents):
        path = numbered(Path(target), index, len(contents))
        if real_path(path) in taken:
            raise OutputError(
                f"{name} would replace {path}, which was given or just written; "
                "choose another --out"
            )
        written = to_bytes(content, path.suffix, title=path.stem, **instruments)
        make_folder(path.parent)  # only now, as there is something to write
        taken.add(real_path(path))
        write_bytes(path, written)
        console.result(str(path))


def _write_page(conversion: _Conversion, sources: Sequence[str], target: str) -> bool:
    """Write the pieces of several files as one page, and return True if a file failed."""
    from lnfgen.cli.sources import for_each, shown_name
    from lnfgen.formats.read_write import write

    page: list[Piece] = []
    names: list[str] = []

    def convert(source: str) -> None:
        name = shown_name(source)
        pieces = conversion.pieces(source)
        if isinstance(pieces[0], str):
            raise LnfgenError(f"{name} is a text; a page holds music alone")
        conversion.instruments(pieces, name)  # the error is about this file alone
        stem = Path(source).stem
        page.extend(pieces)
        if len(pieces) == 1:
            names.append(stem)
        else:
            names.extend(f"{stem} {number}" for number in range(1, len(pieces) + 1))

    failed = for_each(sources, convert)
    if page:
        write(target, page, names=names, **conversion.instruments(page, target))
        console.result(target)
    return failed


def _targets(files: list[str], to: str | None, out: Path | None) -> dict[str, str]:
    """Return the file that each file becomes."""
    from lnfgen.formats.read_write import WRITABLE_MUSIC, WRITABLE_TEXT

    if to is None:
        targets = _one_target(files, out)
        suffix = Path(files[-1]).suffix.lower()
        subject = f"cannot write {files[-1]}"
    else:
        if "-" in files:
            raise LnfgenError(
                "stdin has no name to write a file under; convert it alone: lnfgen convert - OUT"
            )
        suffix = "." + to.lower().removeprefix(".")
        subject = f"--to {to}"
        targets = {}
        for file in files:
            folder = out or Path(file).parent
            targets[file] = str(folder / (Path(file).stem + suffix))
    if suffix not in {*WRITABLE_MUSIC, *WRITABLE_TEXT} and files[-1] != "-":
        raise LnfgenError(
            f"{subject}: unknown suffix {suffix!r}; expected one of {' '.join(WRITABLE_MUSIC)}"
        )
    return targets


def _one_target(files: list[str], out: Path | None) -> dict[str, str]:
    """Return the last file as what all others become."""
    from lnfgen.formats.read_write import PAGE

    *sources, target = files
    is_page = Path(target).suffix.lower() == PAGE
    if not sources or (len(sources) > 1 and not is_page):
        expected = (
            "expected IN and OUT, any number of IN and a .html as OUT, or --to FORMAT and any "
            "number of IN"
        )
        raise typer.BadParameter(f"found {counted(len(files), 'file')}; {expected}")
    if out is not None:
        raise typer.BadParameter("found no --to; expected it with --out, or OUT as the last file")
    return dict.fromkeys(sources, target)
