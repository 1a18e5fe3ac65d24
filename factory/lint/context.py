"""What is known of the devices that a document is for."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from device.config.settings import Settings
from factory.lint.template import PSEUDO

_AWS_NAMES: Final[Mapping[str, str]] = {
    "country": "Country",
    "state": "State",
    "organization": "Organization",
    "organizational_unit": "OrganizationalUnit",
    "dn_qualifier": "DistinguishedNameQualifier",
    "serial_number": "SerialNumber",
    "common_name": "CommonName",
}
"""Subject fields in the device's settings, and what policy variables call them."""
_AWS_SUBJECT: Final = frozenset({"CommonName"})
"""Of a certificate whose key AWS made: ``CN=AWS IoT Certificate``."""
BY_CLAIM: Final = frozenset({"claim", "claim-aws-keys", "claim-own-ca", "trusted-user"})
BY_REGISTRATION: Final[Mapping[str, frozenset[str]]] = {
    "bulk": frozenset({"SerialNumber", "CSR"}),
    "single-thing": frozenset({"SerialNumber", "CSR"}),
}
"""The parameters that the station itself sends."""


@dataclass(frozen=True)
class Context:
    """The method, and its devices' settings; both None for a file that stands alone."""

    method: str | None = None
    settings: Settings | None = None

    @property
    def device_subject(self) -> frozenset[str] | None:
        """The fields in the subject of a device's certificate; None if nobody knows."""
        if self.settings is None:
            return None
        if self.method == "claim-aws-keys":
            return _AWS_SUBJECT
        return frozenset(_AWS_NAMES[name] for name in self.settings.subject if name in _AWS_NAMES)

    @property
    def given_parameters(self) -> frozenset[str] | None:
        """The parameters that a template is given; None if nobody knows."""
        if self.settings is None or self.method is None:
            return None
        if self.method in BY_CLAIM:
            return frozenset(self.settings.claim.parameters)
        return BY_REGISTRATION.get(self.method, frozenset())

    @property
    def connects_as(self) -> str | None:
        """The client id as the settings have it; None if AWS tells the device, or nobody knows."""
        if self.settings is None or self.method in BY_CLAIM:
            return None
        return self.settings.thing_name

    def value_of(self, parameter: str) -> str | None:
        """Return a template's parameter as the settings have it; None if nobody knows."""
        if self.settings is None:
            return None
        if self.method in BY_REGISTRATION:
            return "{serial}" if parameter == "SerialNumber" else None
        fields = {name: field for field, name in _AWS_NAMES.items()} | {"StateName": "state"}
        return self.settings.subject.get(fields.get(parameter.removeprefix(PSEUDO), ""))

    @property
    def makes_csr(self) -> bool:
        """Whether a device with a claim makes its own key."""
        return self.method != "claim-aws-keys"
