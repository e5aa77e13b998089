"""The keys among which a piece over a chart is drawn."""

from dataclasses import replace

import numpy as np
import torch
from toy_bands import FOUR, band_encoding
from toy_charts import PIANO, blocks, free

from lnfgen.inference.chart_keys import allowed_keys
from lnfgen.inference.known_music import KnownMusic
from lnfgen.inference.known_part import known_intro, nothing_known
from lnfgen.music.chart import parse_chart


def classes_of(keys: np.ndarray, lowest_pitch: int = 36) -> set[int]:
    """The pitch classes of keys, bool [P]."""
    return {(lowest_pitch + key) % 12 for key in np.flatnonzero(keys).tolist()}


def test_on_beats_keys_outside_are_not_allowed_and_notes_pass_freely_between_them() -> None:
    keys = allowed_keys(parse_chart("C | F G"), free(2)).keys[:, 0].numpy()
    limited = np.flatnonzero(~keys.all(axis=1)).tolist()
    assert limited == [0, 2, 4, 6, 8, 10, 12, 14]
    assert [classes_of(keys[step]) for step in (0, 6)] == [{0, 4, 7}] * 2
    assert [classes_of(keys[step]) for step in (8, 10)] == [{5, 9, 0}] * 2
    assert classes_of(keys[12]) == {7, 11, 2}


def test_where_a_chord_starts_its_bass_is_the_lowest_key() -> None:
    allowed = allowed_keys(parse_chart("C/E | F G"), free(2))
    lowest = allowed.lowest[:, 0].numpy()
    starts = [0, 8, 12]
    assert np.flatnonzero(~lowest.all(axis=1)).tolist() == starts
    assert [classes_of(lowest[step]) for step in starts] == [{4}, {5}, {7}]
    assert np.flatnonzero(~allowed.silence[:, 0, 0].numpy()).tolist() == starts


def test_in_a_band_the_bass_plays_the_bass_and_drums_are_free() -> None:
    encoding = band_encoding(FOUR)
    part = nothing_known(encoding, 32, (4, 4))
    assert isinstance(part, KnownMusic)
    allowed = allowed_keys(parse_chart("C/E"), part)
    pitches = encoding.columns_of(0)
    beat = encoding.steps_per_quarter
    classes: dict[tuple[str, int], set[int]] = {}
    for step in (0, beat):
        for number, role in enumerate(encoding.roles):
            keys = allowed.keys[step, number].numpy()
            classes[role, step] = set((pitches[number][keys] % 12).tolist())
    assert classes["bass", 0] == {4}
    for place in (("bass", beat), ("chords", 0), ("chords", beat), ("melody", 0)):
        assert classes[place] == {0, 4, 7}
    assert len(classes["drums", 0]) == 12
    assert not allowed.silence[0, encoding.roles.index("bass")]
    assert allowed.silence[beat:].all()


def test_an_intro_goes_on_with_the_first_chord() -> None:
    intro = blocks("C", 2)
    part = known_intro(PIANO, intro, 16)
    assert isinstance(part, KnownMusic)
    chart = parse_chart("F G")
    lowest = allowed_keys(chart, part).lowest[:, 0].numpy()
    assert np.flatnonzero(~lowest.all(axis=1)).tolist() == [16, 24]
    near = replace(part, unheard=(part.values[:8], part.values[:0]), values=part.values[8:])
    lowest = allowed_keys(chart, near).lowest[:, 0].numpy()
    assert np.flatnonzero(~lowest.all(axis=1)).tolist() == [8, 16]


def test_where_there_is_no_chord_all_keys_are_allowed() -> None:
    allowed = allowed_keys(parse_chart("C N.C."), free(2))
    assert allowed.keys[8:].all()
    assert allowed.lowest[8:].all()
    assert not allowed.keys[:8].all()


def test_what_plays_the_chords_is_allowed() -> None:
    chart = parse_chart("C Am/C | F Dm7 | G7 | C")
    roll = blocks("C Am/C | F Dm7 | G7 | C", 8)
    sounding = torch.from_numpy(PIANO.encode(roll.in_range(36, 49)) > 0)
    assert not (sounding & ~allowed_keys(chart, free(8)).keys).any()
