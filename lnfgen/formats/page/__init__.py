"""A web page that draws pieces and plays them: one file that needs nothing from the network.

The page is made of the files beside this module: `page.html` is the frame, `piece.html` a piece,
`part.html` its parts. `style.css` and the scripts are put into the page, and its content security
policy allows these alone. The pieces are JSON in the page; the MIDI file of each is in a link.

The page of `lnfgen serve` takes the same style and scripts, all but `player.js`, from a server.
"""

import base64
import hashlib
import html
import itertools
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from importlib import resources
from pathlib import Path
from typing import Any

from lnfgen.errors import LnfgenError
from lnfgen.files import numbered
from lnfgen.formats.chord_names import chord_names
from lnfgen.formats.song import midi_of
from lnfgen.music.drums import drum_rows
from lnfgen.music.instruments import INSTRUMENTS
from lnfgen.music.parts import part_programs
from lnfgen.music.song import Song
from lnfgen.music.tonality import find_key
from lnfgen.music.tracks import DRUMS
from lnfgen.wording import counted, in_utf8

SCRIPTS = (
    "sound.js",
    "piece.js",
    "wav.js",
    "save.js",
    "moves.js",
    "roll.js",
    "playback.js",
    "transport.js",
    "player.js",
)
"""The modules of the page, each after those that it imports."""


# What the commands and Python ask of a page, each by its name.
def page_bytes(  # noqa: PLR0913
    songs: Sequence[Song],
    title: str = "",
    *,
    names: Sequence[str] | None = None,
    programs: Sequence[int] = (),
    voices: int | None = None,
    drawn_name: str = "drawn",
    seed: int | None = None,
) -> bytes:
    """The page that holds these songs, in UTF-8. The same songs and title give the same bytes.

    Args:
        title: names the page, and its pieces, with a number after it if there are several. It is
            "Piano-roll" if empty.
        names: names of the pieces, one for each, in place of numbers.
        programs, voices, drawn_name: as `midi_of` takes them.
        seed: what drew the pieces.

    Raises:
        LnfgenError: if there is no song, or not one name for each.
    """
    if not songs:
        raise LnfgenError("a page of no pieces; expected at least one piano-roll")
    title = in_utf8(title) or "Piano-roll"
    count = len(songs)
    files = [numbered(Path(f"{title}.mid"), index, count).stem for index in range(count)]
    pieces = []
    data = []
    for song, name, file in zip(songs, _names(title, names, count), files, strict=True):
        midi = midi_of(song, programs=programs, voices=voices, drawn_name=drawn_name)
        content = {
            "level": "h1" if count == 1 else "h2",
            "name": html.escape(name),
            "file": html.escape(file),
            "facts": piece_facts(song, programs, seed),
            "legend": " hidden" if song.drawn is None else "",
            "parts": "".join(_legend_of_part(role) for role in song.roll.roles),
            "midi": base64.b64encode(midi).decode("ascii"),
        }
        pieces.append(_filled("piece.html", content))
        data.append({"name": name, "file": file, **piece_data(song)})
    return _page(title, pieces, data).encode("utf-8")


def _names(title: str, names: Sequence[str] | None, count: int) -> list[str]:
    """The names of the pieces: those that are given, or the title with numbers."""
    if names is not None:
        if len(names) != count:
            raise LnfgenError(
                f"{counted(len(names), 'name')} for {counted(count, 'piece')}; "
                "expected one for each"
            )
        return [in_utf8(name) for name in names]
    if count == 1:
        return [title]
    return [f"{title} {number}" for number in range(1, count + 1)]


def _legend_of_part(role: str) -> str:
    """The name of a part of a band with its colour and its buttons."""
    return _filled("part.html", {"role": role, "part": role.title()})


def piece_data(song: Song) -> dict[str, Any]:
    """What the scripts need of a song. Times are in steps.

    `notes` has a list for each part, with three numbers for each note: where it begins, its length
    and its pitch. `given` has the places of given notes in each list. `chords` has the step and the
    name of each chord.
    """
    roll = song.roll
    notes = []
    given = []
    for part in range(roll.num_parts):
        own = roll.notes(part)
        notes.append(list(itertools.chain.from_iterable(own)))
        given.append([place for place, note in enumerate(own) if not song.was_drawn(note, part)])
    data: dict[str, Any] = {
        "tempo": roll.tempo_bpm,
        "timeSignature": roll.time_signature,
        "upbeat": roll.upbeat,
        "grid": roll.steps_per_quarter,
        "steps": roll.num_steps,
        "notes": notes,
        "given": given,
    }
    names = chord_names(song)
    if names:
        data["chords"] = names
    if roll.parts:
        data["parts"] = [asdict(part) for part in roll.parts]
        data["drums"] = list(drum_rows(roll).items())
    return data


def _page(title: str, pieces: Sequence[str], data: Sequence[Mapping[str, Any]]) -> str:
    """The page with its pieces in HTML, and the data of them for the scripts."""
    header = ""
    if len(pieces) > 1:
        heading = f"<h1>{html.escape(title)}</h1>"
        header = f"<header>{heading}<p>{len(pieces)} pieces</p></header>"
    style = _file("style.css")
    script = _script()
    policy = (
        f"default-src 'none'; style-src '{_sha256(style)}'; script-src '{_sha256(script)}'; "
        "base-uri 'none'"
    )
    # No text of a piece can end the element that holds it: a "<" in JSON can only be in a string.
    json_data = json.dumps(data, ensure_ascii=False, separators=(",", ":"))
    content = {
        "policy": policy,
        "title": html.escape(title),
        "style": style,
        "header": header,
        "pieces": "".join(pieces),
        "data": json_data.replace("<", "\\u003c"),
        "script": script,
    }
    return _filled("page.html", content)


def piece_facts(song: Song, programs: Sequence[int] = (), seed: int | None = None) -> str:
    """The line of facts below the name of a piece: key, time signature, tempo, length, and so on.

    Args:
        programs: the instruments, as `page_bytes` takes them.
        seed: what drew the piece.
    """
    roll = song.roll
    key = find_key(roll.merged)
    beats, unit = roll.time_signature
    minutes, seconds = divmod(round(roll.seconds), 60)
    facts = [
        f"{beats}/{unit}",
        f"♩ = {roll.tempo_bpm:.0f}",
        counted(roll.num_bars, "bar"),
        counted(roll.num_notes, "note"),
        f"{minutes}:{seconds:02d}",
    ]
    if key is not None:
        facts.insert(0, str(key))
    instruments = ", ".join(_instruments(song, programs))
    if instruments:
        facts.append(instruments)
    if seed is not None:
        facts.append(f"seed {seed}")
    return " · ".join(facts)


def _instruments(song: Song, programs: Sequence[int]) -> list[str]:
    """The names of the instruments of a song, each once."""
    roll = song.roll
    if roll.parts:
        names = []
        own_programs = part_programs(roll.parts, programs)
        for role, program in zip(roll.roles, own_programs, strict=True):
            names.append("Drums" if role == DRUMS else INSTRUMENTS[program])
    elif programs:
        names = [INSTRUMENTS[program] for program in programs]
    elif song.is_own_file:
        pitched = [track for track in song.origin.tracks if track.instrument != DRUMS]
        names = [INSTRUMENTS[track.program or 0] for track in pitched]
    else:
        names = [INSTRUMENTS[0]]
    return list(dict.fromkeys(names))


def _script() -> str:
    """All modules as one script, in which each sees the names of the others without an import.

    Lines of comment are left out, because each page would be larger by them.
    """
    text = "".join(_file(name) for name in SCRIPTS)
    code = re.sub(r"^(import .*| *//.*)?\n", "", text, flags=re.MULTILINE)
    return '"use strict";\n' + re.sub(r"^export ", "", code, flags=re.MULTILINE)


def _file(name: str) -> str:
    """The text of a file beside this module."""
    return resources.files(__name__).joinpath(name).read_text(encoding="utf-8")


def _filled(name: str, content: Mapping[str, str]) -> str:
    """A template with its `{{names}}` replaced. What is put in is not searched for names again."""
    return re.sub(r"\{\{(\w+)\}\}", lambda match: content[match[1]], _file(name))


def _sha256(text: str) -> str:
    """The digest of a script or a style, as a content security policy names it."""
    digest = hashlib.sha256(text.encode("utf-8")).digest()
    return "sha256-" + base64.b64encode(digest).decode("ascii")
