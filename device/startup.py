"""Start a device: open its storage, make its plan, connect it to the network."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Final

from msgspec import Struct

from device.agent import Agent
from device.config import settings
from device.config.device_plan import plan_for
from device.config.settings import Settings
from device.connection.awscrt_session import AwscrtSession
from device.connection.session import SessionFactory
from device.lifecycle.made_for import check_has_claim, check_made_for
from device.runtime.backoff import Dice
from device.runtime.clock import Clock, SystemClock
from device.runtime.loop import Patience
from device.runtime.notify import ServiceManager
from device.runtime.power import PowerCutError
from device.runtime.timeline import Step, Timeline
from device.storage.device_storage import open_device_storage
from device.storage.filesystem import Mount, OsFs
from device.storage.manufacturing_data import sealed_settings

if TYPE_CHECKING:
    from device.runtime.claim_delivery import DeliveredClaim


class StartOptions(Struct, frozen=True):
    """How a device is started."""

    state: Path
    config: Path | None
    """A settings file; None to use what the station sealed."""
    environment: Mapping[str, str]
    """``DEVICE_*`` variables, and what a service manager says."""
    flags: Mapping[str, str | None]
    """Settings that the command line overrides."""
    claim_place: Path | None
    """Where a trusted user hands over a claim; None to use the installed claim."""


class Parts(Struct, frozen=True):
    """What a device is put together from; a program with many devices shares some among them."""

    open_session: SessionFactory = AwscrtSession
    mount: Mount = OsFs
    """The disk behind the storage."""
    new_timeline: Callable[[Callable[[Step], None]], Timeline] = Timeline
    dice: Dice | None = None
    """Where jitter comes from; None for the machine's own."""


OWN_PARTS: Final = Parts()
"""A device that is alone in its process."""


class StartedDevice(Struct, frozen=True):
    """A device that has been started."""

    agent: Agent
    timeline: Timeline
    patience: Patience
    """How long `device boot` keeps trying."""
    claims: "DeliveredClaim | None"

    def request_stop(self) -> None:
        """Ask the device to end what it does; safe in a signal handler and in another thread."""
        self.agent.session.request_stop()
        if self.claims is not None:
            self.claims.stop()


@contextmanager
def start_device(
    options: StartOptions,
    tell_step: Callable[[Step], None],
    tell: Callable[[str], None],
    parts: Parts = OWN_PARTS,
) -> Iterator[StartedDevice]:
    """Start a device; close everything at the end.

    ``tell_step`` may raise a PowerCutError: then nothing is said on the connection any more.

    Raises:
        FirstbootError: a setting or the storage cannot be used; nothing was sent.
    """
    timeline = parts.new_timeline(tell_step)
    with open_device_storage(options.state, mount=parts.mount) as storage:
        timeline.add("storage opened", f"generation {storage.generation}")
        sealed, given = sealed_settings(storage), options.environment
        loaded = settings.load_with_sources(options.config, given, options.flags, sealed)
        chosen = loaded.settings
        check_made_for(storage, chosen.method, loaded.sources.of("method"))
        plan = plan_for(storage, chosen, loaded.sources)
        clock = SystemClock()
        place = options.claim_place
        if place is None:
            check_has_claim(storage, chosen.method)
        claims = None if place is None else _delivered_claim(place, clock, tell)
        agent = Agent(
            storage,
            chosen,
            plan,
            open_session=parts.open_session,
            clock=clock,
            dice=parts.dice,
            observer=timeline,
            claims=claims,
            service=ServiceManager(options.environment),
            # Beside a disk that is not this machine's there is nowhere to keep files.
            folder=options.state if parts.mount is OsFs else None,
        )
        try:
            yield StartedDevice(agent, timeline, _patience(chosen), claims)
        except PowerCutError:
            if isinstance(agent.session.first, AwscrtSession):
                agent.session.first.cut()
            raise
        finally:
            agent.session.close()


def _delivered_claim(place: Path, clock: Clock, tell: Callable[[str], None]) -> "DeliveredClaim":
    from device.runtime.claim_delivery import DeliveredClaim  # noqa: PLC0415 - rarely needed

    return DeliveredClaim(place, clock, tell)


def _patience(chosen: Settings) -> Patience:
    retry = chosen.connection.retry
    return Patience(
        unreachable=retry.give_up_unreachable_after,
        refused=retry.give_up_refused_after,
        activation=chosen.just_in_time.budget,
    )
