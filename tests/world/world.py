"""Many devices, a cloud, a network, disks, clocks and power, in one thread on virtual time.

Everything follows from the seed: the same seed gives the same events, with the same hash, on any
machine. First the world is hostile; then it is honest, and every device must come home.
"""

import hashlib
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from tests.exhaustive.cloud import LIES
from tests.world.account import Account
from tests.world.chance import Accident, Chance
from tests.world.comeback import LASTS, NO_POLICY_SECONDS, Comebacks
from tests.world.device import WITH_TOKEN, WorldDevice
from tests.world.hub import Hub
from tests.world.network import WorldSession
from tests.world.rules import BrokenRuleError

HOUR: Final = 3600.0
DAY: Final = 24 * HOUR
YEAR: Final = 365 * DAY
VISIT_SECONDS: Final = 4 * HOUR
METHODS_IN_TURN: Final = (
    "claim", "claim-aws-keys", "jitp", WITH_TOKEN, "trusted-user", "single-thing",
)  # fmt: skip

PACKETS: Final = {
    "unreachable": 0.05, "silent connect": 0.02, "hang-up after TLS": 0.02,
    "cut before": 0.02, "cut after": 0.02, "packet lost": 0.01, "reply lost": 0.02,
    "reply late": 0.05, "reply twice": 0.05, "subscription denied": 0.01, "publish denied": 0.01,
    "busy": 0.02,
    "malformed reply": 0.03, "done, but says 503": 0.03, **dict.fromkeys(LIES, 0.03),
    "Lambda fails": 0.05, "Lambda says no": 0.03, "malformed answer": 0.03,
}  # fmt: skip
DISKS: Final = {
    "power cut at a call on the disk": 0.004, "power cut inside a write": 0.02,
    "EIO": 0.0005, "ENOSPC": 0.002, "lying write": 0.005,
    "token away for a call": 0.002, "token full": 0.05,
}  # fmt: skip
FATES: Final = {
    "power cut": 0.1, "offline for a while": 0.05, "disk full for a while": 0.02,
    "disk failing for a while": 0.01, "clock in 1970": 0.03, "clock a day behind": 0.03,
    "clock a day ahead": 0.03, "clock ahead by years": 0.03, "clock right again": 0.2,
    "certificate deleted": 0.15, "certificate INACTIVE for a while": 0.02,
    "reset": 0.02, "decommissioned": 0.002, "token away for a while": 0.05,
}  # fmt: skip
"""Chances of an hour, by device."""
BROKER: Final = {"broker restart": 0.01, "no policy at first": 0.15, "in a hurry": 0.05}
RATES: Final[Mapping[str, float]] = {**PACKETS, **DISKS, **FATES, **BROKER}
"""BUGGIFY: what may go wrong, and how often."""


@dataclass(frozen=True)
class Shape:
    """How large a world is, and how long it lasts."""

    devices: int = 6
    hostile: float = 1 * DAY
    honest: float = 1 * DAY
    interval: float = 600.0
    """Seconds between two readings of a device."""
    spread: float = 0.0
    """Seconds of ``first_connect_spread``."""
    broker_restarts_at: float | None = None
    """When every connection breaks at once, whatever chance says."""
    blackout: tuple[float, float] | None = None
    """From when until when all devices are without power; then they are on in one second."""
    hurries: bool = True
    """Whether some power-ons have a reading a second: worlds of years have no time for them."""
    together: bool = False
    """Whether all devices are switched on in the same second."""
    fate_every: float = HOUR
    """Seconds between two looks at what befalls a device, on average half of it."""
    methods: tuple[str, ...] = METHODS_IN_TURN
    renewed_after: float = 4 * HOUR
    """Seconds after which a device renews its certificate: few, so that many are renewed."""


YEARS: Final = Shape(
    20, YEAR, DAY, interval=6 * HOUR, fate_every=14 * DAY, renewed_after=30 * DAY, hurries=False
)
"""Long lives: four readings a day, and something befalls a device every week or so."""


@dataclass
class Outcome:
    """What became of a world."""

    seed: int
    hash: str = ""
    turns: int = 0
    device_years: float = 0.0
    broken: str = ""
    """The rule that was broken, or nothing."""
    broken_at: float = 0.0
    accidents: list[Accident] = field(default_factory=list)
    last_words: list[str] = field(default_factory=list)
    proven_at: list[float] = field(default_factory=list)
    back_after: list[float] = field(default_factory=list)
    """Seconds from the broker's last restart until each device was connected again."""
    renewed_at: list[float] = field(default_factory=list)
    """When each device had its second certificate."""
    recovered: dict[str, list[float]] = field(default_factory=dict)
    """By kind of accident: seconds from its end until its victim was connected and proven again."""
    power_ons: int = 0
    readings: int = 0
    renewals: int = 0
    throttled: int = 0
    peak_registrations: int = 0


class World:
    """One world; `run` it once."""

    def __init__(
        self,
        seed: int,
        folder: Path,
        shape: Shape = Shape(),
        *,
        only: frozenset[Accident] | None = None,
        rates: Mapping[str, float] | None = None,
    ) -> None:
        """Make the devices; ``folder`` is for their lock files. With ``only``, repeat in part.

        ``rates`` says how often what goes wrong; without it, the seed does.
        """
        self.seed: Final = seed
        self.folder: Final = folder
        self.shape: Final = shape
        self.interval: Final = shape.interval
        self.spread: Final = shape.spread
        self.hub: Final = Hub()
        self.chance: Final = Chance(seed, _swarm(seed) if rates is None else rates, only)
        self.chance.on_strike = self._struck
        self.comebacks: Final = Comebacks()
        self.account: Final = Account(self.hub, self.chance)
        self.online: Final[dict[str, WorldSession]] = {}
        self.restarted_at: float | None = None
        self._hash: Final = hashlib.blake2b(digest_size=8)
        self._last_words: Final[deque[str]] = deque(maxlen=60)
        methods = shape.methods
        self.devices: Final = [
            WorldDevice(self, number, methods[number % len(methods)])
            for number in range(shape.devices)
        ]

    def note(self, who: str, what: str, detail: str = "") -> None:
        """Add an event to the hash."""
        line = f"{self.hub.now:.6f} {who} {what} {detail}"
        self._hash.update(line.encode())
        self._last_words.append(line)

    def _struck(self, accident: Accident) -> None:
        kind, who, _ = accident
        for device in self.devices:
            # What does not last is over before a device is switched on the first time.
            if who in {device.name, "broker"} and (device.power_ons or kind in LASTS):
                self.comebacks.struck(kind, device.name, self.hub.now)

    def run(self) -> Outcome:
        """Let the world be hostile, then honest; return what became of it."""
        outcome = Outcome(self.seed)
        try:
            self._run()
        except BrokenRuleError as broken:
            outcome.broken, outcome.broken_at = str(broken), self.hub.now
        except Exception as error:  # noqa: BLE001 - a device that crashes is a finding
            outcome.broken, outcome.broken_at = f"{type(error).__name__}: {error}", self.hub.now
        finally:
            for device in self.devices:
                device.end()
        outcome.hash, outcome.turns = self._hash.hexdigest(), self.hub.turns
        outcome.device_years = len(self.devices) * self.hub.now / YEAR
        outcome.accidents = list(self.chance.accidents)
        outcome.last_words = list(self._last_words)
        outcome.proven_at = [d.proven_at for d in self.devices if d.proven_at is not None]
        outcome.back_after = [d.back_after for d in self.devices if d.back_after is not None]
        firsts = [d.rules.first_renewed_at for d in self.devices]
        outcome.renewed_at = [moment for moment in firsts if moment is not None]
        outcome.recovered = self.comebacks.seconds
        outcome.power_ons = sum(device.power_ons for device in self.devices)
        outcome.readings = sum(device.rules.readings for device in self.devices)
        outcome.renewals = sum(device.rules.renewals for device in self.devices)
        outcome.throttled = self.account.throttled
        outcome.peak_registrations = max(self.account.peaks.values(), default=0)
        return outcome

    def _run(self) -> None:
        for device in self.devices:
            when = 0.0 if self.shape.together else HOUR * self.chance.number("on", device.name)
            device.power_on(when)
            if self.chance.strikes("no policy at first", device.name):
                device.has_policy = False
                self.hub.at(NO_POLICY_SECONDS, device.get_policy)
            first = self.shape.fate_every * self.chance.number("first hour", device.name)
            self.hub.at(first, self._fate, device)
        self.hub.at(HOUR, self._broker)
        if self.shape.broker_restarts_at is not None:
            self.hub.at(self.shape.broker_restarts_at, self.restart_broker)
        if self.shape.blackout is not None:
            self.hub.at(self.shape.blackout[0], self._black_out)
        self.hub.run(self.shape.hostile)
        self._become_honest()
        self.hub.run(self.hub.now + self.shape.honest)
        for device in self.devices:
            device.must_be_home()

    # --- what befalls it ------------------------------------------------------------------------

    def _fate(self, device: WorldDevice) -> None:
        for kind in FATES:
            if self.chance.strikes(kind, device.name):
                self.note(device.name, kind)
                device.suffer(kind)
        if not self.chance.is_over:
            wait = self.shape.fate_every * self.chance.number("hour", device.name)
            self.hub.at(self.hub.now + wait, self._fate, device)

    def _broker(self, _: object) -> None:
        if self.chance.strikes("broker restart", "broker"):
            self.restart_broker()
        if not self.chance.is_over:
            self.hub.at(self.hub.now + HOUR, self._broker)

    def restart_broker(self, _: object = None) -> None:
        """Break every connection at once."""
        self.restarted_at = self.hub.now
        self.note("broker", "restart", str(len(self.online)))
        for session in list(self.online.values()):
            session.lose()

    def _black_out(self, _: object) -> None:
        for device in self.devices:
            device.cut_power()

    def _become_honest(self) -> None:
        self.chance.is_over = True
        self.note("world", "honest")
        for device in self.devices:
            device.recover()
        self._visit(None)

    def _visit(self, _: object) -> None:
        """Have a person switch each device off and on that is not proven, now and then."""
        for device in self.devices:
            if device.rules.identity is None and not device.has_ended:
                device.cut_power()
        self.hub.at(self.hub.now + VISIT_SECONDS, self._visit)


def _swarm(seed: int) -> dict[str, float]:
    """Return the rates of this seed: some accidents never happen, others often."""
    chooser = Chance(seed, {})
    rates = {}
    for kind, rate in RATES.items():
        drawn = chooser.number("swarm", kind)
        rates[kind] = 0.0 if drawn < 0.3 else rate * (0.3 if drawn < 0.6 else 2.0)
    return rates
