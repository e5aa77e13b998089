"""A text of which a part is known: its characters stay, even unknown ones."""

import numpy as np
import pytest
from toy_models import toy

from lnfgen.data.text_encoding import TextEncoding
from lnfgen.inference.filling import fill_pieces
from lnfgen.inference.known_part import known_part
from lnfgen.inference.known_text import KnownText
from lnfgen.models.observation import Symbols

ENCODING = TextEncoding(("\ufffd", "a", "b", "c"))


def known(text: str, *words: str) -> KnownText:
    part = known_part(ENCODING, text, words)
    assert isinstance(part, KnownText)
    return part


def test_a_text_keeps_its_characters_even_unknown_ones() -> None:
    model = toy("lstm", Symbols(4))
    part = known("a_bx__c")
    assert part.changes["unknown"] == 1
    assert part.remarks() == ["took 1 character not in the model's vocabulary as unknown"]
    assert part.remarks_on_drawing() == []
    texts = list(fill_pieces(model, part, count=9, temperature=3.0, seed=1))
    for text in texts:
        assert isinstance(text, str)
        assert (text[0], text[2:4], text[6], len(text)) == ("a", "bx", "c", 7)
    assert len(set(texts)) > 1
    assert texts[:2] == list(fill_pieces(model, part, count=2, temperature=3.0, seed=1))


NAMED = [(["2-"], [1, 2, 3, 4]), (["1-2,4", "4-5"], [0, 1, 3, 4]), ([" 3 "], [2])]


@pytest.mark.parametrize(("words", "places"), NAMED)
def test_numbers_name_characters(words: list[str], places: list[int]) -> None:
    assert np.flatnonzero(known("abcab", *words).hidden).tolist() == places


def test_a_known_text_is_decoded_as_it_was() -> None:
    part = known("aXc\ufffd_")
    assert part.changes["unknown"] == 1, "the unknown symbol is none that is lost"
    values = part.values.copy()
    values[-1] = 2
    assert part.decoded(values) == "aXc\ufffdb"
    assert part.decoded_so_far(values[:2]) == "a\ufffd"
