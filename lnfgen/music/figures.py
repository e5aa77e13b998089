"""Figures of a piece: numbers that distinguish sampled music from the music that a model learned.

Each is a function of one `PianoRoll`. It returns nan where the figure has no value, as silence has
no note length. `rhythm.py`, `lines.py` and `harmony.py` have the functions.

A band has these figures of all its pitched parts together, but whether the melody came before is
asked of the melody alone, if there is one. It also has figures of each part.

Sources, where a figure has a name in one:

- muspy: H.-W. Dong, K. Chen, J. McAuley and T. Berg-Kirkpatrick, "MusPy: A Toolkit for Symbolic
  Music Generation", ISMIR 2020, has the polyphony, the groove consistency and the scale
  consistency.
- mgeval: L.-C. Yang and A. Lerch, "On the evaluation of generative models in music", Neural
  Computing and Applications 32, 2020, has the mean move of a line (its average interval).
- A. Fang, A. Liu, P. Seetharaman and B. Pardo, "Bach or Mock? A Grading Function for Chorales in
  the Style of J.S. Bach", ML4MD workshop at ICML 2020, arXiv 2006.13329, count parallels.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial

import numpy as np

from lnfgen.music import harmony, lines, rhythm
from lnfgen.music.parts import BASS, CHORDS, MELODY
from lnfgen.music.pianoroll import PianoRoll, pitched_parts
from lnfgen.music.tracks import DRUMS
from lnfgen.wording import counted

KICKS = (35, 36)  # MIDI pitches
SNARES = (38, 40)
_FIRST_BEAT = slice(1)
_ALL_BEATS = slice(None)
_BACK_BEATS = slice(1, None, 2)


@dataclass(frozen=True)
class Figure:
    """A figure and its label in a table. Its name is the key in `music_figures`."""

    label: str
    value: Callable[[PianoRoll], float]
    # a difference that one hears; wishes take values as near as half of it as equal
    unit: float = 0.05
    role: str = ""  # of the part of a band that it describes; otherwise all pitched parts
    is_share: bool = False  # its values are 0 to 1


def music_figures(num_voices: int, roles: Sequence[str] = ()) -> dict[str, Figure]:
    """The figures by name, for music that has `num_voices` keys at most steps.

    With `roles`, those of the parts of a band are among them.
    """
    figures = {}
    for name, figure in _whole_figures(num_voices).items():
        role = MELODY if name.startswith("melody") else ""
        figures[name] = _of(role, figure)
    for role in roles:
        for name, figure in _part_figures(role).items():
            figures[f"{role}_{name}"] = _of(role, figure)
    if BASS in roles and CHORDS in roles:
        figures |= _bass_figures()
    return figures


def _whole_figures(num_voices: int) -> dict[str, Figure]:
    """The figures of all pitched parts together."""
    exactly = f"steps with exactly {counted(num_voices, 'key')}"
    top_pitch = partial(lines.median_pitch, top=True)
    top_interval = partial(lines.mean_move, top=True)
    top_leap_rate = partial(lines.leap_rate, top=True)
    bass_pitch = partial(lines.median_pitch, top=False)
    bass_interval = partial(lines.mean_move, top=False)
    return {
        "exact_polyphony_rate": _share(
            exactly, partial(lines.exact_polyphony_rate, num_keys=num_voices)
        ),
        "polyphony": Figure("keys a sounding step", lines.polyphony, 0.1),
        "longest_silence": Figure("longest silence, quarters", rhythm.longest_silence, 0.5),
        "note_length": Figure("note length, quarters", rhythm.note_length, 0.1),
        "off_quarter_rate": _share("onsets off the quarter", rhythm.off_quarter_rate),
        "downbeat_rate": _share("onsets where a bar starts", rhythm.downbeat_rate),
        "groove_consistency": _share("groove consistency", rhythm.groove_consistency),
        "close_distance": Figure("from close to close, quarters", harmony.close_distance, 1.0),
        "repeat_rate": _share("bars that came before", rhythm.repeat_rate),
        "melody_bar_rate": _share("bars whose melody came before", lines.melody_bar_rate),
        "melody_repeat_rate": _share(
            "four melody notes that came before", lines.melody_repeat_rate
        ),
        "scale_consistency": _share("notes in the best scale", harmony.scale_consistency),
        "chord_rate": _share("steps within a triad or seventh", harmony.chord_rate),
        "clash_rate": _share("steps with a semitone clash", harmony.clash_rate),
        "top_pitch": Figure("top line: median pitch, MIDI number", top_pitch, 1.0),
        "top_interval": Figure("top line: mean move, semitones", top_interval, 0.25),
        "top_leap_rate": _share("top line: moves over a fifth", top_leap_rate),
        "bass_pitch": Figure("lowest line: median pitch, MIDI number", bass_pitch, 1.0),
        "bass_interval": Figure("lowest line: mean move, semitones", bass_interval, 0.25),
        "voice_move": Figure("voice move at a chord change, semitones", harmony.voice_move, 0.1),
        # not a share: a chord change may have several pairs of voices in parallel
        "parallel_rate": Figure(
            "parallel fifths, octaves a chord change", harmony.parallel_rate, 0.01
        ),
    }


def _part_figures(role: str) -> dict[str, Figure]:
    """The figures of the part of a band with this role."""
    figures = {
        "notes_per_bar": Figure(f"{role}: notes a bar", rhythm.notes_per_bar, 1.0),
        "polyphony": Figure(f"{role}: keys a sounding step", lines.polyphony, 0.1),
        "different_keys": Figure(f"{role}: different keys", lines.different_keys, 1.0),
        "silent_bar_rate": _share(f"{role}: silent bars", rhythm.silent_bar_rate),
        "groove_consistency": _share(f"{role}: groove consistency", rhythm.groove_consistency),
    }
    if role == DRUMS:
        return figures | _drum_figures()
    median_pitch = Figure(f"{role}: median pitch, MIDI number", lines.median_of_notes, 1.0)
    longest_note = Figure(f"{role}: longest note, quarters", rhythm.longest_note, 1.0)
    return figures | {"median_pitch": median_pitch, "longest_note": longest_note}


def _drum_figures() -> dict[str, Figure]:
    kicks_on = partial(rhythm.beat_rate, pitches=KICKS)
    with_snare = partial(rhythm.beats_with_notes, pitches=SNARES)
    return {
        "repeat_rate": _share("drums: bars that came before", rhythm.repeat_rate),
        "kick_downbeat_rate": _share(
            "drums: kicks where a bar starts", partial(kicks_on, beats=_FIRST_BEAT)
        ),
        "kick_beat_rate": _share("drums: kicks on beats", partial(kicks_on, beats=_ALL_BEATS)),
        "backbeat_rate": _share(
            "drums: back beats with a snare", partial(with_snare, beats=_BACK_BEATS)
        ),
    }


def _bass_figures() -> dict[str, Figure]:
    """The figures of the bass of a band beside its chords, by their whole names."""

    def of_band(value: Callable[[PianoRoll, PianoRoll], float]) -> Callable[[PianoRoll], float]:
        return lambda roll: value(_part(roll, BASS), _part(roll, CHORDS))

    chord_rate = _share("bass: notes of the chord", of_band(harmony.bass_chord_rate))
    root_rate = _share("bass: notes that are the root", of_band(harmony.bass_root_rate))
    return {
        "bass_chord_rate": replace(chord_rate, role=BASS),
        "bass_root_rate": replace(root_rate, role=BASS),
    }


def _share(label: str, value: Callable[[PianoRoll], float]) -> Figure:
    return Figure(label, value, is_share=True)


def _of(role: str, figure: Figure) -> Figure:
    """The figure of a part alone."""
    return replace(figure, value=lambda roll: figure.value(_part(roll, role)), role=role)


def _part(roll: PianoRoll, role: str) -> PianoRoll:
    """The part with this role; where a roll has none, all its pitched parts."""
    if role in roll.roles:
        return roll.part(roll.roles.index(role))
    return pitched_parts(roll)


def usual_voices(rolls: Sequence[PianoRoll]) -> int:
    """The number of keys that most sounding steps have, at least 1.

    It is the smaller one of two that are equally frequent.
    """
    keys = np.concatenate([lines.keys_at(pitched_parts(roll)) for roll in rolls])
    return max(1, int(np.bincount(keys[keys > 0], minlength=1).argmax()))
