"""AWS's registry in a few words, for a program that checks what became of a device."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from factory.account.aws import Aws
from factory.account.certificates import (
    certificate_id_of,
    delete_certificate,
    describe_certificate,
    policies_of,
    set_certificate_status,
)
from factory.account.cloud import Account, Response, items, structure, text
from factory.account.registered_devices import detach_from_things, principals_of
from factory.errors import NotInCloudError


@dataclass(frozen=True)
class Certificate:
    """A certificate, as the registry has it now."""

    id: str
    status: str
    """ACTIVE, INACTIVE, REVOKED, PENDING_TRANSFER, REGISTER_INACTIVE or PENDING_ACTIVATION."""
    pem: str
    policies: tuple[str, ...]
    """The names of the policies that are attached to it."""

    @property
    def is_active(self) -> bool:
        """Whether a device can connect with it."""
        return self.status == "ACTIVE"


class Thing:
    """A thing of the registry, by name; each property asks AWS again."""

    def __init__(self, cloud: Aws, name: str) -> None:
        """Name the thing; nothing is asked yet."""
        self.name: Final = name
        self._cloud: Final = cloud

    @property
    def exists(self) -> bool:
        """Whether there is such a thing."""
        return self._described() is not None

    @property
    def attributes(self) -> Mapping[str, str]:
        """The attributes; none if there is no such thing."""
        found = structure(self._described() or {}, "attributes")
        return {name: str(value) for name, value in found.items()}

    @property
    def type_name(self) -> str | None:
        """The thing type, if the thing has one."""
        found = (self._described() or {}).get("thingTypeName")
        return None if found is None else str(found)

    @property
    def groups(self) -> list[str]:
        """The names of the thing groups that it is in."""
        try:
            pages = list(self._cloud.pages("iot", "ListThingGroupsForThing", thingName=self.name))
        except NotInCloudError:
            return []
        return [text(each, "groupName") for page in pages for each in items(page, "thingGroups")]

    @property
    def certificates(self) -> list[Certificate]:
        """The certificates that are attached to it, whatever their status."""
        ids = map(certificate_id_of, principals_of(self._cloud, self.name))
        return [_certificate(self._cloud, each) for each in ids if each]

    def delete(self) -> None:
        """Delete the thing and the certificates that are attached to it; all may be gone already.

        Raises:
            CloudError: AWS did not answer, or said no.
        """
        for certificate in self.certificates:
            detach_from_things(self._cloud, certificate.id)
            delete_certificate(self._cloud, certificate.id)
        if self.exists:
            self._cloud.call("iot", "DeleteThing", thingName=self.name)

    def _described(self) -> Response | None:
        try:
            return self._cloud.call("iot", "DescribeThing", thingName=self.name)
        except NotInCloudError:
            return None

    def __repr__(self) -> str:
        return f"Thing({self.name!r})"


class Registry:
    """One account's registry in one Region."""

    def __init__(self, cloud: Aws) -> None:
        """Ask ``cloud``."""
        self._cloud: Final = cloud

    @property
    def account(self) -> Account:
        """The account and Region."""
        return self._cloud.account

    def thing(self, name: str) -> Thing:
        """Return the thing ``name``, whether it exists or not."""
        return Thing(self._cloud, name)

    def things(self) -> list[str]:
        """Return the names of all things."""
        pages = self._cloud.pages("iot", "ListThings")
        return [text(each, "thingName") for page in pages for each in items(page, "things")]

    def certificate(self, certificate_id: str) -> Certificate | None:
        """Return a certificate by its id; None if the registry has none."""
        try:
            return _certificate(self._cloud, certificate_id)
        except NotInCloudError:
            return None

    def set_status(self, certificate_id: str, status: str) -> None:
        """Set a certificate ACTIVE, INACTIVE or REVOKED."""
        set_certificate_status(self._cloud, certificate_id, status)

    def client(self, service: str) -> Any:
        """Return a boto3 client of this account for anything else, such as ``iot-data``."""
        return self._cloud.client(service)


def _certificate(cloud: Aws, certificate_id: str) -> Certificate:
    found = describe_certificate(cloud, certificate_id)
    policies = tuple(policies_of(cloud, text(found, "certificateArn")))
    return Certificate(
        certificate_id, text(found, "status"), text(found, "certificatePem"), policies
    )
