"""A provisioning template, taken apart."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from device.config.template import PSEUDO_PREFIX
from factory.lint.document import Document, Json, member, members

CERTIFICATE_ID: Final = f"{PSEUDO_PREFIX}Id"
CERTIFICATE: Final = "AWS::IoT::Certificate"
POLICY: Final = "AWS::IoT::Policy"


class Flavour(StrEnum):
    """What the template is used for, which decides what AWS fills in."""

    JUST_IN_TIME = "JITP"
    FLEET = "FLEET_PROVISIONING"
    REGISTRATION = "REGISTRATION"
    """Bulk and single thing: the certificate comes with the request."""


@dataclass(frozen=True)
class Template:
    """A template, and where it stands."""

    document: Document
    flavour: Flavour

    @property
    def file(self) -> str:
        """The file that it is in."""
        return self.document.file

    @property
    def path(self) -> str:
        """Where in the file it begins."""
        return self.document.path

    @property
    def parameters(self) -> Mapping[str, Json]:
        """The parameters that are declared."""
        declared = member(self.document.content, "Parameters")
        return declared if isinstance(declared, Mapping) else {}

    def section(self, name: str) -> tuple[str, Json]:
        """Return the path and the content of a section."""
        return f"{self.path}.{name}", member(self.document.content, name)

    def resources(self, kind: str | None = None) -> Iterator[tuple[str, Json]]:
        """Yield path and content of each resource, or of those of one ``kind``."""
        path, found = self.section("Resources")
        for _, inner, resource in members(found, path):
            if kind is None or member(resource, "Type") == kind:
                yield inner, resource


def read_template(document: Document) -> Template:
    """Take a template apart; its flavour is told by what it uses."""
    pseudo = {name for name in _declared(document) if name.startswith(PSEUDO_PREFIX)}
    if pseudo - {CERTIFICATE_ID}:
        return Template(document, Flavour.JUST_IN_TIME)
    template = Template(document, Flavour.FLEET)
    sources = {
        name
        for _, resource in template.resources(CERTIFICATE)
        for name, _, _ in members(member(resource, "Properties"), "")
    }
    if sources & {"CertificateSigningRequest", "CertificatePem"} and not pseudo:
        return Template(document, Flavour.REGISTRATION)
    return template


def _declared(document: Document) -> list[str]:
    return [name for name, _, _ in members(member(document.content, "Parameters"), "")]
