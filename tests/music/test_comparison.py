"""Comparing two sets of music: the classifier, and windows of equal length."""

import json
import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from toy_music import band, harmonised, pieces, song_of_band

from lnfgen.data.benchmarks import read_benchmark
from lnfgen.errors import LnfgenError
from lnfgen.music.comparison import compare_pieces, window_steps, windows_of
from lnfgen.music.figure_rows import spread
from lnfgen.music.figures import music_figures
from lnfgen.music.parts import ROLES
from lnfgen.music.pianoroll import PianoRoll
from lnfgen.music.repertoire import Repertoire


def test_a_seed_is_no_negative_number() -> None:
    with pytest.raises(LnfgenError, match="a seed of -1; expected a whole number from 0 on"):
        compare_pieces(pieces(0, 2), pieces(2, 4), seed=-1)


def test_halves_of_a_set_are_alike_and_a_damaged_copy_or_one_piece_is_not() -> None:
    one_piece = compare_pieces([harmonised(3)] * 10, pieces(10, 30))
    assert one_piece.samples_variety == pytest.approx(0, abs=1e-6)
    assert one_piece.reference_variety > 2
    halves = compare_pieces(pieces(0, 40), pieces(40, 80))
    assert 0.3 < halves.auc < 0.7
    assert np.mean([row.inside for row in halves.figures.values()]) > 0.85
    assert halves.usual_voices == 4
    assert halves.samples_variety == pytest.approx(halves.reference_variety, rel=0.3)
    damaged = compare_pieces(pieces(0, 40, wrong=0.2), pieces(40, 80))
    assert damaged.auc > 0.97
    assert damaged.figures["scale_consistency"].inside < 0.5
    assert damaged.figures["note_length"].inside > 0.5
    same = compare_pieces(pieces(0, 30), pieces(0, 30))
    assert same.auc < 0.6
    assert same.most_copied == 32


def test_the_chorales_are_like_one_another(shared_data: Callable[[str], Path]) -> None:
    chorales = read_benchmark(shared_data("polyphonic/jsb_chorales.pickle"))
    train, test = chorales["train"][:80], chorales["test"]
    alike = compare_pieces(train, test)
    assert 0.35 < alike.auc < 0.65
    assert alike.usual_voices == 4
    assert np.mean([row.inside for row in alike.figures.values()]) > 0.85
    rng = np.random.default_rng(0)
    noisy = []
    for piece in train:
        noise = rng.random(piece.sounding.shape) < 0.002
        noisy.append(replace(piece, sounding=piece.sounding ^ noise))
    assert compare_pieces(noisy, test).auc > 0.9


def test_inside_counts_the_range_and_no_sample_without_the_figure() -> None:
    silent = PianoRoll.from_notes([], num_steps=80, steps_per_quarter=2)
    result = compare_pieces([*pieces(0, 3), silent], pieces(10, 40))
    lengths = result.figures["note_length"]
    low, _, high = spread(lengths.reference)
    assert np.isnan(lengths.samples[3])
    assert lengths.inside == sum(low <= value <= high for value in lengths.samples) / 4
    assert result.figures["exact_polyphony_rate"].inside == 0.75


def test_windows_have_one_length_and_start_with_bars() -> None:
    long = harmonised(0, 100)
    three_four = replace(harmonised(1, 100), time_signature=(3, 4))
    result = compare_pieces([long, three_four, harmonised(2, 20)], pieces(3, 6))
    assert result.window_quarters == 32
    # Of 100 quarters: 0 to 32, 32 to 64, 64 to 96; in 3/4 the next bars after 32 and 65 start at 33
    # and 66.
    assert (result.samples_windows, result.samples_songs) == (6, 2)
    assert (result.reference_windows, result.reference_songs) == (3, 3)
    in_bars = compare_pieces([three_four], [three_four]).figures["downbeat_rate"].samples
    # a window of 32 quarters has eleven of its chords on bars
    assert in_bars == pytest.approx([1 / 3] * 3, abs=0.06)


def test_short_pieces_have_short_windows_and_grids_are_made_one() -> None:
    short = pieces(0, 4, num_quarters=13)
    result = compare_pieces([piece.on_grid(4) for piece in short], pieces(4, 9))
    assert result.window_quarters == 13
    on_one_grid = compare_pieces(short, pieces(4, 9))
    lengths = on_one_grid.figures["note_length"].samples
    assert result.figures["note_length"].samples == pytest.approx(lengths)
    one_step = PianoRoll.from_notes([(0, 1, 60)], steps_per_quarter=2)
    assert compare_pieces([one_step], [one_step]).window_quarters == 0.5


def test_onsets_count_where_all_pieces_have_them() -> None:
    known = pieces(0, 6)
    unknown = [replace(piece, onsets=None) for piece in known]
    for first, second in ((known, unknown), (unknown, known)):
        row = compare_pieces(first, second).figures["note_length"]
        assert row.samples.tolist() == row.reference.tolist()


def test_copies_of_train_and_of_the_reference() -> None:
    train, test = pieces(0, 6), pieces(6, 12)
    of_train = compare_pieces([train[2], test[0]], test, train)
    assert of_train.figures["longest_copy"].samples[0] == of_train.most_copied == 32
    assert of_train.figures["longest_copy"].samples[1] < 8
    of_reference = compare_pieces([train[2], test[0]], test)
    assert of_reference.figures["longest_copy"].samples[1] == 32
    assert max(of_reference.figures["longest_copy"].reference) < 8  # no piece is a copy of itself


def test_train_is_judged_by_the_same_figures_as_samples_are() -> None:
    """Train has copies as long as its pieces in train, where samples are searched for too."""
    train, test = pieces(0, 16), pieces(16, 32)
    beside_test = compare_pieces(train, test, train)
    assert beside_test.most_copied == 32
    assert beside_test.auc < 0.75
    alone = compare_pieces(train, test)
    assert beside_test.auc == alone.auc
    assert beside_test.samples_variety == alone.samples_variety


def test_a_figure_sees_one_window_alone() -> None:
    """The second window repeats the first one, which is no repetition within a window."""
    once = harmonised(0, 32)
    assert once.onsets is not None
    sounding = np.concatenate([once.sounding, once.sounding])
    twice = replace(once, sounding=sounding, onsets=np.concatenate([once.onsets, once.onsets]))
    result = compare_pieces([twice], pieces(3, 6))
    assert result.samples_windows == 2
    for name in ("repeat_rate", "melody_bar_rate", "melody_repeat_rate"):
        first, second = result.figures[name].samples
        assert first == second < 0.2


def test_the_result_is_json_whatever_is_compared() -> None:
    silent = PianoRoll.from_notes([], num_steps=80)
    for result in (compare_pieces([silent], [silent]), compare_pieces([silent], pieces(0, 3))):
        values = json.loads(json.dumps(result.to_json(), allow_nan=False))
        assert values["auc"] is None
        assert values["figures"]["note_length"]["samples"] == {
            "q05": None,
            "median": None,
            "q95": None,
        }
    assert values["figures"]["note_length"]["inside"] == 0


# Bands.


@pytest.mark.parametrize("upbeat", [0, 3])
@pytest.mark.parametrize("time_signature", [(4, 4), (3, 4), (5, 16), (3, 64)])
def test_windows_of_a_band_hold_those_of_each_part(
    upbeat: int, time_signature: tuple[int, int]
) -> None:
    plain = replace(song_of_band(1, 12), time_signature=time_signature)
    song = plain.with_upbeat(upbeat)
    num_steps = window_steps([song])
    windows = list(windows_of(song, num_steps))
    for number in range(4):
        part = song.part(number)
        assert window_steps([part]) == num_steps
        expected = list(windows_of(part, num_steps))
        assert [(start, window.part(number)) for start, window in windows] == expected


def test_wrong_drums_are_heard_and_the_pitches_are_as_before() -> None:
    songs = [song_of_band(seed) for seed in range(24)]
    wrong = compare_pieces([song_of_band(seed, wrong=0.5) for seed in range(12)], songs[12:])
    alike = compare_pieces(songs[:12], songs[12:])
    assert wrong.auc > 0.9
    assert wrong.figures["drums_backbeat_rate"].inside < 0.2
    roots = alike.figures["bass_root_rate"].samples.tolist()
    assert wrong.figures["bass_root_rate"].samples.tolist() == roots
    assert 0.2 < alike.auc < 0.8
    assert alike.window_quarters == 32
    beside = ("longest_copy", "new_chord_pairs", "chord_changes", "fifth_rate")
    assert set(alike.figures) == {*music_figures(4, ROLES), *beside}
    finer = [song.on_grid(2 * song.steps_per_quarter) for song in songs[:12]]
    assert compare_pieces(finer, songs[12:]).auc == alike.auc


def without_bass(song: PianoRoll) -> PianoRoll:
    """The song with a silent bass."""
    assert song.onsets is not None
    plays = np.array([role != "bass" for role in song.roles])[:, None]
    return replace(song, sounding=song.sounding & plays, onsets=song.onsets & plays)


def test_a_silent_part_leaves_the_classifier_in_the_dark_but_for_its_silence() -> None:
    songs = [song_of_band(seed) for seed in range(12)]
    without = [without_bass(song) for song in songs[:6]]
    result = compare_pieces(without, songs[6:])
    assert result.auc > 0.9
    assert set(result.figures["bass_silent_bar_rate"].samples) == {1}
    assert np.isnan(result.figures["bass_root_rate"].samples).all()
    assert math.isnan(result.figures["bass_root_rate"].inside)
    assert json.dumps(result.to_json(), allow_nan=False)
    # those with a bass have figures of songs
    some = compare_pieces([*without[:3], *songs[3:6]], songs[3:])
    assert some.figures["bass_root_rate"].inside > 0.6
    assert some.figures["bass_silent_bar_rate"].inside == 0.5


def test_copies_in_a_band_are_those_of_its_pitched_parts_in_any_key() -> None:
    train = [song_of_band(seed) for seed in range(6)]
    copied = song_of_band(2, wrong=1.0).transposed(2)  # with other drums
    result = compare_pieces([copied, song_of_band(9)], [song_of_band(10)], train)
    copies = result.figures["longest_copy"].samples
    assert copies[0] == 32
    assert copies[1] < 16


def test_music_of_one_part_beside_a_band_plays_in_one_of_its_parts() -> None:
    songs = [song_of_band(seed) for seed in range(6)]
    result = compare_pieces([song.part(3) for song in songs], songs)
    assert result.figures["melody_notes_per_bar"].inside == 1
    assert result.figures["drums_notes_per_bar"].inside == 0
    drums = [band(128, drums=song.part(0).notes()) for song in songs]
    assert compare_pieces(drums[:3], drums[3:]).most_copied > 31  # all play the same


def test_stretches_of_one_song_count_as_one_and_are_no_copies() -> None:
    songs = [song_of_band(seed) for seed in range(8)]
    twice = [*songs, *songs]
    numbers = [*range(8), *range(8)]
    as_songs = compare_pieces(songs, Repertoire(twice, numbers))
    assert (as_songs.reference_songs, as_songs.samples_songs) == (8, 8)
    assert as_songs.figures["longest_copy"].reference.max() < 16
    as_pieces = compare_pieces(songs, twice)
    assert as_pieces.reference_songs == 16
    assert as_pieces.figures["longest_copy"].reference.min() > 16
    assert as_songs.figures["new_chord_pairs"].reference.mean() > 0
    assert as_pieces.figures["new_chord_pairs"].reference.max() == 0


def test_train_is_compared_with_the_reference_too() -> None:
    train = pieces(0, 30)
    alike = compare_pieces(pieces(30, 50, wrong=0.5), pieces(50, 70), train)
    assert alike.train_auc < 0.7 < alike.auc
    assert np.isnan(compare_pieces(pieces(0, 4), pieces(4, 8)).train_auc)
    other = compare_pieces(pieces(30, 50), pieces(50, 70), pieces(0, 30, wrong=0.5))
    assert other.train_auc > 0.9


def test_shares_and_copies_have_what_a_referee_asks_for() -> None:
    train = pieces(0, 20)
    result = compare_pieces([*pieces(20, 36), *train[:4]], pieces(36, 56), train)
    without = compare_pieces(pieces(20, 40), pieces(36, 56), train)
    assert without.copy_rate < result.copy_rate <= without.copy_rate + 0.2
    row = result.figures["note_length"]
    low, high = row.inside_interval()
    assert low <= row.inside <= high
    assert high - low < 0.6
    wrong = compare_pieces(pieces(20, 40, wrong=0.5), pieces(40, 60), train)
    overlaps = [found.figures["chord_rate"].overlap for found in (result, wrong)]
    assert overlaps[0] > overlaps[1] + 0.1
    plain = result.to_json()
    assert plain["copy_rate"] == result.copy_rate
    assert plain["figures"]["note_length"]["overlap"] == row.overlap
