"""Every row of the device's catalogue, by code; `device explain` reads it."""

from types import ModuleType
from typing import Final

from device import errors
from device.errors import UNKNOWN_CODE, Row, element, provisioning, root_of_trust, storage


def rows_of(*modules: ModuleType) -> dict[str, Row]:
    """Return the rows that ``modules`` define, by code, in order."""
    found = {
        each.code: each
        for module in modules
        for each in vars(module).values()
        if isinstance(each, Row)
    }
    return dict(sorted(found.items()))


CATALOGUE: Final = rows_of(errors, storage, root_of_trust, element, provisioning)


def row_of(code: str, catalogue: dict[str, Row] = CATALOGUE) -> Row:
    """Return the row of ``code``, in upper or lower case.

    Raises:
        UnknownCodeError: the ``catalogue`` has none.
    """
    row = catalogue.get(code.upper())
    if row is None:
        raise UNKNOWN_CODE.error(f"the catalogue has no code {code}")
    return row
