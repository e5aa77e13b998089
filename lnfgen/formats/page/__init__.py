"""A web page that draws pieces and plays them: one file that needs nothing from the network.

The page is made of the files beside this module: `page.html` is the frame, `piece.html` a piece,
`part.html` its parts. `style.css`, and the scripts `sound.js`, `roll.js` and `player.js`, are put
into the page, and its content security policy allows these alone. The pieces are JSON in the page;
the MIDI file of each is in a link.
"""

import base64
import hashlib
import html
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from importlib import resources
from pathlib import Path
from typing import Any

from lnfgen.errors import LnfgenError
from lnfgen.files import numbered
from lnfgen.formats.song import midi_of
from lnfgen.music.drums import drum_rows
from lnfgen.music.instruments import INSTRUMENTS
from lnfgen.music.parts import part_programs
from lnfgen.music.pianoroll import PianoRoll
from lnfgen.music.tonality import find_key
from lnfgen.music.tracks import DRUMS
from lnfgen.wording import counted, in_utf8


def page_bytes(
    rolls: Sequence[PianoRoll],
    title: str = "",
    *,
    names: Sequence[str] | None = None,
    programs: Sequence[int] = (),
    voices: int | None = None,
    drawn_name: str = "drawn",
    seed: int | None = None,
) -> bytes:
    """The page that holds these rolls, in UTF-8. The same rolls and title give the same bytes.

    Args:
        title: names the page, and its pieces, with a number after it if there are several. It is
            "Piano-roll" if empty.
        names: names of the pieces, one for each, in place of numbers.
        programs, voices, drawn_name: as `midi_of` takes them.
        seed: what drew the pieces.
    """
    if not rolls:
        raise LnfgenError("a page of no pieces; expected at least one piano-roll")
    if names is not None and len(names) != len(rolls):
        raise LnfgenError(
            f"{counted(len(names), 'name')} for {counted(len(rolls), 'piece')}; expected one for each"
        )
    title = in_utf8(title) or "Piano-roll"
    several = len(rolls) > 1
    numbers = [f"{title} {index + 1}" if several else title for index in range(len(rolls))]
    names = numbers if names is None else list(map(in_utf8, names))
    files = [numbered(Path(f"{title}.mid"), index, len(rolls)).stem for index in range(len(rolls))]
    tracks: dict[str, Any] = {"programs": programs, "voices": voices, "drawn_name": drawn_name}
    header = (
        f"<header><h1>{html.escape(title)}</h1><p>{len(rolls)} pieces</p></header>"
        if several
        else ""
    )
    pieces, data = [], []
    for roll, name, file in zip(rolls, names, files, strict=True):
        piece = {
            "level": "h2" if several else "h1",
            "name": html.escape(name),
            "file": html.escape(file),
            "facts": _facts(roll, programs, seed),
            "legend": " hidden" if roll.drawn is None else "",
            "parts": "".join(
                _filled("part.html", {"role": role, "part": role.title()}) for role in roll.roles
            ),
            "midi": base64.b64encode(midi_of(roll, **tracks)).decode("ascii"),
        }
        pieces.append(_filled("piece.html", piece))
        # Times are in steps, of a band in rows. `notes` has three numbers for each note, `given`
        # the places of notes.
        values = {
            "name": name,
            "file": file,
            "tempo": roll.tempo_bpm,
            "metre": roll.time_signature,
            "upbeat": roll.upbeat,
            "grid": roll.steps_per_quarter,
            "steps": roll.num_steps,
            "notes": [number for note in roll.notes() for number in note],
            "given": [place for place, note in enumerate(roll.notes()) if not roll.was_drawn(note)],
        }
        bands = (
            {"parts": list(map(asdict, roll.parts)), "drums": [*drum_rows(roll).items()]}
            if roll.parts
            else {}
        )
        data.append(values | bands)
    style = _file("style.css")
    script = '"use strict";\n' + "".join(map(_file, ("sound.js", "roll.js", "player.js")))
    policy = f"default-src 'none'; style-src '{_sha256(style)}'; script-src '{_sha256(script)}'; base-uri 'none'"
    content = {
        "policy": policy,
        "title": html.escape(title),
        "style": style,
        "header": header,
        "pieces": "".join(pieces),
        # No text of a piece can end the element that holds it: a "<" in JSON can only be in a
        # string.
        "data": json.dumps(data, ensure_ascii=False, separators=(",", ":")).replace("<", "\\u003c"),
        "script": script,
    }
    return _filled("page.html", content).encode("utf-8")


def _facts(roll: PianoRoll, programs: Sequence[int], seed: int | None) -> str:
    key = find_key(roll.merged)
    (beats, unit), seconds = roll.time_signature, round(roll.seconds)
    counts = f"{counted(roll.num_bars, 'bar')} · {counted(len(roll.notes()), 'note')}"
    time = (
        f"{beats}/{unit} · ♩ = {roll.tempo_bpm:.0f} · {counts} · {seconds // 60}:{seconds % 60:02d}"
    )
    if roll.parts:
        parts = zip(roll.roles, part_programs(roll.parts, programs), strict=True)
        names = ["Drums" if role == DRUMS else INSTRUMENTS[program] for role, program in parts]
    else:
        own = (
            [track.program or 0 for track in roll.tracks if track.instrument != DRUMS]
            if roll.is_own_file
            else [0]
        )
        names = [INSTRUMENTS[program] for program in programs or own]
    instruments = ", ".join(dict.fromkeys(names))
    facts = [
        "" if key is None else str(key),
        time,
        instruments,
        "" if seed is None else f"seed {seed}",
    ]
    return " · ".join(filter(None, facts))


def _file(name: str) -> str:
    return resources.files(__name__).joinpath(name).read_text(encoding="utf-8")


def _filled(name: str, content: Mapping[str, str]) -> str:
    """A template with its `{{names}}` replaced. What is put in is not searched for names again."""
    return re.sub(r"\{\{(\w+)\}\}", lambda match: content[match[1]], _file(name))


def _sha256(text: str) -> str:
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode("utf-8")).digest()).decode(
        "ascii"
    )
