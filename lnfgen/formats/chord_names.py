"""The names of a song's chords, as pictures and pages show them above the piano-roll."""

from lnfgen.music.chord import NO_CHORD
from lnfgen.music.key_signature import signature_for
from lnfgen.music.song import Song


def chord_names(song: Song) -> list[tuple[float, str]]:
    """(step, name) of each change of the chord, spelled in the key of `signature_for`.

    A symbol that repeats the one before is none.
    """
    if not song.origin.chords:
        return []
    sharps = signature_for(song.roll, song.origin.key).sharps
    names: list[tuple[float, str]] = []
    before = NO_CHORD
    for start, chord in song.origin.chords:
        if chord != before:
            names.append((float(start * song.roll.steps_per_quarter), chord.name(sharps)))
        before = chord
    return names
