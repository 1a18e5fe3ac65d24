"""The ``device`` command, and ``python -m device``: what shows the version loads nothing else."""

import sys

from device import __version__


def main() -> int:
    """Show the version, or run a verb; return the exit code."""
    if sys.argv[1:] == ["--version"]:
        print(f"device {__version__}")  # noqa: T201 - as argparse would, which takes long to load
        return 0
    from device.cli import main as run  # noqa: PLC0415 - see above

    return run()


if __name__ == "__main__":
    raise SystemExit(main())
