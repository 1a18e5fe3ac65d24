"""Writes the generated parts of the documents: diagrams, errors, --help, schemas, settings, tour.

With --record also what the method pages tell of wire and registry, from a run of their commands
against a local AWS: half a minute. tests/wire/test_pages.py checks these.
"""

import argparse
import io
import os
import re
import sys
from collections.abc import Callable, Mapping
from contextlib import redirect_stdout, suppress
from pathlib import Path
from typing import Final

import device.cli
import factory.cli
import localcloud.cli
from scripts._errors_page import with_errors
from scripts._iot_operations import with_operations
from scripts._machine_diagrams import with_diagrams
from scripts._man import PAGES
from scripts._settings_page import with_settings
from scripts._tour import with_tour
from scripts.schemas import generate

_ROOT: Final = Path(__file__).parents[1]
_COLUMNS: Final = "80"
_HELP: Final = re.compile(
    r"(?<=^```console\n)\$ (?P<line>[a-z ]+) --help\n.*?(?=^```$)", re.M | re.S
)
_MAJOR: Final = "Readers would break: for a new major version, delete the file first."
_COMMANDS: Final[Mapping[str, Callable[[list[str]], object]]] = {
    "device": device.cli.main,
    "factory": factory.cli.main,
    "localcloud": localcloud.cli.main,
}


def with_help(document: str) -> str:
    """Return ``document`` with each block that shows a ``--help`` written again."""
    return _HELP.sub(lambda block: f"$ {block['line']} --help\n{help_of(block['line'])}", document)


def help_of(line: str) -> str:
    """Return what ``line --help`` prints on a screen of 80 columns."""
    command, *verb = line.split()
    os.environ["COLUMNS"] = _COLUMNS
    with redirect_stdout(io.StringIO()) as said, suppress(SystemExit):
        _COMMANDS[command]([*verb, "--help"])
    return said.getvalue()


GENERATED: Final[Mapping[Path, Callable[[str], str]]] = {
    _ROOT / "docs" / "commands.md": with_help,
    _ROOT / "docs" / "errors.md": with_errors,
    _ROOT / "docs" / "machines.md": with_diagrams,
    _ROOT / "docs" / "settings.md": with_settings,
    _ROOT / "docs" / "tour.md": with_tour,
}
"""The documents with generated parts, and what writes these again."""


def main() -> int:
    """Write the documents, or check that they are current."""
    parser = argparse.ArgumentParser(prog="scripts/docs", description=__doc__)
    what = parser.add_mutually_exclusive_group()
    what.add_argument("--check", action="store_true", help="change nothing; 1 if not current")
    what.add_argument("--record", action="store_true", help="play the method pages as well")
    options = parser.parse_args()
    if options.record and not _recorded():
        return 1
    stale = []
    for path, write in GENERATED.items():
        present = path.read_text(encoding="utf-8")
        wanted = write(present)
        if present != wanted:
            stale.append(path.name)
        if not options.check:
            path.write_text(wanted, encoding="utf-8")
    stale += _pages(write=not options.check)
    if options.check:
        stale += generate.stale()
    elif refused := generate.write():
        print("\n".join([*refused, _MAJOR]))  # noqa: T201 - a command
        return 1
    if not options.check:
        # Not checked: which operations AWS has changes with botocore's version.
        page = _ROOT / "docs" / "local-aws.md"
        page.write_text(with_operations(page.read_text(encoding="utf-8")), encoding="utf-8")
    if stale and options.check:
        print(f"not current: {', '.join(stale)}; run scripts/docs")  # noqa: T201 - a command
        return 1
    return 0


def _pages(*, write: bool) -> list[str]:
    """Return which man pages and completions are not current, and write them if asked to."""
    stale = []
    for path, make in PAGES.items():
        wanted = make()
        if not path.exists() or path.read_text(encoding="utf-8") != wanted:
            stale.append(str(path.relative_to(_ROOT)))
            if write:
                path.write_text(wanted, encoding="utf-8")
    return stale


def _recorded() -> bool:
    # boto3 and the SDK's clients: the other documents need nothing of it.
    from scripts.recording.page import RecordingError  # noqa: PLC0415
    from scripts.recording.record import record_all  # noqa: PLC0415

    try:
        record_all()
    except RecordingError as error:
        print(error)  # noqa: T201 - a command
        return False
    return True


if __name__ == "__main__":
    sys.exit(main())
