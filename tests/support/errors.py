"""Expecting an error by its row of the catalogue, where nobody decides by a class."""

from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from device.errors import FirstbootError, Row


def raises(row: Row, match: str | None = None) -> pytest.RaisesExc[FirstbootError]:
    """Expect an error of this ``row``, whose words ``match``."""
    kind = row.kind or FirstbootError
    return pytest.RaisesExc(kind, match=match, check=lambda error: error.row is row)


@contextmanager
def suppressed(*rows: Row) -> Iterator[None]:
    """Go on after an error of one of these ``rows``."""
    try:
        yield
    except FirstbootError as error:
        if error.row not in rows:
            raise
