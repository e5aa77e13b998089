"""The tracks of a MIDI file or parts of a score, and the choice of those that a reader keeps."""

import itertools
import re
import statistics
from collections.abc import Sequence
from dataclasses import dataclass

from lnfgen.errors import UnreadableFileError
from lnfgen.wording import counted

ALL = "all"
DRUMS = "drums"
BASS = "bass"
BY_SYMBOLS = "its chord symbols"  # why a track of a lead sheet has a part
DRUM_CHANNEL = 10  # of General MIDI, which counts channels from 1

# of General MIDI 1, eight programs each
_FAMILIES = (
    "piano",
    "chromatic percussion",
    "organ",
    "guitar",
    "bass",
    "strings",
    "ensemble",
    "brass",
    "reed",
    "pipe",
    "synth lead",
    "synth pad",
    "synth effects",
    "ethnic",
    "percussive",
    "sound effects",
)
_MELODY_NAMES = ("melody", "melodie", "melodia", "vocal", "vox", "lead")
# A whole name, as Drum Kit 2 or DrumL: not that of a tune, as Drummond Castle, nor Steel Drums, nor
# Percussive Organ.
_DRUM_NAMES = re.compile(
    r"\W*(drum|percussion)(s|[\s_]*(kit|set|machine|track))?[\s_LR\d#.-]*(\(.*)?", re.IGNORECASE
)
_LISTED = 8  # tracks that an error names
ONE_AT_A_TIME = 1.25  # sounding notes on average; a line played legato overlaps a little


@dataclass(frozen=True)
class Track:
    """A track with notes, as a MIDI file has it, or a part of a score.

    Each channel of a MIDI track counts as one.
    """

    number: int  # from 1 on, in the order of the file, tracks without notes left out
    name: str  # in the file; it may be empty
    # the General MIDI program of its first note, 0 to 127; None if a score has none
    program: int | None
    channel: int  # 1 to 16 in a MIDI file, where channel 10 has the drums; 1 in a score
    notes: int  # how many it has
    lowest: int  # of their MIDI pitches
    highest: int
    mean_pitch: float
    polyphony: float  # how many of its notes sound at a time on average, silence left out
    kept: bool = True  # the piano-roll has its notes
    role: str = ""  # of a band, the part that it plays (`lnfgen.music.parts`)
    why: str = ""  # what decided that

    @property
    def instrument(self) -> str:
        """The family of its program in General MIDI, or `drums`; empty if it has no program.

        Drums are on channel 10, or in a track of that name, because many programs export all on
        channel 1.
        """
        if self.channel == DRUM_CHANNEL or _DRUM_NAMES.fullmatch(self.name):
            return DRUMS
        return "" if self.program is None else _FAMILIES[self.program // 8]


def choose_tracks(tracks: Sequence[Track], wanted: str, name: str) -> set[int]:
    """The numbers of the tracks that `wanted` asks for.

    That is `melody`, `bass`, `all` (but for drums), a number, or a word of a track's name or, if no
    name has it, of an instrument, as `strings` or `drums`; or several of these with commas between
    them.

    Raises:
        UnreadableFileError: if no track is meant; it is about the file `name`, and lists its
        tracks.
    """
    chosen: set[int] = set()
    for word in wanted.lower().split(","):
        word = word.strip()
        found = _tracks_meant(tracks, word)
        if not found:
            raise _no_track(tracks, word, name)
        chosen |= {track.number for track in found}
    return chosen


def _tracks_meant(tracks: Sequence[Track], word: str) -> list[Track]:
    pitched = [track for track in tracks if track.instrument != DRUMS]
    if word == ALL:
        return pitched
    if word == "melody":
        return named_melody(pitched) or _highest_line(pitched)
    if word == BASS:
        # a bass drum is no bass
        return _with_word(pitched, word) or _lowest_track(pitched)
    if word.isdecimal():
        return [track for track in tracks if str(track.number) == word]
    return _with_word(tracks, word)


def _with_word(tracks: Sequence[Track], word: str) -> list[Track]:
    """The tracks with this word in their names or, if there are none, in their instruments."""
    if not word:
        return []
    named = [track for track in tracks if says(track.name, word)]
    return named or [track for track in tracks if says(track.instrument, word)]


def _highest_line(pitched: Sequence[Track]) -> list[Track]:
    """The highest line; a list of one, or empty.

    The rule is the top channel of A. Uitdenbogerd and J. Zobel, "Manipulation of music for melody
    matching", ACM Multimedia 1998.
    """
    lines = lines_of(pitched) or with_enough_notes(pitched)
    return sorted(lines, key=lambda track: -track.mean_pitch)[:1]


def _lowest_track(pitched: Sequence[Track]) -> list[Track]:
    return sorted(with_enough_notes(pitched), key=lambda track: track.mean_pitch)[:1]


def _no_track(tracks: Sequence[Track], word: str, name: str) -> UnreadableFileError:
    """The error for a word that means no track of the file `name`."""
    if all(track.instrument == DRUMS for track in tracks):
        return UnreadableFileError(
            f"{name} holds drums and no other notes; read it in parts, or its track drums"
        )
    listed = []
    for track in tracks[:_LISTED]:
        kind = f" ({track.instrument})" if track.instrument else ""
        listed.append(f"{track.number} {track.name}".rstrip() + kind)
    if len(tracks) > _LISTED:
        listed.append(f"{len(tracks) - _LISTED} more")
    return UnreadableFileError(
        f"{name} has no track {word!r}; expected one of its tracks: {', '.join(listed)}"
    )


def is_lead_sheet(tracks: Sequence[Track]) -> bool:
    """True if these tracks of a song are those of a lead sheet that is played as a band."""
    return any(track.why == BY_SYMBOLS for track in tracks)


def said_of(pieces: Sequence[Sequence[Track]]) -> str:
    """A few words on how many tracks of these pieces are merged or kept, and how many left out."""
    others = [tracks for tracks in pieces if not is_lead_sheet(tracks)]
    words = [_said_of_files(others)] if others else []
    num_sheets = len(pieces) - len(others)
    if num_sheets:
        sheets = counted(num_sheets, "lead sheet")
        words.append(f"{sheets}, of which chords and bass play the chord symbols")
    return "; ".join(words)


def _said_of_files(pieces: Sequence[Sequence[Track]]) -> str:
    """The words on pieces whose files have all these tracks."""
    tracks = list(itertools.chain.from_iterable(pieces))
    kept = [track for track in tracks if track.kept]
    if any(track.role for track in tracks):
        done = "placed in parts"
    elif len(kept) > len(pieces):
        done = "merged"
    else:
        done = "kept"
    words = f"{done} {len(kept):,} of {len(tracks):,} tracks"
    left = len(tracks) - len(kept)
    drums = sum(track.instrument == DRUMS and not track.kept for track in tracks)
    if not left:
        return words
    if left == drums:
        return f"{words}, left out {left:,} of drums"
    if drums:
        return f"{words}, left out {left:,} ({drums:,} of drums)"
    return f"{words}, left out {left:,}"


def named_melody(tracks: Sequence[Track]) -> list[Track]:
    """The track whose name has a word such as melody, vocal or lead; a list of one, or empty."""
    for word in _MELODY_NAMES:
        named = [track for track in tracks if says(track.name, word)]
        if named:
            return [max(named, key=lambda track: track.notes)]
    return []


def lines_of(tracks: Sequence[Track], share: float = 0.5) -> list[Track]:
    """The tracks with enough notes and no chords."""
    return [track for track in with_enough_notes(tracks, share) if track.polyphony <= ONE_AT_A_TIME]


def with_enough_notes(tracks: Sequence[Track], share: float = 0.5) -> list[Track]:
    """The tracks that have at least this share of the median number of notes."""
    if not tracks:
        return []
    least = share * statistics.median(track.notes for track in tracks)
    return [track for track in tracks if track.notes >= least]


def says(text: str, word: str) -> bool:
    """True if the text has this whole word, or its plural, or the word with a number at its end."""
    escaped = re.escape(word.replace("_", " "))
    pattern = rf"(?<!\w){escaped}s?\d*(?!\w)"
    return re.search(pattern, text.replace("_", " "), re.IGNORECASE) is not None
