"""How well the chords of a song are heard: `python examples/chords_heard.py MIDI CHORDS`.

MIDI is a folder of MIDI files, as 001.mid, and CHORDS one with the chords of each song, as
001-chord_midi.txt and 001-chord_audio.txt: lines of a start and an end in seconds and a chord, as
`Bb:min7/b3`, with tabs between them. POP909 (https://github.com/music-x-lab/POP909-Dataset) has
both; its chords were found by programs, in the MIDI and in the recording. It needs
`pip install mir_eval`, whose measures are the shares of the time at which two chords agree:

- majmin: as major and minor triads, where the chord beside is one;
- sevenths: with their sevenths, where the chord beside has a usual seventh or none.

A row is the mean over all songs. The last one is CHORDS beside CHORDS, which in some songs hardly
agree. So `--agreeing 60` takes the 60 songs where they agree most by majmin. The numbers with which
lnfgen finds chords were chosen on songs up to 150, so that the others are measured here.
"""

import argparse
from collections.abc import Iterator, Sequence
from pathlib import Path

import mido
import numpy as np
from mir_eval import chord as chord_scores
from mir_eval import util

import lnfgen
from lnfgen.music.chart import ChordChange
from lnfgen.music.chord import Chord
from lnfgen.music.chord_finding import find_chords
from lnfgen.music.song import Song
from lnfgen.music.tonality import pitch_name

QUALITIES = {
    "": "maj",
    "m": "min",
    "m7": "min7",
    "6": "maj6",
    "m6": "min6",
    "m7b5": "hdim7",
    "7sus4": "sus4(b7)",
}
"""The kinds of chords that mir_eval names in another way, by their suffixes."""

DEGREES = ("1", "b2", "2", "b3", "3", "4", "b5", "5", "#5", "6", "b7", "7")
"""The names of the bass, by its semitones above the root."""

MEASURES = ("majmin", "sevenths")
BETWEEN = "chord_midi beside chord_audio"

Labelled = tuple[np.ndarray, list[str]]
"""Starts and ends in seconds, float [N, 2], and the chords as mir_eval writes them."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("midi", type=Path, help="folder of MIDI files")
    parser.add_argument("chords", type=Path, help="folder of their chords")
    parser.add_argument("--above", type=int, default=150, help="songs above this number (150)")
    parser.add_argument("--agreeing", type=int, help="so many songs whose CHORDS agree most (all)")
    parser.add_argument("--grid", type=int, default=24, help="steps per quarter (24)")
    given = parser.parse_args()
    rows: dict[str, list[list[float]]] = {}
    for name, file in songs(given.midi, given.above):
        of_midi = labelled(given.chords / f"{name}-chord_midi.txt")
        of_audio = labelled(given.chords / f"{name}-chord_audio.txt")
        heard = chords_heard(file, given.grid)
        rows.setdefault("heard beside chord_midi", []).append(agreement(heard, of_midi))
        rows.setdefault("heard beside chord_audio", []).append(agreement(heard, of_audio))
        rows.setdefault(BETWEEN, []).append(agreement(of_midi, of_audio))
    majmin = [values[0] for values in rows[BETWEEN]]
    best = np.argsort(majmin)[::-1][: given.agreeing]
    for title, of_songs in rows.items():
        values = np.array(of_songs)[best]
        means = np.nanmean(values, axis=0)
        words = [f"{name} {mean:.3f}" for name, mean in zip(MEASURES, means, strict=True)]
        print(f"{title}: {', '.join(words)} ({len(values)} songs)")


def songs(folder: Path, above: int) -> Iterator[tuple[str, Path]]:
    """The names and the files of the songs with numbers above this one."""
    for file in sorted(folder.glob("*.mid")):
        if int(file.stem) > above:
            yield file.stem, file


def labelled(file: Path) -> Labelled:
    """The chords in a file of CHORDS."""
    times: list[tuple[float, float]] = []
    labels: list[str] = []
    for line in file.read_text().splitlines():
        start, end, label = line.split("\t")
        times.append((float(start), float(end)))
        labels.append(label)
    return np.array(times), labels


def chords_heard(file: Path, steps_per_quarter: int) -> Labelled:
    """The chords that lnfgen finds in a MIDI file."""
    (song,) = lnfgen.read(file, steps_per_quarter=steps_per_quarter)
    assert isinstance(song, Song)
    changes = find_chords(song.roll)
    quarters = [float(start) for start, _ in changes]
    quarters.append(song.roll.num_steps / song.roll.steps_per_quarter)
    seconds = in_seconds(quarters, mido.MidiFile(file))
    return np.stack([seconds[:-1], seconds[1:]], axis=1), labels_of(changes)


def in_seconds(quarters: Sequence[float], midi: mido.MidiFile) -> np.ndarray:
    """When a MIDI file plays these quarters, by its tempos."""
    tick = 0
    places = [0.0]
    times = [0.0]
    tempo = 500_000  # microseconds to a quarter, until the file says another one
    for message in mido.merge_tracks(midi.tracks):
        tick += message.time
        if message.type == "set_tempo":
            place = tick / midi.ticks_per_beat
            times.append(times[-1] + (place - places[-1]) * tempo / 1e6)
            places.append(place)
            tempo = message.tempo
    after = max(*quarters, places[-1]) + 1.0
    times.append(times[-1] + (after - places[-1]) * tempo / 1e6)
    places.append(after)
    return np.interp(quarters, places, times)


def labels_of(changes: Sequence[ChordChange]) -> list[str]:
    return [label_of(chord) for _, chord in changes]


def label_of(chord: Chord) -> str:
    """A chord as mir_eval writes it: `C:min7/b3`, or `N` for none."""
    if chord.is_silent:
        return "N"
    root = pitch_name(chord.root)[:-2]  # without the octave -1
    quality = QUALITIES.get(chord.suffix, chord.suffix)
    degree = DEGREES[(chord.bass - chord.root) % 12]
    return f"{root}:{quality}/{degree}"


def agreement(found: Labelled, beside: Labelled) -> list[float]:
    """The values of `MEASURES`; nan where the chords beside have none that they compare."""
    times, labels = beside
    own_times, own_labels = util.adjust_intervals(*found, times.min(), times.max(), "N", "N")
    merged, labels, own_labels = util.merge_labeled_intervals(times, labels, own_times, own_labels)
    durations = util.intervals_to_durations(merged)
    values: list[float] = []
    for name in MEASURES:
        agrees = getattr(chord_scores, name)(labels, own_labels)
        if (agrees < 0).all():
            values.append(np.nan)
        else:
            values.append(chord_scores.weighted_accuracy(agrees, durations))
    return values


if __name__ == "__main__":
    main()
