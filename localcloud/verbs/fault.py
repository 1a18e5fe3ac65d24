"""``localcloud fault``: switch faults on and off, and list them."""

import argparse
import json
import re
from collections.abc import Sequence
from typing import Final

from localcloud.errors import FAULT
from localcloud.process import lifecycle
from localcloud.process.state_folder import StateFolder
from localcloud.verbs import Console

SUMMARY: Final = "Switch a fault on or off, or list what is on."
_ALL: Final = "all"


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the options of ``localcloud fault``."""
    parser.add_argument(
        "kind",
        nargs="?",
        metavar="KIND",
        help="the fault, such as drop-reply; docs/local-aws.md lists them",
    )
    parser.add_argument(
        "fields",
        nargs="*",
        metavar="FIELD=VALUE",
        help="details of the fault, such as operation=provision count=2",
    )
    parser.add_argument(
        "--off",
        nargs="?",
        const=_ALL,
        type=_number,
        metavar="ID",
        help="switch the fault ID off, or all faults",
    )


def run(options: argparse.Namespace, folder: StateFolder, console: Console) -> None:
    """Do what is asked; without a kind, list."""
    if options.off and options.kind:
        raise FAULT.error("give a fault or --off, not both")
    if options.off:
        number = "" if options.off == _ALL else f"/{options.off}"
        lifecycle.call(folder, "DELETE", f"faults{number}")
        console.show({"off": options.off}, f"Off: {options.off}.")
    elif options.kind:
        fault = {"kind": options.kind, **fields_of(options.fields)}
        answer = lifecycle.call(folder, "POST", "faults", fault)
        console.show(answer, f"On: {options.kind} {json.dumps(answer)}")
    else:
        faults = lifecycle.call(folder, "GET", "faults")
        for each in faults if isinstance(faults, list) else ():
            console.show(each, json.dumps(each))


def fields_of(words: Sequence[str]) -> dict[str, object]:
    """Return the fields that ``words`` such as ``count=2`` give: JSON, or else text.

    Raises:
        FaultError: a word has no ``=``.
    """
    fields: dict[str, object] = {}
    for word in words:
        name, equals, text = word.partition("=")
        if not equals:
            raise FAULT.error(f"{word!r} is not FIELD=VALUE")
        try:
            fields[name.replace("-", "_")] = json.loads(text)
        except (ValueError, RecursionError):
            fields[name.replace("-", "_")] = text
    return fields


def _number(text: str) -> str:
    if text != _ALL and not re.fullmatch("[0-9]{1,9}", text):  # argparse gives it the const, too
        raise argparse.ArgumentTypeError(f"{text!r} is not the number of a fault")
    return text
