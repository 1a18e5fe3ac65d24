"""What ``device boot`` and ``device run`` share: options, signals, and what they tell."""

import argparse
import os
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING

from device.api import Device
from device.verbs import Console
from device.verbs._options import add_config, config_if_any, state_of

if TYPE_CHECKING:
    from device.lifecycle.journal import Identity
    from device.runtime.timeline import Step


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
    parser.add_argument(
        "--log-format",
        choices=("text", "json", "journald"),
        default="text",
        help="words, one JSON object a line, or systemd's journal with its fields; "
        "default: %(default)s",
    )


@dataclass
class Stop:
    """The signal that asked the device to stop, if one did."""

    signal_name: str | None = None


def online_device(options: argparse.Namespace, console: Console) -> Device:
    """Return the device, which shows each step as it happens; the log is set up.

    Raises:
        ConfigurationError: neither ``--state`` nor ``DEVICE_STATE`` is given.
    """
    # awscrt parses the system's CAs at import and for each connection, 4 ms and 1 MiB a time,
    # although it is always told which CAs to trust instead.
    os.environ["SSL_CERT_FILE"] = os.devnull
    hash_without_openssl()
    state, place = state_of(options), getattr(options, "wait_for_claim", None)
    device = Device(
        state,
        config=config_if_any(options),
        environment=os.environ,
        endpoint=options.endpoint,
        root_ca=options.root_ca,
        claim_place=None if place is None else Path(place or state / "claim"),
        on_step=lambda step: _show_step(step, options, console),
        on_words=console.say,
    )
    # Loaded before `stopped_by_signals`: until then a signal ends the command at once (device.cli).
    import_module("device.startup")  # loads awscrt
    from device.runtime import log  # noqa: PLC0415 - as slow

    log.set_up(options.log_level, options.log_format)
    return device


def hash_without_openssl() -> None:
    """Let `hashlib`, which X.509 loads, do without Python's own OpenSSL: 3.5 MiB and 4 ms.

    Python has the same hashes itself, unless its builder left them out.
    """
    with suppress(ImportError):
        for name in ("_blake2", "_md5", "_sha1", "_sha3"):
            import_module(name)
        sys.modules.setdefault("_hashlib", None)  # type: ignore[arg-type]  # then nobody loads it


@contextmanager
def stopped_by_signals(device: Device) -> Iterator[Stop]:
    """Let SIGTERM and SIGINT ask ``device`` to stop.

    Raises:
        StoppedError: a signal, which it names, came before the work was done.
    """
    from device.errors import StoppedError  # noqa: PLC0415 - slow to load

    asked = Stop()

    def stop(number: int, _: object) -> None:
        asked.signal_name = signal.Signals(number).name
        device.stop()

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, stop)
    try:
        yield asked
    except StoppedError as error:
        if asked.signal_name is None:
            raise
        words = f"stopped by {asked.signal_name}; nothing is lost ({error})"
        raise StoppedError(words) from None


def _show_step(step: "Step", options: argparse.Namespace, console: Console) -> None:
    words = f"{step.ms / 1000:9.3f} s  {step.name:<20} {step.detail}".rstrip()
    tell(words, options, console, step.name)
    console.show({"step": step.name, "ms": step.ms, "detail": step.detail})


def show_identity(identity: "Identity", options: argparse.Namespace, console: Console) -> None:
    """Show who the device is, once that is proven."""
    words = f"this device is {identity.thing_name}, certificate {identity.certificate_id[:12]}..."
    tell(words, options, console, "identity shown")
    fields = ("method", "thing_name", "certificate_id", "key_uri", "key_made_by")
    console.show({"identity": {name: getattr(identity, name) for name in fields}})


def tell(words: str, options: argparse.Namespace, console: Console, event: str = "told") -> None:
    """Say ``words``, or log them as an ``event`` in a log that programs read.

    Nothing is said if only errors are wanted.
    """
    if options.log_level == "error":
        return
    if options.log_format == "text":
        console.say(words)
        return
    from device.runtime import log  # noqa: PLC0415 - see online_device

    log.tell(words, event)
