"""Pictures have the shape of a page, and show what was given and who plays what."""

import io
import itertools
import struct
from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest
from matplotlib.image import imread
from toy_music import WALTZ

from lnfgen.formats.picture import _Line, _mark_chords, png_bytes
from lnfgen.music.chart import ChordChange
from lnfgen.music.chord import parse_chord
from lnfgen.music.parts import ROLES, Part
from lnfgen.music.pianoroll import PianoRoll
from lnfgen.music.song import Origin, Song
from lnfgen.music.tracks import BASS

COLOURS = ("9c4695", "0c7a80", "4762b5", "cc5428")  # of drums, bass, chords and melody


def pixels(piece: Song | PianoRoll) -> np.ndarray:
    """The picture of a piece, float [height, width, 3] from 0 to 1."""
    return np.asarray(imread(io.BytesIO(png_bytes(piece))))[:, :, :3]


@pytest.mark.parametrize(
    "roll",
    [
        WALTZ,
        PianoRoll.from_notes([(0, 4, 108)], steps_per_quarter=12, tempo_bpm=90.5),
        replace(WALTZ, onsets=None),
        PianoRoll.of_one(np.zeros((3, 88), dtype=bool)),
    ],
    ids=repr,
)
def test_a_picture_is_a_png_and_the_same_every_time(roll: PianoRoll) -> None:
    content = png_bytes(roll)
    assert content.startswith(b"\x89PNG\r\n")
    assert content == png_bytes(roll)


def test_what_was_given_is_lighter_than_what_was_drawn() -> None:
    roll = PianoRoll.from_notes([(0, 16, 60), (0, 16, 64)])
    upper = np.zeros((16, 1, 128), np.bool_)
    upper[:, 0, 64] = True
    plain = pixels(roll)
    mixed = pixels(Song(roll, drawn=upper))
    drawn = pixels(Song(roll, drawn=np.ones_like(upper)))
    given = (mixed != drawn).any(axis=2)  # the lower note
    assert 0.01 < given.mean() < 0.05
    lightness = np.array([0.2126, 0.7152, 0.0722])
    assert (mixed[given] @ lightness).mean() > (drawn[given] @ lightness).mean() + 0.3
    height, width, _ = plain.shape
    corners = [image[: height // 10, 3 * width // 4 :] for image in (plain, mixed, drawn)]
    has_legend = [bool((corner < 1).any()) for corner in corners]
    assert has_legend == [False, True, True]


def of_parts(piece: Song | PianoRoll) -> list[np.ndarray]:
    """Where a picture has the colour of each part, bool [height, width]."""
    image = pixels(piece)
    found = []
    for name in COLOURS:
        colour = np.array(list(bytes.fromhex(name))) / 255
        found.append(np.abs(image - colour).max(axis=2) < 0.01)
    return found


def test_the_parts_of_a_band_have_colours_and_its_drums_are_below() -> None:
    drums = PianoRoll.from_notes([(step, 1, 36) for step in range(16)])
    pitched = [PianoRoll.from_notes([(0, 16, pitch)], num_steps=16) for pitch in (40, 60, 72)]
    band = PianoRoll.of_parts([drums, *pitched], [Part(role) for role in ROLES])
    parts = of_parts(band)
    # A row of pixels with much of a colour belongs to a note, not to the legend.
    heights = [np.flatnonzero(part.mean(axis=1) > 0.2).mean() for part in parts]
    assert heights == sorted(heights, reverse=True), "the drums are lowest, and the melody highest"

    drawn = np.zeros((band.num_steps, len(ROLES), 128), np.bool_)
    drawn[:, ROLES.index(BASS)] = True
    left = [part.sum() for part in of_parts(Song(band, drawn=drawn))]
    assert left[1] > 0.9 * parts[1].sum(), "the bass was drawn"
    given = max(left[0], left[2], left[3])
    assert given < 0.5 * min(part.sum() for part in parts), "the others were given"

    alone = PianoRoll.of_parts([drums], band.parts[:1])
    assert len(pixels(alone)) < len(pixels(band))


@pytest.mark.parametrize(
    ("bars", "signature"), [(1, (4, 4)), (16, (4, 4)), (33, (6, 8)), (120, (2, 4)), (61, (5, 8))]
)
def test_a_picture_has_the_shape_of_a_page(bars: int, signature: tuple[int, int]) -> None:
    steps = bars * 16 * signature[0] // signature[1]
    notes = [(step, 1, 40 + step % 47) for step in range(0, steps, 8)]
    roll = PianoRoll.from_notes(notes, num_steps=steps, time_signature=signature)
    width, height = struct.unpack(">II", png_bytes(roll)[16:24])
    assert width < 3500
    assert 0.3 * width < height < 2.2 * width


def test_names_of_chords_stand_above_each_line() -> None:
    chords = []
    for quarter in range(WALTZ.num_steps // WALTZ.steps_per_quarter):
        chords.append(ChordChange(Fraction(quarter), parse_chord("C7b5b9" if quarter % 2 else "F")))
    named = pixels(Song(WALTZ, Origin(chords=tuple(chords))))
    plain = pixels(WALTZ)
    added = named.shape[0] - plain.shape[0]
    assert added > 0
    # all else stays: below the names of the last line the pictures are the same
    assert np.array_equal(named[-100:], plain[-100:])


def test_names_that_have_no_room_are_left_out() -> None:
    names = [(float(step), "Cmaj7#11") for step in range(32)]
    placed: list[float] = []

    class Axes:
        def get_ylim(self) -> tuple[float, float]:
            return 0.0, 1.0

        def annotate(self, name: str, place: tuple[float, float], **style: object) -> None:
            placed.append(place[0])

    _mark_chords(Axes(), names, _Line(4, 32, {}), inches_per_step=0.075)
    assert placed[0] == 4  # the name at the start of the line
    assert all(later - earlier > 8 for earlier, later in itertools.pairwise(placed))
