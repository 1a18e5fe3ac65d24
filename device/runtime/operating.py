"""Puts the tasks of a proven device together, with what they need of the machine."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from device import __version__
from device.config import settings as config
from device.config.device_plan import Plan
from device.config.settings import Settings
from device.connection.session import Postbox
from device.errors import FirstbootError, StoppedError
from device.lifecycle.journal import Identity, load_identity
from device.operation.application import Answer, Application
from device.operation.counters import Counters
from device.operation.deeds import Done, Kept, Renew, ReplaceTrustAnchors
from device.operation.metrics import Metrics, WriteMetrics
from device.operation.operation import Operation
from device.operation.outbox import MemoryOutbox, Outbox
from device.operation.renewal import Ended, RenewalOrders
from device.operation.task import Deed, Task
from device.operation.telemetry import Telemetry
from device.operation.work import Work
from device.provisioning.events import Event
from device.runtime import facts, metrics
from device.runtime.clock import Clock
from device.runtime.deeds import Deeds, Doer, Ending, changed_settings, kept
from device.runtime.loop import Loop, Observer, Patience
from device.runtime.sensors import Sensors
from device.storage.device_storage import DeviceStorage

if TYPE_CHECKING:
    from device.runtime.application_socket import ApplicationSocket


class Operating:
    """A proven device, ready to go to work."""

    def __init__(  # noqa: PLR0913 - one object per collaborator, all named at the one call
        self,
        storage: DeviceStorage,
        identity: Identity,
        settings: Settings,
        plan: Plan,
        *,
        clock: Clock,
        observer: Observer,
        folder: Path | None,
        postbox: Postbox | None = None,
        renewals: RenewalOrders,
        replace_anchors: Callable[[str, Ended], bool],
    ) -> None:
        """Keep outbox and metrics in ``folder``, or in memory where there is none.

        Without a ``postbox`` no program of an application is heard. A job orders a renewal by
        ``renewals``, and new trust anchors by ``replace_anchors``, which returns whether it began.
        """
        self._storage: Final = storage
        self._identity: Final = identity
        self._settings: Final = settings
        self._plan: Final = plan
        self._clock: Final = clock
        self._folder: Final = folder
        self._postbox: Final = postbox
        self._renewals: Final = renewals
        self._replace_anchors: Final = replace_anchors
        self._socket: ApplicationSocket | None = None
        self._boot_id: Final = facts.boot_id(settings.restart.reboots)
        self._counters: Final = Counters()
        self._outboxes: Final[list[Outbox]] = []
        others: dict[type[Deed], Doer] = {
            WriteMetrics: self._write_metrics,
            Answer: self._answer,
            Renew: self._renew,
            ReplaceTrustAnchors: self._replace_trust_anchors,
        }
        self._deeds: Final = Deeds(storage, observer, self._diagnose, others)

    def run(
        self,
        loop: Loop,
        tasks: Sequence[Task],
        *,
        is_connected: bool,
        beside: Callable[[Operation], Work],
    ) -> Ending:
        """Be at work until a stop is requested, or a job or a command restarts the device.

        ``beside`` adds what the device does beside it: renewals.
        """
        connection = self._settings.connection
        operation = Operation(
            self._identity.thing_name,
            [*self._tasks(), *tasks],
            connect_timeout=connection.connect_timeout,
            reply_timeout=connection.reply_timeout,
            publish_rate=connection.publish_rate,
            is_connected=is_connected,
            carry_out=self._deeds.carry_out,
            counters=self._counters,
        )
        try:
            loop.run(beside(operation), Patience())
        except StoppedError:
            pass
        finally:
            if self._socket is not None:
                self._socket.close()
        if self._folder is not None:
            self._write_metrics(WriteMetrics())
        return self._deeds.ending

    def _tasks(self) -> list[Task]:
        found: list[Task] = [self._telemetry()]
        if self._settings.shadow.enabled:
            found.append(self._shadow())
        if self._settings.jobs.enabled:
            found.append(self._jobs())
        if self._settings.commands.enabled:
            found.append(self._commands())
        if self._settings.application.socket and self._postbox and self._folder:
            found.append(self._application(self._settings.application, self._postbox, self._folder))
        if self._folder is not None:
            found.append(Metrics(self._set_values()["metrics.interval"]))
        return found

    def _telemetry(self) -> Task:
        topic = self._plan.telemetry_topic.replace("{thing_name}", self._identity.thing_name)
        interval = self._set_values()["telemetry.interval"]
        outbox, measure = self._outbox("telemetry"), Sensors(self._clock).read
        return Telemetry(topic, interval, measure, outbox, self._counters)

    def _shadow(self) -> Task:
        from device.operation.shadow import Shadow  # noqa: PLC0415 - only where it is wanted

        return Shadow(
            self._identity.thing_name,
            self._describe,
            self._set_values,
            name=self._settings.shadow.name,
            version=__version__,
        )

    def _jobs(self) -> Task:
        from device.operation.jobs import Jobs  # noqa: PLC0415 - only where it is wanted

        return Jobs(self._identity.thing_name, kept(self._storage.ps, Kept.JOB), self._marks)

    def _commands(self) -> Task:
        from device.operation.commands import Commands  # noqa: PLC0415 - only where it is wanted

        note = kept(self._storage.ps, Kept.COMMAND)
        return Commands(self._identity.thing_name, note, lambda: self._boot_id)

    def _application(self, chosen: config.Application, postbox: Postbox, folder: Path) -> Task:
        """Open the socket of an application's own program."""
        from device.runtime.application_socket import ApplicationSocket  # noqa: PLC0415 - see above

        self._socket = ApplicationSocket(folder / str(chosen.socket), postbox.post)
        thing_name = self._identity.thing_name
        publish, subscribe = (
            topics.replace("{thing_name}", thing_name).split()
            for topics in (chosen.publish, chosen.subscribe)
        )
        return Application(
            publish,
            subscribe,
            outbox=self._outbox("application"),
            inbox=self._open_outbox("application-inbox"),
            counters=self._counters,
        )

    def _answer(self, deed: Deed) -> Event | None:
        if self._socket is not None and isinstance(deed, Answer):
            self._socket.answer(deed)
        return None

    def _write_metrics(self, _: Deed) -> Event | None:
        """Write the counters down; the last time when the operation ends."""
        if self._folder is None:
            return None
        waiting = sum(len(outbox) for outbox in self._outboxes)
        samples = metrics.counted(self._counters, waiting)
        samples |= metrics.stored(self._storage, self._clock)
        metrics.write(self._folder / (self._settings.metrics.file or metrics.FILE), samples)
        return None

    def _outbox(self, name: str) -> Outbox:
        outbox = self._open_outbox(name)
        self._outboxes.append(outbox)
        return outbox

    def _open_outbox(self, name: str) -> Outbox:
        limits = self._settings.outbox
        if self._folder is None:
            return MemoryOutbox(limits.messages, limits.bytes)
        from device.runtime.durable_outbox import open_outbox  # noqa: PLC0415 - see above

        return open_outbox(
            self._folder / "outbox" / name, self._storage, limits.messages, limits.bytes
        )

    def _set_values(self) -> Mapping[str, float]:
        """Return the settings that can be changed from afar, as they are now."""
        return {
            "telemetry.interval": self._settings.telemetry.interval,
            "metrics.interval": self._settings.metrics.interval,
            **changed_settings(self._storage.ps),
        }

    def _marks(self) -> Mapping[str, str]:
        return {
            "reboot": self._boot_id,
            "factory-reset": repr(self._identity.promoted_at),
            "rotate-certificate": self._certificate_id,
        }

    @property
    def _certificate_id(self) -> str:
        """The current one: it changes while the device is at work."""
        identity = load_identity(self._storage.ps)
        return self._identity.certificate_id if identity is None else identity.certificate_id

    def _renew(self, deed: Deed) -> Event | None:
        """Order a renewal; who ordered it is told when it ended."""
        if not isinstance(deed, Renew):
            return None
        ticket, before = deed.ticket, self._certificate_id

        def ended(failure: FirstbootError | None) -> Event:
            if failure is not None:
                return Done(ticket, problem=f"{failure.code}: {failure}")
            return Done(ticket, {"before": before, "after": self._certificate_id})

        try:
            self._renewals.order("a job wants it", ended)
        except FirstbootError as error:
            return Done(ticket, problem=f"{error.code}: {error}")
        return None

    def _replace_trust_anchors(self, deed: Deed) -> Event | None:
        """Have new trust anchors proven; the job is told when they are, or why they are not."""
        if not isinstance(deed, ReplaceTrustAnchors):
            return None
        ticket = deed.ticket

        def ended(failure: FirstbootError | None) -> Event:
            if failure is not None:
                return Done(ticket, problem=f"{failure.code}: {failure}")
            return Done(ticket, {"trust_anchors": "proven, and in use"})

        try:
            has_begun = self._replace_anchors(deed.root_ca_pem, ended)
        except FirstbootError as error:
            return ended(error)
        return None if has_begun else Done(ticket, {"trust_anchors": "in use already"})

    def _describe(self) -> Mapping[str, Any]:
        return facts.description(self._storage, self._identity, self._clock)

    def _diagnose(self) -> Mapping[str, str]:
        return {
            **facts.diagnostics(self._storage, self._folder),
            "boot_id": self._boot_id,
            "connects": str(self._counters.connects),
            "connections_lost": str(self._counters.connections_lost),
        }
