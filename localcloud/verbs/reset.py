"""``localcloud reset``: an empty cloud on the same ports, with the same key."""

import argparse
from typing import Final

from localcloud.process import lifecycle
from localcloud.process.state_folder import StateFolder
from localcloud.verbs import Console

SUMMARY: Final = "Delete everything that is in the local AWS; keep its ports."


def add_options(_parser: argparse.ArgumentParser) -> None:
    """Add nothing: it has no options of its own."""


def run(_options: argparse.Namespace, folder: StateFolder, console: Console) -> None:
    """Empty a running local AWS, or the folder of one that is stopped."""
    if folder.server():
        lifecycle.reset(folder)
    else:
        folder.empty()
    console.say(f"Empty: {folder.path}. Devices made before must be made again.")
    console.show({"state": str(folder.path), "reset": True})
