"""The events of drawings as clients hear them, and what happens when they stop listening."""

import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from served import SECONDS, Served

from lnfgen.serving.drawing_queue import Drawing
from lnfgen.serving.model_at_hand import ModelAtHand


def until(ready: Callable[[], bool]) -> None:
    end = time.monotonic() + SECONDS
    while not ready():
        assert time.monotonic() < end
        time.sleep(0.01)


def work_until(stop: threading.Event) -> Callable[[Drawing], None]:
    """Work that advances until the event is set, or it is cancelled."""

    def work(drawing: Drawing) -> None:
        while not stop.wait(0.01):
            drawing.advance("waiting", 1, 2)

    return work


def test_events_that_are_past_are_heard_too(served: Served) -> None:
    key = served.get("/api/session")["drawing"]
    until(lambda: served.get(f"/api/drawings/{key}")["state"] == "done")
    for _ in range(2):
        events = list(served.events(key))
        assert [name for name, _ in events] == ["take", "done"]


def test_who_waits_hears_its_place_and_then_its_progress(served: Served) -> None:
    stop = threading.Event()
    drawings = served.studio.drawings
    first = drawings.add(None, work_until(stop))
    second = drawings.add(None, lambda drawing: drawing.advance("drawing", 3, 4))
    events = served.events(second.id)
    assert next(event for event in events if event[0] == "waiting")[1]["ahead"] >= 1
    until(lambda: first.state == "drawing")
    until(lambda: drawings.unfinished()[0] is first)
    of_first = served.events(first.id)
    assert ("progress", {"what": "waiting", "done": 1, "total": 2}) in of_first
    stop.set()
    *_, last = events
    assert last == ("done", {})
    assert second.to_json()["done"] == 3


def test_a_drawing_whose_listener_goes_is_cancelled(served: Served) -> None:
    stop = threading.Event()
    drawing = served.studio.drawings.add(None, work_until(stop))
    answer = served.ask("GET", f"/api/drawings/{drawing.id}/events", stream=True)
    until(lambda: drawing.state == "drawing")
    answer.close()
    until(lambda: drawing.state == "cancelled")


def test_one_of_two_listeners_may_go(served: Served) -> None:
    stop = threading.Event()
    drawing = served.studio.drawings.add(None, work_until(stop))
    path = f"/api/drawings/{drawing.id}/events"
    gone = served.ask("GET", path, stream=True)
    stays = served.events(drawing.id)
    assert next(stays)[0] in ("waiting", "progress")
    gone.close()
    until(lambda: len(drawing._listeners) == 1)
    until(lambda: drawing.state == "drawing")
    stop.set()
    assert list(stays)[-1] == ("done", {})


def test_a_drawing_that_nobody_listens_to_goes_on(served: Served) -> None:
    key = served.begin("sample", bars=2)
    until(lambda: served.get(f"/api/drawings/{key}")["state"] == "done")
    (take,) = served.get(f"/api/drawings/{key}")["takes"]
    assert served.get(f"/api/takes/{take}")["bars"] == 2


def test_a_drawing_is_cancelled_by_a_request(served: Served) -> None:
    stop = threading.Event()
    drawings = served.studio.drawings
    running = drawings.add(None, work_until(stop))
    waiting = drawings.add(None, work_until(stop))
    until(lambda: running.state == "drawing")
    for drawing in (waiting, running):
        assert served.ask("DELETE", f"/api/drawings/{drawing.id}").status_code == 204
        assert list(served.events(drawing.id))[-1] == ("cancelled", {})
        assert served.get(f"/api/drawings/{drawing.id}")["state"] == "cancelled"
    assert served.get("/api/drawings") == {"drawings": []}


def test_a_server_ends_though_somebody_listens(served: Served) -> None:
    drawing = served.studio.drawings.add(None, work_until(threading.Event()))
    answer = served.ask("GET", f"/api/drawings/{drawing.id}/events", stream=True)
    until(lambda: drawing.state == "drawing")
    served.close()
    assert drawing.state == "cancelled"
    answer.close()


def test_who_comes_before_the_model_is_loaded_hears_that(
    toy_run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    go_on = threading.Event()
    load = ModelAtHand.load

    def wait_and_load(self: ModelAtHand) -> None:
        assert go_on.wait(SECONDS)
        load(self)

    monkeypatch.setattr(ModelAtHand, "load", wait_and_load)
    served = Served(toy_run, tmp_path / "takes")
    events = served.events("d1")
    assert next(events) == ("progress", {"what": "loading the model", "done": 0, "total": 0})
    go_on.set()
    assert list(events)[-1] == ("done", {})
    served.close()
