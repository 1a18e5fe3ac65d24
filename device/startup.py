"""Start a device: open its storage, make its plan, connect it to network and signals."""

import os
import signal
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from device.agent import Agent
from device.config import settings
from device.config.device_plan import plan_for
from device.config.settings import Settings
from device.errors.provisioning import StoppedError
from device.runtime import log
from device.runtime.awscrt_session import AwscrtSession
from device.runtime.claim_delivery import DeliveredClaim
from device.runtime.clock import SystemClock
from device.runtime.loop import Patience
from device.runtime.made_for import check_has_claim, check_made_for
from device.runtime.notify import ServiceManager
from device.runtime.timeline import Step, Timeline
from device.storage.device_storage import open_device_storage


@dataclass(frozen=True)
class StartOptions:
    """How a device is started."""

    state: Path
    config: Path
    flags: Mapping[str, str | None]
    """Settings that the command line overrides."""
    log_level: str
    claim_place: Path | None
    """Where a trusted user hands over a claim; None to use the installed claim."""


@dataclass(frozen=True)
class StartedDevice:
    """A device that has been started."""

    agent: Agent
    timeline: Timeline
    patience: Patience
    """How long `device boot` keeps trying."""
    stop: "Stop"


@dataclass
class Stop:
    """The signal that asked the device to stop, if one did."""

    signal_name: str | None = None


@contextmanager
def start_device(
    options: StartOptions, tell_step: Callable[[Step], None], tell: Callable[[str], None]
) -> Iterator[StartedDevice]:
    """Start a device; SIGTERM and SIGINT ask it to stop; close everything at the end.

    Raises:
        FirstbootError: a setting or the storage cannot be used; nothing was sent.
        StoppedError: a signal, which it names, came before the work was done.
    """
    log.set_up(options.log_level)
    timeline = Timeline(tell_step)
    loaded = settings.load_with_sources(options.config, os.environ, options.flags)
    chosen = loaded.settings
    with open_device_storage(options.state) as storage:
        timeline.add("storage opened", f"generation {storage.generation}")
        check_made_for(storage, chosen.method, loaded.sources.of("method"))
        plan = plan_for(storage, chosen, loaded.sources)
        clock = SystemClock()
        place = options.claim_place
        if place is None:
            check_has_claim(storage, chosen.method)
        claims = None if place is None else DeliveredClaim(place, clock, tell)
        agent = Agent(
            storage,
            chosen,
            plan,
            open_session=AwscrtSession,
            clock=clock,
            observer=timeline,
            claims=claims,
            service=ServiceManager(os.environ),
            folder=options.state,
        )
        stop = _stop_on_signal(agent, claims)
        try:
            yield StartedDevice(agent, timeline, _patience(chosen), stop)
        except StoppedError as error:
            if stop.signal_name is None:
                raise
            words = f"stopped by {stop.signal_name}; nothing is lost ({error})"
            raise StoppedError(words) from None
        finally:
            agent.session.close()


def _stop_on_signal(agent: Agent, claims: DeliveredClaim | None) -> Stop:
    asked = Stop()

    def stop(number: int, _: object) -> None:
        asked.signal_name = signal.Signals(number).name
        agent.session.request_stop()
        if claims is not None:
            claims.stop()

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, stop)
    return asked


def _patience(chosen: Settings) -> Patience:
    retry = chosen.connection.retry
    return Patience(
        unreachable=retry.give_up_unreachable_after,
        refused=retry.give_up_refused_after,
        activation=chosen.just_in_time.budget,
    )
