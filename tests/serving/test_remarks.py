"""Warnings are heard in the thread that they arise in, and shown elsewhere as before."""

import threading
import warnings

import pytest

from lnfgen.errors import GivenPieceWarning, LnfgenWarning
from lnfgen.serving.remarks import heard_by


def test_warnings_are_heard_each_time() -> None:
    heard: list[LnfgenWarning] = []
    with heard_by(heard.append):
        for _ in range(2):
            warnings.warn("it was moved", LnfgenWarning, stacklevel=1)
    assert [str(warning) for warning in heard] == ["it was moved"] * 2


def test_warnings_are_heard_with_their_class() -> None:
    heard: list[LnfgenWarning] = []
    with heard_by(heard.append):
        warnings.warn("it is in C", GivenPieceWarning, stacklevel=1)
        warnings.warn("it was moved", LnfgenWarning, stacklevel=1)
    assert [type(warning) for warning in heard] == [GivenPieceWarning, LnfgenWarning]


def test_others_are_shown_as_before() -> None:
    heard: list[LnfgenWarning] = []
    with warnings.catch_warnings(record=True) as shown:
        warnings.simplefilter("always")
        with heard_by(heard.append):
            warnings.warn("deprecated", UserWarning, stacklevel=1)
            other = threading.Thread(target=warnings.warn, args=("of another", LnfgenWarning))
            other.start()
            other.join()
        warnings.warn("later", LnfgenWarning, stacklevel=1)
    assert heard == []
    assert [str(one.message) for one in shown] == ["deprecated", "of another", "later"]


def test_an_error_ends_the_hearing() -> None:
    heard: list[LnfgenWarning] = []
    with pytest.raises(ZeroDivisionError), heard_by(heard.append):
        raise ZeroDivisionError
    with pytest.warns(LnfgenWarning):
        warnings.warn("later", LnfgenWarning, stacklevel=1)
    assert heard == []
