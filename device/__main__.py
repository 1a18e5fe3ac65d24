"""The ``device`` command, and ``python -m device``: what shows the version loads nothing else."""

import gc
import sys

from device import __version__

_GARBAGE = 50_000
"""How many objects are made before Python looks for garbage among them; its own number is 700.

Loading all that a first boot needs makes 48,000, of which 800 are garbage; to look so often takes
4 % of the time.
"""


def main() -> int:
    """Show the version, or run a verb; return the exit code."""
    gc.set_threshold(_GARBAGE)
    if sys.argv[1:] == ["--version"]:
        print(f"device {__version__}")  # noqa: T201 - as argparse would, which takes long to load
        return 0
    from device.cli import main as run  # noqa: PLC0415 - see above

    return run()


if __name__ == "__main__":
    raise SystemExit(main())
