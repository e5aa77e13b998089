"""What the events of a MIDI file mean, whatever stands between them."""

from midi_hexdumps import END, midi

from lnfgen.formats.messages import apart, channel_notes
from lnfgen.formats.midi_file import read_file

C4 = f"90 3C 40  04 80 3C 00 {END}"


def first_note(content: bytes) -> tuple[int, int, int]:
    """The start, the end and the pitch of the first note in a file of one track."""
    notes = channel_notes(read_file(content).tracks)
    (first, *_) = notes[0, 0]
    return first.start, first.end, first.pitch


def test_a_key_signature_that_midi_does_not_define_costs_no_file() -> None:
    # A mode that is neither major nor minor; no key at all
    for key in ("02 02 02", "02 FF FF", "00"):
        assert first_note(midi(f"00 FF 59 {key} 00 {C4}")) == (0, 4, 60)
        assert first_note(midi(f"04 FF 59 {key} 04 {C4}")) == (8, 12, 60), "it has a time"


def test_what_comes_after_a_meta_message_of_an_unknown_type_keeps_its_time() -> None:
    content = midi(f"10 FF 77 02 02 00 00 {C4}")
    assert first_note(content) == (16, 20, 60)
    (track,) = read_file(content).tracks
    assert [event.tick for event in track] == [16, 16, 20, 20]


def test_a_sound_keeps_off_the_notes_of_its_key_on_the_channel() -> None:
    content = midi(f"08 {C4}", f"00 91 3C 40  20 81 3C 00 {END}")
    written = channel_notes(read_file(content).tracks)  # on channel 0, C4 from tick 8 to 12
    sounds = [(0, 20, 60), (10, 20, 60), (10, 12, 60), (0, 20, 62)]
    assert apart(sounds, written, channel=0) == [(0, 7, 60), (12, 20, 60), (0, 20, 62)]
