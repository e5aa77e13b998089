"""The output head that is tied across the keys and reads the frames before."""

import pytest
import torch
from toy_heads import CONTEXT, KEYS, STEPS, TRIO, band_head, frames, head
from toy_models import noise_like, random_x, toy

from lnfgen.models import stretches
from lnfgen.models.frame_head import CERTAIN
from lnfgen.models.mixture import FIRST_GATE
from lnfgen.models.observation import AllowedKeys, Frames, Known
from lnfgen.models.output import Emission


@pytest.mark.parametrize("has_onsets", [False, True])
@torch.no_grad()
def test_the_frames_of_a_step_have_probabilities_that_sum_to_1(has_onsets):
    keys = 4
    tied = head(has_onsets, keys)
    states = [0, 1, 3] if has_onsets else [0, 1]
    every = torch.cartesian_prod(*[torch.tensor(states, dtype=torch.uint8)] * keys)
    for before in every[[0, 5, -1]]:
        x = torch.stack([before.expand_as(every), every], 1)[:, :, None]
        context = torch.randn(1, 2, CONTEXT, dtype=torch.float64).expand(len(x), -1, -1)
        total = tied.frames.log_prob(tied(context, x), x)[:, 1].exp().sum()
        assert float(total) == pytest.approx(1.0, abs=1e-8)


@pytest.mark.parametrize("has_onsets", [False, True])
@torch.no_grad()
def test_a_frame_is_drawn_from_the_outside(has_onsets):
    """The highest key depends on no other of its frame, the lowest one on it alone.

    Others depend on both and on those above them.
    """
    tied = head(has_onsets)
    tied.gate.from_attended.bias.fill_(-1e4)  # for copies hardly any key depends on another one
    x = torch.zeros(1, STEPS, 1, KEYS, dtype=torch.uint8)
    x[..., [10, 16, 20, 24]] = 1
    context = torch.randn(1, STEPS, CONTEXT, dtype=torch.float64)
    before = tied(context, x)[..., :KEYS]
    low = set(range(11))
    high = set(range(24, KEYS))
    inner = set(range(11, 24))
    depending = {24: low | inner, 10: inner, 20: set(range(11, 20)), 18: set(range(11, 18))}
    for key, expected in depending.items():
        changed = x.clone()
        changed[0, 3, 0, key] ^= 1
        changed[0, 3, 0, 22] = 1 if key == 24 else 0
        differs = (tied(context, changed)[..., :KEYS] != before)[0]
        assert not differs[:3].any()
        assert differs[4:, max(key - 24, 0) : key + 25].any(-1).all()
        found = set(differs[3].nonzero().flatten().tolist())
        assert not found & (high - {key})
        assert found - {key} <= expected | {22, 23}
        assert expected - {key, 22, 23} <= found


@torch.no_grad()
def test_samples_are_what_the_probabilities_say_of_their_random_numbers():
    """Each bit is set where its random number is below its probability, given what was drawn."""
    tied = head()
    tied.turns["highest"].none.bias.sub_(100.0)
    context = torch.randn(3, STEPS, CONTEXT, dtype=torch.float64)
    uniform = tied.frames.uniform(3, STEPS, torch.Generator().manual_seed(2)).double()
    draw = tied.sampler(0.8)
    x = torch.stack([draw(context[:, t], uniform[:, t]) for t in range(STEPS)], 1)
    assert torch.equal(tied.frames.sample(tied(context, x, temperature=0.8), uniform), x)
    assert 0 < int((x > 0).sum()) < x.numel()
    lengths = torch.full((3,), STEPS)
    again = Emission(None, tied).sample(context, lengths, context, uniform, 0.8)
    assert torch.equal(again, x)
    # Scores are those at temperature 1.
    assert torch.equal(tied(context, x), tied(context, x, temperature=1.0))


@torch.no_grad()
def test_noisy_frames_replace_the_frames_before_but_not_where_voices_were():
    tied = head(copies=False)
    x = frames()
    context = torch.randn(2, STEPS, CONTEXT, dtype=torch.float64)
    silence = torch.zeros_like(x)
    logits = tied(context, x, silence)
    assert not torch.equal(logits, tied(context, x))
    # The true frames of a step and of the one before it are all that it sees.
    for step in range(1, STEPS):
        changed = silence.clone()
        changed[:, step - 1 : step + 1] = x[:, step - 1 : step + 1]
        found = tied(context, changed, silence)[:, step]
        torch.testing.assert_close(found, logits[:, step], rtol=1e-12, atol=1e-12)


@torch.no_grad()
def test_temperature_0_gives_the_likeliest_key_of_each_voice_whatever_the_random_numbers():
    tied = head(has_onsets=False, copies=False)
    tied.turns["highest"].none.bias.sub_(100.0)
    context = torch.randn(5, 1, CONTEXT, dtype=torch.float64)
    silence = torch.zeros(5, 1, 1, KEYS, dtype=torch.uint8)
    sounds = torch.sigmoid(tied(context, silence)[:, 0])
    none_above = (1 - sounds).flip(-1).cumprod(-1).flip(-1)[:, 1:]
    highest = (sounds * torch.cat([none_above, torch.ones(5, 1)], -1)).argmax(-1)
    uniform = tied.frames.uniform(5, 3, torch.Generator().manual_seed(4)).double()
    drawn = [tied.sampler(0.0)(context[:, 0], uniform[:, number]) for number in range(3)]
    assert torch.equal(drawn[1], drawn[0])
    assert torch.equal(drawn[2], drawn[0])
    assert [int(row.nonzero().amax()) for row in drawn[0][:, 0]] == highest.tolist()


@torch.no_grad()
def test_more_voices_than_have_numbers_have_probabilities_too():
    """All frames of eight keys, of which up to eight sound."""
    tied = head(has_onsets=False, keys=8)
    every = torch.cartesian_prod(*[torch.tensor([0, 1], dtype=torch.uint8)] * 8)[:, None, None]
    context = torch.randn(1, 1, CONTEXT, dtype=torch.float64).expand(len(every), -1, -1)
    probability = tied.frames.log_prob(tied(context, every), every)[:, 0].exp()
    assert float(probability.sum()) == pytest.approx(1.0, abs=1e-8)
    assert (probability > 0).all()


@torch.no_grad()
def test_a_key_that_was_silent_is_struck_when_it_sounds():
    """Also where the frame before is noisy.

    Noise must not teach that a key can be held after silence.
    """
    tied = head()
    x = frames()
    context = torch.randn(2, STEPS, CONTEXT, dtype=torch.float64)
    onset = tied(context, x, torch.zeros_like(x))[..., KEYS:]
    silent = torch.cat([torch.ones_like(x[:, :1]), x[:, :-1] == 0], 1).bool()[:, :, 0]
    assert (onset[silent] == CERTAIN).all()
    assert (onset[~silent] != CERTAIN).all()
    draw = tied.sampler(1.0)
    uniform = tied.frames.uniform(2, STEPS, torch.Generator().manual_seed(3)).double()
    drawn = torch.stack([draw(context[:, t], uniform[:, t]) for t in range(STEPS)], 1)
    held = drawn == 1
    assert not held[:, 0].any()
    assert (drawn[:, :-1][held[:, 1:]] > 0).all()


# Bands, whose parts take turns at each step.
# --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["lstm", "af-scf/scan"])
@torch.no_grad()
def test_a_part_reads_the_parts_before_it_and_nothing_later(name):
    model = toy(name, TRIO, emission="autoregressive").double()
    num_steps = 4
    x = random_x(TRIO, 1, num_steps)
    lengths = torch.tensor([num_steps])
    noise = noise_like(model, 1, 1, num_steps)
    if noise is not None:
        noise = noise.double()
    of_x = model.encode(x, lengths, None)
    before = TRIO.by_part(model.logits(x, lengths, of_x, noise))
    for step in range(num_steps):
        for part in range(TRIO.parts):
            other = x.clone()
            other[:, step, part] = 3 - 3 * (x[:, step, part] > 0).to(torch.uint8)
            # Both have the same z, so that only what the output reads can change.
            of_other = of_x
            if noise is None:
                of_other = model.encode(other, lengths, None)
            after = TRIO.by_part(model.logits(other, lengths, of_other, noise))
            same = (before == after).all(-1).flatten().tolist()
            place = step * TRIO.parts + part
            assert all(same[:place])
            # The frame itself decides the logits of its own later keys.
            next_ones = same[place + 1 : place + 1 + TRIO.parts]
            assert not any(next_ones), "the next parts, and the same part at the next step"


@pytest.mark.parametrize("copies", [False, True])
@torch.no_grad()
def test_step_by_step_a_band_is_drawn_as_it_is_scored(copies):
    """The logits at what is drawn are those of all steps at once, also after rows were chosen."""
    drawing = band_head(TRIO, copies=copies)
    if copies:
        drawing.gate.from_attended.weight.zero_()  # otherwise copies of silence take all
        drawing.gate.from_attended.bias.fill_(FIRST_GATE)
    context = torch.randn(4, 12, 4, dtype=torch.float64)
    uniform = TRIO.uniform(4, 12, torch.Generator().manual_seed(1)).double()
    sampler = drawing.sampler(1.0)
    rows = torch.tensor([2, 0, 0, 3])
    x = torch.empty(4, 0, TRIO.parts, 5, dtype=torch.uint8)
    logits = torch.empty(4, 0, TRIO.num_logits, dtype=torch.float64)
    for t in range(12):
        if t == 7:
            sampler.reindex(rows)
            x = x[rows]
            logits = logits[rows]
            context = context[rows]
            uniform = uniform[rows]
        drawn = sampler.draw(context[:, t], uniform[:, t], None)
        x = torch.cat([x, drawn.x[:, None]], 1)
        logits = torch.cat([logits, drawn.logits[:, None]], 1)
    torch.testing.assert_close(logits, drawing(context, x), rtol=1e-9, atol=1e-9)
    assert torch.equal(TRIO.sample(logits, uniform)[:, 7:], x[:, 7:])
    assert len({tuple(frame) for frame in x.flatten(0, 2).tolist()}) > 4


@pytest.mark.parametrize("parts", [1, 3])
@pytest.mark.parametrize("most", [None, 2000])
@torch.no_grad()
def test_a_sampler_takes_known_frames_as_if_it_drew_them(parts, most, monkeypatch):
    """Also after drawn ones and chosen rows, and in stretches that memory admits."""
    if most is not None:
        monkeypatch.setattr(stretches, "MAX_NUMBERS", most)
    frames = Frames(5, has_onsets=True, parts=parts)
    tied = band_head(frames, copies=True)
    x = random_x(frames, 2, STEPS)
    context = torch.randn(2, STEPS, 4, dtype=torch.float64)
    every = torch.ones(2, frames.num_logits, dtype=torch.bool)
    uniform = torch.rand(2, frames.num_logits)
    rows = torch.tensor([1, 0])
    expected = tied(context, x)

    sampler = tied.sampler(1.0)
    first = sampler.take(context[:, :2], x[:, :2])
    known = Known(frames.bits(x[:, 2], torch.bool), every)
    second = sampler.draw(context[:, 2], uniform, known)
    sampler.reindex(rows)
    third = sampler.take(context[rows, 3:], x[rows, 3:])
    assert torch.equal(second.x, x[:, 2])
    found = torch.cat([first, second.logits[:, None], third[rows]], 1)
    torch.testing.assert_close(
        frames.log_prob(found, x), frames.log_prob(expected, x), rtol=1e-9, atol=1e-9
    )


@torch.no_grad()
def test_known_frames_are_scored_for_several_samples_of_z_at_once():
    tied = band_head(TRIO, copies=True)
    x = random_x(TRIO, 2, STEPS)
    contexts = torch.randn(5, 2, STEPS, 4, dtype=torch.float64)
    together = tied.sampler(1.0).take(contexts, x)
    for context, logits in zip(contexts, together, strict=True):
        torch.testing.assert_close(logits, tied.sampler(1.0).take(context, x))


@pytest.mark.parametrize("parts", [1, 3])
@torch.no_grad()
def test_allowed_keys_are_drawn_as_often_as_all_keys_were(parts):
    """A part is silent as often as without a limit, and its lowest key may be the lowest."""
    frames = Frames(5, has_onsets=True, parts=parts)
    rows = 4000
    tied = band_head(frames, copies=False)
    context = torch.randn(1, 4, dtype=torch.float64).expand(rows, -1)
    uniform = frames.uniform(rows, 1, torch.Generator().manual_seed(1))[:, 0].double()
    keys = torch.tensor([True, False, True, False, True]).expand(rows, parts, 5)
    lowest = torch.tensor([False, False, True, False, True]).expand(rows, parts, 5)
    nothing = torch.zeros(rows, frames.num_logits, dtype=torch.bool)
    known = Known(nothing, nothing)
    free = tied.sampler(1.0).draw(context, uniform, known)
    silence = torch.ones(rows, parts, 1, dtype=torch.bool)
    limited = known._replace(allowed=AllowedKeys(keys, lowest, silence))
    drawn = tied.sampler(1.0).draw(context, uniform, limited)
    sounding = drawn.x > 0
    assert not sounding[..., [1, 3]].any()
    is_silent = ~sounding.any(-1)  # [rows, parts]
    assert (sounding[..., 2] | sounding[..., 4] | is_silent).all()
    assert not (sounding[..., 0] & ~is_silent).any(), "the first key is never the lowest"
    # Later parts read other notes than they would read without a limit.
    silent_before = (free.x == 0).all(-1)[:, 0].double().mean()
    assert 0.01 < float(silent_before) < 0.99
    assert float(is_silent[:, 0].double().mean()) == pytest.approx(float(silent_before), abs=0.03)
    limited = known._replace(allowed=AllowedKeys(keys, lowest, ~silence))
    assert (tied.sampler(1.0).draw(context, uniform, limited).x > 0).any(-1).all()


@torch.no_grad()
def test_what_is_known_is_allowed():
    """A known highest key sounds, whatever is allowed, and so does a known bass."""
    frames = Frames(5, has_onsets=True)
    tied = band_head(frames, copies=False)
    generator = torch.Generator().manual_seed(2)
    keys = torch.tensor([[[True, False, True, False, False]]])
    lowest = torch.tensor([[[False, False, True, False, False]]])
    for known_key in (4, 1):
        mask = torch.zeros(1, frames.num_logits, dtype=torch.bool)
        mask[:, known_key] = True
        known = Known(mask, mask, AllowedKeys(keys, lowest, ~lowest[..., :1]))
        for _ in range(20):
            uniform = torch.rand(1, frames.num_logits, generator=generator).double()
            context = torch.randn(1, 4, generator=generator).double()
            drawn = tied.sampler(1.0).draw(context, uniform, known)
            assert drawn.x[0, 0, known_key] > 0
            assert frames.log_prob(drawn.logits, drawn.x, mask).isfinite().all()
            assert frames.log_prob(drawn.logits, drawn.x, mask).item() > -100
