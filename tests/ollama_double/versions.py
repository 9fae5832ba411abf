"""The version a server claims to be, and since when Ollama does what (release notes)."""

from dataclasses import dataclass

CREATE_FILES = (0, 5, 5)
"""`files` in create."""
CAPABILITIES = (0, 6, 4)
"""`capabilities` in show."""
PS_CONTEXT = (0, 10, 0)
"""`context_length` in ps."""
RENDER_ONLY = (0, 11, 5)
"""`_debug_render_only` in chat and generate."""
LLAMA_SERVER = (0, 30, 0)
"""llama-server and llama-quantize: GGUFs are rewritten at create, Jinja templates are run, and
only models with a pooling type embed."""


@dataclass(frozen=True, slots=True)
class Version:
    """A version as `/api/version` gives it."""

    text: str

    def since(self, floor: tuple[int, int, int]) -> bool:
        """Return whether this version is `floor` or newer; a pre-release counts as its release."""
        numbers = self.text.split("-")[0].split(".")
        return tuple(int(number) for number in numbers) >= floor
