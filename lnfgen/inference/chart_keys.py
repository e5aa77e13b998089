"""The keys among which a piece over a chart is drawn.

On a beat, no key outside its chord is drawn. Where a chord starts its bass sounds, as the lowest
key: in a band the part of the bass plays it. The keys that are left share the probability of all,
so a piece is as dense as without a chart. Between the beats all notes are free, for there they
pass.
"""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import torch

from lnfgen.inference.known_music import KnownMusic
from lnfgen.inference.wanted_chords import part_of_bass, wanted_spans
from lnfgen.models.observation import AllowedKeys
from lnfgen.music.chart import Bar
from lnfgen.music.parts import are_pitched
from lnfgen.music.tracks import BASS


def allowed_keys(chart: Sequence[Bar], part: KnownMusic) -> AllowedKeys:
    """What may be drawn in a piece over a chart, of which a part is known: `[T, R, P]`."""
    encoding = part.encoding
    pitches = part.pitches  # [R, P]
    is_pitched = are_pitched(encoding.roles)
    num_steps = len(part.values)
    keys = np.ones(part.values.shape, np.bool_)
    lowest = np.ones_like(keys)
    silence = np.ones_like(keys[..., :1])
    of_bass = part_of_bass(encoding.roles)
    beats = part.beats
    for own in wanted_spans(chart, replace(part.song, drawn=part.hidden_cells)):
        span = own.moved(part.offset)
        if span.end <= 0 or span.start >= num_steps:
            continue
        is_inside = span.classes[pitches % 12] | ~is_pitched[:, None]
        is_own = (beats >= span.start) & (beats < span.end)
        keys[beats[is_own]] = is_inside
        if span.start < 0:
            continue
        keys[span.start] = is_inside
        is_bass = pitches[of_bass] % 12 == span.bass
        if BASS in encoding.roles:
            keys[span.start, of_bass] = is_bass
        lowest[span.start, of_bass] = is_bass
        # Where no bass may be drawn, none is asked for.
        silence[span.start, of_bass] = not (part.hidden[span.start, of_bass] & is_bass).any()
    return AllowedKeys(*map(torch.from_numpy, (keys, lowest, silence)))
