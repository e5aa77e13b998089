"""The key signature of a file, whether it fits the notes, and the home by both."""

import pytest

from lnfgen.music.key_signature import KeySignature, home_under
from lnfgen.music.pianoroll import PianoRoll
from lnfgen.music.tonality import Key

# Scales that begin and end on their first note, whose fifth is long
D_DORIAN = (62, 64, 65, 67, 69, 69, 69, 71, 72, 71, 69, 67, 65, 64, 62)
D_MAJOR = (62, 64, 66, 67, 69, 69, 69, 71, 73, 71, 69, 67, 66, 64, 62)
G_MIXOLYDIAN = (67, 69, 71, 72, 74, 74, 74, 76, 77, 76, 74, 72, 71, 69, 67)


def line(pitches: tuple[int, ...]) -> PianoRoll:
    """The pitches, each for four steps."""
    return PianoRoll.from_notes([(4 * place, 4, pitch) for place, pitch in enumerate(pitches)])


@pytest.mark.parametrize(
    ("signature", "tonics"),
    [
        (KeySignature(0, "dorian"), ["D minor"]),
        (KeySignature(-3, "minor"), ["C minor"]),
        (KeySignature(2, "mixolydian"), ["A major"]),
        (KeySignature(1, "lydian"), ["C major"]),
        (KeySignature(1, "phrygian"), ["B minor"]),
        (KeySignature(0), ["C major", "A minor", "D minor", "G major"]),
        (KeySignature(1, "major"), ["G major", "E minor", "A minor", "D major"]),
    ],
)
def test_a_signature_means_the_keys_of_its_mode_or_all_usual_ones(
    signature: KeySignature, tonics: list[str]
) -> None:
    assert [str(key) for key in signature.keys] == tonics


@pytest.mark.parametrize("sharps", [-7, 0, 7])
def test_a_signature_moves_with_the_music(sharps: int) -> None:
    signature = KeySignature(sharps, "dorian")
    assert signature.transposed(12) == signature
    for semitones in range(-11, 12):
        moved = signature.transposed(semitones)
        tonic = signature.keys[0].tonic + semitones
        assert moved.mode == "dorian"
        assert abs(moved.sharps) <= 7
        assert moved.keys[0].tonic == tonic % 12


def test_the_home_is_one_of_the_keys_that_the_signature_means() -> None:
    assert home_under(line(D_DORIAN), KeySignature(0)) == Key(2, "minor")
    assert home_under(line(G_MIXOLYDIAN), KeySignature(0)) == Key(7, "major")
    assert home_under(line(D_DORIAN), KeySignature(0, "minor")) == Key(9, "minor")


def test_a_signature_that_does_not_fit_the_notes_is_none() -> None:
    """Many programs write an empty signature whatever the key is."""
    music = line(D_MAJOR)
    assert not KeySignature(0, "major").fits(music)
    assert KeySignature(2, "major").fits(music)
    assert home_under(music, KeySignature(0, "major")) == Key(2, "major")
    assert home_under(music, None) == Key(2, "major")


def test_silence_fits_any_signature_and_has_no_home() -> None:
    silence = PianoRoll.from_notes([], num_steps=4)
    assert KeySignature(3).fits(silence)
    assert home_under(silence, KeySignature(3)) is None
