"""What the command line chose for ``factory prepare``, checked against what the method heeds."""

import argparse

from factory.account.ca_certificates import CertificateMode
from factory.errors import OptionNotUsedError
from factory.methods import METHODS
from factory.methods.method import Choices


def choices_of(arguments: argparse.Namespace) -> Choices:
    """Return what was chosen on the command line.

    Raises:
        OptionNotUsedError: something that the method has no use for.
    """
    given = {
        "--certificate-mode": arguments.certificate_mode is not None,
        "--inline-template": arguments.inline_template,
        "--hook": arguments.hook,
        "--certificate-hours": arguments.certificate_hours is not None,
    }
    for option in [name for name, is_given in given.items() if is_given]:
        if option not in METHODS[arguments.method].options:
            users = sorted(name for name, method in METHODS.items() if option in method.options)
            problem = f"method {arguments.method} does not use it"
            raise OptionNotUsedError(
                option, problem, f"Leave it out; it is for {', '.join(users)}."
            )
    mode = arguments.certificate_mode or CertificateMode.DEFAULT
    return Choices(
        mode,
        arguments.inline_template,
        arguments.hook,
        renewal=arguments.renewal,
        certificate_hours=arguments.certificate_hours,
    )
