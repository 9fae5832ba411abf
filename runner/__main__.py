"""`python -m fathom_tui.runner`: the agent, detached from whoever started it."""

import sys

from fathom_tui.runner.agent import main

if __name__ == "__main__":
    sys.exit(main())
