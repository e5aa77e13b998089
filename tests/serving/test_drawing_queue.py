"""Drawings are done one after the other, can be cancelled, and say how they ended."""

import threading
from collections.abc import Iterator

import pytest

from lnfgen.errors import LnfgenError
from lnfgen.serving import drawing_queue
from lnfgen.serving.drawing_queue import Drawing, DrawingQueue, TooManyError

SECONDS = 60


@pytest.fixture
def queue() -> Iterator[DrawingQueue]:
    queue = DrawingQueue()
    queue.start()
    yield queue
    queue.close()


def ended(drawing: Drawing) -> Drawing:
    """The drawing once it has ended."""
    is_over = threading.Event()

    def listen() -> None:
        if drawing.has_ended:
            is_over.set()

    drawing.listen(listen)
    listen()
    assert is_over.wait(SECONDS)
    return drawing


def names(drawing: Drawing) -> list[str]:
    return [event.name for event in drawing.events(0)]


def test_one_is_drawn_at_a_time_in_the_order_of_asking(queue: DrawingQueue) -> None:
    order: list[str] = []
    at_work = threading.Lock()

    def work(drawing: Drawing) -> None:
        assert at_work.acquire(blocking=False)
        order.append(drawing.id)
        at_work.release()

    drawings = [queue.add(None, work) for _ in range(20)]
    assert [ended(drawing).state for drawing in drawings] == ["done"] * 20
    assert order == [drawing.id for drawing in drawings]


def test_each_hears_how_many_are_ahead_of_it(queue: DrawingQueue) -> None:
    stop = threading.Event()
    begun = threading.Event()

    def hold(drawing: Drawing) -> None:
        begun.set()
        assert stop.wait(SECONDS)

    queue.add(None, hold)
    assert begun.wait(SECONDS)
    second = queue.add(None, lambda drawing: None)
    third = queue.add(None, lambda drawing: None)
    assert [event.data for event in third.events(0)] == [{"ahead": 2}]
    queue.cancel(second)
    assert [event.data for event in third.events(0)] == [{"ahead": 2}, {"ahead": 1}]
    stop.set()
    assert names(ended(third)) == ["waiting", "waiting", "done"]


def test_a_drawing_ends_where_it_next_says_how_far_it_is(queue: DrawingQueue) -> None:
    begun = threading.Event()

    def work(drawing: Drawing) -> None:
        begun.set()
        while True:
            drawing.advance("drawing", 1, 9)

    drawing = queue.add(None, work)
    assert begun.wait(SECONDS)
    queue.cancel(drawing)
    assert ended(drawing).state == "cancelled"
    assert names(drawing)[-1] == "cancelled"


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (LnfgenError("found a text"), "found a text"),
        (MemoryError(), "out of memory"),
        (ZeroDivisionError("x"), "a defect of lnfgen"),
    ],
)
def test_a_failure_is_a_line_and_the_next_one_is_drawn(
    queue: DrawingQueue, error: Exception, words: str
) -> None:
    def fail(drawing: Drawing) -> None:
        raise error

    failed = ended(queue.add(None, fail))
    assert failed.state == "failed"
    assert words in str(failed.to_json()["error"])
    assert ended(queue.add(None, lambda drawing: None)).state == "done"


def test_very_many_are_refused(queue: DrawingQueue, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(drawing_queue, "MOST_WAITING", 2)
    stop = threading.Event()
    begun = threading.Event()

    def hold(drawing: Drawing) -> None:
        begun.set()
        assert stop.wait(SECONDS)

    queue.add(None, hold)
    assert begun.wait(SECONDS)
    for _ in range(2):
        queue.add(None, lambda drawing: None)
    with pytest.raises(TooManyError, match="2 drawings wait already"):
        queue.add(None, lambda drawing: None)
    stop.set()


def test_those_that_ended_long_ago_are_forgotten(
    queue: DrawingQueue, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(drawing_queue, "_REMEMBERED", 3)
    drawings = [ended(queue.add(None, lambda drawing: None)) for _ in range(8)]
    assert queue.get(drawings[0].id) is None
    assert queue.get(drawings[-1].id) is drawings[-1]


def test_a_queue_that_closes_cancels_all() -> None:
    queue = DrawingQueue()
    waiting = [queue.add(None, lambda drawing: None) for _ in range(3)]
    queue.close()
    assert [drawing.state for drawing in waiting] == ["cancelled"] * 3
    assert queue.unfinished() == []
