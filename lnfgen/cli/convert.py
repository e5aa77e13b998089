"""`lnfgen convert`: write pieces in another file format."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from lnfgen.cli import console, options
from lnfgen.errors import LnfgenError, OutputError
from lnfgen.files import make_folder, numbered, require_parent, write_bytes
from lnfgen.wording import counted

if TYPE_CHECKING:
    from lnfgen.formats.read_write import Piece
    from lnfgen.music.pianoroll import PianoRoll


def command(
    files: Annotated[
        list[str],
        typer.Argument(
            metavar="FILE",
            help="IN and OUT, or with --to only IN, any number: .mid .musicxml .mxl .abc .krn .npz .txt.",
        ),
    ],
    to: Annotated[
        str | None,
        typer.Option(help="Format to write each IN in: mid, musicxml, npz, txt, png, html, wav."),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(help="Folder for the files of --to.", show_default="the folder of each IN"),
    ] = None,
    steps_per_quarter: options.StepsPerQuarter = 4,
    tracks: options.Tracks = "all",
    parts: options.Parts = "1",
    transpose: Annotated[
        int, typer.Option(help="Move up by this many semitones, or down if negative.")
    ] = 0,
    key: options.InKey = None,
    tempo: options.Tempo = None,
    program: options.Programs = None,
    voices: options.Voices = None,
    quiet: options.Quiet = False,
) -> None:
    """Write the piece in IN as OUT, in the format of OUT's suffix, and print the path.

    With --to, each IN is written in that format under its own name. If OUT is a .html, any number
    of IN become one page. If one fails, the others are still converted.

    If IN holds several pieces, as a book of ABC tunes does, they become OUT-01, OUT-02 ..., or one
    page.

    IN and OUT may be -, for stdin and stdout. Stdout takes one piece, as MIDI (music) or UTF-8
    (text).
    """
    from lnfgen.cli.sources import for_each, read_pieces, require_no_roll, source_name, tell_of_file
    from lnfgen.formats.read_write import SOUND, WRITABLE_TEXT, write
    from lnfgen.music.pianoroll import LOSSES
    from lnfgen.music.tonality import tonic_of

    targets = _targets(files, to, out)
    tonic = None if key is None else tonic_of(key)
    if tonic is not None and transpose:
        raise typer.BadParameter("found --key and --transpose; expected one of them")
    of_music = {
        "--steps-per-quarter": steps_per_quarter != 4,
        "--tracks": tracks != "all",
        "--parts": parts != "1",
        "--transpose": transpose != 0,
        "--key": key is not None,
        "--tempo": tempo is not None,
    }
    for_music = [option for option, is_given in of_music.items() if is_given]
    played = options.played(program, voices, is_band=parts != "1")
    suffix = Path(next(iter(targets.values()))).suffix.lower()  # empty: stdout
    options.require_fitting(suffix or ".mid", played)
    mended = ["tempo_changes"] if tempo is not None else []
    if suffix == SOUND and played == {"program": None, "voices": None}:  # the file itself is played
        mended = [*LOSSES]
    if to is None and files[-1] != "-":
        require_parent(Path(files[-1]))
    # A file that was given is not replaced, and none is written twice. With IN OUT a person has
    # said what to replace.
    taken = {Path(file).resolve() for file in files} if to is not None else set()
    page: list[Piece] = []
    names: list[str] = []

    def convert(source: str) -> None:
        name = source_name(source)
        pieces = read_pieces(source, steps_per_quarter, tracks, parts)
        rolls = [piece for piece in pieces if not isinstance(piece, str)]
        takes_text = suffix in ("", *WRITABLE_TEXT)  # the writers of other formats refuse any text
        if takes_text and for_music and len(rolls) < len(pieces):
            raise LnfgenError(f"{name} is a text; leave {for_music[0]} out, which is for music")
        require_no_roll(source, for_music)
        tell_of_file(rolls, name, mended)
        rolls = [_moved(roll, transpose, tonic, tempo, name) for roll in rolls]
        if to is not None or len(targets) == 1:
            _write(rolls or pieces, name, targets[source], played, taken)
            return
        if not rolls:
            raise LnfgenError(f"{name} is a text; a page holds music alone")
        page.extend(rolls)
        stem = Path(source).stem
        names.extend(
            [stem] if len(rolls) == 1 else [f"{stem} {index + 1}" for index in range(len(rolls))]
        )

    failed = for_each(list(targets), convert)
    if page:
        write(files[-1], page, names=names, **played)
        console.result(files[-1])
    if failed:
        raise typer.Exit(1)


def _write(
    pieces: "Sequence[Piece]", source: str, target: str, played: dict[str, Any], taken: set[Path]
) -> None:
    """Write the pieces of a file, and print the paths. None may be in `taken`, to which they are
    added."""
    from lnfgen.formats.read_write import PAGE, to_bytes

    if target == "-":
        if len(pieces) > 1:
            raise LnfgenError(
                f"{source} holds {len(pieces)} pieces, stdout takes one; name a file such as out.mid"
            )
        suffix = ".txt" if isinstance(pieces[0], str) else ".mid"
        console.result_bytes(to_bytes(pieces[0], suffix, **played))
        return
    parts: Sequence[Any] = [pieces] if Path(target).suffix.lower() == PAGE else pieces
    for index, part in enumerate(parts):
        path = numbered(Path(target), index, len(parts))
        if path.resolve() in taken:
            raise OutputError(
                f"{source} would replace {path}, which was given or just written; choose another --out"
            )
        content = to_bytes(part, path.suffix, title=path.stem, **played)
        make_folder(path.parent)  # only now, as there is something to write
        taken.add(path.resolve())
        write_bytes(path, content)
        console.result(str(path))


def _moved(
    roll: "PianoRoll", transpose: int, tonic: int | None, tempo: float | None, name: str
) -> "PianoRoll":
    """Bring a piece to the tempo and the pitch that are asked for, and print the key that was found
    and the move."""
    from lnfgen.formats.song import at_tempo, transposed
    from lnfgen.music.tonality import find_key

    roll = transposed(roll, transpose) if transpose else roll
    roll = roll if tempo is None else at_tempo(roll, tempo)
    if tonic is None:
        return roll
    found = find_key(roll)
    if found is None:
        console.warn(f"{name} has no notes and so no key; it is left as it is")
        return roll
    semitones = (tonic - found.tonic + 5) % 12 - 5  # -5 to 6
    now = type(found)(tonic, found.mode)
    console.note(f"{name}: found {found}, moved {semitones:+} semitones to {now}")
    try:
        return transposed(roll, semitones)
    except LnfgenError:  # a model, or a piano, has too few keys for the move; MIDI has 128
        return transposed(roll.in_range(0, 128), semitones)


def _targets(files: list[str], to: str | None, out: Path | None) -> dict[str, str]:
    """Return the file that each file becomes."""
    from lnfgen.formats.read_write import PAGE, WRITABLE_MUSIC, WRITABLE_TEXT

    if to is None:
        *sources, target = files
        suffix = Path(target).suffix.lower()
        if not sources or (len(sources) > 1 and suffix != PAGE):
            expected = "expected IN and OUT, any number of IN and a .html as OUT, or --to FORMAT and any number of IN"
            raise typer.BadParameter(f"found {counted(len(files), 'file')}; {expected}")
        if out is not None:
            raise typer.BadParameter(
                "found no --to; expected it with --out, or OUT as the last file"
            )
        targets = dict.fromkeys(sources, target)
    elif "-" in files:
        raise LnfgenError(
            "stdin has no name to write a file under; convert it alone: lnfgen convert - OUT"
        )
    else:
        suffix = "." + to.lower().removeprefix(".")
        targets = {
            file: str((out or Path(file).parent) / (Path(file).stem + suffix)) for file in files
        }
    if suffix not in {*WRITABLE_MUSIC, *WRITABLE_TEXT} and files[-1] != "-":
        subject = f"cannot write {files[-1]}" if to is None else f"--to {to}"
        raise LnfgenError(
            f"{subject}: unknown suffix {suffix!r}; expected one of {' '.join(WRITABLE_MUSIC)}"
        )
    return targets
