"""What a provisioning template asks of the device, read before anything is sent.

Source: AWS IoT Core Developer Guide, "Provisioning templates".
"""

import msgspec

from device.errors import ConfigurationError


class _Parameter(msgspec.Struct):
    default: str | None = msgspec.field(default=None, name="Default")


class _Template(msgspec.Struct):
    parameters: dict[str, _Parameter] = msgspec.field(default_factory=dict, name="Parameters")


def required_parameters(body: bytes, source: str) -> frozenset[str]:
    """Return the parameters that the device must send: declared, and without a Default.

    Those that AWS fills in itself (``AWS::IoT::...``) are left out.

    Raises:
        ConfigurationError: ``body`` is no provisioning template.
    """
    try:
        template = msgspec.json.decode(body, type=_Template)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise ConfigurationError(source, "", f"is no provisioning template: {error}") from None
    return frozenset(
        name
        for name, parameter in template.parameters.items()
        if parameter.default is None and not name.startswith("AWS::")
    )
