"""What a provisioning template asks of the device, read before anything is sent.

Source: AWS IoT Core Developer Guide, "Provisioning templates".
"""

from typing import Final

import msgspec

from device.errors import ConfigurationError


class _Parameter(msgspec.Struct):
    default: str | None = msgspec.field(default=None, name="Default")


class _Resource(msgspec.Struct):
    type: str = msgspec.field(default="", name="Type")


class _Template(msgspec.Struct):
    parameters: dict[str, _Parameter] = msgspec.field(default_factory=dict, name="Parameters")
    resources: dict[str, _Resource] = msgspec.field(default_factory=dict, name="Resources")


_TEMPLATE: Final = msgspec.json.Decoder(_Template)


THING: Final = "AWS::IoT::Thing"
PSEUDO_PREFIX: Final = "AWS::IoT::Certificate::"
"""The prefix of what AWS fills in from the certificate: its subject's fields, and Id."""


def required_subject_fields(body: bytes, source: str) -> frozenset[str]:
    """Return the subject fields that a just-in-time template wants, e.g. ``CommonName``.

    A certificate that lacks one stays PENDING_ACTIVATION for good, and nobody is told.

    Raises:
        ConfigurationError: ``body`` is not a provisioning template.
    """
    wanted = _parameters_without_default(body, source)
    fields = {name.removeprefix(PSEUDO_PREFIX) for name in wanted if PSEUDO_PREFIX in name}
    return frozenset(fields - {"Id"})


def required_parameters(body: bytes, source: str) -> frozenset[str]:
    """Return the parameters that the device must send: declared, and without a Default.

    Those that AWS fills in itself (``AWS::IoT::...``) are left out.

    Raises:
        ConfigurationError: ``body`` is not a provisioning template.
    """
    wanted = _parameters_without_default(body, source)
    return frozenset(name for name in wanted if not name.startswith("AWS::"))


def check_makes_a_thing(body: bytes, source: str) -> None:
    """Check that a device provisioned with the template becomes a thing.

    AWS IoT accepts a template without one, registers the certificate, and names no thing.

    Raises:
        ConfigurationError: it makes none, or ``body`` is not a provisioning template.
    """
    if all(made.type != THING for made in _decoded(body, source).resources.values()):
        problem = f"the template has no {THING}, so a device would not become a thing"
        step = f"Add a resource of Type {THING} to {source}, and update the template in AWS IoT."
        raise ConfigurationError(source, "Resources", problem, step)


def _decoded(body: bytes, source: str) -> _Template:
    try:
        return _TEMPLATE.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise ConfigurationError(source, "", f"is not a provisioning template: {error}") from None


def _parameters_without_default(body: bytes, source: str) -> list[str]:
    parameters = _decoded(body, source).parameters.items()
    return [name for name, parameter in parameters if parameter.default is None]
