"""Scores of answers against the truth; one metric a file."""

from fathom_tui.metrics.exact_match import exact_match
from fathom_tui.metrics.field_mean import field_mean, field_scores
from fathom_tui.metrics.macro_f1 import macro_f1

__all__ = ["exact_match", "field_mean", "field_scores", "macro_f1"]
