"""``localcloud down``: save and stop."""

import argparse
from typing import Final

from localcloud.process import lifecycle
from localcloud.process.state_folder import StateFolder
from localcloud.verbs import Console

SUMMARY: Final = "Save the state of the local AWS and stop it."


def add_options(_parser: argparse.ArgumentParser) -> None:
    """Add nothing: it has no options of its own."""


def run(_options: argparse.Namespace, folder: StateFolder, console: Console) -> None:
    """Stop it, if it runs."""
    server = folder.server()
    if server is None:
        console.say(f"Nothing runs on {folder.path}.")
    else:
        lifecycle.stop(folder, server)
        console.say(f"Stopped; the state is kept in {folder.path}.")
    console.show({"state": str(folder.path), "stopped": server is not None})
