"""A made device as a program uses it: look into it, boot it, cut its power.

This is the public API (docs/api.md); the verbs of ``device`` are thin over it. It neither prints
nor takes signals nor reads this process's environment, so that any number of devices can be used
in as many threads.
"""

from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Final

from device.errors import StepNotReachedError, StoppedError
from device.lifecycle.status import Status, read_status
from device.storage.device_storage import DeviceStorage, open_device_storage
from device.storage.manufacturing_data import SealedSettings, sealed_settings, serial_number

if TYPE_CHECKING:
    from device.config.endpoint import Endpoint
    from device.config.settings import Loaded
    from device.lifecycle.journal import Identity
    from device.operation.task import Task
    from device.runtime.renewal_status import RenewalStatus
    from device.runtime.timeline import Step
    from device.startup import StartedDevice
    from device.storage.element.installation import ElementPlan

_MOST_STEPS: Final = 1_000


class Device:
    """The device in the folder ``state``, which a station made."""

    def __init__(  # noqa: PLR0913 - each is a choice of its own, and has a name at the call
        self,
        state: Path | str,
        *,
        config: Path | str | None = None,
        environment: Mapping[str, str] | None = None,
        endpoint: str | None = None,
        root_ca: Path | str | None = None,
        claim_place: Path | str | None = None,
        on_step: "Callable[[Step], None] | None" = None,
        on_words: Callable[[str], None] | None = None,
    ) -> None:
        """Name the device; nothing is opened yet.

        Args:
            state: the device's folder.
            config: a settings file (docs/settings.md); default: what the station sealed.
            environment: ``DEVICE_*`` variables, which override both; default: none.
            endpoint: ``HOST:PORT`` of AWS IoT, above all; default: what the station installed.
            root_ca: a PEM file with the CAs to trust; default: what the station installed.
            claim_place: where a trusted user hands over a claim: a socket to make there, or a
                file that ends in ``.json``. Default: the device begins with what it holds.
            on_step: told each step as it happens, in the thread that boots.
            on_words: told what a person should know, such as why a claim was refused.
        """
        self.state: Final = Path(state)
        self._steps: Final[deque[Step]] = deque(maxlen=_MOST_STEPS)
        self.config: Final = None if config is None else Path(config)
        """The settings file, if one is given."""
        self._environment: Final = dict(environment or {})
        self._flags: Final = {
            "endpoint": endpoint,
            "root_ca": None if root_ca is None else str(root_ca),
        }
        self._claim_place: Final = None if claim_place is None else Path(claim_place)
        self._on_step: Final = on_step or (lambda _: None)
        self._on_words: Final = on_words or (lambda _: None)
        self._started: StartedDevice | None = None
        self._is_stop_wanted = False
        self._last_step: str | None = None

    @property
    def steps(self) -> "list[Step]":
        """The latest steps of the latest boot or run: each message of a device at work is one."""
        return list(self._steps)

    def status(self) -> Status:
        """Return what the device is now, read from its storage without network or lock.

        Raises:
            ConfigurationError: the settings file cannot be used.
            StorageError: the storage is missing, corrupt, rolled back or another device's.
        """
        return read_status(self.state, self._chosen_endpoint)

    @property
    def serial(self) -> str:
        """The serial number.

        Raises:
            StorageError: there is no finished device.
        """
        with open_device_storage(self.state, read_only=True) as storage:
            return serial_number(storage)

    def boot(self) -> "Identity":
        """Provision the device unless it is provisioned; return who it is.

        Raises:
            FirstbootError: provisioning failed, or its time is up; the next boot continues.
            PowerCutError: the power was cut, as `cut_power` asked for.
            StepNotReachedError: the device booted, and never came to the step of `cut_power`.
        """
        try:
            with self._start() as started:
                started.agent.boot(started.patience)
                identity = started.agent.identity
        finally:
            self._is_stop_wanted = False
        if identity is None:
            raise RuntimeError("a device that booted has an identity")
        return identity

    def run(
        self,
        *tasks: "Task",
        on_proven: "Callable[[Identity], None] | None" = None,
    ) -> None:
        """Boot, then operate until `stop`: telemetry, and an application's own ``tasks``.

        A job or a command may start the device anew in between.

        Args:
            tasks: what the device does besides (`device.operation.task.Task`).
            on_proven: told once who the device is.

        Raises:
            FirstbootError: what trying again cannot help, such as settings that are not valid.
            PowerCutError: the power was cut, as `cut_power` asked for.
        """
        try:
            while self._lives_again(tasks, on_proven):
                on_proven = None
        finally:
            self._is_stop_wanted = False

    def _lives_again(
        self, tasks: "Sequence[Task]", on_proven: "Callable[[Identity], None] | None"
    ) -> bool:
        """Boot and operate once; return whether the device is to start anew."""
        with self._start() as started:
            try:
                started.agent.boot_until_proven()
            except StoppedError:
                return False
            identity = started.agent.identity
            if on_proven is not None and identity is not None:
                on_proven(identity)
            return started.agent.operate(*tasks).starts_anew and not self._is_stop_wanted

    def renew(self) -> "Identity":
        """Renew the certificate with a new key, or finish a renewal; return who the device is.

        Raises:
            NotProvisionedError: the device has no identity yet.
            FirstbootError: the renewal failed; the current certificate stays in use.
        """
        try:
            with self._start() as started:
                started.agent.renew(started.patience)
                identity = started.agent.identity
        finally:
            self._is_stop_wanted = False
        if identity is None:
            raise RuntimeError("a device that renewed its certificate has an identity")
        return identity

    def renewal_status(self) -> "RenewalStatus":
        """Return whether the certificate is to be renewed now, without network or lock.

        Raises:
            NotProvisionedError: the device has no identity yet.
            ConfigurationError: the settings file cannot be used.
            StorageError: the storage is missing, corrupt, rolled back or another device's.
        """
        from device.runtime.renewal_status import read_renewal_status  # noqa: PLC0415 - rarely asked

        return read_renewal_status(self.state, self._settings_of)

    def stop(self) -> None:
        """Ask a boot, renewal or run in another thread to end, or the next one if none has begun.

        It returns at once, and is safe in a signal handler. `boot` and `renew` then raise
        StoppedError, `run` returns; nothing is lost.
        """
        self._is_stop_wanted = True
        if (started := self._started) is not None:
            started.request_stop()

    def cut_power(self, *, after: str | None) -> None:
        """Cut the power in the next boot or run, after the step ``after``; None: do not.

        What was committed to the storage by then is there; the connection is dropped without a
        word. The steps are those of `Step.name`, such as ``certificate staged``.

        Raises:
            ValueError: no device has such a step.
        """
        from device.runtime.power import check_step  # noqa: PLC0415 - tests only

        if after is not None:
            check_step(after)
        self._last_step = after

    @property
    def last_step(self) -> str | None:
        """The step after which the power is going to be cut, if it is."""
        return self._last_step

    def reset(self, *, forget_identity: bool = False) -> bool:
        """Return the device to the state in which the station delivered it; tell if it changed.

        A proven device keeps its certificate, and proves it again at the next boot, unless
        ``forget_identity``: then only the station can provision it again.

        Raises:
            ConfigurationError: the settings file cannot be used; nothing changed.
            StorageError: the storage is missing, busy, corrupt or rolled back.
        """
        from device.lifecycle.reset import clear_folder, reset  # noqa: PLC0415 - rarely asked

        with open_device_storage(self.state) as storage:
            had_files = clear_folder(self.state, self._metrics_file(storage))
            return reset(storage, forget_identity=forget_identity) or had_files

    def decommission(self, *, element_is_lost: bool = False) -> bool:
        """End the device's life: every key is destroyed. Return whether it was still alive.

        After a power cut call it again. With ``element_is_lost`` the secure element is not asked.

        Raises:
            ConfigurationError: the settings file cannot be used; nothing was destroyed.
            ElementError: the element cannot be used; nothing was destroyed.
            StorageError: the storage is missing, busy, corrupt or rolled back.
        """
        from device.lifecycle.reset import decommission  # noqa: PLC0415 - rarely asked

        return decommission(
            self.state,
            None if element_is_lost else self._find_element,
            find_metrics_file=self._metrics_file,
        )

    def _find_element(self, storage: DeviceStorage) -> "ElementPlan | None":
        """Return the secure element that the settings name, or else the station."""
        from device.storage.element.installation import installed_element, plan_of  # noqa: PLC0415

        loaded = self._settings_of(storage)
        if loaded is None:
            installed = installed_element(storage)
            return None if installed is None else plan_of(installed)
        from device.config.element_plan import element_plan  # noqa: PLC0415 - only here

        return element_plan(storage, loaded.settings.key, loaded.sources)

    def _settings_of(self, storage: DeviceStorage) -> "Loaded | None":
        """Return the settings, where a file or the station has any."""
        sealed = sealed_settings(storage)
        if self.config is None and sealed is None:
            return None
        from device.config import settings  # noqa: PLC0415 - loads yaml

        return settings.load_with_sources(self.config, self._environment, {}, sealed)

    def metrics(self) -> dict[str, float]:
        """Return what the last run counted, and what the storage says now, by OpenMetrics name.

        Raises:
            ConfigurationError: the settings file cannot be used.
            StorageError: the storage is missing, corrupt, rolled back or another device's.
        """
        from device.runtime import metrics  # noqa: PLC0415 - only here
        from device.runtime.clock import SystemClock  # noqa: PLC0415 - only here

        with open_device_storage(self.state, read_only=True) as storage:
            now = metrics.stored(storage, SystemClock())
            named = self._metrics_file(storage)
        return metrics.read(self.state / (named or metrics.FILE)) | now

    def _metrics_file(self, storage: DeviceStorage) -> str | None:
        loaded = self._settings_of(storage)
        if loaded is None:
            return self._environment.get("DEVICE_METRICS__FILE")
        return loaded.settings.metrics.file

    @contextmanager
    def _start(self) -> "Iterator[StartedDevice]":
        from device.startup import StartOptions, start_device  # noqa: PLC0415 - loads awscrt

        options = StartOptions(
            state=self.state,
            config=self.config,
            environment=self._environment,
            flags=self._flags,
            claim_place=self._claim_place,
        )
        self._steps.clear()
        last_step, self._last_step = self._last_step, None
        try:
            with start_device(options, self._teller(last_step), self._on_words) as started:
                self._started = started
                if self._is_stop_wanted:
                    started.request_stop()
                yield started
        finally:
            self._started = None
        if last_step is not None:
            raise StepNotReachedError(
                step=last_step, seen=", ".join(step.name for step in self._steps)
            )

    def _teller(self, last_step: str | None) -> "Callable[[Step], None]":
        def tell(step: "Step") -> None:
            self._steps.append(step)
            self._on_step(step)
            if step.name == last_step:
                from device.runtime.power import PowerCutError  # noqa: PLC0415 - tests only

                raise PowerCutError(step.name)

        return tell

    def _chosen_endpoint(self, sealed: SealedSettings | None) -> "Endpoint | None":
        """Return the endpoint that a file or a variable chooses, where one is given."""
        text, source = self._environment.get("DEVICE_ENDPOINT"), "DEVICE_ENDPOINT"
        if self.config is not None:
            from device.config import settings  # noqa: PLC0415 - loads yaml

            loaded = settings.load_with_sources(self.config, self._environment, {}, sealed)
            text, source = loaded.settings.endpoint, loaded.sources.of("endpoint")
        if named := self._flags["endpoint"]:
            text, source = named, "--endpoint"
        if not text:
            return None
        from device.config.endpoint import Endpoint  # noqa: PLC0415 - the station named it, else

        return Endpoint.parse(text, source)
