"""The API as a script meets it: open, draw, takes, download."""

import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from own_files import parsed, starts
from served import Served
from toy_bands import band_file

import lnfgen
from lnfgen.formats.midi import midi_bytes
from lnfgen.formats.read_write import read_bytes
from lnfgen.music.pianoroll import PianoRoll
from lnfgen.music.song import Song

BARS = 8
TUNE = PianoRoll.from_notes(
    [(2 * place, 2, 60 + 5 * place % 12) for place in range(4 * BARS)], steps_per_quarter=2
)


def notes_of(piece: dict[str, Any]) -> list[list[tuple[int, int, int]]]:
    """The notes of each part in what the API says of a piece."""
    parts = []
    for numbers in piece["notes"]:
        each = iter(numbers)
        parts.append(list(zip(each, each, each, strict=True)))
    return parts


def test_a_session_says_what_the_model_can_do(served: Served) -> None:
    session = served.get("/api/session")
    assert session["actions"] == ["fill", "harmonize", "continue", "vary", "sample"]
    assert (session["parts"], session["time_signature"]) == ([], [4, 4])
    assert session["version"] == lnfgen.__version__
    wishes = {wish["name"]: wish for wish in session["wishes"]}
    assert wishes["mode"]["choices"] == ["major", "minor"]
    assert {"chords", "like"}.isdisjoint(wishes)
    assert Path(session["folder"]) == served.studio.takes.path


def test_without_a_song_one_is_drawn_at_the_start(served: Served) -> None:
    key = served.get("/api/session")["drawing"]
    events = list(served.events(key))
    assert [name for name, _ in events if name != "progress"] == ["take", "done"]
    (take,) = served.takes
    assert (take["action"], take["name"], take["from"]) == ("sample", "new song", None)
    piece = served.get(f"/api/takes/{take['id']}")["piece"]
    assert piece["given"] == [[]]


def test_a_file_is_opened_drawn_in_and_saved(served: Served) -> None:
    own = midi_bytes(TUNE)
    opened = served.open(own, "my tune.mid")
    assert (opened["name"], opened["action"], opened["bars"]) == ("my tune", "open", BARS)
    assert opened["drawn_notes"] == 0
    shown = served.get(f"/api/takes/{opened['id']}")["piece"]
    assert notes_of(shown) == [TUNE.notes()]
    assert shown["given"] == [list(range(len(TUNE.notes())))]

    takes = served.draw("fill", take=opened["id"], first_bar=3, last_bar=4, count=2, seed=5)
    assert [take["name"] for take in takes] == ["my tune, bars 3-4", "my tune, bars 3-4 (2)"]
    for take in takes:
        assert take["from"] == opened["id"]
        assert take["settings"]["seed"] == 5
        answer = served.ask("GET", f"/api/takes/{take['id']}/download")
        assert answer.headers["content-type"] == "audio/midi"
        (saved,) = read_bytes(answer.content, suffix=".mid", steps_per_quarter=2)
        assert isinstance(saved, Song)
        kept = saved.roll.sounding.copy()
        wanted = TUNE.sounding.copy()
        kept[16:32] = False
        wanted[16:32] = False
        assert np.array_equal(kept, wanted)


def test_a_draw_is_that_of_the_command(served: Served, toy_run: Path) -> None:
    """The same file, seed and settings give the same notes by the API and in Python."""
    opened = served.open(midi_bytes(TUNE))
    (take,) = served.draw("vary", take=opened["id"], amount=0.5, seed=11, particles=4)
    model = lnfgen.load(toy_run, device="cpu")
    (song,) = read_bytes(midi_bytes(TUNE), suffix=".mid", steps_per_quarter=2)
    (expected,) = model.vary(song, amount=0.5, seed=11, particles=4)
    assert isinstance(expected, Song)
    piece = served.get(f"/api/takes/{take['id']}")["piece"]
    assert notes_of(piece) == [expected.roll.notes()]
    assert take["drawn_notes"] == expected.num_drawn


def test_takes_of_takes_keep_the_own_file_whole(
    serve: Callable[..., Served], band_run: Path
) -> None:
    """Whatever is drawn in several goes, the rest of the file stays to the byte of each event."""
    served = serve(band_run)
    own = band_file(bars=6)
    opened = served.open(own, "band.mid")
    (first,) = served.draw("fill", take=opened["id"], first_bar=2, last_bar=2, parts=["bass"])
    (second,) = served.draw("fill", take=first["id"], first_bar=4, last_bar=4, parts=["drums"])
    (third,) = served.draw("fill", take=second["id"], first_bar=2, last_bar=2, parts=["bass"])
    before = parsed(own)
    after = parsed(served.ask("GET", f"/api/takes/{third['id']}/download").content)
    names = [track.name for track in before.tracks]
    assert [track.name for track in after.tracks][: len(names)] == names
    for track, same in zip(before.tracks, after.tracks, strict=False):
        if track.name in ("Drum kit", "Bass"):
            continue
        assert starts(track) == starts(same), track.name
    bar = 4 * before.ticks_per_beat
    bass = next(track for track in after.tracks if track.name == "Bass")
    early = 40  # ticks by which a note may be played before its bar
    assert not [note for note in starts(bass) if bar - early < note[0] < 2 * bar - early]
    # What the second drawing drew is kept by the third, and what the first one drew is gone.
    second_piece = served.get(f"/api/takes/{second['id']}")["piece"]
    third_piece = served.get(f"/api/takes/{third['id']}")["piece"]
    assert notes_of(second_piece)[0] == notes_of(third_piece)[0]
    assert len(after.tracks) <= len(names) + 2


@pytest.mark.parametrize("kind", ["mid", "musicxml"])
def test_downloads_are_files_of_their_formats(served: Served, kind: str) -> None:
    opened = served.open(midi_bytes(TUNE), "tune.mid")
    answer = served.ask("GET", f"/api/takes/{opened['id']}/download?format={kind}")
    assert f'filename="tune.{kind}"' in answer.headers["content-disposition"]
    (song,) = read_bytes(answer.content, suffix=f".{kind}", steps_per_quarter=2)
    assert isinstance(song, Song)
    assert song.roll.merged.notes() == TUNE.notes()


def test_a_wav_is_the_sound_of_the_take(served: Served, synthesiser: Path) -> None:
    assert served.get("/api/session")["formats"] == ["mid", "musicxml", "wav"]
    opened = served.open(midi_bytes(TUNE), "tune.mid")
    (drawn,) = served.draw("fill", take=opened["id"], first_bar=3, last_bar=4)
    answer = served.ask("GET", f"/api/takes/{drawn['id']}/download?format=wav")
    assert answer.headers["content-type"] == "audio/wav"
    assert answer.content == (synthesiser / "sound.wav").read_bytes()
    (played,) = read_bytes((synthesiser / "played.mid").read_bytes(), steps_per_quarter=2)
    assert isinstance(played, Song)
    piece = served.get(f"/api/takes/{drawn['id']}")["piece"]
    assert [played.roll.merged.notes()] == notes_of(piece)


@pytest.mark.usefixtures("no_synthesiser")
def test_without_a_synthesiser_a_wav_is_refused_in_one_line(served: Served) -> None:
    assert served.get("/api/session")["formats"] == ["mid", "musicxml"]
    opened = served.open(midi_bytes(TUNE), "tune.mid")
    answer = served.ask("GET", f"/api/takes/{opened['id']}/download?format=wav")
    assert answer.status_code == 400
    assert "fluidsynth" in answer.json()["error"].lower()


@pytest.mark.parametrize(
    "name",
    ['a"b\r\nSet-Cookie: x=1', "../../etc/passwd", "tëst ♯", "  ", "<script>", ".", "x" * 200],
)
def test_names_are_text_and_nothing_else(served: Served, name: str) -> None:
    take = served.open(midi_bytes(TUNE))
    path = f"/api/takes/{take['id']}"
    answer = served.ask("PATCH", path, json={"name": name, "starred": True})
    if not name.strip():
        assert answer.status_code == 400
        assert "expected a name" in answer.json()["error"]
        return
    assert answer.json()["starred"] is True
    assert served.get(path)["name"] == " ".join(name.split())
    headers = served.ask("GET", f"{path}/download").headers
    assert "set-cookie" not in headers
    file = headers["content-disposition"].partition("filename=")[2]
    assert "/" not in file.partition("filename*=UTF-8''")[2].replace("%2F", "/")
    assert set(served.studio.takes.path.parent.iterdir()) == {served.studio.takes.path}


def test_takes_are_removed_and_come_back(served: Served) -> None:
    take = served.open(midi_bytes(TUNE))
    path = f"/api/takes/{take['id']}"
    assert served.ask("DELETE", path).status_code == 204
    assert take["id"] not in [one["id"] for one in served.takes]
    assert served.ask("GET", path).status_code == 404
    assert served.post(f"{path}/restore", 200) == take
    assert take in served.takes
    assert served.ask("POST", "/api/takes/0999/restore").status_code == 404


def test_a_take_that_is_drawn_from_is_not_removed(served: Served) -> None:
    take = served.open(midi_bytes(TUNE))
    stop = _hold(served)
    drawing = served.begin("vary", take=take["id"])
    answer = served.ask("DELETE", f"/api/takes/{take['id']}")
    assert answer.status_code == 409
    assert drawing in answer.json()["error"]
    stop.set()
    assert list(served.events(drawing))[-1][0] == "done"
    assert served.ask("DELETE", f"/api/takes/{take['id']}").status_code == 204


def _hold(served: Served) -> threading.Event:
    """Keep the thread that draws busy until the event is set."""
    stop = threading.Event()
    served.studio.drawings.add(None, lambda drawing: assert_set(stop))
    return stop


def assert_set(event: threading.Event) -> None:
    assert event.wait(60)


WRONG = [
    ({"action": "paint"}, "expected one of fill, harmonize, continue, vary, sample"),
    ({"action": "fill"}, "take: found nothing"),
    ({"action": "fill", "take": "TAKE", "amount": 0.5}, "found amount; expected only"),
    ({"action": "fill", "take": "TAKE", "first_bar": 4, "last_bar": 3}, "found 3 after the bar 4"),
    ({"action": "fill", "take": "TAKE", "parts": ["drums"]}, "this model has no parts"),
    ({"action": "sample", "count": 1000}, "a whole number from 1 to 32"),
    ({"action": "sample", "temperature": "hot"}, 'temperature: found "hot"'),
    ({"action": "sample", "seed": True}, "seed: found true"),
    ({"action": "sample", "want": {"like": "/etc/passwd"}}, "want: found like"),
    ({"action": "sample", "want": {"chords": "/etc/x.mid"}}, "want: found chords"),
    ({"action": "sample", "chords": "/etc/hosts.mid"}, "chords: "),
    ({"action": "sample", "want": {"key": "H"}}, "the wish key=H"),
    ({"action": "sample", "want": {"notes_per_bar": [1, 2, 3]}}, "a pair of numbers"),
    ({"action": "sample", "want": {"beauty": 1}}, "the wish beauty=1"),
    ([], "found a JSON list"),
]


@pytest.mark.parametrize(("asked", "words"), WRONG)
def test_what_cannot_be_drawn_is_refused_in_one_line(
    served: Served, asked: Any, words: str
) -> None:
    if isinstance(asked, dict) and asked.get("take") == "TAKE":
        asked = asked | {"take": served.open(midi_bytes(TUNE))["id"]}
    answer = served.ask("POST", "/api/drawings", json=asked)
    assert answer.status_code == 400
    error = answer.json()["error"]
    assert words in error
    assert "\n" not in error


def test_what_the_model_refuses_fails_with_its_words(served: Served) -> None:
    take = served.open(midi_bytes(TUNE))
    key = served.begin("fill", take=take["id"], first_bar=90, last_bar=99)
    name, data = list(served.events(key))[-1]
    assert (name, data["error"][:11]) == ("failed", "bars:90-99 ")
    assert served.get(f"/api/drawings/{key}")["state"] == "failed"


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/api/takes/9999", 404),
        ("GET", "/api/takes/..%2f..%2fetc", 404),
        ("GET", "/api/drawings/d999", 404),
        ("GET", "/api/nothing", 404),
        ("PUT", "/api/takes", 405),
        ("POST", "/api/takes?name=song.mid", 400),
        ("POST", "/api/takes?name=song.exe", 400),
        ("GET", "/page/..%2f__init__.py", 404),
    ],
)
def test_other_addresses_are_errors_in_json(
    served: Served, method: str, path: str, status: int
) -> None:
    answer = served.ask(method, path)
    assert answer.status_code == status
    assert answer.json()["error"]


def test_fifty_requests_at_once_are_all_answered(served: Served) -> None:
    take = served.open(midi_bytes(TUNE))
    answers: list[int] = []

    def ask(number: int) -> None:
        if number % 2:
            answers.append(served.ask("GET", f"/api/takes/{take['id']}").status_code)
            return
        body = {"action": "fill", "take": take["id"], "first_bar": 2, "last_bar": 2, "seed": number}
        answers.append(served.ask("POST", "/api/drawings", json=body).status_code)

    threads = [threading.Thread(target=ask, args=(number,)) for number in range(50)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(answers) == [200] * 25 + [202] * 25
    unfinished = served.get("/api/drawings")["drawings"]
    if unfinished:
        assert list(served.events(unfinished[-1]["id"]))[-1] == ("done", {})
    drawn = [one for one in served.takes if one["from"] == take["id"]]
    assert len(drawn) == 25
    assert len({one["id"] for one in drawn}) == 25
    assert len({one["name"] for one in drawn}) == 25


def test_warnings_reach_who_asked_and_stay_with_the_take(served: Served) -> None:
    take = served.open(midi_bytes(TUNE))
    events = list(
        served.events(
            served.begin("vary", take=take["id"], tries=1, particles=2, want={"leaps": [40, 50]})
        )
    )
    warned = [data["text"] for name, data in events if name == "warning"]
    (drawn,) = [data for name, data in events if name == "take"]
    assert any("leaps" in text for text in warned)
    assert drawn["warnings"] == warned
