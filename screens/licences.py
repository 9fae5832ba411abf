"""Licences and languages of models, as the screens mark them."""

from typing import TYPE_CHECKING

from textual.content import Content

from fathom_tui.screens.symbols import Symbols
from fathom_tui.screens.words import clean

if TYPE_CHECKING:
    from fathom_tui.catalog_types import Model

_LANGUAGES = {
    "ar": "Arabic",
    "cs": "Czech",
    "da": "Danish",
    "de": "German",
    "en": "English",
    "es": "Spanish",
    "fi": "Finnish",
    "fr": "French",
    "he": "Hebrew",
    "hi": "Hindi",
    "hu": "Hungarian",
    "it": "Italian",
    "ja": "Japanese",
    "ko": "Korean",
    "nl": "Dutch",
    "no": "Norwegian",
    "pl": "Polish",
    "pt": "Portuguese",
    "ru": "Russian",
    "sv": "Swedish",
    "th": "Thai",
    "tr": "Turkish",
    "uk": "Ukrainian",
    "vi": "Vietnamese",
    "zh": "Chinese",
}


def licence(model: "Model", symbols: Symbols) -> Content:
    """Return a licence with its mark: free to use, with conditions, or not for commerce."""
    symbol, style = _mark(model, symbols)
    return Content.assemble((f"{symbol} ", style), (clean(model.licence), style))


def terms(model: "Model", symbols: Symbols) -> Content:
    """Return the same with its conditions in words."""
    said = clean(model.licence_note)
    if not said:
        said = "Commercial use is allowed." if model.commercial else "No commercial use."
    return licence(model, symbols) + Content(f". {said}")


def _mark(model: "Model", symbols: Symbols) -> tuple[str, str]:
    if not model.commercial:
        return symbols.refused, "$error"
    return (symbols.warned, "$warning") if model.licence_note else (symbols.done, "$success")


def languages(model: "Model") -> str:
    """Return the names of a model's languages; unknown where its card names none."""
    names = [_LANGUAGES.get(code, clean(code)) for code in model.languages]
    return ", ".join(names) or "unknown: its card names none"
