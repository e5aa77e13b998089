"""Music of which a part is known, on the grid and the keys of a model, and back."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from lnfgen.conventions import ONSET, SOUNDING, TimeSignature
from lnfgen.data.encoding import changes_in_words
from lnfgen.data.music_encoding import MusicEncoding
from lnfgen.errors import LnfgenError
from lnfgen.formats.file_notes import in_time
from lnfgen.music.chart import ChordChange, bars_around, beat_steps, with_others_between
from lnfgen.music.chord import NO_CHORD
from lnfgen.music.conversion import ConversionReport
from lnfgen.music.home import home_likeness
from lnfgen.music.key_signature import home_under
from lnfgen.music.octaves import OCTAVE, octave_shifts
from lnfgen.music.parts import MELODY, are_pitched
from lnfgen.music.pianoroll import PianoRoll
from lnfgen.music.regions import beyond, outer_voices, room_inside
from lnfgen.music.song import Song, as_song
from lnfgen.music.time_signature import bar_length
from lnfgen.music.timing import EVEN, PLAIN, Timing
from lnfgen.music.tonality import MODES, Key
from lnfgen.music.tracks import DRUMS
from lnfgen.wording import counted

HEARD_STEPS = 128
"""Steps on each side of what is hidden that a model hears: 8 bars of sixteenths in 4/4.

A model learns from pieces that are hardly longer, so more would teach it nothing, but its time
grows with all that it hears.
"""

# Models know the place of a step among eight bars, so what they hear begins with eight of them.
_PHRASE_BARS = 8


@dataclass(frozen=True)
class KnownMusic:
    """A piece of music of which a part is known, as a model sees it.

    Where the pieces of the model begin at a bar line, so do `values`.

    Attributes:
        encoding: that of the model.
        song: the piece itself, on the model's grid and in its parts, with all 128 keys of MIDI.
        hidden_cells: the hidden part of the song, bool [T - ahead, R, 128].
        values: the piece as far as the model hears it, its hidden part included, uint8 [T, R, P].
        hidden: the keys that the model is to draw, bool [T, R, P].
        changes: what the piece lost on its way to the grid and the keys.
        shift: the semitones that the music was moved up for the model.
        octaves: of a band, the semitones that each part was moved up besides, whole octaves, so
            that its known notes are on the keys that the model has for it.
        ahead: the steps of silence ahead of an upbeat, which the song does not have.
        keys: the pitches that may be drawn, which are those that the model or the piece has.
        voices: of an intro, at most so many voices of what is drawn after it are kept, the outer
            ones; None for all.
        unheard: the values of the steps before and after those that the model hears, uint8
            [..., R, P]; None if it hears all.
    """

    encoding: MusicEncoding
    song: Song
    hidden_cells: np.ndarray
    values: np.ndarray
    hidden: np.ndarray
    changes: ConversionReport
    shift: int = 0
    octaves: tuple[int, ...] = ()
    ahead: int = 0
    keys: range = range(128)
    voices: int | None = None
    unheard: tuple[np.ndarray, np.ndarray] | None = None

    @classmethod
    def aligned(
        cls,
        encoding: MusicEncoding,
        song: Song,
        hidden_cells: np.ndarray,
        shift: int = 0,
        voices: int | None = None,
    ) -> KnownMusic:
        """A song of `on_grid` and its hidden cells, bool [T, R, 128], as a model sees them.

        It is moved up by `shift` semitones, each part of a band by octaves, and begins at a bar
        line. Keys that the model does not have are left out. A hidden key is silent if, moved back,
        it is beyond the keys of both the model and the piece.
        """
        roll = song.roll
        struck = roll.struck()
        known_notes = struck & ~hidden_cells
        ahead = encoding.from_bar_line(roll).num_steps - roll.num_steps
        octaves: tuple[int, ...] = ()
        shifts = np.array([shift])
        if encoding.roles:
            of_parts = octave_shifts(known_notes, 0, encoding.roles, encoding.num_pitches)
            octaves = tuple(of_parts.tolist())
            shifts = shift + of_parts

        def on_model_keys(cells: np.ndarray) -> np.ndarray:
            """The cells [T, R, 128] as the model's cells [ahead + T, R, P]."""
            return np.pad(encoding.keys_of(cells, shifts), ((ahead, 0), (0, 0), (0, 0)))

        keys = _keys_to_draw(encoding, roll, shifts)
        silent = hidden_cells.copy()
        silent[..., keys.start : keys.stop] = False
        values = on_model_keys(roll.sounding & ~silent) * np.uint8(SOUNDING)
        if encoding.has_onsets:
            values |= on_model_keys(struck & ~silent) * np.uint8(ONSET)
        drawn = hidden_cells & ~silent
        if voices is not None:
            drawn |= room_inside(roll.sounding)
        changes = ConversionReport()
        changes["rounded"] = song.origin.report["rounded"]
        changes["out_of_range"] = int(known_notes.sum() - on_model_keys(known_notes).sum())
        return cls(
            encoding=encoding,
            song=song,
            hidden_cells=hidden_cells,
            values=values,
            hidden=on_model_keys(drawn),
            changes=changes,
            shift=shift,
            octaves=octaves,
            ahead=ahead,
            keys=keys,
            voices=voices,
        )

    @property
    def pitches(self) -> np.ndarray:
        """The MIDI pitch of each key of the model where the piece has it, int [R, P]."""
        shifts = np.array(self.octaves or (0,)) + self.shift
        return self.encoding.columns_of(0) - shifts[:, None]

    @property
    def num_steps(self) -> int:
        """T, with the steps ahead of an upbeat, as far as the model hears them."""
        return len(self.values)

    @property
    def time_signature(self) -> TimeSignature:
        return self.song.roll.time_signature

    @property
    def home(self) -> Key | None:
        """The home of the known notes: of a piece that closes, if its last step is known.

        It is one of the keys that the key signature of the file may mean, if there is one.
        """
        return home_under(self.known_notes, self.song.origin.key, closes=self._closes)

    def home_among(self, wanted: Sequence[Key]) -> Key | None:
        """The one of these keys that fits the known notes best; None if no pitch is known."""
        likeness = home_likeness(self.known_notes, closes=self._closes)
        if np.isnan(likeness).any():
            return None
        return max(wanted, key=lambda key: likeness[MODES.index(key.mode), key.tonic])

    @property
    def known_notes(self) -> PianoRoll:
        """The piece without what is hidden."""
        return self.song.roll.only(~self.hidden_cells)

    @property
    def _closes(self) -> bool:
        """True if the end of the piece is known."""
        return not self.hidden_cells[-1].all()

    @property
    def home_number(self) -> int:
        """The number of this home, where the model hears it."""
        return self.encoding.home_number(self.home, self.shift)

    @property
    def offset(self) -> int:
        """How many steps later a step of the song is for the model; negative for earlier."""
        if self.unheard is None:
            return self.ahead
        before, _ = self.unheard
        return self.ahead - len(before)

    @property
    def beats(self) -> np.ndarray:
        """The steps on a beat among those that the model hears, int [N]."""
        steps = np.array(beat_steps(self.song.roll), dtype=int) + self.offset
        is_heard = (steps >= 0) & (steps < len(self.values))
        heard: np.ndarray = steps[is_heard]
        return heard

    def near_hidden(self) -> KnownMusic:
        """The piece of which the model hears `HEARD_STEPS` before and after all that is hidden."""
        is_hidden = np.pad(self.hidden_cells.any(axis=(1, 2)), (self.ahead, 0))
        places = np.flatnonzero(is_hidden)
        if self.unheard is not None or not len(places):
            return self
        phrase = _PHRASE_BARS * bar_length(self.time_signature, self.encoding.steps_per_quarter)
        earliest = max(int(places[0]) - HEARD_STEPS, 0)
        start = round(earliest // phrase * phrase)
        end = min(int(places[-1]) + 1 + HEARD_STEPS, self.num_steps)
        return replace(
            self,
            values=self.values[start:end],
            hidden=self.hidden[start:end],
            unheard=(self.values[:start], self.values[end:]),
        )

    def remarks(self, *, reads_home: bool = False) -> list[str]:
        """What a person should know of the piece as the model hears it, whatever is drawn.

        A model that `reads_home` hears the home of the piece.
        """
        remarks = []
        changes = changes_in_words(self.changes)
        if changes:
            if self.song.origin.midi is not None:
                changes += "; only the model hears the piece so, the file itself stays as it is"
            remarks.append(changes)
        remarks += _timing_in_words(self.song.origin.timing)
        remarks += self._octaves_in_words()
        if reads_home and self.home is not None:
            remarks.append(self._home_in_words(self.home))
        return remarks

    def remarks_on_drawing(self, words: Sequence[str] = ()) -> list[str]:
        """What a person should know of a drawing from the piece.

        `words` name the hidden part, of which some may be beyond the model's keys.
        """
        remarks = []
        if self.shift:
            moved = f"moved {self.shift:+} semitones to where the model is at home, and back"
            remarks.append(moved)
        missing = beyond(words, self.keys[0], self.keys[-1])
        if missing:
            remarks.append(missing)
        return remarks

    def _octaves_in_words(self) -> list[str]:
        """How a band's parts were moved onto the keys of the model."""
        words = []
        for role, shift in zip(self.encoding.roles, self.octaves, strict=False):
            if shift:
                octaves = counted(abs(shift) // OCTAVE, "octave")
                side = "higher" if shift > 0 else "lower"
                words.append(f"the model hears the {role} {octaves} {side}")
        if words:
            words[-1] += "; what it draws is moved back"
        return words

    def _home_in_words(self, home: Key) -> str:
        signature = self.song.origin.key
        if signature is None:
            return f"the home of the piece is {home}, by its notes"
        if home in signature.keys:
            return f"the home of the piece is {home}, by its key signature and its notes"
        why = "its notes, which its key signature does not fit"
        return f"the home of the piece is {home}, by {why}"

    def decoded(self, x: np.ndarray) -> Song:
        """The whole piece that was drawn, uint8 [T, R, P], where the known one was.

        It has the file of the known piece, its tempo, time signature and upbeat, and knows which
        cells were drawn. It has the chord symbols of the bars in which nothing was drawn, or a
        melody alone: others may not fit. After an intro it has only the outer voices.
        """
        if self.voices is not None:
            x = self._with_outer_voices(x, self.voices)
        if self.unheard is not None:
            _, after = self.unheard
            x = np.concatenate([x, after])
        roll = replace(self.decoded_so_far(x), parts=self.song.roll.parts)
        chords = self._chords_that_fit()
        origin = replace(self.song.origin, chords=chords, report=ConversionReport())
        return Song(roll, origin, self.hidden_cells)

    def _chords_that_fit(self) -> tuple[ChordChange, ...]:
        """The chord symbols of the piece, but for the bars in which a harmony is drawn."""
        roll = self.song.roll
        has_harmony = are_pitched(roll.roles)
        if roll.num_parts > 1:
            has_harmony &= np.array([role != MELODY for role in roll.roles])
        is_drawn: np.ndarray = np.any(self.hidden_cells[:, has_harmony], axis=(1, 2))
        own = self.song.origin.chords
        if not own or not is_drawn.any():
            return own
        begin, until = bars_around(roll, is_drawn)
        chords = with_others_between(own, roll, begin, until, [ChordChange(begin, NO_CHORD)])
        if all(change.chord.is_silent for change in chords):
            return ()
        return chords

    def _with_outer_voices(self, x: np.ndarray, voices: int) -> np.ndarray:
        """The intro as it was, followed by the outer voices of what was drawn: uint8 [T, R, P]."""
        is_after_intro = np.pad(self.hidden_cells.any(axis=(1, 2)), (self.ahead, 0))[-len(x) :]
        outer = np.where(outer_voices(x > 0, voices), x, 0)
        return np.where(is_after_intro[:, None, None], outer, self.values)

    def decoded_so_far(self, x: np.ndarray) -> PianoRoll:
        """The first t steps that were drawn, uint8 [t, R, P], where those of the piece were.

        What the model does not hear comes ahead of them.
        """
        if self.unheard is not None:
            before, _ = self.unheard
            x = np.concatenate([before, x])
        own = self.song.roll
        roll = self.encoding.decode(x, own.time_signature, keeps_silence=True)
        if any(self.octaves):
            parts = []
            for number, shift in enumerate(self.octaves):
                part = _moved_down(roll.part(number), self.shift + shift)
                parts.append(part.in_range(0, 128))
            roll = PianoRoll.of_parts(parts, roll.parts)
        else:
            roll = _moved_down(roll, self.shift)
        roll = replace(roll, tempo_bpm=own.tempo_bpm)
        if self.ahead:
            return roll.stretch(self.ahead, roll.num_steps)
        return roll.with_upbeat(own.upbeat)


def _moved_down(roll: PianoRoll, semitones: int) -> PianoRoll:
    """The roll moved down by so many semitones, without the keys that MIDI does not have."""
    lowest = max(roll.lowest_pitch, semitones)
    end = min(roll.lowest_pitch + roll.num_pitches, 128 + semitones)
    roll = roll.in_range(lowest, end - lowest)
    return replace(roll, lowest_pitch=lowest - semitones)


def on_grid(encoding: MusicEncoding, piece: Song | PianoRoll | str, alone: str = "") -> Song:
    """Bring a piece onto the grid of a model and into its parts, with all 128 keys of MIDI.

    Args:
        alone: for a model of a band, the role that the notes get if only one part of the piece has
            notes.

    Raises:
        LnfgenError: if the piece is a text, or has no notes, or none of the parts of the model.
    """
    if isinstance(piece, str):
        raise LnfgenError("found text; expected music, as the model makes; choose another model")
    song = as_song(piece)
    if not song.roll.sounding.any():
        raise LnfgenError(
            "found a piece without notes on a piano's keys, A0 to C8; expected at least one to keep"
        )
    if song.drawn is not None:  # its file does not have the drawn notes
        origin = replace(song.origin, midi=None, tracks=(), timing=PLAIN)
        song = replace(song, origin=origin, drawn=None)
    song = _in_parts(encoding, song, alone)
    return in_time(song.on_grid(encoding.steps_per_quarter).in_range(0, 128))


def _timing_in_words(timing: Timing) -> list[str]:
    """What the model hears otherwise than the file plays it."""
    words: list[str] = []
    if timing.late:
        side = "after" if timing.late > 0 else "before"
        quarters = f"{abs(float(timing.late)):.3g} quarters {side} the beats of the file"
        words.append(f"all notes come {quarters}; the model hears them on the beats")
    if timing.swing != EVEN:
        share = f"{float(timing.swing):.2g} of a quarter"
        words.append(f"the eighths swing at {share}; the model hears them even")
    if words:
        words.append("what is drawn is played as the file is")
    return ["; ".join(words)] if words else []


def _in_parts(encoding: MusicEncoding, song: Song, alone: str) -> Song:
    """The song in the parts of the encoding.

    If these are those of a band, its file and its tracks stay, but tracks of no part are no longer
    kept.
    """
    if not encoding.parts:
        return song.in_parts(())
    own = song.roll
    played = np.flatnonzero(own.sounding.any(axis=(0, 2))).tolist()
    # Notes that are in no part yet, or in one alone, all get one role, and so do their tracks.
    is_one_role = not own.parts
    roll = own
    if alone and own.parts and len(played) == 1 and own.roles[played[0]] != DRUMS:
        roll = own.part(played[0])
        is_one_role = True
    band = replace(song, roll=roll).in_parts(encoding.parts, alone)
    role_is_played = band.roll.sounding.any(axis=(0, 2))
    if not role_is_played.any():
        roles = " or ".join(encoding.roles)
        raise LnfgenError(f"found no notes of {roles}, which the model has; choose another model")
    new_role = encoding.roles[int(role_is_played.argmax())] if is_one_role else ""
    tracks = []
    for track in song.origin.tracks:
        role = new_role or track.role
        tracks.append(replace(track, role=role, kept=track.kept and role in encoding.roles))
    own_parts = {part.role: part for number, part in enumerate(own.parts) if number in played}
    parts = [own_parts.get(part.role, part) for part in encoding.parts]
    origin = replace(band.origin, midi=song.origin.midi, tracks=tuple(tracks))
    return Song(replace(band.roll, parts=tuple(parts)), origin)


def _keys_to_draw(encoding: MusicEncoding, roll: PianoRoll, shifts: np.ndarray) -> range:
    """The MIDI pitches of the model, without those that neither it nor the piece had.

    Each part was moved up by its number of semitones in `shifts`, int [R].
    """
    lowest = encoding.pitch_range.start
    end = encoding.pitch_range.stop
    lowest_of_both = lowest
    end_of_both = end
    own = np.flatnonzero(roll.sounding.any(axis=(0, 1)))
    if len(own):
        lowest_of_both = min(lowest, int(own[0]))
        end_of_both = max(end, int(own[-1]) + 1)
    lowest_moved_back = lowest - int(shifts.max())
    end_moved_back = end - int(shifts.min())
    return range(max(lowest_moved_back, lowest_of_both), min(end_moved_back, end_of_both))
