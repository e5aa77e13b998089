"""Time signatures: which ones a roll may have, the length of their bars, and their beats."""

from fractions import Fraction


def is_time_signature(signature: tuple[int, int]) -> bool:
    """True if a roll may have this time signature: 1 to 255 beats over a power of two up to 128.

    These are the time signatures of MIDI.
    """
    beats, unit = signature
    return 1 <= beats <= 255 and unit in (1, 2, 4, 8, 16, 32, 64, 128)


def bar_length(time_signature: tuple[int, int], steps_per_quarter: int) -> Fraction:
    """The time steps of a bar, which need not be a whole number."""
    beats, unit = time_signature
    return Fraction(4 * steps_per_quarter * beats, unit)


def bar_and_beats(
    time_signature: tuple[int, int], steps_per_quarter: int
) -> tuple[float, int, int]:
    """The time steps of a bar, its beats, and the divisions of a beat.

    Of 6/8 on a grid of sixteenths these are 12, 2 and 3. A beat has three divisions where the unit
    is an eighth or shorter and a bar has 6, 9, 12, ... of them, else two.
    """
    number, unit = time_signature
    bar = float(bar_length(time_signature, steps_per_quarter))
    is_compound = unit >= 8 and number > 3 and number % 3 == 0
    if is_compound:
        return bar, number // 3, 3
    return bar, number, 2
