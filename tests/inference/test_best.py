"""The best of many pieces: by their likelihood, and without what the training data holds."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from toy_metres import ENCODING, told

from lnfgen.errors import LnfgenError
from lnfgen.inference import best as choosing
from lnfgen.inference.best import choose_best
from lnfgen.music.pianoroll import PianoRoll
from lnfgen.runs.trained import TrainedModel


def melody(seed: int, num_steps: int = 60) -> PianoRoll:
    """Notes at random in the time signature and on the grid of the toy run.

    That finds pieces of fewer notes likelier.
    """
    rng = np.random.default_rng(seed)
    notes = []
    for step in range(0, num_steps, 1 + seed):
        notes.append((step, 1, int(rng.integers(50, 70))))
    return PianoRoll.from_notes(
        notes, num_steps=num_steps, steps_per_quarter=2, time_signature=(3, 4)
    )


@pytest.fixture
def music(toy_home: Path) -> TrainedModel:
    return TrainedModel(toy_home / "run-rolls")


@pytest.fixture
def words(toy_home: Path) -> TrainedModel:
    return TrainedModel(toy_home / "run-lines")


def test_the_likeliest_pieces_come_first_and_silence_last(music: TrainedModel) -> None:
    silence = PianoRoll.of_one(np.zeros((60, 88), np.bool_), steps_per_quarter=2)
    pieces = [silence, melody(0), melody(4), melody(1)]
    told: list[tuple[str, int, int]] = []
    choices = choose_best(
        music.model, music.encoding, pieces, 4, None, progress=lambda *args: told.append(args)
    )
    assert [choice.index for choice in choices] == [2, 3, 1, 0]
    assert told[-1] == ("scoring", 4, 4)
    nlls = []
    for choice in choices:
        assert choice.piece is pieces[choice.index]
        assert choice.longest_copy is None
        assert choice.nll == pytest.approx(music.nll(choice.piece).nll, rel=0.05)
        nlls.append(choice.nll or 0.0)
    assert nlls[-1] < min(nlls[:-1])  # so likely is silence
    assert choose_best(music.model, music.encoding, pieces, 2, None) == choices[:2]


def test_a_long_copy_in_any_key_is_out_and_a_short_one_stays(music: TrainedModel) -> None:
    train = [melody(0, 100), melody(1)]
    most = choosing.MAX_COPY_BARS * 6  # steps
    longer = train[0].stretch(10, 11 + most)
    as_long = train[0].stretch(10, 10 + most)
    pieces = [replace(longer.transposed(3), tempo_bpm=60.0), as_long.transposed(-5), melody(2)]
    choices = choose_best(music.model, music.encoding, pieces, 3, train)
    assert [choice.index for choice in choices] == [2, 1]
    assert choices[1].longest_copy == most / 2  # quarters
    assert choices[0].longest_copy is not None
    assert choices[0].longest_copy < most / 2
    with pytest.raises(LnfgenError, match=r"1 piece, each .* over 4 bars"):
        choose_best(music.model, music.encoding, pieces[:1], 1, train)
    assert len(choose_best(music.model, music.encoding, pieces, 3, None)) == 3


def test_a_long_copy_is_over_four_bars_of_the_piece() -> None:
    notes = [(step, 4, 60 + step % 3) for step in range(0, 64, 4)]
    train = PianoRoll.from_notes(notes, num_steps=64, lowest_pitch=60, num_pitches=3)
    copied = train.stretch(0, 52)  # 13 quarters: over four bars of 3/4, and less than four of 4/4
    pieces = [copied, replace(copied, time_signature=(3, 4))]
    chosen = choose_best(told("lstm"), ENCODING, pieces, 2, [train])
    assert [(choice.index, choice.longest_copy) for choice in chosen] == [(0, 13)]


def test_texts_with_a_long_copy_are_out(words: TrainedModel) -> None:
    phrase = "".join(np.random.default_rng(0).choice(["a", "b", " "], 140))
    most = choosing.MAX_COPY_CHARS
    pieces = [phrase[4 : 5 + most], phrase[4 : 4 + most]]
    choices = choose_best(words.model, words.encoding, pieces, 2, [phrase])
    assert [(choice.index, choice.longest_copy) for choice in choices] == [(1, None)]
    with pytest.raises(LnfgenError, match=r"1 piece, each .* over 120 characters"):
        choose_best(words.model, words.encoding, pieces[:1], 1, [phrase])
