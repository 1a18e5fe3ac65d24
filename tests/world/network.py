"""The network of a world: packets take their time, get lost, come twice, and connections break."""

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Final

from device.config.methods import METHODS
from device.identity.certificates import certificate_id, leaf_of
from device.provisioning import actions as act
from device.provisioning import events as ev
from device.provisioning.events import Credential
from device.storage.keys import TlsIdentity

if TYPE_CHECKING:
    from tests.world.device import WorldDevice

HANDSHAKE_SECONDS: Final = 0.2
SHORTEST_SECONDS: Final = 1e-5
"""Of a wait: a difference of moments is not exact, and time has to pass."""
MOST_IDLE_LOOKS: Final = 100_000
"""For an event without waiting: then the device spins, and no time goes by."""
KEEP_ALIVE_SECONDS: Final = 90.0
"""When a device notices that a connection is dead: keep-alive, and half of it for the answer."""

LATE_SECONDS: Final = 12.0
"""How late a reply is that the device still waits for; those after it on its way wait too."""


_leaf_of: Final = lru_cache(leaf_of)
_id_of: Final = lru_cache(certificate_id)
"""Of what the device presents again and again."""


@dataclass
class Way:
    """One direction of a connection: packets stay in order, and none passes one that is lost."""

    is_stuck: bool = False
    _last: float = 0.0

    def arrival(self, moment: float) -> float:
        """Return when a packet arrives that would arrive at ``moment`` alone."""
        self._last = max(self._last, moment)
        return self._last


class WorldSession:
    """A `Session` of one device; see `device.connection.session`."""

    def __init__(
        self, device: "WorldDevice", tls_identity: Callable[[Credential], TlsIdentity]
    ) -> None:
        """Begin without a connection."""
        self._device: Final = device
        self._hub: Final = device.world.hub
        self._chance: Final = device.world.chance
        self._account: Final = device.world.account
        self._tls_identity: Final = tls_identity
        self._inbox: Final[deque[ev.Event]] = deque()
        self._number = 0
        """Of the connection; news of an earlier one is dropped."""
        self._there, self._back = Way(), Way()
        self.client_id: str | None = None
        self.certificate_id = ""
        self._idle_looks, self._looked_at = 0, 0.0

    # --- what the loop asks ---------------------------------------------------------------------

    def perform(self, action: act.Action) -> None:
        """Send what ``action`` says."""
        match action:
            case act.Connect():
                self._connect(action)
            case act.Disconnect():
                self.close()
                self._later(0.001, ev.Disconnected())
            case _:
                self._send(action)

    def next_event(self, timeout: float | None) -> ev.Event | None:
        """Wait in virtual time."""
        if not self._inbox:
            assert timeout is not None, "the device waits for ever for nothing"
            if timeout <= 0.0:
                self._look()
                few = self._idle_looks < MOST_IDLE_LOOKS
                self._device.rules.check("time goes on", holds=few)
                return None
            self._device.fiber.wait(self._hub.now + max(timeout, SHORTEST_SECONDS))
        return self._inbox.popleft() if self._inbox else None

    def _look(self) -> None:
        """Count the looks at one moment."""
        is_same = self._looked_at == self._hub.now
        self._idle_looks = self._idle_looks + 1 if is_same else 1
        self._looked_at = self._hub.now

    def close(self) -> None:
        """Forget the connection and what it had to say."""
        self._leave()
        self._number += 1
        self._there, self._back = Way(), Way()
        self._inbox.clear()

    def trust(self, root_ca_pem: bytes) -> None:
        """Do nothing: every root is trusted here."""

    def request_stop(self) -> None:
        """Nobody stops a device here: they cut the power."""
        raise NotImplementedError

    # --- what the world does --------------------------------------------------------------------

    def lose(self, *, taken_over: bool = False) -> None:
        """Break the connection; the device hears of it."""
        if self.client_id is not None:
            self._leave()
            self._later(0.001, ev.ConnectionLost("cut", taken_over=taken_over))

    def _leave(self) -> None:
        if self.client_id is not None and self._device.world.online.get(self.client_id) is self:
            del self._device.world.online[self.client_id]
        self.client_id = None

    def _later(self, seconds: float, event: ev.Event) -> None:
        moment = self._back.arrival(self._hub.now + seconds)
        self._hub.at(moment, self._deliver, (self._number, event))

    def _deliver(self, parcel: tuple[int, ev.Event]) -> None:
        number, event = parcel
        if number == self._number and self in self._device.sessions:
            self._inbox.append(event)
            self._device.fiber.wake()

    def _seconds(self) -> float:
        """How long a packet takes, one way."""
        return 0.01 + 0.09 * self._chance.number("latency", self._device.name)

    # --- connecting -----------------------------------------------------------------------------

    def _connect(self, order: act.Connect) -> None:
        self.close()
        leaf = _leaf_of(self._tls_identity(order.credential).certificate_pem)
        device, strikes = self._device, self._chance.strikes
        device.rules.connects(order.client_id)
        seconds = HANDSHAKE_SECONDS + self._seconds()
        if device.is_offline or strikes("unreachable", device.name):
            self._later(seconds, ev.ConnectFailed("no route"))
        elif strikes("silent connect", device.name):
            return
        elif strikes("hang-up after TLS", device.name):
            device.rules.refused()
            self._later(seconds, ev.NotLetIn("hang-up"))
        else:
            number = self._number
            self._hub.at(self._hub.now + seconds, self._arrive, (number, order, leaf))

    def _arrive(self, parcel: tuple[int, act.Connect, bytes]) -> None:
        number, order, leaf = parcel
        if number != self._number or self not in self._device.sessions:
            return
        is_thing = order.client_id == self._device.serial
        has_policy = self._device.has_policy or not is_thing
        is_met = METHODS[self._device.method].just_in_time
        may = self._account.lets_in(leaf, order.client_id, is_just_in_time=is_met)
        if not (may and has_policy):
            self._device.rules.refused()
            self._later(self._seconds(), ev.NotLetIn("CONNACK 0x87"))
            return
        former = self._device.world.online.get(order.client_id)
        if former is not None and former is not self:
            former.lose(taken_over=True)
        self._device.world.online[order.client_id] = self
        self.client_id, self.certificate_id = order.client_id, _id_of(leaf)
        self._later(self._seconds(), ev.Connected(order.credential))

    # --- packets --------------------------------------------------------------------------------

    def _send(self, order: act.Action) -> None:
        device, strikes = self._device, self._chance.strikes
        if self.client_id is None:
            return
        if isinstance(order, act.Publish):
            device.rules.sends(order.topic, order.payload)
        if strikes("cut before", device.name):
            self.lose()
        elif not (self._there.is_stuck or device.is_offline or strikes("packet lost", device.name)):
            moment = self._there.arrival(self._hub.now + self._seconds())
            self._hub.at(moment, self._take, (self._number, order))
        else:
            self._there.is_stuck = True
            self._hub.at(self._hub.now + KEEP_ALIVE_SECONDS, self._time_out, self._number)

    def _time_out(self, number: int) -> None:
        if number == self._number:
            self.lose()

    def _take(self, parcel: tuple[int, act.Action]) -> None:
        """Let the cloud have a packet; what it says takes as long again."""
        number, order = parcel
        if number != self._number or self.client_id is None:
            return
        device, strikes = self._device, self._chance.strikes
        event = self._reply(order)
        if event is None and isinstance(order, act.Request) and self._is_known():
            return  # a Lambda that says nothing: the connection goes on
        if event is None or strikes("cut after", device.name):
            self.lose()
        elif self._back.is_stuck or strikes("reply lost", device.name):
            self._back.is_stuck = True
            self._hub.at(self._hub.now + KEEP_ALIVE_SECONDS, self._time_out, self._number)
        else:
            late = LATE_SECONDS if strikes("reply late", device.name) else 0.0
            self._later(late + self._seconds(), event)
            # An acknowledgement that comes twice ends in awscrt: it has one future a packet.
            if isinstance(event, ev.MessageReceived) and strikes("reply twice", device.name):
                self._later(2 * self._seconds(), event)

    def _reply(self, order: act.Action) -> ev.Event | None:
        device, strikes = self._device, self._chance.strikes
        match order:
            case act.Subscribe(names):
                if strikes("subscription denied", device.name):
                    return ev.SubscriptionDenied(names[:1])
                return ev.Subscribed()
            case act.Request():
                return self._answer(order)
            case act.Publish(topic, payload, ticket):
                if not self._is_known():
                    return None
                if strikes("publish denied", device.name):
                    device.rules.cloud_refuses(topic, payload)
                    return ev.PublishDenied(topic)
                if strikes("busy", device.name):
                    device.rules.cloud_refuses(topic, payload)
                    return ev.NotAcknowledged("busy", "", may_succeed_later=True)
                self._account.proofs.add(self.certificate_id)
                if topic.endswith("/telemetry"):
                    device.rules.cloud_has(payload)
                return ev.PublishAcknowledged(ticket)
        raise AssertionError(order)

    def _answer(self, order: act.Request) -> ev.Event | None:
        if not self._is_known():
            return None
        if order.topic.startswith("firstboot/renewal/"):
            name = self._device.name
            event = self._account.answer_renewal(order, name, self.certificate_id)
        else:
            event = self._account.answer(order, self._device.name)
        self._device.rules.registry_changed()
        return event

    def _is_known(self) -> bool:
        """Whether the certificate is still ACTIVE: AWS IoT closes the connection if not."""
        known = self._account.registry.certificates.get(self.certificate_id)
        return known is not None and known.status == "ACTIVE"
