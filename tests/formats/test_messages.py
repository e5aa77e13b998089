"""The messages of a MIDI file keep their time, whatever mido makes of them."""

import io
import struct

import mido
import pytest
from midi_hexdumps import END, midi

from lnfgen.formats.messages import apart, channel_notes, checked, parsed, timed

C4 = f"90 3C 40  04 80 3C 00 {END}"


def first_note(content: bytes) -> tuple[int, int, int]:
    """The start, the end and the pitch of the first note in a file of one track."""
    notes = channel_notes(parsed(content).tracks)
    (first, *_) = notes[0, 0]
    return first.start, first.end, first.pitch


def test_a_key_signature_that_midi_does_not_define_costs_no_file() -> None:
    # A mode that is neither major nor minor; no key at all
    for key in ("02 02 02", "02 FF FF", "00"):
        assert first_note(midi(f"00 FF 59 {key} 00 {C4}")) == (0, 4, 60)
        assert first_note(midi(f"04 FF 59 {key} 04 {C4}")) == (8, 12, 60), "it has a time"
    # For others who use mido in this process, nothing has changed.
    with pytest.raises(mido.KeySignatureError):
        mido.MidiFile(file=io.BytesIO(midi(f"00 FF 59 02 02 02 {END}")))


def test_what_comes_after_a_meta_message_that_mido_does_not_know_keeps_its_time() -> None:
    content = midi(f"10 FF 77 02 02 00 00 {C4}")
    assert first_note(content) == (16, 20, 60)
    assert [tick for tick, _ in timed(parsed(content).tracks[0])] == [16, 16, 20, 20]


def test_chunks_that_midi_does_not_define_are_skipped() -> None:
    content = midi(f"00 {C4}")
    alien = b"XFIH" + struct.pack(">L", 3) + b"abc"
    assert checked(content[:14] + alien + content[14:], "song.mid") == content


def test_a_sound_keeps_off_the_notes_of_its_key_on_the_channel() -> None:
    content = midi(f"08 {C4}", f"00 91 3C 40  20 81 3C 00 {END}")
    written = channel_notes(parsed(content).tracks)  # on channel 0, C4 from tick 8 to 12
    sounds = [(0, 20, 60), (10, 20, 60), (10, 12, 60), (0, 20, 62)]
    assert apart(sounds, written, channel=0) == [(0, 7, 60), (12, 20, 60), (0, 20, 62)]
