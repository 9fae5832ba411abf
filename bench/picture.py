"""The pictures in the README: the Runs screen on a real run, the Advise and the Health screen.

    python bench/picture.py RUN docs/runs.svg
    python bench/picture.py advise docs/advise.svg
    python bench/picture.py health docs/health.svg

RUN is a finished run of the home that FATHOM_HOME names. The Health screen shows the invented
engagements of its tests: one in every state.
"""

import asyncio
import re
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from fathom_tui.screens.app import FathomApp
from fathom_tui.store import Home
from tests.screens.fleet import fleet
from tests.screens.looking import NOW

SIZE = (140, 38)
_FONT_FACE = re.compile(r"\s*@font-face \{.*?\}\n", re.DOTALL)


async def draw(shown: str) -> str:
    """Return a screen as SVG, without the fonts it would fetch.

    Args:
        shown: A run's id, `advise` or `health`.
    """
    if shown == "health":
        with tempfile.TemporaryDirectory() as scratch:
            home = Home.at(Path(scratch)).prepare()
            fleet(home)
            return await _picture(FathomApp(home, now=lambda: NOW), "7", (110, 27))
    if shown == "advise":
        return await _picture(FathomApp(Home.from_env()), "3", SIZE)
    return await _picture(FathomApp(Home.from_env(), open_run=shown), None, SIZE)


async def _picture(app: FathomApp, key: str | None, size: tuple[int, int]) -> str:
    async with app.run_test(size=size) as pilot:
        if key is not None:
            await pilot.press(key)
        for _ in range(20):  # the screen reads the journal in a worker, twice a second
            await pilot.pause(0.1)
        return _FONT_FACE.sub("", app.export_screenshot(title="fathom", simplify=True))


if __name__ == "__main__":
    lines = (line.rstrip() for line in asyncio.run(draw(sys.argv[1])).splitlines())
    Path(sys.argv[2]).write_text("\n".join(lines) + "\n", "utf-8")
