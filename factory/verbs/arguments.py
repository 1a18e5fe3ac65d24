"""The words of the station's command line: verbs, options, defaults."""

import argparse
from collections.abc import Callable, Iterable, Mapping
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, Final

from factory.account.ca_certificates import CertificateMode
from factory.methods import METHODS
from factory.verbs import bulk, ca, claim, lint, make, rewrap, single
from factory.verbs.options import add_account

STATION: Final = Path(".firstboot/station")
_YEAR_HOURS: Final = 8760

Verb = Callable[[argparse.Namespace], None]
"""What a verb runs; its name and the first line of its docstring are the verb's."""

_OWN_OPTIONS: Final[Mapping[str, Callable[[argparse.ArgumentParser], None]]] = {
    "bulk": bulk.add_options,
    "ca": ca.add_options,
    "claim": claim.add_options,
    "lint": lint.add_options,
    "rewrap": rewrap.add_options,
    "single": single.add_options,
}
"""Verbs with a page of their own."""


class _Parser(argparse.ArgumentParser):
    """A parser in which the last of two equal options does not win in silence."""

    def __init__(self, **words: Any) -> None:
        """Take each option once, but for those whose values are collected."""
        super().__init__(**words)
        self.register("action", None, _Once)
        self.register("action", "store", _Once)


class _Once(argparse.Action):
    """Stores a value that is given once."""

    def __call__(
        self, parser: argparse.ArgumentParser, namespace: argparse.Namespace,
        values: Any, option_string: str | None = None,
    ) -> None:  # fmt: skip
        """Store ``values``, or end with a misuse if there was one before."""
        given: set[str] = namespace.given
        if option_string is not None and self.dest in given:
            parser.error(f"argument {option_string}: it is given twice")
        given.add(self.dest)
        setattr(namespace, self.dest, values)


def _version() -> str:
    try:
        return version("firstboot")
    except PackageNotFoundError:
        return "(from a checkout)"


def build_parser(verbs: Iterable[Verb]) -> argparse.ArgumentParser:
    """Return the parser; it puts the function to call in ``arguments.verb``."""
    parser = _Parser(
        prog="factory", description="The manufacturing station: prepare the cloud, make devices."
    )
    parser.add_argument("--version", action="version", version=f"factory {_version()}")
    commands = parser.add_subparsers(required=True, metavar="VERB")
    for verb in verbs:
        words = str(verb.__doc__).splitlines()[0]
        command = commands.add_parser(verb.__name__, help=words, description=words)
        command.set_defaults(verb=verb, given=set())
        _add_options(command, verb.__name__)
    return parser


def _add_options(command: argparse.ArgumentParser, verb: str) -> None:
    if verb in _OWN_OPTIONS:
        _OWN_OPTIONS[verb](command)
    else:
        _add_method(command, required=verb != "teardown")
    command.add_argument(
        "--station", type=Path, default=STATION, metavar="DIR",
        help="the station's folder; lint and rewrap look at none; default: %(default)s",
    )  # fmt: skip
    command.add_argument("--json", action="store_true", help="one JSON object a line on stdout")
    command.add_argument(
        "--log-level", default="warning", choices=["debug", "info", "warning", "error"]
    )
    if verb == "teardown":
        command.add_argument(
            "--devices", action="store_true", help="remove the devices it registered, too"
        )
    if verb == "prepare":
        _add_choices(command)
    if verb == "make":
        make.add_options(command)


def _add_method(command: argparse.ArgumentParser, *, required: bool) -> None:
    words = "provisioning method" if required else "default: all of them"
    command.add_argument("--method", required=required, choices=METHODS, help=words)
    add_account(command)


def _add_choices(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "--certificate-mode", type=CertificateMode, choices=list(CertificateMode),
        help=f"jitp, jitr: how the CA is registered; default: {CertificateMode.DEFAULT}",
    )  # fmt: skip
    command.add_argument(
        "--inline-template", action="store_true",
        help="jitp: give the CA the template itself, not its name",
    )  # fmt: skip
    command.add_argument(
        "--hook", action="store_true",
        help="claim: a Lambda checks serial number and proof before a device is provisioned",
    )  # fmt: skip
    command.add_argument(
        "--certificate-hours", type=_hours, metavar="N",
        help=f"claim-own-ca: how long a device's certificate lives, 1 to {_YEAR_HOURS}; "
        "default: as before, or 168",
    )  # fmt: skip


def _hours(text: str) -> int:
    """Return a life of an hour to a year."""
    if not (text.isdecimal() and 1 <= int(text) <= _YEAR_HOURS):
        raise argparse.ArgumentTypeError(f"{text!r} is not 1 to {_YEAR_HOURS} hours")
    return int(text)
