"""What can be made to go wrong, by name."""

from collections.abc import Iterable

FAULTS = {
    "cut-upload": "the connection is reset in the middle of a blob upload",
    "cut-create": "the create stream ends in the middle of a chunked answer; nothing is created",
    "down-during-create": "the server dies after the first status lines of a create",
    "down-after-create": "the server dies after `success`",
    "error-line": "create answers 200 and a line with an error; nothing is created",
    "no-success": "the create stream ends properly, without `success`; nothing is created",
    "disk-full": "a blob upload finds the disk full",
    "disk-full-create": "a create finds the disk full",
    "wrong-template": "create takes the GGUF's chat template for another family's",
    "slow-load": "loading a model takes three seconds longer",
    "busy": "chat, generate and embed answer 503",
    "chat-error-line": "a chat streams its first words, then a line with an error",
    "repeat": "a chat repeats one word and ends without a done chunk",
}
SLOW_LOAD_S = 3.0


class Faults:
    """Faults that still have to strike."""

    def __init__(self, wanted: Iterable[str] = ()) -> None:
        """Take faults as `NAME` (every time) or `NAME=TIMES` (the first TIMES times).

        Raises:
            ValueError: There is no such fault, or TIMES is no whole number.
        """
        self._left: dict[str, float] = {}
        for spec in wanted:
            name, _, times = spec.partition("=")
            if name not in FAULTS:
                raise ValueError(f"no fault {name!r}; there are {', '.join(FAULTS)}")
            self._left[name] = int(times) if times else float("inf")

    def strikes(self, name: str) -> bool:
        """Return whether the fault happens now; a counted one is used up by asking."""
        left = self._left.get(name, 0)
        self._left[name] = left - 1
        return left > 0


class Cut(Exception):
    """The connection is to be dropped where it stands."""
