"""How messages say a number of things."""

from lnfgen.data.encoding import changes_in_words
from lnfgen.music.pianoroll import Losses
from lnfgen.wording import counted


def test_one_thing_is_singular():
    assert [counted(number, "note") for number in (0, 1, 2, 2100)] == [
        "0 notes",
        "1 note",
        "2 notes",
        "2,100 notes",
    ]
    assert [counted(number, "copy", "copies") for number in (1, 2)] == ["1 copy", "2 copies"]
    one, two = (changes_in_words(Losses(rounded=n, out_of_range=n, unknown=n)) for n in (1, 2))
    for singular, plural in (
        ("start or end", "starts and ends"),
        ("1 note ", "2 notes "),
        ("1 character ", "2 char"),
    ):
        assert singular in one
        assert plural in two
