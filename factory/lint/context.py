"""What is known of the devices that a document is for."""

from dataclasses import dataclass
from typing import Final

from device.config.methods import METHODS, Credential, KeyMaker, MachineKind, Method
from device.config.settings import Settings
from device.config.template import PSEUDO_PREFIX
from device.identity.csr import FIELD_IN_TEMPLATE, SUBJECT

_AWS_SUBJECT: Final = frozenset({"CommonName"})
"""Of a certificate whose key AWS made: ``CN=AWS IoT Certificate``."""
_FROM_STATION: Final = frozenset({"SerialNumber", "CSR"})
"""The parameters that the station itself sends, where AWS issues the certificate to it."""


@dataclass(frozen=True)
class Context:
    """The method, and its devices' settings; both None for a file that stands alone."""

    method: str | None = None
    settings: Settings | None = None

    @property
    def device_subject(self) -> frozenset[str] | None:
        """The fields in the subject of a device's certificate; None if it is not known."""
        if self.settings is None:
            return None
        if not self.makes_csr:
            return _AWS_SUBJECT
        held = [SUBJECT[name].in_policy for name in self.settings.subject if name in SUBJECT]
        return frozenset(name for name in held if name is not None)

    @property
    def given_parameters(self) -> frozenset[str] | None:
        """The parameters that a template is given; None if it is not known."""
        if self.settings is None or self.method is None:
            return None
        if self.is_by_claim:
            return frozenset(self.settings.claim.parameters)
        return _FROM_STATION if self.is_by_registration else frozenset()

    @property
    def connects_as(self) -> str | None:
        """The client id as the settings have it; None if AWS tells the device, or nobody knows."""
        if self.settings is None or self.is_by_claim:
            return None
        return self.settings.thing_name

    def value_of(self, parameter: str) -> str | None:
        """Return a template's parameter as the settings have it; None if it is not known."""
        if self.settings is None:
            return None
        if self.is_by_registration:
            return "{serial}" if parameter == "SerialNumber" else None
        field = FIELD_IN_TEMPLATE.get(parameter.removeprefix(PSEUDO_PREFIX), "")
        return self.settings.subject.get(field)

    @property
    def makes_csr(self) -> bool:
        """Whether a device with a claim makes its own key."""
        return self._row is None or self._row.key_made_by is KeyMaker.DEVICE

    @property
    def is_by_claim(self) -> bool:
        """Whether the device asks for its certificate."""
        return self._row is not None and self._row.machine is MachineKind.CLAIM

    @property
    def is_by_registration(self) -> bool:
        """Whether AWS issues the certificate to the station."""
        return self._row is not None and self._row.begins_with is Credential.ISSUED

    @property
    def is_just_in_time(self) -> bool:
        """Whether AWS learns of the device from its first connection."""
        return self._row is not None and self._row.just_in_time

    @property
    def _row(self) -> Method | None:
        return METHODS.get(self.method or "")
