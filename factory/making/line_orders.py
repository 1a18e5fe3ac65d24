"""Orders for the devices of a list, part by part, with what the list's columns say of each.

A column is a setting that is sealed into the device, by its name in the settings file:
``subject.FIELD``, such as ``subject.organizational_unit``, or ``key.type``. For the methods by
claim, any other column is a parameter that the device sends to the template.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import groupby, islice
from pathlib import Path
from typing import Final

from device.config.methods import METHODS, Credential
from factory.account.cloud import Cloud
from factory.errors import SERIAL_NUMBERS
from factory.making.admission import Wanted
from factory.making.device_orders import OrderOptions, device_orders, given_endpoint
from factory.making.new_device import DeviceOrder
from factory.station.endpoint import find_endpoint
from factory.station.serial_list import Row, Rows

_BY_CLAIM: Final = frozenset({Credential.CLAIM, Credential.HANDED_CLAIM})
"""What a device begins with that sends parameters to a template."""
_PART: Final = 1000
"""So many orders are in memory at a time."""


@dataclass(frozen=True)
class BatchOrder:
    """A batch of devices, as it is ordered."""

    name: str
    """In the ledger, by which ``factory report`` and ``factory manifest`` find it."""
    options: OrderOptions
    """What each device is to be."""
    rows: Rows | Sequence[Row]
    """Serial numbers, and what the other columns of the list say."""
    folder_of: Callable[[str], Path]
    """Returns the folder of a serial number."""
    again: bool = False
    """Replace devices that have the serial numbers."""

    def wanted(self, cloud: Cloud) -> Iterator[Wanted]:
        """Yield the devices; see `line_orders`."""
        for order in line_orders(self.options, self.rows, cloud):
            yield Wanted(order, self.folder_of(order.serial_number), again=self.again)


def line_orders(options: OrderOptions, rows: Iterable[Row], cloud: Cloud) -> Iterator[DeviceOrder]:
    """Yield an order for each of ``rows``, all checked.

    Raises:
        SerialNumbersError: the method has no use for a column.
        StationError, ConfigurationError, ElementError: something in an order cannot be used.
        CloudError: AWS was asked for the endpoint, and did not answer, or said no.
    """
    endpoint = given_endpoint(options) or find_endpoint(cloud)
    options = replace(options, endpoint=endpoint)
    for values, group in groupby(rows, lambda row: row.values):
        variables = _variables(options.method, dict(values))
        of_group = replace(options, environment={**options.environment, **variables})
        while part := [row.serial_number for row in islice(group, _PART)]:
            yield from device_orders(of_group, part, cloud)


def _variables(method: str, values: Mapping[str, str]) -> dict[str, str]:
    return {_variable(method, column): value for column, value in values.items()}


def _variable(method: str, column: str) -> str:
    """Return the ``DEVICE_*`` variable of the setting that a column names."""
    parameter = column.removeprefix("claim.parameters.")
    if METHODS[method].begins_with in _BY_CLAIM and "." not in parameter:
        return f"DEVICE_CLAIM__PARAMETERS__{parameter}"
    if column == "key.type" or column.startswith("subject."):
        return f"DEVICE_{column.replace('.', '__').upper()}"
    raise SERIAL_NUMBERS.error(
        f"column {column}: {method} has no parameters that a device could send; to put a value "
        "into the certificate's subject, call the column subject.FIELD",
        next_step="Leave the column out, or call it as a setting: subject.FIELD or key.type.",
    )
