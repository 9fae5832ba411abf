"""`python -m fathom_tui` is the command `fathom`."""

import sys

from fathom_tui.cli import main

if __name__ == "__main__":
    sys.exit(main())
