"""Lead sheets as songs of a band: tracks that play the chord symbols of a score with one part."""

from collections.abc import Sequence
from dataclasses import replace
from fractions import Fraction

from lnfgen.formats.events import Events, nearest, with_choice
from lnfgen.music.chart import ChordChange, bar_lines
from lnfgen.music.lead_sheet import accompaniment
from lnfgen.music.parts import CHORDS, MELODY
from lnfgen.music.song import Song
from lnfgen.music.tracks import ALL, BASS, BY_SYMBOLS, ONE_AT_A_TIME, Track

_PROGRAMS = {CHORDS: 0, BASS: 32}  # of General MIDI: a piano, and an acoustic bass


def needs_accompaniment(events: Events, roles: Sequence[str]) -> bool:
    """True if a score is a melody with chord symbols, and a band with these roles can play them."""
    if CHORDS not in roles and BASS not in roles:
        return False
    has_chords = any(chord is not None and not chord.is_silent for _, chord in events.chords)
    if len(events.tracks) != 1 or not has_chords:
        return False
    track, _ = events.tracks[0]
    return track.polyphony <= ONE_AT_A_TIME


def add_accompaniment(events: Events, song: Song) -> None:
    """Add tracks to a lead sheet that play its chord symbols.

    Args:
        events: the score, in quarters.
        song: what it is as one part, whose steps and bars the accompaniment has.
    """
    grid = song.roll.steps_per_quarter
    changes: list[ChordChange] = []
    for start, chord in song.origin.chords:
        changes.append(ChordChange(Fraction(nearest(start * grid), grid), chord))
    played = accompaniment(changes, bar_lines(song.roll), events.end)
    if played.bass:
        events.add(list(played.chords), CHORDS, _PROGRAMS[CHORDS])
        events.add(list(played.bass), BASS, _PROGRAMS[BASS])


def choice_of_lead_sheet(
    tracks: Sequence[Track], wanted: str, roles: Sequence[str], name: str
) -> list[Track]:
    """The tracks of a lead sheet with their roles in a band, as `with_choice` gives them."""
    if wanted != ALL:
        return with_choice(tracks, wanted, roles, name)
    own_roles = (MELODY, CHORDS, BASS)[: len(tracks)]
    places: list[str] = []
    for track, role in zip(tracks, own_roles, strict=True):
        places.append(f"{role}={track.number}")
    placed = with_choice(tracks, ",".join(places), roles, name)
    return [replace(track, why=BY_SYMBOLS) if track.role else track for track in placed]
