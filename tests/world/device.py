"""One device of a world: the real agent, and what surrounds it."""

import math
from collections.abc import Callable
from contextlib import suppress
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Final

import msgspec

from device.agent import Agent
from device.config.device_plan import plan_for
from device.config.endpoint import Endpoint
from device.config.methods import METHODS, MachineKind
from device.config.settings import Connection, Settings
from device.config.settings import Telemetry as TelemetrySettings
from device.connection.session import Session
from device.errors import ExitCode, FirstbootError
from device.errors.storage import LifecycleError
from device.lifecycle import journal
from device.lifecycle.reset import decommission, reset
from device.provisioning import events as ev
from device.provisioning.events import Credential, Event
from device.runtime.credentials import BorrowedClaim, ClaimSource
from device.storage.device_storage import DeviceStorage, open_device_storage
from device.storage.keys import MemoryIdentity, TlsIdentity
from device.storage.manufacturing_data import serial_number
from tests.support.fake_element import attach
from tests.support.power import PowerCutError
from tests.support.worlds import MemoryWorld
from tests.world.chance import Chance
from tests.world.comeback import INACTIVE_SECONDS, WHILE_SECONDS
from tests.world.disk import Flash
from tests.world.hub import DeviceClock, Fiber
from tests.world.network import WorldSession
from tests.world.rules import Rules
from tests.world.token import Token

if TYPE_CHECKING:
    from tests.world.world import World

RESTART_SECONDS: Final = 10.0
"""RestartSec of packaging/systemd/firstboot@.service."""
PERSON_COMES_SECONDS: Final = 3600.0
"""After an exit code that the unit does not restart on, somebody switches it off and on."""
READINGS_KEPT: Final = 8
"""Few, so that an outage overfills the outbox."""
HURRY_SECONDS: Final = 1.0
"""Between two readings of a device in a hurry: a late reply overfills the outbox on its way."""
HURRY_ENDS_SECONDS: Final = 600.0
"""When the power of a device in a hurry is cut."""
WITH_TOKEN: Final = "claim, keys in a token"
NOT_RESTARTED: Final = {
    ExitCode.CONFIGURATION_INVALID, ExitCode.DENIED, ExitCode.STORAGE_UNUSABLE,
}  # fmt: skip
"""RestartPreventExitStatus of that unit."""


class WorldDevice:
    """See the module."""

    def __init__(self, world: "World", number: int, method: str) -> None:
        """Have the station make the device; the power is off."""
        self.world: Final = world
        self.serial: Final = f"SN-{number:04}"
        self.name: Final = f"d{number}"
        self.method: Final = "claim" if method == WITH_TOKEN else method
        self.is_by_claim: Final = METHODS[self.method].machine is MachineKind.CLAIM
        self.flash: Final = Flash(world.chance, self.name)
        self.clock: Final = DeviceClock(world.hub)
        self.rules: Final = Rules(self)
        self.state: Final[Path] = world.folder / self.serial
        self.leaf_pem = ""
        self.is_offline = False
        self.has_policy = True
        """Whether the template attaches a policy that lets this thing in."""
        self.sessions: Final[list[WorldSession]] = []
        """One to operate, and one beside it for a renewal."""
        self.token: Final = Token(world.chance, self.name) if method == WITH_TOKEN else None
        self._is_to_reset = self._is_to_end = False
        self.has_ended = False
        self.proven_at: float | None = None
        """When it was proven first, in seconds of the world."""
        self.back_after: float | None = None
        self.is_on = False
        self.power_ons = 0
        self.fiber: Fiber
        self._settings: Final = self._settings_of(self.method)
        self._make()

    # --- making ---------------------------------------------------------------------------------

    def _settings_of(self, method: str) -> Settings:
        settings = Settings(
            method=method, telemetry=TelemetrySettings(interval=self.world.interval)
        )
        spread = msgspec.structs.replace(
            settings.connection, first_connect_spread=self.world.spread
        )
        small = msgspec.structs.replace(settings.outbox, messages=READINGS_KEPT)
        # The jitter of a renewal follows from the certificate, which differs from run to run.
        renewal = msgspec.structs.replace(
            settings.renewal, max_age_days=self.world.shape.renewed_after / 86_400.0, jitter=0.0
        )
        return msgspec.structs.replace(settings, connection=spread, outbox=small, renewal=renewal)

    def _make(self) -> None:
        station = MemoryWorld.__new__(MemoryWorld)
        station.cloud, station.settings = self.world.account.registry, self._settings
        station.mount = self.flash.mount
        if self.is_by_claim:
            station.make_device(self.state, self.serial)
        else:
            self.leaf_pem = station.make_device_with_leaf(self.state, self.serial)
            if not METHODS[self.method].just_in_time:
                self.world.account.registry.register_leaf(self.leaf_pem, self.serial)
        self.flash.is_new = False

    def power_on(self, at: float) -> None:
        """Start the device's life."""
        self.world.hub.at(at, lambda _: setattr(self, "fiber", Fiber(self.world.hub, self._live)))

    # --- what befalls it ------------------------------------------------------------------------

    def suffer(self, kind: str) -> None:
        """Let a fate of `tests.world.world.FATES` have its way."""
        offsets = {"1970": -DeviceClock.EPOCH - self.world.hub.now, "behind": -86_400.0,
                   "ahead": 86_400.0, "years": 3.0e8, "again": 0.0}  # fmt: skip
        match kind.split():
            case ["power", "cut"]:
                self.cut_power()
            case ["clock", *_, how]:
                self.clock.offset = offsets[how]
            case ["offline", *_]:
                self._for_a_while("is_offline", self)
                for session in self.sessions:
                    session.lose()
            case ["disk", "full", *_]:
                self._for_a_while("is_full", self.flash)
            case ["disk", "failing", *_]:
                self._for_a_while("is_failing", self.flash)
            case ["token", "away", *_] if self.token is not None:
                self._for_a_while("is_away", self.token)
            case ["reset"]:
                self._is_to_reset = True
                self.cut_power()
            case ["decommissioned"]:
                self._is_to_end = True
                self.cut_power()
            case ["certificate", "deleted"]:
                self._lose_certificate()
            case ["certificate", "INACTIVE", *_]:
                self.world.account.set_status(self.serial, "INACTIVE", was="ACTIVE")
                self.world.hub.at(self.world.hub.now + INACTIVE_SECONDS, self._activate)

    def _for_a_while(self, name: str, what: object) -> None:
        setattr(what, name, True)
        until = self.world.hub.now + WHILE_SECONDS
        self.world.hub.at(until, lambda _: setattr(what, name, False))

    def _activate(self, _: object) -> None:
        self.world.account.set_status(self.serial, "ACTIVE", was="INACTIVE")

    def _lose_certificate(self) -> None:
        """Somebody deletes what a device has not proven yet; a proven one needs its station."""
        if self.is_by_claim and not (self._is_to_end or self.rules.was_proven):
            self.world.account.registry.delete_certificates(self.serial)

    def get_policy(self, _: object = None) -> None:
        """Somebody sees to the template's policy."""
        self.has_policy = True

    def recover(self) -> None:
        """Be mended, from outside: network, disk, clock, registry."""
        self.is_offline = self.flash.is_full = self.flash.is_failing = False
        if self.token is not None:
            self.token.is_away = False
        self.clock.offset = 0.0
        self.get_policy()
        self._activate(None)

    def must_be_home(self) -> None:
        """Check that the device is proven, that its readings arrive, and that it is renewed."""
        if self.has_ended:
            self.rules.check("a decommissioned device stays shut", holds=not self._opens())
            return
        if self._is_to_end:
            return
        late = self.world.hub.now - self.rules.last_received_at
        self.rules.check("an honest cloud leads home", holds=self.rules.identity is not None)
        self.rules.check("readings arrive", holds=late < 3 * self.world.interval + 300.0)
        identity, after = self.rules.identity, self.world.shape.renewed_after
        # Promoted by a clock that was behind, it still counts from when it was issued.
        since = max(identity.promoted_at, identity.not_before) if identity else math.inf
        age = self.clock.wall() - since
        self.rules.check("an honest cloud leads to another certificate", holds=age < after + 7200.0)
        self.rules.registry_changed()

    def end(self) -> None:
        """Let the device be; its folder is released."""
        if hasattr(self, "fiber"):
            self.fiber.end()

    # --- living ---------------------------------------------------------------------------------

    def cut_power(self) -> None:
        """Pull the plug, whatever the device does."""
        if self.is_on:
            self.fiber.interrupt(PowerCutError())

    def _live(self) -> None:
        while not self.has_ended:
            self.is_on = True
            self.world.comebacks.power_is_back(self.name, self.world.hub.now)
            off = self._run_once()
            self.is_on = False
            self.world.note(self.name, "off", f"{off:.0f}")
            self.fiber.wait(self.world.hub.now + off)

    def _run_once(self) -> float:
        """Run until the power or the device fails; return the seconds until it runs again."""
        self.power_ons += 1
        try:
            if self._is_to_end:
                self._end_life()
                return RESTART_SECONDS
            self._operate()
        except PowerCutError:
            self._go_dark()
            return self._seconds_without_power()
        except FirstbootError as error:
            self._leave_network()
            self.world.note(self.name, "stopped", error.row.name)
            if error.exit_code in NOT_RESTARTED:
                with suppress(PowerCutError):
                    self.fiber.wait(self.world.hub.now + PERSON_COMES_SECONDS)
                self._go_dark()
            return RESTART_SECONDS
        raise AssertionError("the agent ended by itself")

    def _seconds_without_power(self) -> float:
        begin, end = self.world.shape.blackout or (0.0, 0.0)
        if begin <= self.world.hub.now < end:
            return end - self.world.hub.now
        return 5.0 + 600.0 * self.world.chance.number("off", self.name)

    def _go_dark(self) -> None:
        self._leave_network()
        self.flash.lose_power()
        self.clock.powered_at = self.world.hub.now
        self.world.note(self.name, "dark")

    def _leave_network(self) -> None:
        for session in self.sessions:
            session.close()
        self.sessions.clear()

    def _end_life(self) -> None:
        """Decommission the device, and have the station retire it in the cloud."""
        decommission(self.state, mount=self.flash.mount)
        self.has_ended = True
        self.world.account.set_status(self.serial, "INACTIVE", was="ACTIVE")
        self.world.note(self.name, "decommissioned")

    def _opens(self) -> bool:
        with open_device_storage(self.state, read_only=True, mount=self.flash.mount) as storage:
            try:
                journal.load_identity(storage.ps)
            except LifecycleError:
                return False
        return True

    def _reset(self, storage: DeviceStorage) -> None:
        self.rules.is_reset(journal.load(storage.ps))
        reset(storage)
        self._is_to_reset = False

    def _operate(self) -> None:
        with open_device_storage(self.state, mount=self.flash.mount) as storage:
            self.rules.powered_on(journal.load_identity(storage.ps), serial_number(storage))
            self.world.note(self.name, "on")
            if self._is_to_reset:
                self._reset(storage)
            if self.token is not None:
                self.token.lose_sessions()
                attach(storage, self.token)
            agent = Agent(
                storage,
                self._settings_of_today(),
                plan_for(storage, self._settings, "world"),
                open_session=self._open_session,
                clock=self.clock,
                dice=_Dice(self.world.chance, self.name),
                observer=_Watcher(self, storage),
                claims=self._users_claim(),
            )
            agent.boot_until_proven()
            self.proven_at = self.world.hub.now if self.proven_at is None else self.proven_at
            agent.operate()

    def _settings_of_today(self) -> Settings:
        """Return the settings of this power-on, which may be a short one with many readings."""
        may_hurry = self.world.shape.hurries
        if not (may_hurry and self.world.chance.strikes("in a hurry", self.name)):
            return self._settings
        self.world.hub.at(self.world.hub.now + HURRY_ENDS_SECONDS, lambda _: self.cut_power())
        often = TelemetrySettings(interval=HURRY_SECONDS)
        return msgspec.structs.replace(self._settings, telemetry=often)

    def _users_claim(self) -> ClaimSource | None:
        if self.method != "trusted-user":
            return None
        registry = self.world.account.registry
        pair = MemoryIdentity(registry.claim_pem.encode(), registry.claim_key_pem.encode())
        return BorrowedClaim(pair, self.clock.wall() + 300.0, self.clock)

    def _open_session(
        self,
        endpoint: Endpoint,
        root_ca_pem: bytes,
        tls_identity: Callable[[Credential], TlsIdentity],
        options: Connection,
    ) -> Session:
        session = WorldSession(self, tls_identity)
        self.sessions.append(session)
        return session


class _Dice:
    """Jitter, from the world's seed."""

    def __init__(self, chance: Chance, who: str) -> None:
        self._chance, self._who = chance, who

    def uniform(self, a: float, b: float) -> float:
        return a + (b - a) * self._chance.number("jitter", self._who)


class _Watcher:
    """The observer: it tells the world, and the rules."""

    def __init__(self, device: WorldDevice, storage: DeviceStorage) -> None:
        self._device, self._storage = device, storage

    def received(self, event: Event, state: Enum) -> None:
        self._device.world.note(self._device.name, type(event).__name__, state.name)
        if isinstance(event, ev.IdentityPromoted):
            identity = journal.load_identity(self._storage.ps)
            assert identity is not None
            self._device.rules.promoted(identity)
            self._device.rules.registry_changed()

    def add(self, name: str, detail: str = "") -> None:
        self._device.rules.device_says(name, detail)
        if name in {"operating", "telemetry acknowledged"}:
            self._device.world.comebacks.at_home(self._device.name, self._device.world.hub.now)
        restarted = self._device.world.restarted_at
        if name == "operating" and restarted is not None and self._device.back_after is None:
            self._device.back_after = self._device.world.hub.now - restarted
        self._device.world.note(self._device.name, name)

    def waiting(self, cause: FirstbootError, seconds: float) -> None:
        self._device.world.note(self._device.name, f"waits, {cause.row.name}", f"{seconds:.3f}")

    def slow(self, what: str, seconds: float) -> None:
        """Nothing to check."""
