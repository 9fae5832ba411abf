"""What stands in the matrix of the Hardware screen, and the order of its rows."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

from fathom_tui.errors import UsageError
from fathom_tui.screens.dials import START_CONTEXT, START_QUANT, gigabytes, price_of
from fathom_tui.screens.matrix import Cell
from fathom_tui.screens.symbols import ASCII, Symbols
from fathom_tui.screens.words import clean

if TYPE_CHECKING:
    from fathom_tui.catalog import Catalog
    from fathom_tui.catalog_types import Gpu, Model
    from fathom_tui.fit import DeviceFit, Fit, Subject
    from fathom_tui.training_memory import TrainingPlan

TIGHT = 0.9
"""From this share of the usable memory on it fits, but another program may take the rest."""


_KEPT = 500
"""Columns that are kept; all models in all views are 230."""


class View(StrEnum):
    """What the cells show."""

    ANSWER = "answer"
    SPEED = "speed"
    QLORA = "qlora"
    LORA = "lora"
    FULL = "full"

    @property
    def trains(self) -> bool:
        """Whether it is about training."""
        return self not in (View.ANSWER, View.SPEED)


TITLES = (
    (View.ANSWER, "Answer"),
    (View.SPEED, "Tokens/s"),
    (View.QLORA, "QLoRA"),
    (View.LORA, "LoRA"),
    (View.FULL, "Full"),
)
WIDTHS = {View.SPEED: 11}
"""Cells of a column, where they are not `WIDTH`."""
WIDTH = 9


class Sort(StrEnum):
    """The order of the devices."""

    MEMORY = "memory"
    PRICE = "price"
    SPEED = "tokens/s"
    NAME = "name"


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """What the matrix is computed for."""

    view: View = View.ANSWER
    quant: str = START_QUANT
    context: int = START_CONTEXT
    """Tokens, prompt and answer together."""


class Answers:
    """A column of answers for each model, computed when it comes into sight and then kept.

    Args:
        catalog: The devices, models and quantisations.
        symbols: What the terminal can show.
    """

    def __init__(self, catalog: "Catalog", symbols: Symbols) -> None:
        self.catalog = catalog
        self._symbols = symbols
        self._gpus = {gpu.id: gpu for gpu in catalog.gpus}
        self._models = {model.id: model for model in catalog.models}
        self._subjects: dict[tuple[str, str], Subject] = {}
        self._fits: dict[tuple[str, Asked], Fit | UsageError] = {}
        self._columns: dict[tuple[str, Asked], dict[str, DeviceFit]] = {}

    def model(self, model: str) -> "Model":
        """Return a row of the catalog."""
        return self._models[model]

    def gpu(self, gpu: str) -> "Gpu":
        """Return a row of the catalog."""
        return self._gpus[gpu]

    def fit(self, model: str, asked: Asked) -> "Fit":
        """Return a model's terms and every device's answer.

        Raises:
            UsageError: It cannot be computed for this model.
        """
        if len(self._fits) > _KEPT:
            self._fits.clear()
            self._columns.clear()
        if (model, asked) not in self._fits:
            self._fits[model, asked] = self._computed(model, asked)
        found = self._fits[model, asked]
        if isinstance(found, UsageError):
            raise found
        return found

    def _computed(self, model: str, asked: Asked) -> "Fit | UsageError":
        from fathom_tui.fit import fit

        try:
            return fit(
                self._subject(model, asked.quant),
                self.catalog.gpus,
                context=asked.context,
                plan=plan(asked.view),
            )
        except UsageError as error:
            return error

    def _subject(self, model: str, quant: str) -> "Subject":
        from fathom_tui.fit import Subject

        if (model, quant) not in self._subjects:
            row = self.catalog.quant(quant)
            self._subjects[model, quant] = Subject.of(self._models[model], row)
        return self._subjects[model, quant]

    def device(self, gpu: str, model: str, asked: Asked) -> "DeviceFit | None":
        """Return one device's answer; None where it cannot be computed."""
        key = (model, asked)
        if key not in self._columns:
            try:
                devices = self.fit(model, asked).devices
            except UsageError:
                devices = ()
            self._columns[key] = {device.gpu.id: device for device in devices}
        return self._columns[key].get(gpu)

    # What is shown.

    def cell(self, gpu: str, model: str, asked: Asked) -> Cell:
        """Return what stands where a device and a model meet."""
        device = self.device(gpu, model, asked)
        if device is None:
            return Cell("? n/a", "unknown")
        if asked.view is View.SPEED:
            return _speed(device, self._symbols)
        if asked.view.trains:
            return _training(device, self._symbols)
        return _share(device.needed, device.usable, self._symbols)

    def head(self, model: str, asked: Asked) -> tuple[str, str, str]:
        """Return a model's name on two lines, and what it needs on one card."""
        first, _, rest = clean(model).partition("-")
        width = WIDTHS.get(asked.view, WIDTH) - 1
        if len(rest) > width:  # the size is at the end
            rest = "…" + rest[1 - width :]
        try:
            fit = self.fit(model, asked)
        except UsageError:
            return first, rest, "?"
        need = fit.training.total if fit.training is not None else fit.inference.total
        beyond = not asked.view.trains and asked.context > self.model(model).architecture.context
        mark = self._symbols.warned if beyond else ""
        return first, rest, f"{mark}{gigabytes(need)} GB"

    def order(self, gpus: Sequence["Gpu"], sort: Sort, model: str, asked: Asked) -> list["Gpu"]:
        """Return devices in an order: small, cheap or fast first; what is unknown is last.

        Args:
            gpus: The devices.
            sort: The order.
            model: Whose tokens a second count.
            asked: For what.
        """
        answering = Asked(view=View.SPEED, quant=asked.quant, context=asked.context)

        def speed(gpu: "Gpu") -> float:
            device = self.device(gpu.id, model, answering) if model else None
            rate = device.tokens_per_s if device is not None else None
            return -sum(rate) if rate is not None else 0.0  # by the middle of the range

        keys: dict[Sort, Callable[[Gpu], tuple[float, str]]] = {
            Sort.MEMORY: lambda gpu: (gpu.memory_gib, gpu.id),
            Sort.PRICE: lambda gpu: ((price_of(gpu) or (float("inf"),))[0], gpu.id),
            Sort.SPEED: lambda gpu: (speed(gpu), gpu.id),
            Sort.NAME: lambda gpu: (0.0, gpu.id),
        }
        return sorted(gpus, key=keys[sort])


def plan(view: View) -> "TrainingPlan | None":
    """Return the training a view is about: rank 16 on attention, one row of 2,048 tokens."""
    from fathom_tui.fit import PLANS

    return next((each for each in PLANS if each.method.value == view.value), None)


def _speed(device: "DeviceFit", symbols: Symbols) -> Cell:
    if not device.fits:
        return Cell(symbols.refused, "bad")
    rate = device.tokens_per_s
    if rate is None:
        return Cell("?", "unknown")
    return Cell(f"{symbols.done} {between(rate.low, rate.high, symbols)}", "good")


def _training(device: "DeviceFit", symbols: Symbols) -> Cell:
    if device.trains is None or device.training_needed is None:
        return Cell("?", "unknown")
    return _share(device.training_needed, device.usable, symbols)


def _share(needed: int, usable: int, symbols: Symbols) -> Cell:
    """Return the share of the memory that is taken, or how many times too large it is."""
    if needed > usable:
        return Cell(f"{symbols.refused} {times(needed, usable, symbols)}", "bad")
    share = needed / usable
    text = f"{100 * share:.0f} %"
    return (
        Cell(f"{symbols.warned} {text}", "tight")
        if share > TIGHT
        else Cell(f"{symbols.done} {text}", "good")
    )


def times(needed: int, usable: int, symbols: Symbols) -> str:
    """Return how many times too large it is: 1.04×, 2.4×, 12×; never 1.00×."""
    ratio = max(1.01, needed / max(1, usable))
    digits = 2 if ratio < 1.095 else int(ratio < 9.95)
    return f"{ratio:.{digits}f}{'x' if symbols is ASCII else '×'}"


def legend(asked: Asked, symbols: Symbols) -> str:
    """Return what the cells say, in the width of the row heads."""
    if asked.view is View.SPEED:
        return "tokens/s of one answer, u used"
    return f"% taken, {'x' if symbols is ASCII else '×'} too large, u used"


def between(low: float, high: float, symbols: Symbols) -> str:
    """Return a range in few characters: 3.1–5.9, 70–90, 0.9–1.7k, 12–23k."""
    if high < 999.5:
        return f"{_rate(low)}{symbols.until}{_rate(high)}"
    digits = int(high < 9950)
    return f"{low / 1000:.{digits}f}{symbols.until}{high / 1000:.{digits}f}k"


def _rate(value: float) -> str:
    return f"{value:.{int(value < 9.95)}f}"
