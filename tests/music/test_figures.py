"""Figures of music on small pieces whose values can be counted by hand."""

import math
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest
from toy_music import band, song_of_band

from lnfgen.music import figures
from lnfgen.music.copies import longest_copies, related_pieces
from lnfgen.music.figures import music_figures, usual_voices
from lnfgen.music.parts import ROLES
from lnfgen.music.pianoroll import PianoRoll

C_MAJOR, F_MAJOR, G_SEVEN = (48, 55, 64, 72), (53, 57, 65, 72), (55, 59, 62, 65)


def chords(*steps: Sequence[int], grid: int = 2, **attributes: object) -> PianoRoll:
    """A piece whose steps have these pitches, all of them struck."""
    notes = [(step, 1, pitch) for step, pitches in enumerate(steps) for pitch in pitches]
    return PianoRoll.from_notes(notes, num_steps=len(steps), steps_per_quarter=grid, **attributes)  # type: ignore[arg-type]


def random_piece(
    seed: int, num_steps: int = 64, density: float = 0.05, low: int = 20, high: int = 60
) -> PianoRoll:
    """Notes at random between two columns, so that there is room to transpose."""
    rng = np.random.default_rng(seed)
    sounding = np.zeros((num_steps, 88), np.bool_)
    sounding[:, low:high] = rng.random((num_steps, high - low)) < density
    return PianoRoll(sounding, sounding & (rng.random(sounding.shape) < 0.7), steps_per_quarter=2)


def of_four(name: str, roll: PianoRoll) -> float:
    """The figure with this name, for music in four voices."""
    return music_figures(4)[name].value(roll)


def test_keys_a_step() -> None:
    roll = chords(C_MAJOR, C_MAJOR, (*C_MAJOR, 76), (60,), ())
    assert of_four("exact_polyphony_rate", roll) == pytest.approx(2 / 5)
    assert of_four("polyphony", roll) == pytest.approx(14 / 4)
    assert usual_voices([roll]) == 4
    # silence is no number of voices; the smaller of two
    assert usual_voices([chords((), (), (60,), (60, 64))]) == 1


def test_the_longest_silence_lies_between_sounding_steps() -> None:
    assert (
        figures.longest_silence(chords((), (), (), (60,), (), (62,), (), (), (62,), (), (), (), ()))
        == 1
    )  # of eighths
    assert figures.longest_silence(chords((60,), (62,))) == 0
    assert figures.longest_silence(chords((), (60,), ())) == 0
    assert math.isnan(figures.longest_silence(chords((), ())))


def test_rhythm() -> None:
    # Eighths in 2/4: a bar has four steps. Lengths in steps are 1, 3, 2, 1, 1.
    notes = [(0, 1, 60), (1, 3, 62), (4, 2, 64), (6, 1, 65), (7, 1, 67)]
    roll = PianoRoll.from_notes(notes, steps_per_quarter=2, time_signature=(2, 4))
    assert figures.note_length(roll) == pytest.approx(8 / 5 / 2)
    assert figures.off_quarter_rate(roll) == pytest.approx(2 / 5)
    assert figures.downbeat_rate(roll) == pytest.approx(2 / 5)
    # The onsets of the bars are 1100 and 1011: three of four places differ.
    assert figures.groove_consistency(roll) == pytest.approx(1 / 4)
    # a bar alone has no neighbour
    assert math.isnan(figures.groove_consistency(replace(roll, time_signature=(4, 4))))
    # The bars are those after an upbeat of an eighth.
    later = [(0, 1, 59), *((start + 1, length, pitch) for start, length, pitch in notes)]
    roll = PianoRoll.from_notes(later, steps_per_quarter=2, time_signature=(2, 4)).with_upbeat(1)
    assert figures.downbeat_rate(roll) == pytest.approx(2 / 6)
    assert figures.off_quarter_rate(roll) == pytest.approx(3 / 6)
    assert figures.groove_consistency(roll) == pytest.approx(1 / 4)


def test_bars_that_came_before() -> None:
    a, b = (C_MAJOR, F_MAJOR), (C_MAJOR, G_SEVEN)  # bars of 2/8

    def of(*bars: Sequence[Sequence[int]], upbeat: int = 0) -> float:
        roll = chords(*(chord for bar in bars for chord in bar), time_signature=(2, 8))
        return figures.repeat_rate(replace(roll, upbeat=upbeat))

    silence = ((), ())
    assert of(a, b) == 0
    assert of(a, b, a, a) == pytest.approx(2 / 4)
    assert of(a, silence, silence, a) == pytest.approx(1 / 2)
    assert of([F_MAJOR], a, b, a, upbeat=1) == pytest.approx(1 / 3)
    assert of(a, a, [C_MAJOR]) == pytest.approx(1 / 2)
    assert math.isnan(of(silence))
    held = PianoRoll.from_notes(
        [(0, 1, 60), (1, 1, 60), (2, 2, 60)], steps_per_quarter=2, time_signature=(2, 8)
    )
    assert figures.repeat_rate(held) == 0  # the second bar is not struck again


def test_bars_whose_melody_came_before() -> None:
    def of(
        *keys: Sequence[int],
        upbeat: int = 0,
        time_signature: tuple[int, int] = (2, 8),
        grid: int = 2,
    ) -> float:
        roll = chords(*keys, time_signature=time_signature, grid=grid)
        return figures.melody_bar_rate(replace(roll, upbeat=upbeat))

    # over other notes
    assert of((60,), (62,), (48, 60), (50, 62), (60,), (64,)) == pytest.approx(1 / 3)
    # a rest is part of its bar
    assert of((60,), (62,), (), (60,), (), (60,)) == pytest.approx(1 / 3)
    assert of((60,), (62,), (), (), (), ()) == 0  # silent bars do not count
    # the last bar is not whole
    assert of((62,), (60,), (62,), (60,), (62,), (60,), upbeat=1) == pytest.approx(1 / 2)
    assert math.isnan(of((), (), (60,)))
    held = PianoRoll.from_notes(
        [(0, 1, 60), (1, 1, 60), (2, 2, 60)], steps_per_quarter=2, time_signature=(2, 8)
    )
    assert figures.melody_bar_rate(held) == 0
    # A bar of 5/8 has two and a half quarters: equal bars have different places on a grid of
    # quarters.
    five = [(pitch,) for pitch in (60, 62, 64, 65, 67)] * 2
    assert of(*five, time_signature=(5, 8)) == pytest.approx(1 / 2)
    for figure in (figures.melody_bar_rate, figures.repeat_rate, figures.groove_consistency):
        assert math.isnan(figure(chords(*five, time_signature=(5, 8), grid=1)))


def test_a_close_is_a_chord_that_lasts_twice_as_long_as_the_median_one() -> None:
    def of(*lengths: int, pitches: Sequence[int] = C_MAJOR, **attributes: object) -> float:
        starts = np.cumsum([0, *lengths]).tolist()
        notes = [
            (start, length, pitch)
            for start, length in zip(starts, lengths, strict=False)
            for pitch in pitches
        ]
        return figures.close_distance(
            replace(PianoRoll.from_notes(notes, steps_per_quarter=2), **attributes)
        )  # type: ignore[arg-type]

    # The median chord is one step. The closes start at the steps 3, 8 and 15.
    assert of(1, 1, 1, 2, 1, 1, 1, 4, 1, 1, 1, 3, 1) == pytest.approx((5 + 7) / 2 / 2)
    assert math.isnan(of(1, 1, 1, 2, 1, 1))  # one close alone
    assert math.isnan(of(2, 2, 2, 2))
    assert math.isnan(of(2, 2, 3, 2, 2, 3, 2))
    assert of(1, 1, 1, 2, 1, 1, 1, 4, 1, 1, 1, 3, 1, upbeat=2) == pytest.approx(3)
    # A voice that moves under the others ends the chord; a rest is no chord, however long it is.
    moving = PianoRoll.from_notes(
        [(0, 8, 72), *((step, 1, 48 + step % 2) for step in range(8))], steps_per_quarter=2
    )
    assert math.isnan(figures.close_distance(moving))
    assert math.isnan(figures.close_distance(chords((60,), (), (), (), (62,), (), (), (), (60,))))
    assert math.isnan(figures.close_distance(chords((), ())))


def test_pitches() -> None:
    scale = chords(*((pitch,) for pitch in (62, 64, 66, 67, 69, 71, 73, 74)))  # D major, D twice
    assert figures.scale_consistency(scale) == 1
    assert figures.scale_consistency(
        chords(*((pitch,) for pitch in range(60, 72)))
    ) == pytest.approx(7 / 12)


@pytest.mark.parametrize(
    ("pitches", "is_chord", "clashes"),
    [
        (C_MAJOR, True, False),
        (G_SEVEN, True, False),
        ((60, 64, 67, 71), True, True),  # a major seventh holds a semitone, an octave lower
        ((60, 64), True, False),
        ((60,), True, False),
        ((60, 63, 66, 69), True, False),
        ((60, 62, 67), False, False),  # a suspension
        ((60, 61, 62), False, True),
        ((48, 73), True, True),  # within a major seventh
    ],
)
def test_chords_and_clashes(pitches: Sequence[int], is_chord: bool, clashes: bool) -> None:
    roll = chords((), pitches)
    assert figures.chord_rate(roll) == is_chord
    assert figures.clash_rate(roll) == clashes


def test_lines_skip_repeated_notes_and_silence() -> None:
    roll = chords((48, 72), (48, 72), (50, 74), (), (50, 82), (43, 83))
    assert of_four("top_interval", roll) == pytest.approx((2 + 8 + 1) / 3)
    assert of_four("top_leap_rate", roll) == pytest.approx(1 / 3)
    assert of_four("bass_interval", roll) == pytest.approx((2 + 7) / 2)
    assert of_four("top_pitch", roll) == 74  # of 72, 72, 74, 82, 83
    assert of_four("bass_pitch", roll) == 48  # of 48, 48, 50, 50, 43
    assert of_four("bass_pitch", replace(roll, lowest_pitch=33)) == 60
    fifth = chords((60,), (67,))
    assert of_four("top_leap_rate", fifth) == 0  # a fifth is not over a fifth
    held = PianoRoll.from_notes([(0, 3, 60), (3, 1, 72)], steps_per_quarter=2)
    assert of_four("top_pitch", held) == 60  # a median over time


def test_a_melody_comes_again_over_other_chords() -> None:
    tune = (60, 62, 64, 67, 65)
    again = chords(*((pitch, 50) for pitch in tune), *((pitch, 47, 43) for pitch in tune))
    # of seven stretches of four notes, the last two
    assert figures.melody_repeat_rate(again) == pytest.approx(2 / 7)
    assert (
        figures.melody_repeat_rate(chords(*((pitch,) for pitch in tune), *((p + 2,) for p in tune)))
        == 0
    )
    slower = chords(
        *((pitch,) for pitch in tune), *(((pitch,), ())[part] for pitch in tune for part in (0, 1))
    )
    assert figures.melody_repeat_rate(slower) == 0
    assert math.isnan(figures.melody_repeat_rate(chords((60,), (62,), (64,))))
    assert math.isnan(figures.melody_repeat_rate(chords((), ())))
    held = PianoRoll.from_notes([(0, 2, 60), (2, 1, 62), (3, 1, 64)], steps_per_quarter=2)
    assert math.isnan(figures.melody_repeat_rate(held)), "a held note is one note"
    under = PianoRoll.from_notes([(0, 4, 60), (1, 1, 62), (4, 1, 64)], steps_per_quarter=2)
    assert figures.melody_repeat_rate(under) == 0, (
        "the held note is the highest again when the one above it ends"
    )


def test_voices_move_in_order() -> None:
    roll = chords(C_MAJOR, C_MAJOR, F_MAJOR, (53, 57, 65), C_MAJOR)
    # One chord changes to another one of as many keys: by 5, 2, 1 and 0.
    assert figures.voice_move(roll) == pytest.approx(2)
    assert math.isnan(figures.voice_move(chords(C_MAJOR, (60,), C_MAJOR)))


@pytest.mark.parametrize(
    ("before", "after", "expected"),
    [
        ((48, 55), (50, 57), 1),  # fifths
        ((48, 60), (50, 62), 1),  # octaves
        ((48, 67), (50, 57), 0),  # the upper voice comes down: contrary motion
        ((48, 67), (43, 50), 1),  # a twelfth and a fifth, both down
        # fifth and octave; the fourth between the upper voices is none
        ((48, 55, 60), (50, 57, 62), 2),
        ((48, 55), (48, 57), 0),
        ((48, 55), (50, 56), 0),  # a diminished fifth
        ((48, 52), (50, 54), 0),  # thirds
    ],
)
def test_parallels(before: Sequence[int], after: Sequence[int], expected: int) -> None:
    assert figures.parallel_rate(chords(before, after)) == expected
    # each of the two changes
    assert figures.parallel_rate(chords(before, after, after, before)) == expected


def test_a_copy_is_found_in_another_key_with_its_length() -> None:
    corpus = [random_piece(seed) for seed in range(3)]
    piece = random_piece(9)
    copied = corpus[1].transposed(5)
    sounding, onsets = piece.sounding.copy(), piece.onsets.copy()  # type: ignore[union-attr]
    sounding[20:37], onsets[20:37] = copied.sounding[30:47], copied.onsets[30:47]  # type: ignore[index]
    mixed = replace(piece, sounding=sounding, onsets=onsets)
    [quarters] = longest_copies([mixed], corpus)
    # silence at its ends does not count; a next step may agree by chance
    assert 17 / 2 - 1 <= quarters <= 17 / 2 + 1
    assert longest_copies([piece], corpus)[0] < 4
    assert longest_copies([mixed, piece], corpus) == [quarters, *longest_copies([piece], corpus)]


def test_a_copy_agrees_in_its_onsets_and_its_moves() -> None:
    tune = chords((60,), (62,), (64,), (65,), (67,), (69,))
    held = PianoRoll.from_notes(
        [(0, 1, 60), (1, 1, 62), (2, 1, 64), (3, 3, 65)], steps_per_quarter=2
    )
    assert longest_copies([tune], [tune]) == [3.0]
    assert longest_copies([tune], [held]) == [2.0]
    # no two steps of the tune move like this
    assert longest_copies([chords((60,), (63,), (66,))], [tune]) == [0.5]
    assert longest_copies([tune], []) == [0.0]


def test_a_copy_goes_over_silence_but_is_more_than_silence() -> None:
    rest = chords((), (), (), (60,), (), (), (64,), (), (), (), ())
    # from the first note to the last one
    assert longest_copies([rest], [rest.transposed(7)]) == [2.0]
    assert longest_copies([chords((), (), ())], [rest]) == [0.0]
    assert longest_copies([rest], [chords((), (), ())]) == [0.0]


def test_a_piece_is_no_copy_of_itself() -> None:
    corpus = [random_piece(seed) for seed in range(4)]
    corpus.append(corpus[3].transposed(-4))
    alone = longest_copies(corpus, corpus, range(5))
    assert max(alone[:3]) < 4
    assert min(alone[3:]) > 28
    assert min(longest_copies(corpus, corpus)) > 28


def with_passage(piece: PianoRoll, at: int, passage: PianoRoll) -> PianoRoll:
    """The piece with another one's steps from `at` on, struck at their first step."""
    end = at + passage.num_steps
    sounding, onsets = piece.sounding.copy(), piece.onsets.copy()  # type: ignore[union-attr]
    sounding[at:end], onsets[at:end] = passage.sounding, passage.onsets  # type: ignore[index]
    onsets[end] = sounding[end]
    return replace(piece, sounding=sounding, onsets=onsets)


def test_pieces_that_share_a_passage_in_any_key_are_related() -> None:
    alone, first, second, third = (random_piece(seed) for seed in range(4))
    passage = first.transposed(-5).stretch(10, 34)
    ends = [bool(passage.sounding[step].any()) for step in (0, -1)]
    assert ends == [True, True]
    second = with_passage(second, 3, passage)
    # of the second one, not of the passage
    third = with_passage(third, 20, second.transposed(2).stretch(30, 50))
    assert related_pieces([alone, first, second, third], 16) == [0, 1, 1, 1]
    # without the second one, nothing relates them
    assert related_pieces([third, alone, first], 16) == [0, 1, 2]
    assert related_pieces([alone, first, second, third], 28) == [0, 1, 2, 3]


def test_other_repeated_notes_are_no_other_music() -> None:
    held = PianoRoll.from_notes(
        [(step, 2, 60 + step % 7) for step in range(0, 32, 2)], steps_per_quarter=2
    )
    struck = replace(held, onsets=held.sounding)
    assert longest_copies([held], [struck]) == [0.5]
    assert related_pieces([held, struck], 32) == [0, 0]


def test_silence_and_long_chords_relate_no_pieces() -> None:
    """What any two pieces can have: a long rest, one chord that lasts or comes again, two that
    alternate."""
    others = [random_piece(seed) for seed in range(2)]
    for passage in (
        chords(*[()] * 24),
        PianoRoll.from_notes([(0, 24, 60), (0, 24, 64)], steps_per_quarter=2),
        chords(*[(60, 64, 67)] * 24),
        chords(*[(60, 64, 67), (59, 62, 67)] * 12),
    ):
        pieces = [with_passage(piece, 8, passage) for piece in others]
        assert related_pieces(pieces, 16) == [0, 1]
    scale = chords(*[(60 + pitch % 12,) for pitch in range(24)])
    assert related_pieces([with_passage(piece, 8, scale) for piece in others], 16) == [0, 0]


def test_transposition_changes_the_register_alone_and_columns_without_keys_change_nothing() -> None:
    roll = random_piece(1)
    for close in (10, 40):
        roll.sounding[close : close + 4] = roll.sounding[close]
        roll.onsets[close + 1 : close + 4] = False  # type: ignore[index]
    narrow = replace(
        roll, sounding=roll.sounding[:, 20:60], onsets=roll.onsets[:, 20:60], lowest_pitch=41
    )  # type: ignore[index]
    for name, figure in music_figures(2).items():
        moves = (0, -12, -5, 1, 7)
        expected = [
            figure.value(roll) + move * (name in ("top_pitch", "bass_pitch")) for move in moves
        ]
        others = [narrow, *(roll.transposed(semitones) for semitones in moves[1:])]
        assert [figure.value(other) for other in others] == pytest.approx(expected), figure.label
        assert not math.isnan(figure.value(replace(roll, onsets=None))), "onsets need not be known"
    assert (
        longest_copies([narrow], [roll])
        == longest_copies([roll], [narrow])
        == longest_copies([roll], [roll])
    )


def test_the_label_of_a_single_key_is_in_the_singular() -> None:
    labels = [music_figures(number)["exact_polyphony_rate"].label for number in (1, 4)]
    assert labels == ["steps with exactly 1 key", "steps with exactly 4 keys"]


@pytest.mark.parametrize("num_steps", [1, 40])
def test_silence_has_defined_figures(num_steps: int) -> None:
    silent = chords(*[()] * num_steps)
    values = {name: figure.value(silent) for name, figure in music_figures(4).items()}
    defined = {name: value for name, value in values.items() if not math.isnan(value)}
    expected = {"exact_polyphony_rate": 0}
    assert defined == (expected if num_steps == 1 else {**expected, "groove_consistency": 1})
    assert usual_voices([silent]) == 1


# Bands.
# ---------------------------------------------------------------------------------------------------------------


def test_figures_of_the_parts_of_a_band() -> None:
    """Four bars of 4/4 in sixteenths; the third has the drums of the first, and in the last one
    nothing sounds."""
    first = [(0, 1, 36), (8, 1, 35), (10, 1, 36), (4, 1, 38), (12, 1, 40), (0, 1, 42)]
    second = [(16, 1, 36), (22, 1, 38)]
    bars = {"C": (0, (48, 52, 55)), "F third": (16, (53, 57)), "Am7, open": (32, (45, 52, 60, 67))}
    piece = band(
        64,
        drums=[*first, *second, *((start + 32, length, pitch) for start, length, pitch in first)],
        bass=[(0, 4, 36), (4, 4, 40), (8, 8, 38), (16, 8, 36), (32, 8, 33), (48, 4, 41)],
        chords=[(start, 16, pitch) for start, pitches in bars.values() for pitch in pitches],
        melody=[
            (0, 2, 72),
            (2, 2, 74),
            (4, 4, 76),
            (16, 2, 72),
            (18, 2, 74),
            (20, 4, 76),
            (48, 4, 65),
        ],
    )
    values = {name: figure.value(piece) for name, figure in music_figures(4, ROLES).items()}
    expected = {
        "drums_notes_per_bar": 14 / 4,
        "drums_polyphony": 14 / 12,
        "drums_different_keys": 5,
        "drums_silent_bar_rate": 1 / 4,
        # so many of the 48 places of neighbouring bars differ
        "drums_groove_consistency": 1 - 15 / 48,
        "drums_repeat_rate": 1 / 3,
        "drums_kick_downbeat_rate": 3 / 7,
        "drums_kick_beat_rate": 5 / 7,
        "drums_backbeat_rate": 4 / 5,
        "bass_notes_per_bar": 6 / 4,
        "bass_polyphony": 1,
        "bass_different_keys": 5,
        "bass_silent_bar_rate": 0,
        "bass_groove_consistency": 1 - 2 / 48,
        "bass_median_pitch": 37,
        "bass_longest_note": 2,
        "chords_notes_per_bar": 9 / 4,
        "chords_polyphony": 3,
        "chords_different_keys": 8,
        "chords_silent_bar_rate": 1 / 4,
        "chords_groove_consistency": 1 - 1 / 48,
        "chords_median_pitch": 53,
        "chords_longest_note": 4,
        "melody_notes_per_bar": 7 / 4,
        "melody_polyphony": 1,
        "melody_different_keys": 4,
        "melody_silent_bar_rate": 1 / 4,
        "melody_groove_consistency": 1 - 4 / 48,
        "melody_median_pitch": 74,
        "melody_longest_note": 1,
        "bass_chord_rate": 3 / 5,  # C and E on C; neither D there nor C on the third of F; A on Am7
        "bass_root_rate": 2 / 5,
    }
    assert {name: values[name] for name in values if name not in music_figures(4)} == pytest.approx(
        expected
    )
    assert set(music_figures(4, ["drums"])) - set(music_figures(4)) == {
        name for name in expected if "drums" in name
    }


def test_a_band_has_the_figures_of_its_pitched_parts_and_repeats_of_its_melody() -> None:
    piece = song_of_band(1)
    for name, figure in music_figures(3).items():
        plain = piece.part(3) if name.startswith("melody") else piece.merged
        assert figure.value(piece) == pytest.approx(figure.value(plain), nan_ok=True), name
    assert usual_voices([piece]) == usual_voices([piece.merged]) > 1
    assert figures.leaps(piece) == figures.leaps(piece.merged)
    alone = band(64, drums=[(0, 1, 36), (16, 1, 36)])
    assert (of_four("downbeat_rate", alone), of_four("repeat_rate", alone)) == (1, 0.5)


def test_a_band_in_another_key_has_other_pitches_alone() -> None:
    piece = song_of_band(2, wrong=0.3)
    for name, figure in music_figures(4, ROLES).items():
        moved = 5 * (name.endswith("pitch"))
        assert figure.value(piece.transposed(5)) == pytest.approx(
            figure.value(piece) + moved, nan_ok=True
        ), name


@pytest.mark.parametrize(
    ("signature", "upbeat", "beats", "back"),
    [((4, 4), 0, [0, 4, 8, 12], [4, 12]), ((3, 4), 4, [4, 8, 12], [8]), ((6, 8), 3, [3, 9], [9])],
)
def test_beats_are_those_of_the_bar(
    signature: tuple[int, int], upbeat: int, beats: list[int], back: list[int]
) -> None:
    def of(name: str, pitch: int, steps: list[int]) -> float:
        piece = band(
            16, upbeat, time_signature=signature, drums=[(step, 1, pitch) for step in steps]
        )
        return music_figures(4, piece.roles)[f"drums_{name}"].value(piece)

    assert (of("kick_beat_rate", 36, beats), of("kick_beat_rate", 35, [1, 7, 14])) == (1, 0)
    assert of("kick_downbeat_rate", 36, beats) == 1 / len(beats)
    assert of("backbeat_rate", 40, back) == 1
    assert of("backbeat_rate", 38, beats) == pytest.approx(len(back) / len(beats))
    assert math.isnan(of("kick_beat_rate", 38, beats))


def test_roots_of_chords() -> None:
    roots = {
        (0, 4, 7): 0,
        (4, 7, 0): 0,
        (9, 0, 4): 9,
        (0, 7): 0,
        (5, 0): 5,
        (9, 0, 4, 7): 9,
        (0, 3): 0,
        (2,): 2,
    }
    found = {chord: int(figures._chords()[1][sum(1 << note for note in chord)]) for chord in roots}
    assert found == roots
    assert figures._chords()[1][0b111] == -1
