"""``localcloud status``: whether it runs, where, and what is switched on."""

import argparse
from typing import Final

from localcloud.errors import NoAnswerError
from localcloud.process import lifecycle
from localcloud.process.state_folder import StateFolder
from localcloud.verbs import Console

SUMMARY: Final = "Show whether the local AWS runs, where, and which faults are on."


def add_options(_parser: argparse.ArgumentParser) -> None:
    """Add nothing: it has no options of its own."""


def run(_options: argparse.Namespace, folder: StateFolder, console: Console) -> None:
    """Show it; that nothing runs is an answer, too."""
    server = folder.server()
    if server is None:
        told: dict[str, object] = {"state": str(folder.path), "running": False}
        console.show(told, f"Nothing runs on {folder.path}.")
        return
    answer = lifecycle.call(folder, "GET", "status")
    if not isinstance(answer, dict):
        raise NoAnswerError(f"the status is not an object: {answer}")
    ports = {"api_port": server.ports.api, "mqtt_port": server.ports.mqtt}
    facts = {"running": True, **answer, **ports}
    console.show(facts, *(f"{name.replace('_', ' '):<20}{facts[name]}" for name in facts))
