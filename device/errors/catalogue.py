"""Every row of the device's catalogue, by code, and how a row is explained to a person."""

import re
from collections.abc import Iterator
from types import ModuleType
from typing import Final

from device import errors
from device.errors import (
    UNKNOWN_CODE,
    Row,
    doctor,
    element,
    operation,
    provisioning,
    renewal,
    root_of_trust,
    storage,
)


def rows_of(*modules: ModuleType) -> dict[str, Row]:
    """Return the rows that ``modules`` define, by code, in order."""
    found = {
        each.code: each
        for module in modules
        for each in vars(module).values()
        if isinstance(each, Row)
    }
    return dict(sorted(found.items()))


CATALOGUE: Final = rows_of(
    errors, storage, root_of_trust, element, provisioning, operation, renewal, doctor
)


def row_of(code: str, catalogue: dict[str, Row] = CATALOGUE) -> Row:
    """Return the row of ``code``, which may be written ``FB-410``, ``fb410`` or ``410``.

    Raises:
        UnknownCodeError: the ``catalogue`` has none; the next step names who has it.
    """
    found = re.fullmatch("(?:FB[-_ ]?)?([0-9]{3})", code.strip(), re.IGNORECASE)
    wanted = f"FB-{found[1]}" if found else code
    if (row := catalogue.get(wanted)) is not None:
        return row
    step = ""
    if found and all(each[:4] != wanted[:4] for each in catalogue):  # another command's codes
        command = "localcloud" if wanted.startswith("FB-9") else "factory"
        step = f"Run {command} explain {wanted}, where {command} is installed."
    raise UNKNOWN_CODE.error(f"the catalogue has no code {wanted}", next_step=step)


class _Names(dict[str, object]):
    """Stands for the fields of an error that has not happened: ``{path}`` reads ``PATH``."""

    def __missing__(self, name: str) -> "_Name":
        return _Name(name.upper())


class _Name(str):
    __slots__ = ()

    def __format__(self, _: str) -> str:
        return str(self)


def in_general(words: str) -> str:
    """Return the ``words`` of a row with the names of the fields instead of their values."""
    return words.format_map(_Names())


PAGE: Final = "docs/errors.md"


def page_of(row: Row) -> str:
    """Return where the documents explain ``row``."""
    return f"{PAGE}#{row.code.lower()}"


def explained(row: Row) -> Iterator[str]:
    """Yield the lines that explain ``row`` to a person."""
    yield f"{row.code}: {row.title} ({row.name})"
    yield from ("", row.means, "", "Usual causes:")
    yield from (f"- {cause}" for cause in row.causes)
    yield from ("", f"Next step: {in_general(row.next_step)}")
    yield f"Exit code: {int(row.exit_code)}"
    if row.needs:
        yield from ("", f"To see it you need {row.needs}.")
    else:
        yield from ("", f"To see it on the local AWS, prepared as {PAGE} says:", "")
        yield from (f"  {line}" for line in row.commands)
    yield from ("", f"Page: {page_of(row)}")


def document_of(row: Row) -> dict[str, object]:
    """Return what ``--json`` puts out about ``row``."""
    return {
        "code": row.code,
        "error": row.name,
        "title": row.title,
        "means": row.means,
        "causes": list(row.causes),
        "next_step": in_general(row.next_step),
        "exit_code": int(row.exit_code),
        "reproduce": list(row.commands),
        "needs": row.needs,
        "page": page_of(row),
    }
