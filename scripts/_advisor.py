"""``scripts/advisor``: the command ``advisor``, from a checkout."""

import sys

from advisor.cli import main

if __name__ == "__main__":
    sys.exit(main())
