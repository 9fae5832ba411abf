"""The picture in the README: a finished run, while the next one trains.

python -m tests.screens.picture docs/runs.svg
"""

import asyncio
import re
import sys
import tempfile
from datetime import timedelta
from pathlib import Path

from fathom_tui.store.paths import Home
from tests.screens import story
from tests.screens.looking import Listener, opened, settle

SIZE = (140, 38)
_FONT_FACE = re.compile(r"\s*@font-face \{.*?\}\n", re.DOTALL)


async def draw() -> str:
    """Return the Runs screen as SVG."""
    with tempfile.TemporaryDirectory() as scratch:
        home, agent = Home.at(Path(scratch)), Listener()
        slug = story.engagement(home)
        story.refusal(home, slug, began=story.BEGAN - timedelta(days=1))
        done = story.finished(home, slug)
        live = story.training(home, slug, began=story.BEGAN + timedelta(minutes=40))
        agent.beat = story.heartbeat(live)
        app = opened(home, agent, run=done, now=live.now)
        async with app.run_test(size=SIZE) as pilot:
            await settle(pilot)
            # The pages that show it may not fetch fonts: whoever looks uses their own.
            return _FONT_FACE.sub("", app.export_screenshot(title="fathom", simplify=True))


if __name__ == "__main__":
    target = Path(sys.argv[1])
    target.parent.mkdir(exist_ok=True)
    lines = (line.rstrip() for line in asyncio.run(draw()).splitlines())
    target.write_text("\n".join(lines) + "\n", encoding="utf-8")
