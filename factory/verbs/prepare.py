"""``factory prepare``: what a method needs in the cloud."""

import argparse
from typing import Final

from factory.account.ca_certificates import CertificateMode
from factory.api import Station
from factory.errors import OPTION_NOT_USED
from factory.lint.checks import documents_of
from factory.methods import METHODS
from factory.methods.method import Choices
from factory.verbs import Console
from factory.verbs._options import add_method, whole
from factory.verbs._report_text import show_report
from factory.verbs.lint import check_before_prepare

SUMMARY: Final = "Create what a method needs in the cloud; what is already right stays as it is."
_YEAR_HOURS: Final = 8760
_MOST_DAYS: Final = 3650


def add_options(command: argparse.ArgumentParser) -> None:
    """Add the options of ``factory prepare``."""
    add_method(command, required=True)
    command.add_argument(
        "--certificate-mode", type=CertificateMode, choices=list(CertificateMode),
        help=f"jitp, jitr: how to register the CA; default: {CertificateMode.DEFAULT}",
    )  # fmt: skip
    command.add_argument(
        "--inline-template", action="store_true",
        help="jitp: store the template's text with the CA, not its name",
    )  # fmt: skip
    command.add_argument(
        "--hook", action="store_true",
        help="claim: a Lambda checks serial number and proof before a device is provisioned",
    )  # fmt: skip
    command.add_argument(
        "--certificate-hours", type=whole(1, _YEAR_HOURS, "hours"), metavar="N",
        help=f"claim-own-ca: how long a device's certificate is valid, 1 to {_YEAR_HOURS}; "
        "default: as before, or 168",
    )  # fmt: skip
    command.add_argument(
        "--renewal", action="store_true",
        help="also create what devices need to renew their certificates: template, rule, Lambdas, "
        "policy",
    )  # fmt: skip
    command.add_argument(
        "--recovery", type=whole(1, _MOST_DAYS, "days"), metavar="DAYS",
        help="also create what a device with a birth certificate needs to come back up to DAYS (1 "
        f"to {_MOST_DAYS}) after its certificate expired or was set INACTIVE; includes --renewal",
    )  # fmt: skip


def run(arguments: argparse.Namespace, console: Console) -> None:
    """Prepare each account.

    Raises:
        OptionNotUsedError: the method has no use for an option.
        LintFailedError: the linter found an error in a document of the method.
        StationError, StorageError: the cloud or the disk refused.
    """
    method, choices = arguments.method, choices_of(arguments)
    check_before_prepare(method, console, also=documents_of(choices))
    station = Station(arguments.station, accounts=arguments.account)
    for cloud in station.clouds:
        console.say(f"Preparing {method} in {cloud.account}; it takes some seconds.")
        report = station.prepare_in(cloud, method, choices)
        show_report(console, arguments, cloud.account, report)
        if not arguments.json:
            state = "Prepared." if report.is_change else "Nothing to change: all is prepared."
            console.say(f"{state} Next: factory make --method {method} --serial SN-0001")


def choices_of(arguments: argparse.Namespace) -> Choices:
    """Return what was chosen, checked against what the method heeds.

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
            raise OPTION_NOT_USED.error(
                problem, option=option, next_step=f"Leave it out; it is for {', '.join(users)}."
            )
    mode = arguments.certificate_mode or CertificateMode.DEFAULT
    return Choices(
        mode,
        arguments.inline_template,
        arguments.hook,
        renewal=arguments.renewal or arguments.recovery is not None,
        recovery_days=arguments.recovery,
        certificate_hours=arguments.certificate_hours,
    )
