"""The place of a step in beats and bars."""

import torch

from lnfgen.models.beat_features import BEATS, NUM_BEAT_FEATURES, BeatFeatures


def test_features_come_again_after_their_period() -> None:
    features = BeatFeatures()(torch.arange(96))
    assert features.shape == (96, NUM_BEAT_FEATURES)
    for place, period in enumerate(BEATS):
        own = features[:, [place, len(BEATS) + place]]
        torch.testing.assert_close(own[period:], own[:-period])
        assert len(own[:period].unique(dim=0)) == period
