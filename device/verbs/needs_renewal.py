"""``device needs-renewal``: whether it is time to renew, for a timer: offline, by exit code."""

import argparse
import os
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from msgspec import Struct, to_builtins

from device.console import Console
from device.errors import ExitCode
from device.errors.renewal import NotProvisionedError
from device.operation.renewal_due import RenewalPolicy, due_at
from device.runtime import journal
from device.runtime.clock import SystemClock
from device.runtime.renewal_schedule import RenewalSchedule, life_of
from device.storage.device_storage import open_device_storage
from device.verbs._options import add_config, config_of, state_of

SUMMARY: Final = "Tell whether the certificate is to be renewed now: exit code 0 if so, else 10."


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the options of ``device needs-renewal``."""
    add_config(parser)


class Answer(Struct, frozen=True, kw_only=True):
    """The answer of ``device needs-renewal``."""

    due: bool
    reason: str
    certificate_id: str
    due_at: str
    """When it is to be renewed, in UTC."""
    expires: str


def run(options: argparse.Namespace, console: Console) -> ExitCode:
    """Show whether a renewal is due, and return ``NOT_DUE`` if it is not.

    Raises:
        NotProvisionedError: the device has no identity yet.
        ConfigurationError: a setting cannot be used.
        StorageError: the storage is missing, corrupt, rolled back or another device's.
    """
    from device.config import settings  # noqa: PLC0415 - loads yaml

    chosen = settings.load(config_of(options), os.environ, {}).renewal
    policy = RenewalPolicy(chosen.at_fraction, chosen.max_age_days, chosen.jitter)
    answer = read_answer(state_of(options), policy)
    when = answer.due_at if not answer.due else "now"
    console.show(to_builtins(answer), f"renewal: {when} ({answer.reason})")
    return ExitCode.DONE if answer.due else ExitCode.NOT_DUE


def read_answer(state: Path, policy: RenewalPolicy) -> Answer:
    """Return the answer for the device in ``state``.

    Raises:
        NotProvisionedError: the device has no identity yet.
        StorageError: the storage is missing, corrupt, rolled back or another device's.
    """
    with open_device_storage(state, read_only=True) as storage:
        identity = journal.load_identity(storage.ps)
        if identity is None:
            raise NotProvisionedError
        found = RenewalSchedule(storage, SystemClock(), policy).why_due()
    return Answer(
        due=found is not None,
        reason="it is not old enough" if found is None else found.reason,
        certificate_id=identity.certificate_id,
        due_at=_text(due_at(life_of(identity), policy)),
        expires=_text(identity.not_after),
    )


def _text(moment: float) -> str:
    return datetime.fromtimestamp(moment, UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
