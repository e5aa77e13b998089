"""`lnfgen harmonize` as a person meets it."""

from pathlib import Path

import pytest
from command import Call

from lnfgen.conventions import MELODY_PARTICLES
from lnfgen.runs.trained import TrainedModel

pytestmark = pytest.mark.usefixtures("few_home_samples")


def test_it_has_defaults_of_its_own(
    toy_home: Path, call: Call, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The track that looks like the melody, and fewer particles than the other commands."""
    asked: dict[str, object] = {}
    harmonize = TrainedModel.harmonize

    def spy(self: TrainedModel, *args: object, **named: object) -> object:
        asked.update(named)
        return harmonize(self, *args, **named)  # type: ignore[arg-type]

    monkeypatch.setattr(TrainedModel, "harmonize", spy)
    done = call("harmonize", "melody.mid", "--run", "run-rolls", "--seed", "1", "--out", "new.mid")
    assert done.returncode == 0, done.stderr
    assert (asked["particles"], asked["above"]) == (MELODY_PARTICLES, False)
    shown = call("harmonize", "--help").stdout.decode()
    assert f"default: {MELODY_PARTICLES}]" in shown
    assert "default: melody]" in shown


def test_a_bass_is_kept_and_the_tracks_are_named_after_the_command(
    toy_home: Path, call: Call
) -> None:
    done = call(
        *("harmonize", "melody.mid", "--run", "run-rolls", "--above", "--tracks", "bass"),
        *("--seed", "1", "--particles", "2", "--out", "new.txt", "--flat"),
    )
    assert done.returncode == 0, done.stderr
    assert (toy_home / "new.txt").read_text().startswith("# lnfgen piano-roll")
