"""How a piece becomes the integers of a dataset, and how the integers become a piece again."""

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, fields, replace
from functools import cached_property
from typing import Any, get_args

import numpy as np

from lnfgen.conventions import ONSET, ONSET_SHIFT, SOUNDING, UNITS, Kind, Unit
from lnfgen.errors import DatasetError, LnfgenError
from lnfgen.formats.text import UNKNOWN
from lnfgen.music.parts import LOWEST, InParts, Part
from lnfgen.music.pianoroll import (
    LOWEST_PITCH,
    NUM_PITCHES,
    STEPS_PER_QUARTER,
    Losses,
    PianoRoll,
    bar_and_beats,
)
from lnfgen.wording import counted, counted_ends

_HIGHEST = 960  # of all whole numbers in JSON


def changes_in_words(changes: Losses) -> str:
    """A line on what pieces lose on their way into an encoding, as `Encoding.adapt` counts it;
    empty for nothing."""
    lines = {
        "rounded": f"rounded {counted_ends(changes['rounded'])} to the model's grid",
        "out_of_range": f"left out {counted(changes['out_of_range'], 'note')} beyond the model's range",
        "unknown": f"took {counted(changes['unknown'], 'character')} not in the model's vocabulary as unknown",
    }
    return "; ".join(line for name, line in lines.items() if changes[name])


class Encoded(list[np.ndarray]):
    """Sequences of pieces, and the metre of each, as `Encoding.metres` gives it; None for text."""

    def __init__(self, sequences: Iterable[np.ndarray], metres: np.ndarray | None) -> None:
        super().__init__(sequences)
        self.metres = metres


@dataclass(frozen=True)
class Encoding(InParts):
    """The meaning of the integers of a dataset.

    Music is uint8 [T, P], a key being 0 (silent), 1 (held) or 3 (struck). The steps of a band are
    the rows of its roll (`PianoRoll.parts`), and each part has as many keys, from its own first one
    on. Text is int32 [T], indices into `vocabulary`.

    Samples have the usual tempo of the set, and its usual time signature unless the model knows
    that of each piece.
    """

    kind: Kind  # the attributes of the other kind are not used
    # a struck key differs from a held one; otherwise values are 0 and 1 only
    has_onsets: bool = True
    lowest_pitch: int = LOWEST_PITCH  # the MIDI number of the first of the `num_pitches` columns
    num_pitches: int = NUM_PITCHES
    steps_per_quarter: int = STEPS_PER_QUARTER  # the grid of all pieces
    tempo_bpm: float = 120.0
    time_signature: tuple[int, int] = (4, 4)
    # pieces begin at a bar line, with silence ahead of an upbeat; published sets lack it
    fills_upbeats: bool = False
    parts: tuple[Part, ...] = ()  # of a band, with the usual programs and velocities of the set
    # the unknown symbol, then the characters of train in the order of code points
    vocabulary: tuple[str, ...] = ()

    @property
    def unit(self) -> Unit:
        """The unit of a negative log-likelihood of these sequences."""
        return UNITS[self.kind]

    @property
    def num_symbols(self) -> int:
        """The size of the vocabulary, with the unknown symbol; 0 for music."""
        return len(self.vocabulary)

    @property
    def spaces(self) -> tuple[int, ...]:
        """The symbols of white space."""
        return tuple(index for index, symbol in enumerate(self.vocabulary) if symbol.isspace())

    def encode(self, piece: PianoRoll | str) -> np.ndarray:
        """The piece as uint8 [T, P] or int32 [T].

        A roll whose onsets are not known counts as struck where a key starts to sound. If the
        encoding has no onsets, those of the roll are left out. Characters outside the vocabulary
        become the unknown symbol.

        Raises:
            LnfgenError: if the piece is of the other kind, or is a roll on another grid or with
            other pitches.
        """
        if isinstance(piece, str) != (self.kind == "text"):
            other = "text" if isinstance(piece, str) else "music"
            raise LnfgenError(
                f"found {other}; expected {self.kind}, as the dataset of the model holds"
            )
        if isinstance(piece, str):
            code_points = np.frombuffer(
                piece.encode("utf-32-le", errors="surrogatepass"), dtype="<u4"
            )
            return self._lookup.take(code_points, mode="clip")
        found = (piece.steps_per_quarter, piece.lowest_pitch, piece.num_pitches)
        expected = (self.steps_per_quarter, *self.pitches)
        if piece.roles != self.roles:
            parts = [" ".join(roles) or "one part" for roles in (piece.roles, self.roles)]
            raise LnfgenError("a piano-roll of {}; expected {}, as the model has".format(*parts))
        if found != expected:
            words = "{0} steps per quarter and {2} pitches from {1}"
            raise LnfgenError(
                f"a piano-roll of {words.format(*found)}; expected {words.format(*expected)}; read it on that grid"
            )
        piece = self.from_bar_line(piece)
        values = piece.sounding.astype(np.uint8)  # 0, or the bit SOUNDING
        if self.has_onsets:
            values |= piece.struck().astype(np.uint8) << ONSET_SHIFT
        return self.keys_of(values, self.lowest_pitch)

    @property
    def grid(self) -> int:
        """The steps of a quarter: of a band fewer than `steps_per_quarter`, which are rows."""
        return self.steps_per_quarter // self.stride

    @property
    def pitches(self) -> tuple[int, int]:
        """The lowest pitch and the number of pitches of the rolls: a band's are those of a
        piano."""
        return (self.lowest_pitch, NUM_PITCHES if self.parts else self.num_pitches)

    @property
    def compass(self) -> range:
        """The MIDI pitches from the lowest key of any part to the highest."""
        lowest = self.lowest_of_rows(self.stride)
        return range(int(lowest.min()), int(lowest.max()) + self.num_pitches)

    def lowest_of_rows(self, num_rows: int) -> np.ndarray:
        """The MIDI pitch of the first key of each of so many steps, which are rows of a band."""
        return np.resize([LOWEST[role] for role in self.roles] or [self.lowest_pitch], num_rows)

    def keys_of(self, cells: np.ndarray, lowest_pitch: int) -> np.ndarray:
        """The keys [T, P] of this encoding among the pitches of `cells` [T, N], of which the first
        is given.

        Keys that `cells` lack are 0.
        """
        columns = (
            self.lowest_of_rows(len(cells))[:, None] - lowest_pitch + np.arange(self.num_pitches)
        )
        inside = (columns >= 0) & (columns < cells.shape[1])
        return np.where(
            inside, np.take_along_axis(cells, np.where(inside, columns, 0), axis=1), 0
        ).astype(cells.dtype)

    def num_beyond(self, roll: PianoRoll) -> int:
        """How many notes of a roll on the grid and the pitches of this encoding are on keys that it
        does not have."""
        struck = roll.struck()
        return int(struck.sum() - self.keys_of(struck, roll.lowest_pitch).sum())

    def metres(self, time_signatures: Sequence[tuple[int, int]]) -> np.ndarray:
        """The metres of N sequences as a model reads them (`bar_and_beats`), float32 `[N, 3]`."""
        rows = {one: bar_and_beats(one, self.steps_per_quarter) for one in set(time_signatures)}
        return np.array([rows[one] for one in time_signatures], np.float32).reshape(-1, 3)

    def from_bar_line(self, roll: PianoRoll) -> PianoRoll:
        """The roll with silence ahead of an upbeat, if the pieces of this encoding have it."""
        return roll.from_bar_line() if self.fills_upbeats else roll

    def adapt(self, pieces: Iterable[PianoRoll | str]) -> tuple[Encoded, Losses]:
        """Encode pieces of any grid and range: they are brought onto those of the encoding, and the
        losses counted.

        These are `rounded` and `out_of_range` of music, and `unknown` characters of texts.
        """
        sequences, signatures, changes = [], [], Losses()
        for piece in pieces:
            if isinstance(piece, PianoRoll) and self.kind == "music":
                piece = (
                    piece.in_parts(self.parts)
                    .on_grid(self.steps_per_quarter)
                    .in_range(*self.pitches)
                )
                changes += Losses({key: piece.losses[key] for key in ("rounded", "out_of_range")})
                changes += Losses(out_of_range=self.num_beyond(piece))
                signatures.append(piece.time_signature)
            sequences.append(self.encode(piece))
            if isinstance(piece, str):
                changes += Losses(unknown=int((sequences[-1] == 0).sum()) - piece.count(UNKNOWN))
        return Encoded(
            sequences, self.metres(signatures) if self.kind == "music" else None
        ), changes

    def decode(
        self,
        values: np.ndarray,
        time_signature: tuple[int, int] | None = None,
        *,
        keeps_silence: bool = False,
        cuts_ends: bool = False,
    ) -> PianoRoll | str:
        """The piece that `encode` gives these values for. The unknown symbol becomes the character
        U+FFFD.

        Args:
            time_signature: that of a piece of music; None: the usual one of the set.
            keeps_silence: the piece has a step for each value, with the silence that fills the bar
                of an upbeat.
            cuts_ends: silent bars before the first note and after the last one are left out, if the
                dataset has none.

        Raises:
            LnfgenError: if the values have a shape or range that this encoding does not give.
        """
        if self.kind == "text":
            if values.ndim != 1 or (
                values.size and not 0 <= int(values.min()) <= int(values.max()) < self.num_symbols
            ):
                raise LnfgenError(
                    f"values of shape {list(values.shape)} are not text of {self.num_symbols} symbols"
                )
            return "".join(self.vocabulary[value] for value in values.tolist())
        top = SOUNDING | ONSET if self.has_onsets else SOUNDING
        if (
            values.ndim != 2
            or values.shape[1] != self.num_pitches
            or (values.size and int(values.max()) > top)
        ):
            raise LnfgenError(
                f"values of shape {list(values.shape)} are no music; expected 0 to {top} in [steps, {self.num_pitches}]"
            )
        if self.parts:
            columns = (
                self.lowest_of_rows(len(values))[:, None]
                - self.lowest_pitch
                + np.arange(self.num_pitches)
            )
            keys, values = values, np.zeros((len(values), self.pitches[1]), np.uint8)
            np.put_along_axis(values, columns, keys, axis=1)
        roll = PianoRoll(
            sounding=(values & SOUNDING) != 0,
            onsets=(values & ONSET) != 0 if self.has_onsets else None,
            steps_per_quarter=self.steps_per_quarter,
            lowest_pitch=self.lowest_pitch,
            tempo_bpm=self.tempo_bpm,
            time_signature=time_signature or self.time_signature,
            parts=self.parts,
        )
        # A model may draw a key as held that was silent. It is struck there, as `encode` has it
        # too.
        roll = replace(roll, onsets=roll.struck()) if self.has_onsets else roll
        if not self.fills_upbeats or keeps_silence:
            return roll
        return (roll.from_first_to_last_note() if cuts_ends else roll).from_first_note()

    @classmethod
    def _defaults(cls, kind: Kind) -> dict[str, Any]:
        """The attributes of this kind that JSON always has, and their defaults."""
        of_music = {
            one.name: one.default
            for one in fields(cls)
            if one.name not in ("kind", "parts", "vocabulary")
        }
        return of_music if kind == "music" else {"vocabulary": ()}

    def to_json(self) -> dict[str, Any]:
        """The attributes of this kind, as plain JSON values."""
        values = {name: getattr(self, name) for name in self._defaults(self.kind)}
        parts = {"parts": [asdict(part) for part in self.parts]} if self.parts else {}
        return {
            "kind": self.kind,
            **{k: list(v) if isinstance(v, tuple) else v for k, v in values.items()},
            **parts,
        }

    @classmethod
    def from_json(cls, value: Any) -> "Encoding":
        """The encoding that `to_json` wrote, or a `DatasetError`."""
        try:
            if not isinstance(value, dict) or value.get("kind") not in get_args(Kind):
                raise ValueError(f"no kind; expected one of {', '.join(get_args(Kind))}")
            defaults = cls._defaults(value["kind"])
            if odd := sorted(set(value) - {"parts"} ^ {"kind", *defaults}):
                raise ValueError(f"missing or unknown fields: {', '.join(odd)}")
            for name, default in defaults.items():
                # of JSON
                types = {tuple: (list,), float: (int, float)}.get(type(default), (type(default),))
                if type(value[name]) not in types or (
                    types == (int,) and not 0 <= value[name] <= _HIGHEST
                ):
                    raise ValueError(f"the {name} {value[name]!r:.60}")
            plain: dict[str, Any] = {
                k: tuple(v) if isinstance(v, list) else v for k, v in value.items()
            }
            encoding = cls(**plain | {"parts": tuple(map(Part.from_json, value.get("parts", ())))})
            symbols, signature = encoding.vocabulary, encoding.time_signature
            single = all(isinstance(symbol, str) and len(symbol) == 1 for symbol in symbols)
            if encoding.kind == "music":
                if [*map(type, signature)] != [int, int]:
                    raise ValueError(f"the time_signature {signature!r:.60}")
                silence = np.zeros((encoding.stride, encoding.num_pitches), np.uint8)
                encoding.decode(silence)  # this checks the ranges of numbers
            elif (
                not single
                or len(symbols) < 2
                or symbols[0] != UNKNOWN
                or len(set(symbols)) < len(symbols)
            ):
                raise ValueError(f"the vocabulary {symbols!r:.60}")
        except (LnfgenError, TypeError, ValueError) as error:
            raise DatasetError(f"an encoding with {error}; preprocess the sources again") from None
        return encoding

    @cached_property
    def _lookup(self) -> np.ndarray:
        """int32: the index in the vocabulary of each code point. The last entry stands for all
        higher code points."""
        code_points = [ord(character) for character in self.vocabulary[1:]]
        lookup = np.zeros(max(code_points, default=0) + 2, dtype=np.int32)
        lookup[code_points] = np.arange(1, self.num_symbols, dtype=np.int32)
        return lookup
