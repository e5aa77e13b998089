"""The noise on frames that an output reads, and the layout of the bits of several parts."""

import pytest
import torch
from toy_models import every_sequence, random_x

from lnfgen.models.observation import AllowedKeys, Frames, NoteNoise

STEPS, KEYS = 6, 32


def test_noise_hides_keys_and_moves_some_in_training_alone():
    x = torch.zeros(400, STEPS, 1, KEYS, dtype=torch.uint8)
    # They are so far apart that it shows where a moved key comes from.
    x[..., 10] = 3
    x[..., 20] = 1
    noise = NoteNoise(0.25)
    noisy = noise.train()(x)
    for key, value in ((10, 3), (20, 1)):
        around = noisy[..., key - 2 : key + 3]
        assert set(around.unique().tolist()) == {0, value}
        shares = (around > 0).double().mean((0, 1, 2)).tolist()
        assert shares == pytest.approx([0.25 / 16, 0.25 / 16, 0.75, 0.25 / 16, 0.25 / 16], abs=0.03)
        assert min(shares) > 0
    assert not noisy[..., :8].any()
    for keys in (1, 2, 3):
        assert noise.train()(x[..., 10 : 10 + keys]).shape == (400, STEPS, 1, keys)
    text = torch.randint(1, 5, (8, 9))
    assert torch.equal(noise(text), text)
    assert noise.eval()(x) is x


@pytest.mark.parametrize("has_onsets", [False, True])
def test_the_logits_of_a_step_are_those_of_each_part_in_turn(has_onsets):
    """So the probability of a step is the product of those of its parts, and so are its draws."""
    band = Frames(5, has_onsets, parts=3)
    one = Frames(5, has_onsets)
    x = random_x(band, 2, 4)
    generator = torch.Generator().manual_seed(1)
    logits = torch.randn(2, 4, band.num_logits, generator=generator)
    uniform = band.uniform(2, 4, generator)
    log_probs = []
    drawn = []
    bits = []
    for part in range(3):
        own = band.by_part(logits)[..., part, :]
        own_x = x[:, :, [part]]
        log_probs.append(one.log_prob(own, own_x))
        drawn.append(one.sample(own, band.by_part(uniform)[..., part, :]))
        bits.append(one.bits(own_x, torch.float32))
    torch.testing.assert_close(band.part_log_probs(logits, x), torch.stack(log_probs, -1))
    torch.testing.assert_close(band.log_prob(logits, x), torch.stack(log_probs).sum(0))
    assert torch.equal(band.sample(logits, uniform), torch.cat(drawn, -2))
    assert torch.equal(band.bits(x, torch.float32), torch.cat(bits, -1))


@pytest.mark.parametrize("parts", [1, 2])
@pytest.mark.parametrize("has_onsets", [False, True])
def test_probabilities_of_all_frames_sum_to_1(has_onsets, parts):
    frames = Frames(2, has_onsets, parts)
    x = every_sequence(frames, 1)
    assert len(x) == (3 if has_onsets else 2) ** (2 * parts)
    logits = torch.randn(1, 1, frames.num_logits, dtype=torch.float64).expand(len(x), -1, -1)
    assert float(frames.log_prob(logits, x).exp().sum()) == pytest.approx(1, abs=1e-12)


@pytest.mark.parametrize("parts", [1, 2])
def test_the_share_of_which_keys_sound_is_a_distribution_of_its_own(parts):
    frames = Frames(2, True, parts)
    x = every_sequence(frames, 1)
    silent_or_held = x[(x != 3).flatten(1).all(-1)]
    logits = torch.randn(1, 1, frames.num_logits, dtype=torch.float64)
    alone = frames.sounding_log_prob(logits.expand(len(silent_or_held), -1, -1), silent_or_held)
    assert alone is not None
    assert float(alone.exp().sum()) == pytest.approx(1, abs=1e-12)
    without = Frames(2, False, parts)
    assert without.sounding_log_prob(logits[..., : without.num_logits], x[:1]) is None


@pytest.mark.parametrize("has_onsets", [False, True])
def test_known_bits_stay_in_draws_and_only_counted_ones_are_scored(has_onsets):
    frames = Frames(3, has_onsets, parts=2)
    x = random_x(frames, 1, 4)[0]
    generator = torch.Generator().manual_seed(2)
    mask = torch.rand(4, frames.num_logits, generator=generator) < 0.5
    known = frames.known(x, mask)
    logits = torch.randn(4, frames.num_logits, generator=generator)
    drawn = frames.sample(logits, frames.uniform(1, 4, generator)[0], known)
    is_known_sounding = frames.by_part(mask)[..., :3]
    assert torch.equal((drawn & 1)[is_known_sounding], (x & 1)[is_known_sounding])
    everything = frames.log_prob(logits[None], x[None], torch.ones_like(mask)[None])
    torch.testing.assert_close(everything, frames.log_prob(logits[None], x[None]))
    nothing = frames.log_prob(logits[None], x[None], torch.zeros_like(mask)[None])
    assert (nothing == 0).all()


@pytest.mark.parametrize("has_onsets", [False, True])
def test_hidden_keys_that_are_not_allowed_do_not_sound(has_onsets):
    """But what is known stays, and nothing else changes."""
    frames = Frames(4, has_onsets, parts=2)
    x = random_x(frames, 1, 50)[0]
    generator = torch.Generator().manual_seed(2)
    mask = torch.rand(50, frames.num_logits, generator=generator) < 0.3
    known = frames.known(x, mask)
    logits = torch.randn(50, frames.num_logits, generator=generator)
    uniform = frames.uniform(1, 50, generator)[0]
    keys = torch.rand(50, 2, 4, generator=generator) < 0.5
    every = torch.ones_like(keys)
    allowed = AllowedKeys(keys, every, every[..., :1])
    free = frames.sample(logits, uniform, known)
    drawn = frames.sample(logits, uniform, known._replace(allowed=allowed))
    may_sound = keys | frames.by_part(mask)[..., :4]
    assert torch.equal(drawn, torch.where(may_sound, free, 0))
    assert not torch.equal(drawn, free)
