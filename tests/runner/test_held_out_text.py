from fathom_tui.datasets.cases import Case
from fathom_tui.perplexity import LEAST_CHUNKS
from fathom_tui.runner.held_out import CONTEXTS, held_out_text


def cases(count: int, *, words: int, prefix: str) -> list[Case]:
    return [
        Case(id=f"{prefix}{i}", input=f"{prefix} " * (words - 1), values={}, output=f"{prefix}{i}")
        for i in range(count)
    ]


def words(text: str) -> int:
    return len(text.split())


def test_enough_validation_text_is_used_alone_in_the_longest_chunks() -> None:
    validation = cases(64, words=80, prefix="held")

    text, n_ctx = held_out_text(validation, cases(9, words=80, prefix="spare"), words)

    assert n_ctx == CONTEXTS[0]
    assert words(text) == 64 * 80
    assert "spare" not in text


def test_short_validation_text_is_filled_with_no_more_spare_rows_than_needed() -> None:
    validation = cases(16, words=18, prefix="held")

    text, n_ctx = held_out_text(validation, cases(900, words=18, prefix="spare"), words)

    wanted = CONTEXTS[1] * LEAST_CHUNKS
    assert n_ctx == CONTEXTS[1]
    assert wanted <= words(text) < wanted + 18
    assert text.startswith(validation[0].input)


def test_text_that_stays_short_is_cut_into_shorter_chunks() -> None:
    _, some = held_out_text(cases(60, words=18, prefix="held"), [], words)
    _, little = held_out_text(cases(16, words=18, prefix="held"), [], words)

    assert some == CONTEXTS[2]
    assert little == CONTEXTS[-1]
