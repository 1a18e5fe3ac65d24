"""Power-on: the storage is opened, the plan made, the device wired to network and signals."""

import os
import signal
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from device import log, settings
from device.agent import Agent
from device.plan import plan_for
from device.runtime.awscrt_session import AwscrtSession
from device.runtime.claim_delivery import DeliveredClaim
from device.runtime.clock import SystemClock
from device.runtime.driver import Patience
from device.settings import Settings
from device.storage.device_storage import open_device_storage
from device.timeline import Step, Timeline


@dataclass(frozen=True)
class Switches:
    """How a device is started."""

    state: Path
    config: Path
    flags: Mapping[str, str | None]
    """Settings that the command line overrides."""
    log_level: str
    claim_place: Path | None
    """Where a trusted user hands a claim over; None for the claim that is installed."""


@dataclass(frozen=True)
class PoweredDevice:
    """A device that is on."""

    agent: Agent
    timeline: Timeline
    patience: Patience
    """How long `device boot` tries."""


@contextmanager
def power_on(
    switches: Switches, tell_step: Callable[[Step], None], tell: Callable[[str], None]
) -> Iterator[PoweredDevice]:
    """Switch a device on; SIGTERM and SIGINT ask it to stop, and at the end all is closed.

    Raises:
        FirstbootError: a setting or the storage cannot be used; nothing was sent.
    """
    log.set_up(switches.log_level)
    timeline = Timeline(tell_step)
    chosen = settings.load(switches.config, os.environ, switches.flags)
    with open_device_storage(switches.state) as storage:
        timeline.add("storage opened", f"generation {storage.generation}")
        plan = plan_for(storage, chosen, str(switches.config))
        clock = SystemClock()
        place = switches.claim_place
        claims = None if place is None else DeliveredClaim(place, clock, tell)
        agent = Agent(storage, chosen, plan, open_session=AwscrtSession, clock=clock, claims=claims)
        _stop_on_signal(agent, claims)
        try:
            yield PoweredDevice(agent, timeline, _patience(chosen))
        finally:
            agent.session.close()


def _stop_on_signal(agent: Agent, claims: DeliveredClaim | None) -> None:
    def stop(*_: object) -> None:
        agent.session.request_stop()
        if claims is not None:
            claims.stop()

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, stop)


def _patience(chosen: Settings) -> Patience:
    retry = chosen.connection.retry
    return Patience(
        unreachable=retry.give_up_unreachable_after,
        refused=retry.give_up_refused_after,
        activation=chosen.just_in_time.budget,
    )
