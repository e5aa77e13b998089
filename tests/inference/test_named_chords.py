"""Harmonies are drawn towards chords that have a name."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from toy_charts import GRID, PIANO
from toy_models import toy

from lnfgen.conventions import ONSET, SOUNDING
from lnfgen.inference import named_chords
from lnfgen.inference.filling import fill_pieces
from lnfgen.inference.known_part import known_melody, known_part
from lnfgen.inference.named_chords import COST, NamedChords
from lnfgen.inference.wish_reading import wishes_for
from lnfgen.models.observation import Frames
from lnfgen.music.chart import beat_steps
from lnfgen.music.chord import named_sets
from lnfgen.music.harmony import pitch_classes, set_number
from lnfgen.music.pianoroll import PianoRoll
from lnfgen.music.song import Song

NUM_BARS = 2
STEPS = 4 * GRID * NUM_BARS
CLUSTER = (60, 61, 62)
TRIAD = (60, 64, 67)
DYAD = (60, 61)


HELD = PianoRoll.from_notes([(0, STEPS, 80)], steps_per_quarter=GRID, num_steps=STEPS)


def values_of(*chords: tuple[int, ...]) -> torch.Tensor:
    """Frames uint8 [T, 1, P] of chords, MIDI pitches, of a step each."""
    values = torch.zeros(len(chords), 1, PIANO.num_pitches, dtype=torch.uint8)
    for step, pitches in enumerate(chords):
        values[step, 0, [pitch - PIANO.lowest_pitch for pitch in pitches]] = SOUNDING | ONSET
    return values


def num_unnamed(piece: Song | str) -> int:
    """The beats of a piece whose chord has no name."""
    assert isinstance(piece, Song)
    beats = beat_steps(piece.roll)
    classes = pitch_classes(piece.roll, piece.roll.sounding)[beats] > 0
    return int((~named_sets()[set_number(classes)]).sum())


def test_each_beat_without_a_name_costs_the_same_and_others_cost_nothing() -> None:
    # Beats are steps 0, 2 and 4.
    chords = [CLUSTER, TRIAD, TRIAD, CLUSTER, CLUSTER, CLUSTER]
    others = [DYAD, CLUSTER, (), CLUSTER, TRIAD, CLUSTER]
    x = torch.stack([values_of(*chords), values_of(*others)])
    named = NamedChords(known_melody(PIANO, HELD))
    assert named.log_weight(x).tolist() == [-2 * COST, 0.0]
    assert named.log_weight(x[:, :4]).tolist() == [-COST, 0.0]


def test_it_weighs_once_a_beat_has_begun() -> None:
    named = NamedChords(known_melody(PIANO, HELD))
    silence = torch.zeros(1, STEPS, 1, PIANO.num_pitches, dtype=torch.uint8)
    weighed = [t for t in range(1, STEPS + 1) if named(t, lambda: silence) is not None]
    assert weighed == list(range(1, STEPS + 1, GRID))


def test_beats_are_those_that_the_model_hears() -> None:
    encoding = replace(PIANO, fills_upbeats=True)
    part = known_melody(encoding, HELD.with_upbeat(1))
    assert part.ahead == 4 * GRID - 1
    first_bar_line = part.ahead + 1
    assert part.beats.tolist() == list(range(first_bar_line, part.num_steps, GRID))


@pytest.mark.parametrize(
    "want", [None, pytest.param({"notes_per_bar": "..0"}, marks=pytest.mark.slow)]
)
def test_harmonies_have_fewer_chords_without_a_name(
    want: dict[str, str] | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where no piece has what is wanted, the last one is steered."""
    monkeypatch.setattr(named_chords, "COST", 5.0)
    model = toy("lstm", Frames(49, True))
    part = known_part(PIANO, HELD, ["keys:C4-E4"])
    wishes = wishes_for(want, PIANO)

    def mean_unnamed(names_chords: bool) -> float:
        pieces = fill_pieces(
            model, part, count=12, particles=16, wishes=wishes, tries=1, names_chords=names_chords
        )
        return float(np.mean([num_unnamed(piece) for piece in pieces]))

    assert mean_unnamed(names_chords=True) < 0.6 * mean_unnamed(names_chords=False)
