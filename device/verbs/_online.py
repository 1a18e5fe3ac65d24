"""What ``device boot`` and ``device run`` share: options, starting, and what they tell."""

import argparse
import os
from contextlib import AbstractContextManager
from pathlib import Path
from typing import TYPE_CHECKING

from device.console import Console
from device.verbs._options import add_config, config_of, state_of

if TYPE_CHECKING:
    from device.agent import Agent
    from device.runtime.timeline import Step
    from device.startup import StartedDevice


def add_online_options(parser: argparse.ArgumentParser, *, claims: bool = True) -> None:
    """Add the options of a verb that connects to AWS IoT; ``claims``: with a claim, at first."""
    add_config(parser)
    parser.add_argument(
        "--endpoint", metavar="HOST:PORT", help="AWS IoT endpoint; overrides the settings"
    )
    parser.add_argument(
        "--root-ca", metavar="FILE", help="CA certificates to trust; overrides the settings"
    )
    if claims:
        parser.add_argument(
            "--wait-for-claim",
            metavar="PATH",
            nargs="?",
            const="",
            help="wait for a claim from a trusted user: at a socket (default: claim in the "
            "device's folder), or in a file of mode 0600 if PATH ends in .json",
        )
    parser.add_argument(
        "--log-level",
        choices=("debug", "info", "warning", "error"),
        default="warning",
        help="how much to write to stderr; error hides the steps; default: %(default)s",
    )


def start(options: argparse.Namespace, console: Console) -> AbstractContextManager["StartedDevice"]:
    """Start the device; each step is shown as it happens."""
    # awscrt parses the system's CAs at import and for each connection, 4 ms and 1 MiB a time,
    # although it is always told which CAs to trust instead.
    os.environ["SSL_CERT_FILE"] = os.devnull
    from device.startup import StartOptions, start_device  # noqa: PLC0415 - loads awscrt

    state, place = state_of(options), getattr(options, "wait_for_claim", None)
    chosen = StartOptions(
        state=state,
        config=config_of(options),
        flags={"endpoint": options.endpoint, "root_ca": options.root_ca},
        log_level=options.log_level,
        claim_place=None if place is None else Path(place or state / "claim"),
    )
    return start_device(chosen, lambda step: _show_step(step, options, console), console.say)


def _show_step(step: "Step", options: argparse.Namespace, console: Console) -> None:
    tell(f"{step.ms / 1000:9.3f} s  {step.name:<20} {step.detail}".rstrip(), options, console)
    console.show({"step": step.name, "ms": step.ms, "detail": step.detail})


def show_identity(agent: "Agent", options: argparse.Namespace, console: Console) -> None:
    """Show who the device is, once that is proven."""
    identity = agent.identity
    if identity is None:
        return
    words = f"this device is {identity.thing_name}, certificate {identity.certificate_id[:12]}..."
    tell(words, options, console)
    fields = ("method", "thing_name", "certificate_id", "key_uri", "key_made_by")
    console.show({"identity": {name: getattr(identity, name) for name in fields}})


def tell(words: str, options: argparse.Namespace, console: Console) -> None:
    """Say ``words``, unless only errors are wanted."""
    if options.log_level != "error":
        console.say(words)
