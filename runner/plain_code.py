"""Plain code as the alternative: TF-IDF and logistic regression for every choice field."""

from collections.abc import Sequence
from typing import Any

from fathom_tui.contract import Contract, Value
from fathom_tui.datasets.cases import Case
from fathom_tui.errors import EnvironmentProblem


class PlainCode:
    """A fitted classifier a choice field; seconds to train, microseconds to ask."""

    def __init__(self, contract: Contract, train: Sequence[Case], *, seed: int) -> None:
        """Fit on the training split.

        Raises:
            EnvironmentProblem: scikit-learn is not installed.
        """
        try:
            from sklearn.linear_model import LogisticRegression
        except ImportError as error:
            raise EnvironmentProblem(
                f"The plain-code baseline needs scikit-learn: {error}.",
                fix='Run: pip install "fathom-tui[train]"',
            ) from error
        self._features, matrix = _features([case.input for case in train])
        self._fields: dict[str, Any] = {}
        for field in contract.choice_fields:
            labels = [str(case.values[field.name]) for case in train]
            if len(set(labels)) < 2:
                self._fields[field.name] = labels[0]
                continue
            model = LogisticRegression(C=10.0, max_iter=2000, random_state=seed)
            self._fields[field.name] = model.fit(matrix, labels)

    def answer(self, cases: Sequence[Case]) -> list[dict[str, Value]]:
        """Return the choices of every case; numbers are beyond it and left out."""
        matrix = self._features.transform([case.input for case in cases])
        columns = {
            name: [model] * len(cases) if isinstance(model, str) else list(model.predict(matrix))
            for name, model in self._fields.items()
        }
        return [
            {name: str(values[row]) for name, values in columns.items()}
            for row in range(len(cases))
        ]


def _features(texts: Sequence[str]) -> tuple[Any, Any]:
    """Return the fitted TF-IDF of words, word pairs and letter sequences, and its matrix."""
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.pipeline import FeatureUnion

    words = TfidfVectorizer(ngram_range=(1, 2), sublinear_tf=True)
    letters = TfidfVectorizer(analyzer="char_wb", ngram_range=(3, 5), min_df=2)
    return _fitted(FeatureUnion([("words", words), ("letters", letters)]), texts)


def _fitted(features: Any, texts: Sequence[str]) -> tuple[Any, Any]:
    from sklearn.feature_extraction.text import TfidfVectorizer

    try:
        return features, features.fit_transform(texts)
    except ValueError:  # no word of two letters, or nothing that stands in two texts
        features = TfidfVectorizer(analyzer="char_wb", ngram_range=(1, 5))
        return features, features.fit_transform(texts)


class Nearest:
    """The training rows most like a text, by cosine over TF-IDF of words and word pairs."""

    def __init__(self, train: Sequence[Case]) -> None:
        from sklearn.feature_extraction.text import TfidfVectorizer

        self._train = train
        words = TfidfVectorizer(ngram_range=(1, 2), sublinear_tf=True)
        self._vectorizer, self._matrix = _fitted(words, [case.input for case in train])

    def shots(self, text: str, count: int) -> tuple[tuple[str, str], ...]:
        """Return the nearest rows as (input, output), the nearest last, next to the question."""
        similarity = (self._matrix @ self._vectorizer.transform([text]).T).toarray().ravel()
        order = similarity.argsort(kind="stable")[max(0, len(similarity) - count) :]
        return tuple((self._train[i].input, self._train[i].output) for i in order)
