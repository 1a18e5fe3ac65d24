"""``device explain``: what the code of an error means; offline, without a device."""

import argparse
from typing import Final

from device.errors.catalogue import document_of, explained, row_of
from device.verbs import Console

SUMMARY: Final = "Print what the code of an error means, its usual causes, and the next step."


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of ``device explain``."""
    parser.add_argument("code", metavar="CODE", help="the code that an error shows, such as FB-110")


def run(options: argparse.Namespace, console: Console) -> None:
    """Print the row of the code.

    Raises:
        UnknownCodeError: the device's catalogue has no such code.
    """
    row = row_of(options.code)
    console.show(document_of(row), *explained(row))
