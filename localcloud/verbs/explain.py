"""``localcloud explain``: what the code of an error means; nothing needs to run."""

import argparse
import re
from collections.abc import Iterator
from typing import Final

from localcloud.errors import CATALOGUE, UNKNOWN_CODE, Row
from localcloud.process.state_folder import StateFolder
from localcloud.verbs import Console

SUMMARY: Final = "Print what the code of an error means, its usual causes, and the next step."
_PAGE: Final = "docs/errors.md"
_OTHERS: Final = (
    ("FB-[0-4]", "It is a code of the device: device explain {code}"),
    ("FB-[5-8]", "It is a code of the station: factory explain {code}"),
)


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of ``localcloud explain``."""
    parser.add_argument("code", metavar="CODE", help="the code that an error shows, such as FB-903")


def run(options: argparse.Namespace, _folder: StateFolder, console: Console) -> None:
    """Print the row of the code."""
    row = row_of(options.code)
    console.show(_document(row), *_explained(row))


def row_of(code: str) -> Row:
    """Return the row of ``code``, which may be written ``FB-903``, ``fb903`` or ``903``.

    Raises:
        LocalCloudError: the catalogue of the local AWS has no such code.
    """
    found = re.fullmatch("(?:FB[-_ ]?)?([0-9]{3})", code.strip(), re.IGNORECASE)
    wanted = f"FB-{found[1]}" if found else code
    if (row := CATALOGUE.get(wanted)) is not None:
        return row
    for pattern, step in _OTHERS:
        if found and re.match(pattern, wanted):
            raise UNKNOWN_CODE.error(code=wanted, next_step=step.format(code=wanted))
    raise UNKNOWN_CODE.error(code=wanted)


def _explained(row: Row) -> Iterator[str]:
    yield f"{row.code}: {row.title} ({row.name})"
    yield from ("", row.means, "", "Usual causes:")
    yield from (f"- {cause}" for cause in row.causes)
    yield from ("", f"Next step: {_in_general(row.next_step)}")
    yield f"Exit code: {int(row.exit_code)}"
    if row.needs:
        yield from ("", f"To see it you need {row.needs}.")
    else:
        yield from ("", f"To see it, prepared as {_PAGE} says:", "")
        yield from (f"  {line}" for line in row.commands)
    yield from ("", f"Page: {_page_of(row)}")


def _document(row: Row) -> dict[str, object]:
    return {
        "code": row.code,
        "error": row.name,
        "title": row.title,
        "means": row.means,
        "causes": list(row.causes),
        "next_step": _in_general(row.next_step),
        "exit_code": int(row.exit_code),
        "reproduce": list(row.commands),
        "needs": row.needs,
        "page": _page_of(row),
    }


def _in_general(words: str) -> str:
    """Return the ``words`` with the names of the fields instead of their values."""
    return re.sub("{([a-z_]+)}", lambda field: field[1].upper(), words)


def _page_of(row: Row) -> str:
    return f"{_PAGE}#{row.code.lower()}"
