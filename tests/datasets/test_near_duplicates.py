import random
from itertools import combinations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fathom_tui.datasets import near_duplicates
from fathom_tui.datasets.near_duplicates import jaccard, near_groups, near_matches, shingles
from fathom_tui.errors import UsageError

# Few words, so that near duplicates are common.
messages = st.lists(st.sampled_from("abcd"), min_size=1, max_size=9).map(" ".join)
thresholds = st.sampled_from([0.2, 0.5, 0.8, 1.0])
SENTENCE = "i ordered a new card two weeks ago and it has still not arrived"


def near_pairs(texts: list[str], threshold: float) -> set[tuple[int, int]]:
    sets = [shingles(text) for text in texts]
    return {
        (i, j)
        for i, j in combinations(range(len(texts)), 2)
        if jaccard(sets[i], sets[j]) >= threshold
    }


def linked(pairs: set[tuple[int, int]], rows: int) -> list[list[int]]:
    group = list(range(rows))
    for _ in range(rows):
        for i, j in pairs:
            group[i] = group[j] = min(group[i], group[j])
    found = [[row for row in range(rows) if group[row] == name] for name in range(rows)]
    return [members for members in found if len(members) > 1]


def test_shingles_are_runs_of_three_words() -> None:
    assert shingles("Where is my card?") == {"where is my", "is my card"}
    assert shingles("Help!") == {"help"}


def test_jaccard_is_shared_over_all() -> None:
    # {abc, bcd} and {bcd, cde}: 1 shared of 3
    assert jaccard(shingles("a b c d"), shingles("b c d e")) == 1 / 3


def test_one_appended_word_makes_a_near_duplicate_and_a_changed_one_does_not() -> None:
    # 12 of 13 shingles shared; a change in the middle of 14 words leaves 9 of 15.
    texts = [SENTENCE, SENTENCE + " yet", SENTENCE.replace("weeks", "months")]

    assert near_groups(texts) == [[0, 1]]


@settings(deadline=None)
@given(texts=st.lists(messages, max_size=12), threshold=thresholds)
def test_groups_are_what_comparing_every_pair_gives(texts: list[str], threshold: float) -> None:
    expected = linked(near_pairs(texts, threshold), len(texts))

    assert near_groups(texts, threshold=threshold) == expected


@settings(deadline=None)
@given(
    texts=st.lists(messages, max_size=8),
    references=st.lists(messages, max_size=8),
    threshold=thresholds,
)
def test_matches_are_what_comparing_every_pair_gives(
    texts: list[str], references: list[str], threshold: float
) -> None:
    pairs = near_pairs([*texts, *references], threshold)

    matches = near_matches(texts, references, threshold=threshold)

    expected = {i for i, j in pairs if i < len(texts) <= j}
    assert set(matches) == expected
    assert all((i, len(texts) + j) in pairs for i, j in matches.items())


def letters(seed: int, rows: int) -> list[str]:
    """Messages of 8 to 30 words, every third one a slightly changed copy."""
    chance = random.Random(seed)
    words = [f"w{n}" for n in range(200)]
    found = [" ".join(chance.choices(words, k=chance.randint(8, 30))) for _ in range(rows)]
    return found + [f"{text} {chance.choice(words)}" for text in found[::3]]


def test_minhash_finds_the_groups_of_the_exact_search(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("rensa", reason="rensa is not installed")
    texts = letters(1, 600)
    exact = near_groups(texts)

    monkeypatch.setattr(near_duplicates, "EXACT_CHARACTERS", 0)

    assert near_groups(texts) == exact
    assert len(exact) > 150
    assert set(near_matches(texts[600:], texts[:600])) == set(range(200))


def test_without_rensa_large_data_is_searched_exactly(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(near_duplicates, "EXACT_CHARACTERS", 0)
    monkeypatch.setattr(near_duplicates, "find_spec", lambda name: None)

    assert near_groups([SENTENCE, "something else", SENTENCE + " yet"]) == [[0, 2]]


@pytest.mark.parametrize("threshold", [0, -1, 1.1, float("nan")])
def test_a_threshold_that_means_nothing_is_refused(threshold: float) -> None:
    with pytest.raises(UsageError, match="near-duplicate threshold"):
        near_groups(["a", "b"], threshold=threshold)
