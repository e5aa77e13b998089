"""A person's piece and a model of a band: parts are named, kept exactly and drawn, and come back in
their own file."""

from collections import Counter
from dataclasses import replace
from itertools import product
from pathlib import Path

import mido
import numpy as np
import pytest
import torch
from command import Call, fails
from own_files import drawn, messages, parsed, starts
from toy_bands import FOUR, TWO, band_encoding, band_file
from toy_dataset import write_dataset
from toy_home import make_run
from toy_models import toy

from lnfgen.errors import LnfgenError
from lnfgen.formats.read_write import read_bytes, to_bytes
from lnfgen.formats.song import midi_of, transposed
from lnfgen.inference.filling import added_steps, at_home, fill_pieces, vary_pieces
from lnfgen.inference.known import decoded, known_intro, known_melody, known_part, known_whole
from lnfgen.inference.particles import draw_hidden
from lnfgen.inference.steering import known_bits
from lnfgen.inference.wishes import wishes_for
from lnfgen.models.observation import Frames, Known
from lnfgen.music.parts import Part
from lnfgen.music.pianoroll import Note, PianoRoll
from lnfgen.music.regions import region


def band(*parts: list[Note], roles: tuple[Part, ...] = TWO, steps: int = 2) -> PianoRoll:
    return PianoRoll.of_parts(
        [PianoRoll.from_notes(notes, num_steps=steps) for notes in parts], roles
    )


TOY = band_encoding(TWO, num_keys=2)
CASES = {
    "a melody beside a hidden bass": (band([(0, 1, 21)], [(0, 1, 45), (1, 1, 46)]), ["part:bass"]),
    "a held bass with a hidden start": (
        band([(0, 2, 21)], [(0, 1, 46), (1, 1, 45)]),
        ["steps:1,part:bass", "steps:2,part:melody"],
    ),
}


@pytest.mark.contract
@pytest.mark.parametrize("case", CASES)
def test_draws_are_as_likely_as_sums_over_all_that_may_be_hidden_say(case: str) -> None:
    piece, words = CASES[case]
    model = toy("lstm", Frames(2, True, parts=2), emission="past")
    part = known_part(TOY, piece, words)
    kept = {note for note in part.piece.notes() if not part.hidden_cells[note[0], note[2]]}  # type: ignore[union-attr]
    fitting = []
    for bits in product((0, 1, 3), repeat=int(part.hidden.sum())):
        x = part.values.copy()
        x[part.hidden] = bits
        heard = TOY.decode(x)
        assert isinstance(heard, PianoRoll)
        if kept <= set(heard.notes()) and np.array_equal(
            TOY.encode(heard)[~part.hidden], part.values[~part.hidden]
        ):
            fitting.append((TOY.encode(heard).tobytes(), x))
    with torch.no_grad():
        log_p = model(
            torch.tensor(np.array([x for _, x in fitting])), torch.full((len(fitting),), 4), None
        )
    expected = Counter[bytes]()
    for (heard_as, _), p in zip(
        fitting, torch.softmax(log_p.reconstruction[0].double(), 0).tolist(), strict=True
    ):
        expected[heard_as] += p
    assert len(expected) > 3
    known, count = known_bits(model, part), 1000
    each = Known(*(bits.expand(count, *bits.shape) for bits in known))
    drawn = draw_hidden(
        model, each, 16, [torch.Generator().manual_seed(seed) for seed in range(count)]
    )
    found = Counter[bytes]()
    for x in drawn.numpy():
        heard = decoded(TOY, part, x)
        assert isinstance(heard, PianoRoll)
        found[TOY.encode(heard.in_range(21, 88)).tobytes()] += 1
    assert set(found) <= set(expected)
    assert sum(abs(found[key] / count - p) for key, p in expected.items()) / 2 < 0.07


def test_words_of_a_band_hide_rows_of_its_parts() -> None:
    piece = band(
        [], [], [(0, 2, 60), (0, 16, 48), (16, 1, 60)], [(0, 17, 72)], roles=FOUR, steps=32
    )

    def rows(*words: str) -> list[int]:
        return np.flatnonzero(region(piece, words).any(axis=1)).tolist()

    assert rows("part:drums") == list(range(0, 128, 4))
    assert (
        rows("bars:2,part:melody") == rows(" part:melody , steps:17-32") == list(range(67, 128, 4))
    )
    assert rows("bars:2") == rows("steps:17-") == list(range(64, 128))
    assert rows("part:chords,voice:2") == [2, 6]
    assert not region(piece, ["part:chords,below-melody"])[:, 48 - 21 :].all(axis=1).any()
    assert rows("keys:C4") == list(range(128))


@pytest.mark.parametrize(
    ("word", "said"),
    [
        ("part:tuba", "part:bass, part:melody"),
        ("voice:1", "part:melody,voice:1"),
        ("below-melody,bars:1", "part:melody,below-melody"),
        ("part:bass,part:melody", "part:melody"),
    ],
)
def test_a_word_that_a_band_lacks_is_refused(word: str, said: str) -> None:
    with pytest.raises(LnfgenError, match=said):
        region(band([(0, 1, 40)], [(0, 1, 60)]), [word])
    with pytest.raises(LnfgenError, match="music of one part"):
        region(PianoRoll.from_notes([(0, 1, 60)]), ["part:melody"])


def test_the_melody_of_a_band_or_music_of_one_part_is_harmonised() -> None:
    encoding = band_encoding()
    tune = PianoRoll.from_notes([(0, 4, 60), (0, 4, 64), (8, 8, 62)])
    for piece in (
        tune,
        PianoRoll.of_parts([tune], [Part("chords")]),
        band([], [], [], tune.notes(), roles=FOUR),
    ):
        for above, role in ((False, "melody"), (True, "bass")):
            if piece.stride == 4 and above:
                continue
            part = known_melody(encoding, piece, above)
            number = encoding.roles.index(role)
            assert isinstance(part.piece, PianoRoll)
            assert part.piece.part(number).notes() == tune.notes()
            assert part.hidden.all(axis=1).reshape(-1, 4).all(axis=0).tolist() == [
                one != role for one in encoding.roles
            ]
    with pytest.raises(LnfgenError, match="no notes of the bass; name its track"):
        known_melody(encoding, band([], [(0, 1, 60)], [(0, 1, 72)], roles=FOUR[1:]), above=True)
    with pytest.raises(LnfgenError, match="the model has no melody"):
        known_melody(band_encoding(FOUR[:2]), tune)
    with pytest.raises(LnfgenError, match="no notes of bass"):
        known_whole(band_encoding(FOUR[1:2]), band([(0, 1, 38)], [], roles=(FOUR[0], FOUR[3])))


def test_a_band_goes_on_and_varies_in_all_its_parts() -> None:
    model, encoding = toy("lstm", Frames(49, True, parts=2)), band_encoding(TWO)
    piece = band([(0, 16, 40), (16, 16, 41)], [(i, 1, 60 + i % 7) for i in range(30)], steps=32)
    assert added_steps(model, encoding, piece, 3, None, 0) == 6
    assert added_steps(model, encoding, piece, None, 1, 0) == 32
    assert added_steps(model, encoding, piece, None, None, 0) % 2 == 0
    intro = known_intro(encoding, piece, 6)
    (longer,) = fill_pieces(model, encoding, at_home(model, encoding, intro), particles=2)
    assert isinstance(longer, PianoRoll)
    assert longer.num_steps == 70
    assert set(piece.notes()) <= set(longer.notes())
    with pytest.raises(LnfgenError, match="goes on in all its parts"):
        known_intro(encoding, piece, 6, voices=2)
    whole = known_whole(encoding, piece)
    for other in vary_pieces(model, encoding, whole, amount=0.25, count=4, particles=2):
        assert isinstance(other, PianoRoll)
        assert other.drawn is not None
        places = other.drawn.any(axis=1).reshape(2, 16, 2).any(axis=1)  # bars and parts
        assert places.sum() == 1
        kept = [note for note in piece.notes() if not places[note[0] // 32, note[0] % 2]]
        assert set(kept) <= set(other.notes())


def test_wishes_for_lines_leave_drums_out() -> None:
    parts = (FOUR[0], FOUR[3])
    model, encoding = toy("lstm", Frames(49, True, parts=2), emission="past"), band_encoding(parts)
    piece = band([(0, 1, 36), (0, 1, 81)], [(0, 1, 60)], roles=parts, steps=4)
    wishes = wishes_for(["top=..C5", "bass=C4.."], encoding)
    part = known_part(encoding, piece, ["steps:2-"])
    (found,) = fill_pieces(model, encoding, part, wishes=wishes, particles=8)
    assert isinstance(found, PianoRoll)
    assert all(report["held"] for report in wishes.report(found).values())
    drums = found.part(0).notes()
    assert min(pitch for _, _, pitch in drums) < 60
    assert max(pitch for _, _, pitch in drums) > 72
    assert wishes_for({"like": found}, encoding).distance(found) == 0
    with pytest.raises(LnfgenError, match="what is kept has C4"):
        next(fill_pieces(model, encoding, part, wishes=wishes_for(["bass=D4.."], encoding)))


def test_commands_draw_parts_of_a_file(tmp_path: Path, here: Call) -> None:
    encoding, rng = band_encoding(), np.random.default_rng(0)
    frames = [np.where(rng.random((64, 49)) < 0.03, 3, 0).astype(np.uint8) for _ in range(6)]
    splits = {"train": frames[:4], "valid": frames[4:], "test": frames[4:]}
    make_run(
        tmp_path / "run",
        write_dataset(tmp_path / "band", name="band", encoding=encoding, splits=splits),
    )
    (tmp_path / "song.mid").write_bytes(band_file())
    common = ["--model", "run", "--out", "new.mid", "--particles", "2", "--seed", "1", "--quiet"]
    for arguments, parts in (
        (["fill", "song.mid", "--free", "part:drums,bars:2-3"], {"drums"}),
        (["harmonize", "song.mid"], {"drums", "bass", "chords"}),
        (["harmonize", "song.mid", "--above"], {"drums", "chords", "melody"}),
        (["continue", "song.mid", "--bars", "1"], set(encoding.roles)),
        (["vary", "song.mid", "--amount", "1"], set(encoding.roles)),
    ):
        here(*arguments, *common)
        names = [track.name.split() for track in mido.MidiFile(tmp_path / "new.mid").tracks]
        assert {words[1] for words in names if words[:1] == arguments[:1]} == parts
    fails(here("fill", "song.mid", "--free", "bars:2", "--voices", "2", *common), "leave it out")
    fails(here("fill", "song.mid", "--free", "voice:2", *common), "part:melody,voice:2")


NAMES = ["drawn drums", "drawn bass", "drawn chords"]
BAND_WORDS = [
    ["part:melody"],
    ["bars:2-3,part:drums", "part:bass"],
    ["bars:1"],
    ["part:chords,voice:2"],
]


@pytest.mark.parametrize("words", BAND_WORDS)
def test_a_file_of_a_band_keeps_all_that_was_not_drawn(words: list[str]) -> None:
    encoding, content = band_encoding(), band_file()
    (own,) = read_bytes(content, "song.mid", ".mid", parts="4")
    assert isinstance(own, PianoRoll)
    assert [track.role for track in own.tracks] == ["drums", "bass", "chords", "melody"]
    part = known_part(encoding, own, words)
    piece = drawn(part, encoding=encoding)
    before, after = parsed(content), parsed(to_bytes(piece, ".mid"))
    played = dict.fromkeys(own.roles, 0)
    for number, role in enumerate(own.roles):
        hidden, old, new = (
            part.hidden_cells[number::4],
            before.tracks[number + 1],
            after.tracks[number + 1],
        )
        taken = {
            (tick, pitch) for tick, pitch, _ in starts(old) if hidden[int(tick / 120 + 0.5), pitch]
        }
        assert {(tick, pitch) for tick, pitch, _ in starts(old)} - taken == {
            note[:2] for note in starts(new)
        }
        assert not Counter(messages(new)) - Counter(messages(old))
        if not taken:
            assert messages(new) == messages(old)
        played[role] = len(taken)
    assert messages(after.tracks[0]) == messages(before.tracks[0])
    added = {track.name.split()[-1]: track for track in after.tracks[5:]}
    assert {role for role, number in played.items() if number} <= set(added)
    for number, role in enumerate(own.roles):
        expected = [
            (120 * start, pitch) for start, _, pitch in piece.part(number).notes() if role in added
        ]
        notes = [one[:2] for one in starts(added.get(role, []))]
        assert notes == [
            note for note in expected if part.hidden_cells[note[0] // 30 + number, note[1]]
        ]
        loud = [velocity for *_, velocity in starts(before.tracks[number + 1])]
        assert {velocity for *_, velocity in starts(added.get(role, []))} <= set(
            range(min(loud), max(loud) + 1)
        )
        programs = [
            message.program for message in added.get(role, []) if message.type == "program_change"
        ]
        channels = {
            message.channel for message in added.get(role, []) if hasattr(message, "channel")
        }
        if role in added:
            assert (programs, channels <= {9}) == (
                ([], True) if role == "drums" else ([own.parts[number].program], False)
            )


def test_a_part_that_a_file_lacks_comes_with_its_usual_program_and_velocities() -> None:
    encoding = band_encoding(
        (FOUR[0], replace(FOUR[1], program=38, velocities=(70, 71, 72, 73)), *FOUR[2:])
    )
    contents = []
    for how in ({"parts": "4"}, {}):
        (own,) = read_bytes(band_file(), "song.mid", ".mid", tracks="4", **how)
        assert isinstance(own, PianoRoll)
        piece = drawn(known_melody(encoding, own), encoding=encoding)
        contents.append(midi_of(piece))
        *_, bass, chords = parsed(midi_of(piece, programs=[4, 5, 6])).tracks
        assert [(track.name, track[1].program) for track in (bass, chords)] == [
            ("drawn bass", 6),
            ("drawn chords", 5),
        ]
    assert contents[0] == contents[1]
    after = parsed(contents[0])
    for old, new in zip(parsed(band_file()).tracks, after.tracks, strict=False):
        assert messages(new) == messages(old)
    assert [track.name for track in after.tracks[5:]] == NAMES
    bass = next(track for track in after.tracks if track.name == "drawn bass")
    assert [message.program for message in bass if message.type == "program_change"] == [38]
    assert all(velocity == 70 + tick // 120 % 4 for tick, _, velocity in starts(bass))


def test_a_band_that_is_transposed_leaves_its_drums() -> None:
    encoding = band_encoding()
    (own,) = read_bytes(band_file(), "song.mid", ".mid", parts="4")
    assert isinstance(own, PianoRoll)
    piece = drawn(known_part(encoding, own, ["keys:B1-D2"]), encoding=encoding)
    before, after = parsed(to_bytes(piece, ".mid")), parsed(to_bytes(transposed(piece, 2), ".mid"))
    for old, new in zip(before.tracks, after.tracks, strict=True):
        up = 0 if "rum" in old.name else 2
        assert [(tick, pitch + up, loud) for tick, pitch, loud in starts(old)] == starts(new)
