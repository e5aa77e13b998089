"""A trained model from Python."""

import inspect
import json
from pathlib import Path

import pytest
from toy_home import make_home
from toy_runs import make_run

import lnfgen
from lnfgen.data.dataset import open_dataset
from lnfgen.errors import LnfgenError, LnfgenWarning
from lnfgen.formats.text import with_long_copies
from lnfgen.inference import best as choosing
from lnfgen.runs.trained import Drawing, TrainedModel


@pytest.fixture
def words(toy_home: Path) -> TrainedModel:
    return TrainedModel(toy_home / "run-lines")


def test_passes_are_of_models_by_blocks(toy_home: Path, words: TrainedModel) -> None:
    make_run(toy_home / "blocks", open_dataset(toy_home / "lines"), name="blocks-codes")
    assert lnfgen.load(toy_home / "blocks", passes=4).passes == 4
    assert words.passes is None
    with pytest.raises(LnfgenError, match="3 passes; expected at least 4"):
        lnfgen.load(toy_home / "blocks", passes=3)
    with pytest.raises(LnfgenError, match=r"run-lines is af-scf, .* blocks-scf or blocks-codes"):
        lnfgen.load(toy_home / "run-lines", passes=4)


def test_what_a_method_takes_is_spelled_out() -> None:
    """A type checker follows an option from a command to where pieces are drawn."""
    for method in (TrainedModel.sample, TrainedModel.draw):
        parameters = inspect.signature(method).parameters.values()
        assert not any(parameter.kind is parameter.VAR_KEYWORD for parameter in parameters)
    options = set(Drawing.__annotations__)
    assert options <= inspect.signature(TrainedModel._filled).parameters.keys()
    described = inspect.getdoc(TrainedModel.fill) or ""
    for name in options:
        assert f"`{name}`" in described


@pytest.mark.usefixtures("few_home_samples")
def test_wishes_have_their_tries_in_what_is_filled_and_varied(words: TrainedModel) -> None:
    long = {"line_length": 900}
    with pytest.warns(LnfgenWarning, match="the nearest of 1 try; more may"):
        words.fill("bbb_bbb", want=long, tries=1, particles=1)
    (varied,) = words.vary("ab ab ab", amount=0, want={"contains": "ab"}, tries=1)
    assert varied == "ab ab ab"
    assert len(words.fill("a_b", count=3, particles=2)) == 3
    with pytest.raises(LnfgenError, match="temperature of -1"):
        words.extend("ab", length=2, temperature=-1)


def test_the_length_in_bars_and_the_temperature(toy_home: Path) -> None:
    model = TrainedModel(toy_home / "run-rolls")
    (piece,) = model.sample(bars=2)
    assert not isinstance(piece, str)
    assert (piece.num_steps, piece.num_bars) == (12, 2)
    for wrong in (float("inf"), float("nan"), -1.0):
        with pytest.raises(LnfgenError, match=f"temperature of {wrong}; expected"):
            model.sample(temperature=wrong)


def test_a_temperature_of_1_is_the_usual_one_of_the_run(toy_home: Path) -> None:
    """Only what is drawn depends on it, not what is scored."""
    run = toy_home / "run-lines"
    given = "ab_________"
    model = TrainedModel(run)
    wilder = model.sample(length=40, temperature=2)
    filled = model.fill(given, temperature=2, particles=2)
    score = model.nll("abab").nll
    settings = json.loads((run / "config.json").read_text())
    settings["model"]["usual_temperature"] = 2.0
    (run / "config.json").write_text(json.dumps(settings))
    model = TrainedModel(run)
    assert model.sample(length=40) == wilder
    assert model.sample(length=40, temperature=0.5) != wilder
    assert model.fill(given, particles=2) == filled
    assert model.nll("abab").nll == score
    with pytest.raises(LnfgenError, match="temperature of -2"):
        model.sample(temperature=-2)


def test_the_best_are_the_likeliest(words: TrainedModel) -> None:
    drawn = words.sample(20, length=12, seed=3)
    chosen = list(words.draw(20, length=12, seed=3, best=3))
    assert [choice.piece for choice in chosen] == words.sample(20, length=12, seed=3, best=3)
    assert [drawn[choice.index] for choice in chosen] == [choice.piece for choice in chosen]
    scores = [choice.nll for choice in chosen]
    assert scores == sorted(scores)  # type: ignore[type-var]
    with pytest.raises(LnfgenError, match="best 5 of 4"):
        words.sample(4, best=5)


def test_too_few_without_a_copy_are_a_warning(
    words: TrainedModel, toy_home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    train = list(map(str, open_dataset(toy_home / "lines").pieces("train")))
    drawn = list(map(str, words.sample(6, length=30, seed=1)))
    for length in range(1, 12):
        num_copies = sum(with_long_copies(drawn, train, length))
        if 0 < num_copies < 6:
            break
    monkeypatch.setattr(choosing, "MAX_COPY_CHARS", length)
    monkeypatch.chdir(toy_home)
    with pytest.warns(LnfgenWarning, match=f"found {6 - num_copies} pieces? of the best 6"):
        assert len(words.sample(6, length=30, seed=1, best=6)) == 6 - num_copies


def test_without_the_dataset_copies_are_not_looked_for(tmp_path: Path) -> None:
    make_home(tmp_path)
    (tmp_path / "lines").rename(tmp_path / "elsewhere")
    with pytest.warns(LnfgenWarning, match="not looked for"):
        assert len(TrainedModel(tmp_path / "run-lines").sample(4, best=2)) == 2


def test_a_score_is_of_one_piece_or_several(words: TrainedModel) -> None:
    one = words.nll("ab ba", samples=2)
    assert words.nll(["ab ba"], samples=2) == one
    assert one.marginal_nll is None
    with pytest.raises(LnfgenError, match="found no pieces"):
        words.nll([])


@pytest.mark.usefixtures("few_home_samples")
def test_what_is_drawn_for_a_song_has_its_file(toy_home: Path) -> None:
    model = TrainedModel(toy_home / "run-rolls")
    (melody,) = lnfgen.read(toy_home / "melody.mid")
    assert isinstance(melody, lnfgen.Song)
    (harmonized,) = model.harmonize(melody, particles=2)
    (of_a_roll,) = model.harmonize(melody.roll, particles=2)
    assert isinstance(harmonized, lnfgen.Song)
    assert isinstance(of_a_roll, lnfgen.Song)
    assert harmonized.origin.midi == melody.origin.midi
    assert harmonized.is_own_file
    assert not of_a_roll.is_own_file
    assert harmonized.roll == of_a_roll.roll
    assert model.nll(harmonized, samples=2) == model.nll(harmonized.roll, samples=2)
