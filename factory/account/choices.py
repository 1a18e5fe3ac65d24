"""What the person at the station may choose when a method is prepared."""

import argparse
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from factory.errors import OptionNotUsedError


class CertificateMode(StrEnum):
    """How a CA is registered (AWS IoT API reference, RegisterCACertificate)."""

    DEFAULT = "DEFAULT"
    """In one account of a Region, after proof that its key is ours."""
    SNI_ONLY = "SNI_ONLY"
    """In any number of accounts, without proof; devices must send SNI."""


@dataclass(frozen=True)
class Choices:
    """What ``factory prepare`` was asked for; each method heeds what concerns it."""

    certificate_mode: CertificateMode = CertificateMode.DEFAULT
    inline_template: bool = False
    """Give the CA the template itself, not its name."""
    hook: bool = False
    """Check serial number and proof of each device before it is provisioned."""


DEFAULT_CHOICES = Choices()


_USED_BY: Final[Mapping[str, frozenset[str]]] = {
    "--certificate-mode": frozenset({"jitp", "jitr"}),
    "--inline-template": frozenset({"jitp"}),
    "--hook": frozenset({"claim", "claim-aws-keys"}),
}


def choices_of(arguments: argparse.Namespace) -> Choices:
    """Return what was chosen on the command line.

    Raises:
        OptionNotUsedError: something that the method has no use for.
    """
    given = {
        "--certificate-mode": arguments.certificate_mode is not None,
        "--inline-template": arguments.inline_template,
        "--hook": arguments.hook,
    }
    for option in [name for name, is_given in given.items() if is_given]:
        users = _USED_BY[option]
        if arguments.method not in users:
            problem = f"method {arguments.method} does not use it"
            step = f"Leave it out; it is for {', '.join(sorted(users))}."
            raise OptionNotUsedError(option, problem, step)
    mode = arguments.certificate_mode or CertificateMode.DEFAULT
    return Choices(mode, arguments.inline_template, arguments.hook)
