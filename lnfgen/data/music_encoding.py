"""Piano-rolls as integers, and back: a key at a step is silent, held or struck."""

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from lnfgen.conventions import (
    ONSET,
    ONSET_SHIFT,
    SOUNDING,
    UNITS,
    Kind,
    TimeSignature,
    Unit,
)
from lnfgen.data.dataset_options import Options
from lnfgen.data.encoding import EncodedPieces, Encoding
from lnfgen.errors import LnfgenError
from lnfgen.formats.read_write import WRITABLE_MUSIC, read
from lnfgen.music.conversion import ConversionReport
from lnfgen.music.home import find_home, home_number, numbered_home
from lnfgen.music.octaves import on_keys_of_parts
from lnfgen.music.parts import LOWEST, ONE, InParts, Part
from lnfgen.music.pianoroll import LOWEST_PITCH, NUM_PITCHES, STEPS_PER_QUARTER, PianoRoll
from lnfgen.music.song import Song, as_song
from lnfgen.music.time_signature import bar_and_beats, bar_length
from lnfgen.music.tonality import Key
from lnfgen.music.tracks import ALL

_OTHER_KIND = "found text; expected music, as the dataset of the model holds"


@dataclass(frozen=True)
class MusicEncoding(InParts, Encoding):
    """Sequences of music: uint8 [T, R, P], a key being 0 (silent), 1 (held) or 3 (struck).

    R is 1, or the number of parts of a band. All parts have as many keys, each from its own first
    one on.

    Samples have the usual tempo of the set, and its usual time signature unless the model knows
    that of each piece.
    """

    kind: ClassVar[Kind] = "music"

    # a struck key differs from a held one; otherwise values are 0 and 1 only
    has_onsets: bool = True
    lowest_pitch: int = LOWEST_PITCH  # the MIDI number of the first of the `num_pitches` columns
    num_pitches: int = NUM_PITCHES
    steps_per_quarter: int = STEPS_PER_QUARTER  # the grid of all pieces
    tempo_bpm: float = 120.0
    time_signature: TimeSignature = (4, 4)
    # pieces begin at a bar line, with silence ahead of an upbeat; published sets lack it
    fills_upbeats: bool = False
    parts: tuple[Part, ...] = ()  # of a band, with the usual programs and velocities of the set

    @property
    def unit(self) -> Unit:
        return UNITS["music"]

    @property
    def step_noun(self) -> str:
        return "step"

    @property
    def writable_suffixes(self) -> tuple[str, ...]:
        return WRITABLE_MUSIC

    @property
    def no_steps(self) -> np.ndarray:
        return np.empty((0, self.num_parts, self.num_pitches), "<u1")

    @property
    def pitches(self) -> tuple[int, int]:
        """The lowest pitch and the number of pitches of the rolls: a band's are a piano's."""
        if self.parts:
            return self.lowest_pitch, NUM_PITCHES
        return self.lowest_pitch, self.num_pitches

    @property
    def pitch_range(self) -> range:
        """The MIDI pitches from the lowest key of any part to the highest."""
        lowest = self.lowest_of_parts
        return range(int(lowest.min()), int(lowest.max()) + self.num_pitches)

    def admits(self, values: np.ndarray) -> bool:
        highest = int(values.max(initial=0))
        if not self.has_onsets:
            return highest <= SOUNDING
        is_struck_in_silence = values == ONSET
        return highest <= SOUNDING | ONSET and not is_struck_in_silence.any()

    def encode(self, piece: PianoRoll | str) -> np.ndarray:
        """The roll as uint8 [T, R, P].

        A roll whose onsets are not known counts as struck where a key starts to sound. If the
        encoding has no onsets, those of the roll are left out.

        Raises:
            LnfgenError: if the piece is a text, or a roll in other parts, on another grid or with
                other pitches.
        """
        if isinstance(piece, str):
            raise LnfgenError(_OTHER_KIND)
        self._require_fitting(piece)
        roll = self.from_bar_line(piece)
        values = roll.sounding.astype(np.uint8)  # 0, or the bit SOUNDING
        if self.has_onsets:
            values |= roll.struck().astype(np.uint8) << ONSET_SHIFT
        return self.keys_of(values, self.lowest_pitch)

    def _require_fitting(self, roll: PianoRoll) -> None:
        """Refuse a roll in other parts, on another grid or of other pitches."""
        if roll.roles != self.roles:
            found = " ".join(roll.roles) or "one part"
            expected = " ".join(self.roles) or "one part"
            raise LnfgenError(f"a piano-roll of {found}; expected {expected}, as the model has")
        own = _size_in_words(self.steps_per_quarter, *self.pitches)
        other = _size_in_words(roll.steps_per_quarter, roll.lowest_pitch, roll.num_pitches)
        if own != other:
            raise LnfgenError(f"a piano-roll of {other}; expected {own}; read it on that grid")

    def decode(
        self,
        values: np.ndarray,
        time_signature: TimeSignature | None = None,
        *,
        keeps_silence: bool = False,
        cuts_ends: bool = False,
    ) -> PianoRoll:
        is_music = values.ndim == 3 and values.shape[1:] == self.no_steps.shape[1:]
        if not is_music or not self.admits(values):
            shape = list(values.shape)
            known = "0, 1 and 3" if self.has_onsets else "0 and 1"
            expected = f"expected {known} in [steps, {self.num_parts}, {self.num_pitches}]"
            raise LnfgenError(f"values of shape {shape} are no music; {expected}")
        if self.parts:
            values = self._on_a_piano(values)
        roll = PianoRoll(
            sounding=(values & SOUNDING) != 0,
            onsets=(values & ONSET) != 0 if self.has_onsets else None,
            steps_per_quarter=self.steps_per_quarter,
            lowest_pitch=self.lowest_pitch,
            tempo_bpm=self.tempo_bpm,
            time_signature=time_signature or self.time_signature,
            parts=self.parts,
        )
        if self.has_onsets:
            # A model may draw a key as held that was silent. It is struck there, as `encode` has it
            # too.
            roll = replace(roll, onsets=roll.struck())
        if not self.fills_upbeats or keeps_silence:
            return roll
        if cuts_ends:
            roll = roll.from_first_to_last_note()
        return roll.from_first_note()

    def _on_a_piano(self, keys: np.ndarray) -> np.ndarray:
        """The keys [T, R, P] of the parts of a band on the keys of a piano, [T, R, 88]."""
        num_steps, num_parts, _ = keys.shape
        _, num_pitches = self.pitches
        values = np.zeros((num_steps, num_parts, num_pitches), np.uint8)
        columns = self.columns_of(self.lowest_pitch)
        np.put_along_axis(values, columns[None], keys, axis=2)
        return values

    def adapt(
        self, pieces: Iterable[Song | PianoRoll | str]
    ) -> tuple[EncodedPieces, ConversionReport]:
        sequences: list[np.ndarray] = []
        signatures: list[TimeSignature] = []
        changes = ConversionReport()
        for piece in pieces:
            if isinstance(piece, str):
                raise LnfgenError(_OTHER_KIND)
            song = as_song(piece).in_parts(self.parts)
            song = song.on_grid(self.steps_per_quarter).in_range(*self.pitches)
            report = song.origin.report
            changes["rounded"] += report["rounded"]
            roll = song.roll
            if self.parts:
                roll, _ = on_keys_of_parts(roll, self.num_pitches)
            changes["out_of_range"] += report["out_of_range"] + self.num_beyond(roll)
            signatures.append(roll.time_signature)
            sequences.append(self.encode(roll))
        # A counter that has been added to holds no zeros.
        bar_shapes = self.bar_shapes(signatures)
        return EncodedPieces(sequences, bar_shapes, self.homes(sequences)), +changes

    def bar_shapes(self, time_signatures: Sequence[TimeSignature]) -> np.ndarray:
        """The time signatures of N sequences as a model reads them (`bar_and_beats`), float32 [N,
        3]."""
        known = {one: bar_and_beats(one, self.steps_per_quarter) for one in set(time_signatures)}
        bar_shapes = [known[one] for one in time_signatures]
        return np.array(bar_shapes, np.float32).reshape(-1, 3)

    def homes(self, sequences: Iterable[np.ndarray]) -> np.ndarray:
        """The homes of N sequences as a model reads them (`home_number`), int64 [N]."""
        found = [self.home_number(find_home(self.decode(sequence))) for sequence in sequences]
        return np.array(found, np.int64)

    def home_number(self, home: Key | None, shift: int = 0) -> int:
        """The number of a home in music that is moved up by so many semitones for the model."""
        return home_number(home, self._first_key - shift)

    def numbered_home(self, number: int) -> Key | None:
        """The home with this number."""
        return numbered_home(number, self._first_key)

    @property
    def _first_key(self) -> int:
        """The MIDI pitch of the first key of each part, up to octaves."""
        return int(self.lowest_of_parts[0]) if self.parts else self.lowest_pitch

    def blank(self, num_steps: int, time_signature: TimeSignature | None) -> PianoRoll:
        silent = np.zeros((num_steps, self.num_parts, 128), np.bool_)
        return PianoRoll(
            silent,
            silent,
            steps_per_quarter=self.steps_per_quarter,
            lowest_pitch=0,
            tempo_bpm=self.tempo_bpm,
            time_signature=time_signature or self.time_signature,
            parts=self.parts,
        )

    def steps_of_bars(self, bars: int, time_signature: TimeSignature | None) -> int:
        bar = bar_length(time_signature or self.time_signature, self.steps_per_quarter)
        return math.ceil(bars * bar)

    def fit_marginal(self, train: Iterable[np.ndarray]) -> Callable[[np.ndarray], float]:
        num_steps = 0
        sounding = np.zeros((self.num_parts, self.num_pitches))
        onset = np.zeros((self.num_parts, self.num_pitches))
        for x in train:
            num_steps += len(x)
            sounding += (x & SOUNDING).sum(0)
            onset += (x >> ONSET_SHIFT).sum(0)
        sounds = (sounding + 0.5) / (num_steps + 1)
        struck = (onset + 0.5) / (sounding + 1)
        held = sounds * (1 - struck) if self.has_onsets else sounds
        of_value = np.log([1 - sounds, held, held, sounds * struck])  # no key has the value 2
        return lambda x: float(np.take_along_axis(of_value, x, 0).sum())

    def reading_options(self, made_with: Mapping[str, Any]) -> Options:
        return Options(
            kind="music",
            max_length=made_with.get("max_length"),
            steps_per_quarter=self.steps_per_quarter,
            tracks=str(made_with.get("tracks", ALL)),
            parts=",".join(self.roles) or ONE,
        )

    def read_file(self, path: Path, options: Options) -> list[Song] | list[str]:
        return read(
            path,
            steps_per_quarter=self.steps_per_quarter,
            tracks=options.tracks,
            parts=options.parts,
        )

    def facts(self) -> dict[str, Any]:
        facts: dict[str, Any] = {
            "steps_per_quarter": self.steps_per_quarter,
            "has_onsets": self.has_onsets,
            "lowest_pitch": self.lowest_pitch,
            "num_pitches": self.num_pitches,
            "tempo_bpm": self.tempo_bpm,
        }
        if self.parts:
            facts["parts"] = " ".join(self.roles)
        facts["time_signature"] = "{}/{}".format(*self.time_signature)
        return facts

    def remarks(self) -> list[str]:
        return []

    def to_json(self) -> dict[str, Any]:
        values: dict[str, Any] = {"kind": self.kind}
        for field in fields(self):
            values[field.name] = getattr(self, field.name)
        values["time_signature"] = list(self.time_signature)
        del values["parts"]
        if self.parts:
            values["parts"] = [asdict(part) for part in self.parts]
        return values

    def from_bar_line(self, roll: PianoRoll) -> PianoRoll:
        """The roll with silence ahead of an upbeat, if the pieces of this encoding have it."""
        return roll.from_bar_line() if self.fills_upbeats else roll

    @property
    def lowest_of_parts(self) -> np.ndarray:
        """The MIDI pitch of the first key of each part, int [R]."""
        lowest = [LOWEST[role] for role in self.roles] or [self.lowest_pitch]
        return np.array(lowest)

    def columns_of(self, lowest_pitch: int | np.ndarray) -> np.ndarray:
        """Where the keys of each part are among the pitches from `lowest_pitch` on, int [R, P].

        A number is negative for a key below these pitches. Each part may have a `lowest_pitch` of
        its own, int [R].
        """
        first = self.lowest_of_parts - lowest_pitch
        return first[:, None] + np.arange(self.num_pitches)

    def keys_of(self, cells: np.ndarray, lowest_pitch: int | np.ndarray) -> np.ndarray:
        """The keys [T, R, P] of this encoding among `cells` [T, R, N].

        `lowest_pitch` is the MIDI pitch of the first of the N columns, for all parts or for each
        one, int [R]. Keys that they lack are 0.
        """
        columns = self.columns_of(lowest_pitch)
        inside = (columns >= 0) & (columns < cells.shape[2])
        keys = np.take_along_axis(cells, np.where(inside, columns, 0)[None], axis=2)
        return np.where(inside, keys, 0).astype(cells.dtype)

    def num_beyond(self, roll: PianoRoll) -> int:
        """How many notes of a roll of these parts, grid and pitches are on keys that it lacks."""
        struck = roll.struck()
        return int(struck.sum() - self.keys_of(struck, roll.lowest_pitch).sum())


def _size_in_words(steps_per_quarter: int, lowest_pitch: int, num_pitches: int) -> str:
    return f"{steps_per_quarter} steps per quarter and {num_pitches} pitches from {lowest_pitch}"
