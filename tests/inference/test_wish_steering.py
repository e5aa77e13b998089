"""Pieces with wishes have what was wanted, and are draws from p(x | the wishes hold)."""

import itertools
import json
import math
import time
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from command import Call
from toy_bands import FOUR, band_encoding
from toy_keys import KEYS, small_music
from toy_models import every_sequence, randomise, toy
from toy_music import band

import lnfgen
from lnfgen.data.music_encoding import MusicEncoding
from lnfgen.data.text_encoding import TextEncoding
from lnfgen.errors import LnfgenError, LnfgenWarning
from lnfgen.inference import block_drawing, sampling, wish_steering
from lnfgen.inference.block_drawing import outline_in
from lnfgen.inference.filling import fill_pieces, vary_pieces
from lnfgen.inference.known_part import known_part, known_whole
from lnfgen.inference.sampling import sample_pieces
from lnfgen.inference.wish_measures import Measured
from lnfgen.inference.wish_reading import wishes_for
from lnfgen.inference.wishes import AT_THE_END, Wish, Wishes
from lnfgen.models.observation import Frames, Symbols
from lnfgen.models.sequence_model import SequenceModel
from lnfgen.music.home import find_home
from lnfgen.music.pianoroll import PianoRoll
from lnfgen.music.song import Song
from lnfgen.nn.positions import Outline
from lnfgen.runs.trained import TrainedModel


@pytest.fixture(scope="module")
def chorales() -> TrainedModel:
    return lnfgen.load("chorales", "cpu")


def test_pieces_are_drawn_towards_wishes(chorales: TrainedModel) -> None:
    want = {"mode": "minor", "top": "..E5"}
    pieces = chorales.sample(count=2, bars=2, seed=2, want=want)
    for piece in pieces:
        assert isinstance(piece, PianoRoll)
        found = find_home(piece)
        assert found is not None
        assert found.mode == "minor"
        highest = np.flatnonzero(piece.sounding.any(axis=(0, 1))).max()
        assert highest + piece.lowest_pitch <= 76
    assert chorales.sample(count=2, bars=2, seed=2, want=want) == pieces, "the same again"


def test_no_wish_changes_nothing(chorales: TrainedModel) -> None:
    free = chorales.sample(count=3, bars=3, seed=2)
    assert chorales.sample(count=3, bars=3, seed=2, want={}) == free


def test_a_wish_that_holds_anyway_changes_nothing(chorales: TrainedModel) -> None:
    free = list(chorales.draw(3, bars=3, seed=2))
    wanted = list(chorales.draw(3, bars=3, seed=2, want={"notes_per_bar": (0, 99)}))
    assert [choice.piece for choice in wanted] == [choice.piece for choice in free]
    assert [choice.is_steered for choice in wanted] == [False] * 3
    assert [choice.is_steered for choice in free] == [None] * 3


# Toys of which all pieces can be listed.

STEPS = 4
DRAWS = 400
TWO_KEYS = MusicEncoding(False, lowest_pitch=60, num_pitches=2, steps_per_quarter=1)
_, OF_KEYS = small_music(True)
ABC = TextEncoding(("\ufffd", "a", "b", "c"))


def ends_on_both_keys(roll: PianoRoll) -> Measured:
    return None, 0.0 if roll.sounding[-1].all() else 1.0


AT_THE_CLOSE = Wishes((Wish("both keys last", ends_on_both_keys, AT_THE_END),))
TOY_WISHES = [
    (wishes_for(["notes_per_bar=..2"], TWO_KEYS), 0.4, 0.7),
    pytest.param(wishes_for(["notes_per_bar=..1"], TWO_KEYS), 0.1, 0.3, marks=pytest.mark.slow),
    (AT_THE_CLOSE, 0.2, 0.5),
]


def exact_probabilities(model: SequenceModel, x: torch.Tensor) -> torch.Tensor:
    """p(x) of all x `[N, T, ...]`, float64 `[N]`."""
    lengths = torch.full((len(x),), x.shape[1])
    with torch.no_grad():
        return model(x, lengths, None).reconstruction[0].double().exp()


def total_variation(drawn: list[int], expected: torch.Tensor) -> float:
    """Between the shares of the numbers that were drawn, and their probabilities `[N]`."""
    found = torch.bincount(torch.tensor(drawn), minlength=len(expected)) / len(drawn)
    return float((found - expected).abs().sum() / 2)


def of_an_exact_sampler(expected: torch.Tensor, draws: int) -> float:
    """The mean total variation of so many exact draws."""
    found = []
    for seed in range(20):
        generator = torch.Generator().manual_seed(seed)
        drawn = torch.multinomial(expected, draws, replacement=True, generator=generator)
        found.append(total_variation(drawn.tolist(), expected))
    return float(np.mean(found))


@pytest.mark.parametrize(("wishes", "low", "high"), TOY_WISHES)
def test_pieces_come_from_p_of_x_given_the_wishes(wishes: Wishes, low: float, high: float) -> None:
    """The wishes have a probability between `low` and `high`; the last is one of the end."""
    model = toy("lstm", Frames(2, has_onsets=False), emission="nade")
    randomise(model.output_head, 0.5, seed=1)
    x = every_sequence(model.observation, STEPS)
    rolls = [TWO_KEYS.decode(one, (4, 4)) for one in x.numpy()]
    holds = torch.tensor([wishes.distance(roll) == 0 for roll in rolls])
    joint = exact_probabilities(model, x) * holds
    assert low < joint.sum() < high
    expected = joint / joint.sum()
    number_of = {roll.sounding.tobytes(): number for number, roll in enumerate(rolls)}
    pieces = sample_pieces(model, TWO_KEYS, count=DRAWS, length=STEPS, seed=3, wishes=wishes)
    drawn = []
    for piece in pieces:
        assert isinstance(piece, PianoRoll)
        drawn.append(number_of[piece.sounding.tobytes()])
    assert total_variation(drawn, expected) < 1.3 * of_an_exact_sampler(expected, DRAWS)


def test_a_word_has_its_place_as_often_as_the_model_writes_it_there(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Also where no plain text has it."""
    monkeypatch.setattr(wish_steering, "PLAIN_PIECES", (), raising=False)
    model = randomise(toy("lstm", Symbols(4)), 0.25, seed=0)
    x = every_sequence(model.observation, 6)
    x = x[x[:, 0] == 3]
    texts = [ABC.decode(one) for one in x.numpy()]
    joint = exact_probabilities(model, x) * torch.tensor(["ab" in text for text in texts])
    expected = joint / joint.sum()
    part = known_part(ABC, "c_____", [])
    wishes = wishes_for(["contains=ab"], ABC)
    drawn = [
        texts.index(str(text))
        for text in fill_pieces(model, part, count=DRAWS, particles=16, seed=1, wishes=wishes)
    ]
    assert total_variation(drawn, expected) < 1.3 * of_an_exact_sampler(expected, DRAWS)


# Homes.


@pytest.fixture
def given_homes(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The homes of all pieces that a model draws from then on, by their numbers."""
    homes: list[int] = []

    def noted(*arguments: Any) -> Outline:
        outline = outline_in(*arguments)
        assert outline.homes is not None
        homes.extend(outline.homes.tolist())
        return outline

    for module in (sampling, block_drawing):
        monkeypatch.setattr(module, "outline_in", noted)
    return homes


def reader_of_homes() -> SequenceModel:
    return toy("lstm", Frames(KEYS, True), emission="autoregressive", reads_home=True)


@pytest.mark.parametrize(
    ("want", "wanted"),
    [({"key": "D"}, {2, 14}), ({"key": "Dm"}, {14}), ({"mode": "minor"}, set(range(12, 24)))],
)
def test_samples_are_given_the_home_that_is_wanted(
    given_homes: list[int], want: dict[str, str], wanted: set[int]
) -> None:
    model = reader_of_homes()
    wishes = wishes_for(want, OF_KEYS)
    pieces = list(sample_pieces(model, OF_KEYS, count=4, length=6, wishes=wishes, tries=1))
    assert set(given_homes) <= wanted
    (report,) = wishes.report(pieces[0]).values()
    found = find_home(pieces[0]) if isinstance(pieces[0], PianoRoll) else None
    assert report["value"] == (str(found) if found else None)


def test_a_filled_piece_is_given_the_wanted_home_that_fits_what_is_known(
    given_homes: list[int],
) -> None:
    """Here that is D minor, by its F."""
    model = reader_of_homes()
    known = PianoRoll.from_notes(
        [(0, 1, 62), (1, 1, 65), (2, 1, 62), (3, 1, 65)], steps_per_quarter=1, num_steps=8
    )
    part = known_part(OF_KEYS, known, ["steps:5-"])
    wishes = wishes_for({"key": "D"}, OF_KEYS)
    next(fill_pieces(model, part, wishes=wishes, particles=2, tries=1))
    assert set(given_homes) == {14}
    given_homes.clear()
    next(fill_pieces(model, part, wishes=wishes_for({"key": "C"}, OF_KEYS), particles=2, tries=1))
    assert set(given_homes) <= {0, 12}


def test_a_piece_without_known_pitches_is_given_a_home_that_is_drawn(
    given_homes: list[int],
) -> None:
    model = reader_of_homes()
    piece = PianoRoll.from_notes([(0, 8, 62)], steps_per_quarter=1)
    wishes = wishes_for({"mode": "minor"}, OF_KEYS)
    pieces = vary_pieces(
        model, known_whole(OF_KEYS, piece), amount=1, count=12, wishes=wishes, tries=1
    )
    assert len(list(pieces)) == 12
    assert set(given_homes) <= set(range(12, 24))
    assert len(set(given_homes)) > 1


def test_what_no_plain_piece_has_is_steered() -> None:
    model = toy("lstm", Frames(2, has_onsets=False), emission="nade")
    randomise(model.output_head, 0.5, seed=1)
    wishes = wishes_for(["notes_per_bar=..0.4"], TWO_KEYS)  # two of a thousand free pieces
    are_steered: list[bool] = []
    pieces = list(
        sample_pieces(
            *(model, TWO_KEYS), count=5, length=4, wishes=wishes, steered=are_steered.append
        )
    )
    assert all(wishes.distance(piece) == 0 for piece in pieces)
    assert len(are_steered) == 5
    assert any(are_steered)


MELODY = PianoRoll.from_notes(
    [(2 * i, 2, 67 + pitch) for i, pitch in enumerate((0, 0, 2, 4, 5, 4, 2, 0))],
    steps_per_quarter=2,
)


def test_what_is_kept_stays_and_the_rest_has_what_is_wanted(chorales: TrainedModel) -> None:
    want = ["bass=G2..", "ends=cadence"]
    (song,) = chorales.harmonize(MELODY, seed=1, want=want)
    assert isinstance(song, Song)
    line = song.roll.edge_keys(True)[:16] + song.roll.lowest_pitch
    assert np.array_equal(line, MELODY.edge_keys(True) + MELODY.lowest_pitch)
    report = wishes_for(want, chorales.encoding).report(song)
    assert [found["held"] for found in report.values()] == [True, True]
    (again,) = chorales.harmonize(MELODY, seed=1, want=want)
    assert again == song, "the same again"


def test_wishes_that_what_is_kept_cannot_meet_are_refused(chorales: TrainedModel) -> None:
    said = r"what is kept has C5, which the wishes for top and bass leave out"
    with pytest.raises(LnfgenError, match=said):
        chorales.harmonize(MELODY, want=["top=..B4"])
    with pytest.raises(LnfgenError, match=r"keeps its time signature"):
        chorales.harmonize(MELODY, want=["time_signature=3/4"])


def test_what_is_hardly_ever_reached_ends_with_the_nearest_piece(chorales: TrainedModel) -> None:
    want = {"note_length": (9, math.inf)}
    said = r"^the piece does not have note_length=9\.\.inf, but [0-9.]+: it is the nearest"
    with pytest.warns(LnfgenWarning, match=said):
        (piece,) = chorales.sample(bars=1, seed=1, want=want, tries=1)
    assert isinstance(piece, PianoRoll)


def test_a_text_has_the_words_that_are_wanted() -> None:
    model = lnfgen.load("folk-abc", "cpu")
    want = {"contains": "ABcd"}
    with warnings.catch_warnings():
        warnings.simplefilter("error", LnfgenWarning)
        (text,) = model.sample(length=40, seed=3, want=want, tries=1)
    assert isinstance(text, str)
    assert "ABcd" in text
    assert model.sample(length=40, seed=3, want=want, tries=1) == [text], "the same again"
    said = r"the wish contains=ABcd; found no 4 free characters in a row"
    with pytest.raises(LnfgenError, match=said):
        model.sample(length=3, seed=3, want=want)


def test_wishes_for_lines_leave_drums_out() -> None:
    parts = (FOUR[0], FOUR[3])
    model = toy("lstm", Frames(49, True, parts=2), emission="autoregressive")
    encoding = band_encoding(parts)
    piece = band(4, drums=[(0, 1, 36), (0, 1, 81)], melody=[(0, 1, 60)])
    wishes = wishes_for(["top=..C5", "bass=C4.."], encoding)
    part = known_part(encoding, piece, ["steps:2-"])
    (song,) = fill_pieces(model, part, wishes=wishes, particles=8)
    assert isinstance(song, Song)
    assert [report["held"] for report in wishes.report(song).values()] == [True, True]
    drums = [pitch for _, _, pitch in song.roll.notes(0)]
    assert min(drums) < 60
    assert max(drums) > 72
    assert wishes_for({"like": song}, encoding).distance(song) == 0
    with pytest.raises(LnfgenError, match="what is kept has C4"):
        next(fill_pieces(model, part, wishes=wishes_for(["bass=D4.."], encoding)))


def test_the_commands_say_which_wishes_hold(toy_home: Path, call: Call) -> None:
    words = ("--bars", "2", "--seed", "1", "--out", "w.mid", "--json", "--tries", "2")
    wants = ("--want", "top=..C7", "--want", "notes_per_bar=0..")
    done = call("sample", "run-rolls", *words, *wants)
    assert done.returncode == 0, done.stderr
    (piece,) = json.loads(done.stdout)["pieces"]
    # The toy run draws nothing but silence, which has no highest line.
    assert [found["held"] for found in piece["wishes"].values()] == [False, True]
    assert (
        b"the piece does not have top=..C7, but none: it is the nearest of 2 tries" in done.stderr
    )
    assert list(piece["wishes"]) == ["top=..C7", "notes_per_bar=0.."]
    assert piece["steered"] is False


def test_wishes_are_listed_with_their_units(call: Call) -> None:
    listed = json.loads(call("list", "--figures", "--json").stdout)["figures"]
    repeats = [row["name"] for row in listed if row["is"] == "drums: bars that came before"]
    assert set(repeats) == {"drums_repeat_rate"}
    leaps = {
        "name": "leaps",
        "of": "music",
        "is": "top line: moves over a fifth, count",
        "within": 0.5,
    }
    assert leaps in listed


def test_no_clock_decides_what_a_seed_gives(
    chorales: TrainedModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On a busy machine a piece takes longer, and is the same."""
    want = {"note_length": (9, math.inf)}  # which no try has
    hours = itertools.count(step=3600)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", LnfgenWarning)
        (usual,) = chorales.sample(bars=1, seed=1, want=want, tries=3)
        monkeypatch.setattr(time, "monotonic", lambda: next(hours))
        (on_a_busy_machine,) = chorales.sample(bars=1, seed=1, want=want, tries=3)
    assert on_a_busy_machine == usual


def test_a_piece_does_not_depend_on_the_others(chorales: TrainedModel) -> None:
    want = {"key": "G"}
    several = chorales.sample(count=4, bars=1, seed=5, want=want)
    assert several[:1] == chorales.sample(bars=1, seed=5, want=want)
    assert several[:3] == chorales.sample(count=3, bars=1, seed=5, want=want)


def test_each_piece_is_there_before_the_next_one_is_begun(chorales: TrainedModel) -> None:
    endless = chorales.draw(10_000_000, bars=1, seed=5, want={"key": "G"})
    assert [next(endless).index, next(endless).index] == [0, 1]
    events: list[str] = []

    def progress(description: str, done: int, total: int) -> None:
        events.append(f"{description} {done} of {total}")

    chorales.harmonize(
        MELODY,
        count=2,
        seed=1,
        tries=1,
        particles=2,
        want={"notes_per_bar": (0, 99)},
        progress=progress,
        drawn=lambda song: events.append("drawn"),
    )
    # Plain pieces come together. Each step is reported, so that who listens can end the work.
    drawing = events[:-4]
    others = events[-4:]
    assert len(drawing) > 10
    assert all(event.startswith("drawing ") for event in drawing)
    assert others == ["tries 1 of 2", "drawn", "tries 2 of 2", "drawn"]


def test_tries_are_a_number_from_1_on(chorales: TrainedModel) -> None:
    for wrong in (0, -1, 10**30):
        with pytest.raises(LnfgenError, match=r" tries; expected 1 to 1,000$"):
            chorales.sample(bars=1, want={"key": "G"}, tries=wrong)
