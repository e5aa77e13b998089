"""Which pieces go to which split: by names, by shares, as they come."""

import pytest

from lnfgen.conventions import SPLITS
from lnfgen.data.division import deal, distinct, in_random_order, split_at_random, split_counts, split_of_label


@pytest.mark.parametrize("count", range(1, 31))
def test_at_random(count: int) -> None:
    splits = split_at_random(range(count), (0.8, 0.1, 0.1), seed=0)
    assert sorted(index for indices in splits.values() for index in indices) == list(range(count))
    assert splits["train"]
    if count >= 3:
        assert all(splits.values())
    assert not split_at_random(range(count), (1.0, 0.0, 0.0), seed=0)["test"]


@pytest.mark.parametrize(
    "shares", [(0.8, 0.1, 0.1), (0.9, 0.1, 0.0), (1.0, 0.0, 0.0), (0.34, 0.33, 0.33), (0.5, 0, 0.5)]
)
def test_what_is_dealt_keeps_to_its_shares_at_any_moment(shares: tuple[float, float, float]) -> None:
    counts = dict.fromkeys(SPLITS, 0)
    asked = sum(share > 0 for share in shares)
    for total, (split, item) in enumerate(deal(range(1000), shares), start=1):
        assert item == total - 1
        counts[split] += 1
        if total >= asked:
            assert all(counts[name] > 0 for name, share in zip(SPLITS, shares, strict=True) if share)
        if total >= 10:
            assert all(abs(counts[name] - share * total) <= 1 for name, share in zip(SPLITS, shares, strict=True))
    assert [*counts.values()] == split_counts(1000, shares)


def test_a_random_order_depends_on_the_seed_and_not_on_other_labels() -> None:
    labels = [f"{number}.mid" for number in range(20)]
    order = [labels[place] for place in in_random_order(labels, 0)]
    assert sorted(order) == sorted(labels)
    assert order not in (labels, [labels[place] for place in in_random_order(labels, 1)])
    fewer = labels[3:]
    assert [fewer[place] for place in in_random_order(fewer, 0)] == [label for label in order if label in fewer]


def test_the_first_of_some_copies_stays() -> None:
    copies: list[dict[str, str]] = []
    items = [("a", "x"), ("b", "y"), ("c", "x"), ("a", "z")]
    assert list(distinct(items, str, "the letter", copies)) == [("a", "x"), ("b", "y"), ("a", "z")]
    assert copies == [{"path": "c", "reason": "it holds the letter as a"}]


@pytest.mark.parametrize(
    ("label", "split"),
    [
        ("ptb.train.txt", "train"),
        ("train.txt", "train"),
        ("dev.txt", "valid"),
        ("val_2.txt", "valid"),
        ("valid/song.mid", "valid"),
        ("set/test/deep/song.mid", "test"),
        ("Test-Set.txt", "test"),
        ("trainspotting.txt", None),
        ("contest.txt", None),
        ("song.mid", None),
    ],
)
def test_by_name(label: str, split: str | None) -> None:
    assert split_of_label(label) == split
