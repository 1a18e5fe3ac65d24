"""One device of the fleet: switched on, cut off, switched on again, in a thread of its own."""

import random
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Final

from msgspec.structs import replace

from device.config.methods import METHODS, Credential
from device.connection.awscrt_session import AwscrtSession, Network
from device.errors import FirstbootError, StoppedError
from device.operation.deeds import Done, Renew
from device.operation.task import FromWithin, Order, QuietTask
from device.provisioning.events import Event
from device.runtime.power import PowerCutError
from device.runtime.timeline import Step
from device.startup import Parts, StartedDevice, StartOptions, start_device
from fleet.memory_disk import MemoryDisk
from fleet.order import OPERATING, FleetOrder, Scenario
from fleet.record import Record
from fleet.sessions import Ceiling, CountingSession

_MOST_CUTS: Final = 3
_BY_CLAIM: Final = (
    "storage opened", "key made", "claim connected", "certificate issued", "certificate staged",
    "thing registered", "device connected", "identity proven",
)  # fmt: skip
_PRESENTED: Final = ("storage opened", "device connected", "identity proven")


@dataclass(frozen=True)
class Shared:
    """What all devices of a fleet have in common."""

    order: FleetOrder
    network: Network
    ceiling: Ceiling


class SimulatedDevice:
    """A device in the folder ``state``, which a station made."""

    def __init__(self, state: Path, shared: Shared) -> None:
        """Name the device; nothing is opened yet."""
        self.record: Final = Record(state.name)
        self._order: Final = shared.order
        self._dice: Final = random.Random(f"{shared.order.seed}/{state.name}")  # noqa: S311 - jitter
        self._options: Final = StartOptions(
            state, config=None, environment=shared.order.environment, flags=_NO_FLAGS,
            claim_place=None,
        )  # fmt: skip
        sessions = partial(
            CountingSession,
            network=shared.network,
            calls=self.record.calls,
            ceiling=shared.ceiling,
        )
        parts = Parts(sessions, new_timeline=self.record.new_timeline, dice=self._dice)
        disk = MemoryDisk()
        self._parts: Final = replace(parts, mount=disk.mount) if shared.order.in_memory else parts
        self._started: StartedDevice | None = None
        self._is_stopped = threading.Event()
        self._first_on = 0.0

    def live(self) -> None:
        """Go through what the order has for this device; what goes wrong is in the record."""
        self._first_on = time.monotonic()
        try:
            for step in self._cuts():
                self._power_on(cut_after=step)
            self._power_on(cut_after=None)
        except StoppedError:
            return
        except FirstbootError as error:
            self.record.failure = f"{error.row.code} {error}"

    def stop(self) -> None:
        """Have the device end what it does; returns at once."""
        self._is_stopped.set()
        if (started := self._started) is not None:
            started.request_stop()

    def lose_network(self) -> None:
        """Cut its connection, somewhere on the way."""
        started = self._started
        if started is not None and isinstance(first := started.agent.session.first, AwscrtSession):
            first.lose_network()

    def order_renewal(self) -> None:
        """Have it renew its certificate now, as the job ``rotate-certificate`` does."""
        started = self._started
        if started is not None and isinstance(first := started.agent.session.first, AwscrtSession):
            first.post(_RenewalWanted())

    def _cuts(self) -> Sequence[str]:
        """Return the steps after which the power is cut, one a power-on."""
        if self._order.scenario is not Scenario.POWER_CUTS:
            return ()
        by_claim = METHODS[self._order.method].begins_with is Credential.CLAIM
        steps = _BY_CLAIM if by_claim else _PRESENTED
        return self._dice.choices(steps, k=self._dice.randint(1, _MOST_CUTS))

    def _power_on(self, cut_after: str | None) -> None:
        if self._is_stopped.is_set() or (cut_after and self.record.is_proven):
            return
        self.record.power_ons += 1
        try:
            with start_device(self._options, _Cutter(cut_after), _say_nothing, self._parts) as on:
                self._run(on)
        except PowerCutError:
            self.record.power_cuts += 1
        finally:
            self._started = None

    def _run(self, on: StartedDevice) -> None:
        self._started = on
        if self._is_stopped.is_set():
            on.request_stop()
        on.agent.boot_until_proven()
        self._note_identity(on)
        if self._order.scenario in OPERATING:
            on.agent.operate(_Renewer())
            self._note_identity(on)

    def _note_identity(self, on: StartedDevice) -> None:
        if (identity := on.agent.identity) is not None:
            self.record.prove(identity, time.monotonic() - self._first_on)


_TICKET: Final = "fleet"
_NO_FLAGS: Final[Mapping[str, str | None]] = {}


class _RenewalWanted(FromWithin, frozen=True):
    """The fleet wants it."""


class _Renewer(QuietTask):
    """Orders a renewal when the fleet wants it, and again when it came to nothing."""

    def on_fact(self, fact: Event, /) -> Sequence[Order]:
        match fact:
            case _RenewalWanted():
                return [Renew(_TICKET)]
            case Done(ticket, problem=problem) if ticket == _TICKET and problem:
                return [Renew(_TICKET)]
        return []


def _say_nothing(_: str) -> None:
    """Drop what a person at one device would be told."""


class _Cutter:
    """Pulls the plug after a step."""

    def __init__(self, step: str | None) -> None:
        self._step: Final = step

    def __call__(self, step: Step) -> None:
        if step.name == self._step:
            raise PowerCutError(step.name)
