"""Every row of the station's catalogue, by code: its own, and the device's that it raises too."""

from typing import Final

from device.errors.catalogue import CATALOGUE as DEVICE_CATALOGUE
from device.errors.catalogue import rows_of
from factory.errors import (
    account,
    audit,
    bulk,
    claim,
    cloud,
    diagnosis,
    line,
    lint,
    making,
    station,
)

OWN: Final = rows_of(account, audit, bulk, claim, cloud, diagnosis, line, lint, making, station)
CATALOGUE: Final = {**DEVICE_CATALOGUE, **OWN}
