"""The pictures in the README: the Runs screen on a real run, and the Advise screen.

    python bench/picture.py RUN docs/runs.svg
    python bench/picture.py advise docs/advise.svg

RUN is a finished run of the home that FATHOM_HOME names.
"""

import asyncio
import re
import sys
from pathlib import Path

from fathom_tui.screens.app import FathomApp
from fathom_tui.store import Home

SIZE = (140, 38)
_FONT_FACE = re.compile(r"\s*@font-face \{.*?\}\n", re.DOTALL)


async def draw(shown: str) -> str:
    """Return a screen as SVG, without the fonts it would fetch.

    Args:
        shown: A run's id, or `advise`.
    """
    advise = shown == "advise"
    app = FathomApp(Home.from_env(), open_run=None if advise else shown)
    async with app.run_test(size=SIZE) as pilot:
        if advise:
            await pilot.press("3")
        for _ in range(20):  # the screen reads the journal in a worker, twice a second
            await pilot.pause(0.1)
        return _FONT_FACE.sub("", app.export_screenshot(title="fathom", simplify=True))


if __name__ == "__main__":
    lines = (line.rstrip() for line in asyncio.run(draw(sys.argv[1])).splitlines())
    Path(sys.argv[2]).write_text("\n".join(lines) + "\n", "utf-8")
