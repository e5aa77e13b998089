"""What a person keeps of a piece: what is refused, and what goes on after an intro."""

from collections import Counter, defaultdict
from dataclasses import replace

import numpy as np
import pytest
import torch
from toy_bands import FOUR, band_encoding
from toy_keys import HAS_ONSETS, KEYS, LOWEST, random_roll, small_music
from toy_models import every_sequence, toy
from toy_music import band

from lnfgen.data.music_encoding import MusicEncoding
from lnfgen.data.text_encoding import TextEncoding
from lnfgen.errors import LnfgenError
from lnfgen.inference.block_drawing import known_bits
from lnfgen.inference.filling import fill_pieces
from lnfgen.inference.known_music import KnownMusic
from lnfgen.inference.known_part import (
    known_intro,
    known_melody,
    known_part,
    known_whole,
    little_room,
    nothing_known,
    partly_hidden,
)
from lnfgen.models.observation import Frames, Known
from lnfgen.models.sequence_model import SequenceModel
from lnfgen.music.parts import Part
from lnfgen.music.pianoroll import PianoRoll
from lnfgen.music.song import Song

LETTERS = TextEncoding(("\ufffd", "a", "b", "c"))
PIANO = MusicEncoding(steps_per_quarter=1)

# Four bars of three voices.
CHORALE = PianoRoll.from_notes(
    [(0, 4, 72), (4, 4, 74), (8, 8, 76), (0, 8, 64), (8, 8, 60), (0, 16, 48)],
    steps_per_quarter=1,
)


def hidden(words: str) -> set[tuple[int, int]]:
    """The steps and MIDI pitches that these words hide of the chorale."""
    part = known_part(PIANO, CHORALE, words.split())
    assert isinstance(part, KnownMusic)
    return {(int(step), int(pitch)) for step, _, pitch in np.argwhere(part.hidden_cells)}


def cells(steps: range, pitches: range) -> set[tuple[int, int]]:
    found = set()
    for step in steps:
        found |= {(step, pitch) for pitch in pitches}
    return found


def test_words_name_cells() -> None:
    everything = range(128)
    assert hidden("bars:2") == cells(range(4, 8), everything) - cells(
        range(4, 8), range(64, 65)
    ) - (cells(range(4, 8), range(48, 49))), "notes that began before are kept to their ends"
    assert hidden("bars:3-4") == hidden("bars:3 bars:4") == hidden("steps:9-16")
    assert hidden("keys:C5-C6") == cells(range(16), range(72, 85))
    assert hidden("keys:C5-C6,bars:4") == cells(range(12, 16), range(72, 85)) - cells(
        range(12, 16), range(76, 77)
    )
    below = (
        cells(range(4), range(72)) | cells(range(4, 8), range(74)) | cells(range(8, 16), range(76))
    )
    assert hidden("below-melody") == below
    assert hidden("above-bass") == cells(range(16), range(49, 128))
    assert hidden("voice:2") == below - cells(range(16), range(49))
    assert hidden("voice:1") == cells(range(8), range(65, 128)) | cells(
        range(8, 16), range(61, 128)
    )


REFUSED = [
    ("nothing that is free; .* --free", PIANO, CHORALE, []),
    ("no note of the piece is kept", PIANO, CHORALE, ["bars:1-"]),
    ("bars:5-8", PIANO, CHORALE, ["bar:2"]),
    ("notes on a piano's keys", PIANO, PianoRoll.from_notes([], num_steps=9), ["bars:1"]),
    ("expected music", PIANO, "abc", []),
    ("expected text", LETTERS, CHORALE, ["bars:1"]),
    ("an empty text", LETTERS, "", []),
    ("another character and --gap", TextEncoding(("\ufffd", "a", "_")), "a_b", []),
    ("another character and --gap", TextEncoding(("\ufffd", "a", "_")), "ab", []),
    ("no gap .* --free 10-20", LETTERS, "ab", []),
    ("from 1 to 2", LETTERS, "ab", ["1,2-3"]),
    ("no character of the piece is kept", LETTERS, "ab", ["1-"]),
    ("from 1 to 2", LETTERS, "ab", ["2-3"]),
    ("numbers of characters", LETTERS, "ab", ["bars:1"]),
]


@pytest.mark.parametrize(("said", "encoding", "piece", "free"), REFUSED)
def test_an_odd_request_is_refused(
    said: str,
    encoding: MusicEncoding | TextEncoding,
    piece: PianoRoll | str,
    free: list[str],
) -> None:
    with pytest.raises(LnfgenError, match=said):
        known_part(encoding, piece, free)


def test_gaps_are_of_texts_alone_and_a_character_each() -> None:
    with pytest.raises(LnfgenError, match="gaps in music"):
        known_part(PIANO, CHORALE, ["bars:1"], gap="x")
    with pytest.raises(LnfgenError, match="expected one character"):
        known_part(LETTERS, "ab", [], gap="??")
    assert known_part(LETTERS, "a?c", [], gap="?").hidden.tolist() == [False, True, False]


def test_of_a_whole_piece_nothing_is_hidden_and_of_none_everything() -> None:
    for encoding, piece in ((PIANO, CHORALE), (LETTERS, "abc")):
        assert not known_whole(encoding, piece).hidden.any()
        blank = nothing_known(encoding, 5, (3, 4))
        assert blank.num_steps == 5
        assert blank.hidden.all()
    assert nothing_known(PIANO, 5, (3, 4)).time_signature == (3, 4)


def test_a_share_of_a_text_is_hidden_in_spans() -> None:
    whole = known_whole(LETTERS, "abc" * 8)
    some = partly_hidden(whole, 1 / 3, np.random.default_rng(0))
    by_span = some.hidden.reshape(3, 8)
    assert by_span.all(axis=1).sum() == 1
    assert by_span.any(axis=1).sum() == 1


# Melodies.


def test_a_text_has_no_melody() -> None:
    with pytest.raises(LnfgenError, match="expected a piece of music"):
        known_melody(LETTERS, "abc")


def test_a_melody_with_little_room_names_the_other_side() -> None:
    low = PianoRoll.from_notes([(0, 4, 24), (4, 4, 28)], steps_per_quarter=1)
    said = "few keys are free below the melody, down to A0; to draw above it, take --above"
    assert little_room(known_melody(PIANO, low), above=False) == said
    assert little_room(known_melody(PIANO, low, above=True), above=True) == ""
    high = low.in_range(0, 128).transposed(78)
    said = "few keys are free above the line, up to C8; leave --above out to draw below it"
    assert little_room(known_melody(PIANO, high, above=True), above=True) == said


TUNE = PianoRoll.from_notes([(0, 4, 60), (0, 4, 64), (8, 8, 62)])
TUNES = [
    TUNE,
    PianoRoll.of_parts([TUNE], [Part("chords")]),
    band(16, drums=[], bass=[], chords=[], melody=TUNE.notes()),
]


@pytest.mark.parametrize("piece", TUNES)
def test_the_melody_of_a_band_or_music_of_one_part_is_harmonised(piece: PianoRoll) -> None:
    encoding = band_encoding()
    known = {"melody": False, "bass": True}
    if piece.num_parts == 4:
        del known["bass"]
    for role, above in known.items():
        part = known_melody(encoding, piece, above)
        number = encoding.roles.index(role)
        assert part.song.roll.notes(number) == TUNE.notes()
        is_hidden = part.hidden.all(axis=(0, 2))
        assert is_hidden.tolist() == [one != role for one in encoding.roles]


def test_a_part_that_a_band_or_a_model_lacks_is_refused() -> None:
    encoding = band_encoding()
    three = band(2, bass=[], chords=[(0, 1, 60)], melody=[(0, 1, 72)])
    with pytest.raises(LnfgenError, match="no notes of the bass; name its track"):
        known_melody(encoding, three, above=True)
    with pytest.raises(LnfgenError, match="the model has no melody"):
        known_melody(band_encoding(FOUR[:2]), TUNE)
    with pytest.raises(LnfgenError, match="no notes of bass"):
        known_whole(band_encoding(FOUR[1:2]), band(2, drums=[(0, 1, 38)], melody=[]))


# Intros.


@HAS_ONSETS
def test_an_intro_goes_on_and_stays_as_it_is(has_onsets: bool) -> None:
    model, encoding = small_music(has_onsets)
    intro = random_roll(has_onsets, 2)
    part = known_intro(encoding, intro, 5)
    for piece in fill_pieces(model, part, count=4):
        assert isinstance(piece, Song)
        assert piece.roll.num_steps == 14
        assert set(intro.notes()) <= set(piece.roll.notes())


def outer(frame: np.ndarray, voices: int) -> tuple[int, ...]:
    """The keys of a frame, bool [P], that are given back.

    They are the highest ones, and the lowest one if there are two voices or more.
    """
    keys = np.flatnonzero(frame).tolist()
    if len(keys) <= voices:
        return tuple(keys)
    if voices == 1:
        return (keys[-1],)
    return (keys[0], *keys[1 - voices :])


@torch.no_grad()
def likely_ends(model: SequenceModel, known: Known, voices: int) -> dict[tuple[int, ...], float]:
    """How likely the outer voices of the last step are, by a sum over all that agrees."""
    frames = model.observation
    assert isinstance(frames, Frames)
    every = every_sequence(frames, 2)
    found = frames.known(every, known.mask.expand(len(every), -1, -1)).values
    # An onset counts where the key sounds.
    sounds = every[:, :, 0] > 0
    counts = torch.cat([torch.ones_like(sounds), sounds], -1) & known.mask
    agrees = ~((found != known.values) & counts).flatten(1).any(1)
    fitting = every[agrees]
    lengths = torch.full((len(fitting),), 2)
    log_p = model(fitting, lengths, None).reconstruction[0].double()
    likely: dict[tuple[int, ...], float] = defaultdict(float)
    for x, p in zip(fitting, log_p.softmax(0).tolist(), strict=True):
        likely[outer((x[-1, 0] > 0).numpy(), voices)] += p
    return likely


@pytest.mark.parametrize(("voices", "num_ends"), [(1, 4), (2, 7)])
def test_an_intro_goes_on_as_the_outer_voices_of_a_fuller_piece(voices: int, num_ends: int) -> None:
    """As often as those are likely, by a sum over all that may sound below them."""
    model = toy("lstm", Frames(3, has_onsets=True), emission="nade")
    encoding = MusicEncoding(True, lowest_pitch=LOWEST, num_pitches=3, steps_per_quarter=1)
    notes = [(0, 1, LOWEST + 2), (0, 1, LOWEST)][:voices]
    intro = PianoRoll.from_notes(notes, steps_per_quarter=1, lowest_pitch=LOWEST, num_pitches=3)
    part = known_intro(encoding, intro, 1)
    likely = likely_ends(model, known_bits(model, part), voices)
    drawn: Counter[tuple[int, ...]] = Counter()
    for piece in fill_pieces(model, part, count=1000, particles=8):
        assert isinstance(piece, Song)
        sounding = piece.roll.sounding[:, 0]
        assert np.array_equal(sounding[:1], intro.sounding[:, 0])
        drawn[tuple(np.flatnonzero(sounding[1]).tolist())] += 1
    assert len(likely) == num_ends
    distance = sum(abs(drawn[keys] / 1000 - share) for keys, share in likely.items()) / 2
    assert distance < 0.05


@HAS_ONSETS
def test_a_piece_goes_on_with_as_many_voices_as_its_end_has(has_onsets: bool) -> None:
    model, encoding = small_music(has_onsets)
    # three, then one, then two
    notes = [(0, 4, 60), (0, 4, 62), (0, 4, 64), (4, 8, 63), (8, 4, 65)]
    roll = PianoRoll.from_notes(notes, steps_per_quarter=1, lowest_pitch=LOWEST, num_pitches=KEYS)

    def most(intro: PianoRoll, voices: int | None = None) -> int:
        """The most voices that sound at once after the intro."""
        part = known_intro(encoding, intro, 8, voices)
        highest = 0
        for piece in fill_pieces(model, part, count=4, particles=2):
            assert isinstance(piece, Song)
            after = piece.roll.sounding[intro.num_steps :, 0]
            highest = max(highest, int(after.sum(axis=1).max()))
        return highest

    assert most(roll) == 2
    assert most(roll.stretch(0, 8)) == 3
    assert most(roll, 1) == 1
    assert most(roll, KEYS) > 2
    silent_end = roll.stretch(0, 4).stretch(0, 16)
    assert most(silent_end) == 3


def test_voices_are_of_music_of_one_part() -> None:
    with pytest.raises(LnfgenError, match="0 voices to go on with"):
        known_intro(PIANO, CHORALE, 8, 0)
    with pytest.raises(LnfgenError, match="expected at least 1, and a piece of music"):
        known_intro(LETTERS, "aa", 8, 2)
    with pytest.raises(LnfgenError, match="goes on in all its parts"):
        known_intro(band_encoding(), TUNE, 6, voices=2)
    with pytest.raises(LnfgenError, match="0 steps to add"):
        known_intro(LETTERS, "aa", 0)


def test_a_melody_goes_on_through_rests() -> None:
    is_rest = np.arange(16) == 6
    sounding = CHORALE.sounding & ~is_rest[:, None, None]
    rest = replace(CHORALE, sounding=sounding, onsets=None)
    below = known_part(PIANO, rest, ["below-melody"]).hidden
    assert np.array_equal(below, known_part(PIANO, CHORALE, ["below-melody"]).hidden)
