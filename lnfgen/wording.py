"""How messages say a number of things. It imports nothing, so that every module may use it."""


def counted(number: int, noun: str, nouns: str = "") -> str:
    """A number with its noun, as in `1 note` and `2,100 notes`. `nouns` is the plural, if it is not the noun with an s.

    counted(0, "copy", "copies")
    # "0 copies"
    """
    return f"{number:,} {noun if number == 1 else nouns or noun + 's'}"
