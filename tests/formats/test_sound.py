"""WAV files sound as long as their pieces; an error names what is missing to make them."""

import io
import shutil
import wave
from pathlib import Path

import numpy as np
import pytest
from command import Call, fails
from midi_hexdumps import END, midi

from lnfgen.errors import LnfgenError
from lnfgen.formats import sound
from lnfgen.formats.midi import read_midi
from lnfgen.formats.read_write import to_bytes, write
from lnfgen.music.pianoroll import PianoRoll

ROLL = PianoRoll.from_notes([(0, 4, 60), (4, 4, 64), (8, 8, 67)], num_steps=24, tempo_bpm=240.0)


@pytest.fixture
def synthesiser() -> None:
    if shutil.which("fluidsynth") is None:
        pytest.skip("FluidSynth is not installed")
    try:
        sound.require_synthesiser()
    except LnfgenError as error:
        pytest.skip(str(error))


@pytest.mark.usefixtures("synthesiser")
def test_a_wav_sounds_and_lasts_as_long_as_the_piece(lnfgen: Call, tmp_path: Path) -> None:
    write(tmp_path / "a.npz", ROLL)
    done = lnfgen("convert", "a.npz", "a.wav", "--program", "73,48")
    assert (done.returncode, done.stdout) == (0, b"a.wav\n"), done.stderr
    with wave.open(str(tmp_path / "a.wav")) as file:
        assert (file.getnchannels(), file.getsampwidth(), file.getframerate()) == (2, 2, 44_100)
        seconds = file.getnframes() / 44_100
        samples = np.frombuffer(file.readframes(file.getnframes()), "<i2")
    assert ROLL.seconds <= seconds <= ROLL.seconds + 6.0
    assert np.abs(samples[: 2 * 44_100]).max() > 3000
    assert np.abs(samples).max() < 32_767
    silence = PianoRoll.from_notes([], num_steps=8, tempo_bpm=240.0)
    with wave.open(io.BytesIO(to_bytes(silence, ".wav"))) as file:
        assert file.getnframes() >= 22_050
        assert np.abs(np.frombuffer(file.readframes(22_050), "<i2")).max() < 4  # FluidSynth dithers


def test_without_the_synthesiser_one_line_says_how_to_get_it(
    here: Call, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(tmp_path / "a.npz", ROLL)
    monkeypatch.setenv("PATH", "")
    fails(here("convert", "a.npz", "a.wav"), "install fluidsynth", ".html")
    assert not (tmp_path / "a.wav").exists()


def test_sample_refuses_before_anything_is_drawn(
    call: Call, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", "")
    fails(call("sample", "run-rolls", "--out", "song.wav"), "install fluidsynth")


def test_a_missing_soundfont_and_a_synthesiser_that_fails_are_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", f"{tmp_path}:/bin:/usr/bin")
    (tmp_path / "fluidsynth").write_text("#!/bin/sh\necho no such preset >&2; exit 3\n")
    (tmp_path / "fluidsynth").chmod(0o755)
    monkeypatch.setenv("LNFGEN_SOUNDFONT", str(tmp_path / "none.sf2"))
    with pytest.raises(LnfgenError, match=r"none\.sf2 is no file"):
        to_bytes(ROLL, ".wav")
    (tmp_path / "some.sf2").write_bytes(b"")
    monkeypatch.setenv("LNFGEN_SOUNDFONT", str(tmp_path / "some.sf2"))
    with pytest.raises(LnfgenError, match=r"made no sound .*no such preset"):
        to_bytes(ROLL, ".wav")
    # FluidSynth returns 0 where it plays no such file, and writes one block of silence.
    (tmp_path / "fluidsynth").write_text(
        '#!/bin/sh\nhead -c 300 /dev/zero > "$5"; echo SMPTE timing >&2\n'
    )
    with pytest.raises(LnfgenError, match=r"made no sound .*SMPTE timing"):
        to_bytes(ROLL, ".wav")
    monkeypatch.delenv("LNFGEN_SOUNDFONT")
    monkeypatch.setattr(sound, "_FOLDERS", (str(tmp_path / "nothing"),))
    with pytest.raises(LnfgenError, match="no soundfont"):
        sound.require_synthesiser()


def test_fluidsynth_gets_the_events_that_it_knows(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It refuses a file with an escape, a real-time byte, or a track without an end."""
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    (tmp_path / "fluidsynth").write_text(
        f'#!/bin/sh\nfor last; do :; done\ncp "$last" {tmp_path}/heard.mid\n'
    )
    (tmp_path / "fluidsynth").chmod(0o755)
    (tmp_path / "some.sf2").write_bytes(b"")
    monkeypatch.setenv("LNFGEN_SOUNDFONT", str(tmp_path / "some.sf2"))
    odd = "00 F8 00 F7 01 F3 00 F0 01 43 00 F7 02 43 F7 00 F1 05"
    content = midi(f"00 F0 02 43 F7 {odd} 00 90 3C 40 04 3C 00 {odd}", division=96)
    alien = b"XFIH\0\0\0\3abc"
    (song,) = read_midi(content[:14] + alien + content[14:])
    with pytest.raises(LnfgenError, match="made no sound"):
        to_bytes(song, ".wav")
    plain = midi(f"00 F0 02 43 F7 00 90 3C 40 04 90 3C 00 {END}", kind=0, division=96)
    assert (tmp_path / "heard.mid").read_bytes() == plain
