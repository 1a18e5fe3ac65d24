"""What a just-in-time template takes from the subject of a device's certificate."""

from typing import Final

import msgspec

from device.errors import ConfigurationError

_PSEUDO_PARAMETER: Final = "AWS::IoT::Certificate::"
"""Begins what AWS fills in from the certificate (AWS IoT developer guide, "Provisioning
templates", "Pseudo parameters"); ``Id`` is not of its subject."""


class _Parameter(msgspec.Struct):
    default: str | None = msgspec.field(name="Default", default=None)


class _Template(msgspec.Struct):
    parameters: dict[str, _Parameter] = msgspec.field(name="Parameters", default_factory=dict)


def wanted_subject_fields(body: str, source: str) -> frozenset[str]:
    """Return the fields that have no Default, such as ``CommonName``.

    A certificate that lacks one stays PENDING_ACTIVATION for good, and nobody is told.

    Raises:
        ConfigurationError: ``body`` is no provisioning template.
    """
    try:
        parameters = msgspec.json.decode(body, type=_Template).parameters
    except msgspec.DecodeError as error:
        raise ConfigurationError(source, "", f"is not a provisioning template: {error}") from error
    wanted = [name for name, parameter in parameters.items() if parameter.default is None]
    fields = {name.removeprefix(_PSEUDO_PARAMETER) for name in wanted if _PSEUDO_PARAMETER in name}
    return frozenset(fields - {"Id"})
