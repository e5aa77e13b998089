"""Values of a JSON object are taken by their names, or refused in one line."""

import pytest

from lnfgen.serving.json_fields import AskedWronglyError, Fields


def test_values_are_taken_with_their_defaults() -> None:
    fields = Fields.of(b'{"name": "a", "count": 3, "amount": 1, "on": false, "parts": ["b", "a"]}')
    assert fields.has("name")
    assert fields.text("name") == "a"
    assert not fields.has("name")
    assert fields.whole("count", 1, 1, 5) == 3
    assert fields.number("amount", 0.5, 0, 1) == 1.0
    assert fields.number("other", 0.5, 0, 1) == 0.5
    assert fields.flag("on") is False
    assert fields.choices("parts", ("a", "b", "c")) == ("a", "b")
    assert fields.text("missing", "default") == "default"
    fields.end()


@pytest.mark.parametrize(
    "content",
    [b"", b"{", b"[]", b"3", b'"a"', b"\xff", b'{"a": NaN}', b"[" * 100_000, b'{"a": 1e999}x'],
)
def test_what_is_no_object_is_refused(content: bytes) -> None:
    with pytest.raises(AskedWronglyError, match=r"^found [^\n]+; expected an object$"):
        Fields.of(content)


@pytest.mark.parametrize(
    ("take", "words"),
    [
        (lambda fields: fields.whole("value", 1, 0, 9), "a whole number from 0 to 9"),
        (lambda fields: fields.number("value", 1, 0, 9), "a number from 0 to 9"),
        (lambda fields: fields.text("value", most=9), "a text of at most 9 characters"),
        (lambda fields: fields.flag("value"), "true or false"),
        (lambda fields: fields.choice("value", ["a", "b"]), "one of a, b"),
        (lambda fields: fields.choices("value", ["a", "b"]), "a list of some of a, b"),
    ],
)
@pytest.mark.parametrize("value", ["[[1]]", '{"a": 2}', "1e400", '"long enough to be too long"'])
def test_a_wrong_value_is_named(take: object, words: str, value: str) -> None:
    fields = Fields.of(f'{{"value": {value}}}'.encode())
    with pytest.raises(AskedWronglyError, match=rf"^value: found [^\n]+; expected {words}"):
        take(fields)  # type: ignore[operator]


def test_unknown_keys_are_refused() -> None:
    fields = Fields.of(b'{"a": 1, "b\\n": 2}')
    fields.take("a")
    with pytest.raises(AskedWronglyError, match=r"^found b; expected only a$"):
        fields.end()
