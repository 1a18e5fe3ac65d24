"""The columns of a list as parameters of a registration template, checked at once."""

import json
from collections.abc import Iterable
from typing import Final

from factory.bulk.serial_numbers import Row
from factory.errors import SERIAL_NUMBERS

_GIVEN: Final = frozenset({"SerialNumber", "CSR"})
"""Parameters that the station fills in for each device."""


def check_columns(rows: Iterable[Row], template: str, name: str) -> None:
    """Refuse a column that ``template`` has no parameter for, and a parameter without a value.

    Raises:
        SerialNumbersError: there is one; AWS would refuse every device of the batch.
    """
    parameters = json.loads(template).get("Parameters", {})
    needed = {each for each, declared in parameters.items() if "Default" not in declared} - _GIVEN
    for row in rows:
        given = {column for column, _ in row.values}
        for column in sorted(given - (parameters.keys() - _GIVEN)):
            known = ", ".join(sorted(parameters.keys() - _GIVEN)) or "none"
            problem = f"column {column}: the template {name} has no such parameter (known: {known})"
            raise SERIAL_NUMBERS.error(
                problem, next_step="Leave the column out, or give a template: --template FILE"
            )
        if missing := sorted(needed - given):
            problem = f"{row.serial_number} has no {missing[0]}, which the template {name} needs"
            raise SERIAL_NUMBERS.error(problem, next_step=f"Add the column {missing[0]}.")
