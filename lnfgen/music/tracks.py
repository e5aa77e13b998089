"""The tracks of a MIDI file or parts of a score: their description, and the choice of those that a
reader keeps."""

import re
import statistics
from collections.abc import Sequence
from dataclasses import dataclass

from lnfgen.errors import UnreadableFileError

ALL = "all"
DRUMS = "drums"
BASS = "bass"
DRUM_CHANNEL = 10  # of General MIDI, which counts channels from 1

_FAMILIES = (  # of General MIDI 1, eight programs each
    *("piano", "chromatic percussion", "organ", "guitar", "bass", "strings", "ensemble", "brass"),
    *(
        "reed",
        "pipe",
        "synth lead",
        "synth pad",
        "synth effects",
        "ethnic",
        "percussive",
        "sound effects",
    ),
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
    """A track with notes, as a MIDI file has it, or a part of a score. Each channel of a MIDI track
    counts as one."""

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
        family = "" if self.program is None else _FAMILIES[self.program // 8]
        return DRUMS if self.channel == DRUM_CHANNEL or _DRUM_NAMES.fullmatch(self.name) else family


def choose_tracks(tracks: Sequence[Track], wanted: str, name: str) -> set[int]:
    """The numbers of the tracks that `wanted` asks for.

    That is `melody`, `bass`, `all` (but for drums), a number, or a word of a track's name or, if no
    name has it, of an instrument, as `strings` or `drums`; or several of these with commas between
    them. If no track is meant, the `UnreadableFileError` about the file `name` lists its tracks.
    """
    chosen: set[int] = set()
    pitched = [track for track in tracks if track.instrument != DRUMS]
    for word in map(str.strip, wanted.lower().split(",")):
        if word == ALL:
            found = pitched
        elif word == "melody":
            # Without a name, the highest line; the rule is the top channel of A. Uitdenbogerd and
            # J. Zobel, "Manipulation of music for melody matching", ACM Multimedia 1998.
            lines = lines_of(pitched) or with_enough_notes(pitched)
            found = named_melody(pitched) or sorted(lines, key=lambda track: -track.mean_pitch)[:1]
        elif word.isdecimal():
            found = [track for track in tracks if str(track.number) == word]
        else:
            among = pitched if word == BASS else tracks  # a bass drum is no bass
            named = [track for track in among if word and says(track.name, word)]
            found = named or [track for track in among if word and says(track.instrument, word)]
        if word == BASS and not found:  # the lowest one
            found = sorted(with_enough_notes(pitched), key=lambda track: track.mean_pitch)[:1]
        if not found and not pitched:
            raise UnreadableFileError(
                f"{name} holds drums and no other notes; read it in parts, or its track drums"
            )
        if not found:
            kinds = [f" ({track.instrument})" if track.instrument else "" for track in tracks]
            listed = [
                f"{one.number} {one.name}".rstrip() + kind
                for one, kind in zip(tracks, kinds, strict=True)
            ]
            listed[_LISTED:] = [f"{len(tracks) - _LISTED} more"] if len(tracks) > _LISTED else []
            raise UnreadableFileError(
                f"{name} has no track {word!r}; expected one of its tracks: {', '.join(listed)}"
            )
        chosen |= {track.number for track in found}
    return chosen


def said_of(pieces: Sequence[Sequence[Track]]) -> str:
    """A few words on how many tracks of these pieces are merged or kept, and how many are left
    out."""
    tracks = [track for piece in pieces for track in piece]
    kept = sum(track.kept for track in tracks)
    drums = sum(track.instrument == DRUMS and not track.kept for track in tracks)
    left = len(tracks) - kept
    left_out = (
        f"{left:,} of drums"
        if left == drums
        else f"{left:,} ({drums:,} of drums)"
        if drums
        else f"{left:,}"
    )
    done = (
        "placed in parts"
        if any(track.role for track in tracks)
        else "merged"
        if kept > len(pieces)
        else "kept"
    )
    merged = f"{done} {kept:,} of {len(tracks):,} tracks"
    return merged + (f", left out {left_out}" if left else "")


def named_melody(tracks: Sequence[Track]) -> list[Track]:
    """The track whose name has a word such as melody, vocal or lead; a list of one, or empty."""
    for word in _MELODY_NAMES:
        if named := [track for track in tracks if says(track.name, word)]:
            return [max(named, key=lambda track: track.notes)]
    return []


def lines_of(tracks: Sequence[Track], share: float = 0.5) -> list[Track]:
    """The tracks with enough notes and no chords."""
    return [track for track in with_enough_notes(tracks, share) if track.polyphony <= ONE_AT_A_TIME]


def with_enough_notes(tracks: Sequence[Track], share: float = 0.5) -> list[Track]:
    """The tracks that have at least this share of the median number of notes."""
    least = share * statistics.median(track.notes for track in tracks) if tracks else 0
    return [track for track in tracks if track.notes >= least]


def says(text: str, word: str) -> bool:
    """True if the text has this whole word, or its plural, or the word with a number at its end."""
    text, word = text.replace("_", " "), re.escape(word.replace("_", " "))
    return re.search(rf"(?<!\w){word}s?\d*(?!\w)", text, re.IGNORECASE) is not None
