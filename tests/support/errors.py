"""Expecting an error by its row of the catalogue, where nobody decides by a class."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import ParamSpec, overload

import pytest

from device.errors import ExitCode, FirstbootError, Row
from localcloud.errors import LocalCloudError
from localcloud.errors import Row as LocalRow

P = ParamSpec("P")


@overload
def raises(row: Row, match: str | None = None) -> pytest.RaisesExc[FirstbootError]: ...
@overload
def raises(row: LocalRow, match: str | None = None) -> pytest.RaisesExc[LocalCloudError]: ...
def raises(row: Row | LocalRow, match: str | None = None) -> object:
    """Expect an error of this ``row``, whose words ``match``."""
    if isinstance(row, LocalRow):
        return pytest.RaisesExc(LocalCloudError, match=match, check=lambda error: error.row is row)
    kind = row.kind or FirstbootError
    return pytest.RaisesExc(kind, match=match, check=lambda error: error.row is row)


@contextmanager
def suppressed(*rows: Row | LocalRow) -> Iterator[None]:
    """Go on after an error of one of these ``rows``."""
    try:
        yield
    except (FirstbootError, LocalCloudError) as error:
        if error.row not in rows:
            raise


def exit_code_of(deed: Callable[P, object], *given: P.args, **named: P.kwargs) -> ExitCode:
    """Return the exit code of a command that does this ``deed``."""
    try:
        deed(*given, **named)
    except FirstbootError as error:
        return error.exit_code
    return ExitCode.DONE
