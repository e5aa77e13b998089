"""What `fill`, `harmonize`, `continue` and `vary` share: the run, the device and the passes."""

from pathlib import Path

import pytest
from command import Call, fails
from html_page import Page
from toy_runs import make_run

from lnfgen.data.dataset import open_dataset

pytestmark = pytest.mark.usefixtures("few_home_samples")

OF_TEXT = {
    "fill": ["fill", "song.txt", "--free", "2-3"],
    "continue": ["continue", "song.txt", "--length", "4"],
    "vary": ["vary", "song.txt", "--amount", "1"],
}
OF_MUSIC = ["harmonize", "melody.mid"]
FEW = ["--particles", "2", "--seed", "1"]


@pytest.mark.parametrize("name", OF_TEXT)
def test_a_trained_model_is_a_run(name: str, toy_home: Path, call: Call) -> None:
    done = call(*OF_TEXT[name], "--run", "run-lines", "--out", "new.txt", *FEW)
    assert (done.returncode, done.stdout) == (0, b"new.txt\n"), done.stderr
    # --model is the architecture, which `train` alone takes.
    done = call(*OF_TEXT[name], "--model", "run-lines", "--out", "new.txt")
    assert (done.returncode, b"No such option" in done.stderr) == (2, True)


@pytest.mark.parametrize("arguments", [*OF_TEXT.values(), OF_MUSIC])
def test_device_and_passes_are_as_for_sample(arguments: list[str], call: Call) -> None:
    is_music = arguments == OF_MUSIC
    run = "run-rolls" if is_music else "run-lines"
    out = "new.mid" if is_music else "new.txt"
    asked = [*arguments, "--run", run, "--out", out, *FEW]
    assert call(*asked, "--device", "cpu").returncode == 0
    fails(call(*asked, "--device", "gpu"), "gpu", "expected")
    fails(call(*asked, "--passes", "8"), f"{run} is af-scf", "leave --passes out")
    fails(call(*asked, "--temperature", "-1"), "a temperature of -1.0; expected a number from 0")


def test_a_model_by_blocks_fills_in_the_passes_that_are_asked_for(
    toy_home: Path, call: Call
) -> None:
    make_run(toy_home / "blocks", open_dataset(toy_home / "lines"), name="blocks-codes")
    (toy_home / "long.txt").write_text("a b ab " * 12)

    def drawn(*passes: str) -> str:
        asked = ["fill", "long.txt", "--free", "5-80", "--run", "blocks", *FEW]
        return call(*asked, "--out", "-", *passes).stdout.decode()

    usual = drawn()
    assert len(usual) == 85
    assert drawn("--passes", "32") == usual
    assert drawn("--passes", "4") != usual


def test_music_for_a_model_of_text_is_refused_before_it_is_loaded(
    call: Call, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise AssertionError("loaded")

    monkeypatch.setattr("lnfgen.api.load", refuse)
    done = call("continue", "melody.mid", "--out", "x.txt", "--run", "run-lines")
    fails(done, "melody.mid is music; expected a text", "choose another --run")
    done = call("harmonize", "song.txt", "--out", "x.mid", "--run", "run-lines")
    fails(done, "run-lines makes text; expected a model of music; choose another --run")
    done = call("vary", "song.txt", "--out", "x.txt", "--run", "run-lines", "--tracks", "1")
    fails(done, "leave --tracks out")


def test_flat_still_marks_what_was_drawn(toy_home: Path, call: Call) -> None:
    """It takes the file away alone, beside which drawn notes would be written."""
    asked = [*OF_MUSIC, "--run", "run-rolls", "--out", "new.html", *FEW]
    assert call(*asked, "--flat").returncode == 0
    (piece,) = Page((toy_home / "new.html").read_bytes()).data
    both_notes_of_the_melody = [[0, 1]]
    assert piece["given"] == both_notes_of_the_melody
