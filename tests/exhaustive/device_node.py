"""A node of the search: the real machine, the real storage, and the cloud in memory.

Local orders are carried out one at a time, so the power can be cut between any two of them; a cut
inside a commit is what tests/unit/test_storage_crash_explorer.py searches, to the last write.
"""

import copy
from collections.abc import Callable, Hashable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TypeVar

import msgspec

from device.config.settings import Settings
from device.errors import FirstbootError
from device.errors.provisioning import CLAIM_MISSING
from device.identity.certificates import certificate_id, leaf_of
from device.identity.csr import subject_name
from device.lifecycle import journal
from device.provisioning import actions as act
from device.provisioning import events as ev
from device.provisioning.events import Credential
from device.provisioning.evidence import spacing
from device.provisioning.machine import AnyMachine
from device.runtime.credentials import Credentials, InstalledClaim
from device.runtime.enrolment import Enrolment
from device.runtime.first_boot import FirstBoot
from device.storage.device_storage import DeviceStorage, open_device_storage
from device.storage.keys import CLAIM_KEY, KeyType, MemoryIdentity, TlsIdentity
from device.storage.secure_storage import Uid
from tests.exhaustive.cloud import LIES, answer, copied, refusal, status
from tests.exhaustive.search import HONEST
from tests.exhaustive.summary import id_in_use, installed_id, summary_of
from tests.support.clock import FakeClock
from tests.support.memory_disk import MemoryDisk
from tests.support.simulated_cloud import SimulatedCloud
from tests.support.worlds import Diary

SERIAL = "SN-1"
_EnrolmentT = TypeVar("_EnrolmentT", bound=Enrolment)


@dataclass(frozen=True)
class Scene:
    """What stays the same for a whole search."""

    method: str
    state: Path
    machine: Callable[[DeviceStorage, bool], AnyMachine]
    """Makes the machine of a boot; the second argument says whether a claim is at hand."""
    lies: bool
    """Whether the cloud lies, and people delete certificates; else it only loses things."""
    needs_user: bool = False
    """Whether the claim is a trusted user's, who may not be there."""
    leaf_pem: str = ""
    """The certificate that the station installed, for a method that presents it."""
    just_in_time: bool = False
    settings: Settings = field(default_factory=lambda: Settings(method="claim"))
    resets: bool = False
    """Whether somebody resets the device, at any moment."""
    has_birth_certificate: bool = False
    """Whether it may come back with that, so that people may set its certificate INACTIVE."""


@dataclass(frozen=True)
class DeviceNode:
    """See the module."""

    scene: Scene
    disk: MemoryDisk
    cloud: SimulatedCloud
    clock: FakeClock
    machine: AnyMachine
    link: Credential | None = None
    user_is_there: bool = True
    facts: tuple[ev.Event, ...] = ()
    orders: tuple[act.Action, ...] = ()
    proofs: frozenset[str] = frozenset()
    """Certificates with which a proof was published and acknowledged by the cloud."""
    summary: Hashable = ()

    # --- what the search asks ------------------------------------------------------------------

    @property
    def key(self) -> Hashable:
        return self.summary

    @property
    def is_home(self) -> bool:
        return self.machine.finished

    def moves(self) -> list[str]:
        names = [HONEST, "power cut"]
        if self.cloud.tokens:
            names.append("an hour passes")
        if self.scene.lies and self.cloud.active_certificates(SERIAL):
            names.append("certificates deleted")
        if self.scene.needs_user:
            names.append("power cut, and nobody there")
            names += ["the user leaves"] if self.user_is_there else []
        if self.orders and not self.facts:
            names += self._network_moves(self.orders[0])
        return names

    def broken_rules(self) -> list[str]:
        with self._opened() as (storage, _):
            identity = journal.load_identity(storage.ps)
            given_up = journal.load_given_up(storage.ps)
            progress = journal.load(storage.ps)
            held = getattr(progress, "certificate_id", None) or installed_id(storage)
            claim_held = CLAIM_KEY in storage.keys.keys()  # noqa: SIM118 - no dict
        active = set(self.cloud.active_certificates(SERIAL)) - set(given_up)
        rules = {
            "two identities in the cloud": len(active) > 1,
            "an ACTIVE certificate that the device does not hold": bool(
                active - {held, identity.certificate_id if identity else None}
            ),
            "promoted before it was proven": identity is not None
            and identity.certificate_id not in self.proofs,
            "promoted, and the claim is still there": identity is not None and claim_held,
            "finished without an identity": self.is_home and identity is None,
            "an identity, and a journal as well": identity is not None and progress is not None,
        }
        return [name for name, is_broken in rules.items() if is_broken]

    # --- moves ---------------------------------------------------------------------------------

    def _network_moves(self, order: act.Action) -> list[str]:
        match order:
            case act.Connect():
                return ["unreachable", "silence", *(["hung up"] if self.scene.lies else [])]
            case act.Subscribe():
                return ["cut before", "silence", "denied", "busy"]
            case act.Publish():
                return ["cut before", "cut after", "silence", "denied", "busy"]
            case act.Request(topic):
                create = "create" in topic
                lies = [*LIES, "malformed", "done, but says 503"] if self.scene.lies else []
                if self.scene.lies:
                    lies.append("another key's certificate" if create else "another thing")
                return ["cut before", "cut after", "silence", *lies]
            case act.Disconnect():
                return ["cut before", "silence"]
        return []

    def after(self, move: str, /) -> "DeviceNode":
        node = replace(
            self,
            disk=self.disk.with_file([], b""),
            cloud=copied(self.cloud),
            clock=_copied(self.clock),
            machine=copy.copy(self.machine),
        )
        match move:
            case "power cut":
                node = node.powered_on()
            case "power cut, and nobody there":
                node = node.powered_on(user_is_there=False)
            case "the user leaves":
                node = replace(node, user_is_there=False)
            case "an hour passes":
                node.cloud.age_tokens(3601.0)
            case "certificates deleted":
                node.cloud.delete_certificates(SERIAL)
            case _:
                node = node._moved(move)
        return node.summed_up()

    def _moved(self, move: str) -> "DeviceNode":
        if self.facts:
            return self._receive()
        if self.orders:
            return self._do(move)
        raise AssertionError(f"{self.machine.state} waits for nothing")

    def powered_on(self, *, user_is_there: bool = True) -> "DeviceNode":
        """Lose what is in memory; begin with what is stored. Monotonic time starts again."""
        node = replace(
            self, clock=FakeClock(self.clock.wall()), link=None, orders=(),
            user_is_there=user_is_there,
        )  # fmt: skip
        with node._opened() as (storage, work):
            is_stored = Uid.CLAIM_CERTIFICATE in storage.ps.uids()
            at_hand = user_is_there if self.scene.needs_user else is_stored
            machine = self.scene.machine(storage, at_hand)
            if journal.load_identity(storage.ps) is not None:
                machine._state = type(machine.state).PROVISIONED
                return replace(node, machine=machine, facts=())
            return replace(node, machine=machine, facts=(work.resume(),))

    def _receive(self) -> "DeviceNode":
        orders = self.machine.receive(self.facts[0])
        return replace(self, facts=self.facts[1:], orders=(*self.orders, *orders))

    def _do(self, move: str) -> "DeviceNode":
        order, node = self.orders[0], replace(self, orders=self.orders[1:])
        match order:
            case act.Fail():
                return node._failed()
            case act.WaitBeforeRetry(cause):
                return node._waited(cause)
            case act.Connect():
                return node._connect(order, move)
            case act.Subscribe() | act.Request() | act.Publish() | act.Disconnect():
                return node._talk(order, move)
        return node._carry_out(order)

    def _carry_out(self, order: act.Action) -> "DeviceNode":
        with self._opened() as (_, work):
            fact = work.carry_out(order)
        return self._told(fact) if fact is not None else self

    def _failed(self) -> "DeviceNode":
        """A person, or a timer, begins again."""
        return self.powered_on()

    def _told(self, fact: ev.Event) -> "DeviceNode":
        return replace(self, facts=(*self.facts, fact))

    def _lost(self, fact: ev.Event) -> "DeviceNode":
        return replace(self, link=None)._told(fact)

    def _waited(self, _: FirstbootError) -> "DeviceNode":
        """Time passes until a round would count; a burst of rounds changes nothing."""
        if self.scene.needs_user and not self.user_is_there:
            return self.powered_on()  # sooner or later the user comes
        if not self.cloud.tokens:
            self.cloud.clock.advance(5.0)  # a just-in-time method takes this long
        if self.scene.leaf_pem and not self.scene.just_in_time:
            self._let_the_station_register()
        with self._opened() as (storage, work):
            self.clock.advance(1.0 + spacing(len(journal.load_given_up(storage.ps))))
            return replace(self, link=None)._told(work.resume())

    def _let_the_station_register(self) -> None:
        if not self.cloud.active_certificates(SERIAL):
            self.cloud.register_leaf(self.scene.leaf_pem, SERIAL)

    def _connect(self, order: act.Connect, move: str) -> "DeviceNode":
        match move:
            case "unreachable":
                return self._lost(ev.ConnectFailed("nothing listens here"))
            case "silence":
                return self._lost(ev.TimedOut())
            case "hung up":
                return self._lost(ev.NotLetIn("hang-up"))
        with self._opened() as (storage, _):
            claims = _UsersClaim(self) if self.scene.needs_user else InstalledClaim(storage)
            identity = None
            with suppress(FirstbootError):
                identity = Credentials(storage, claims).tls_identity(order.credential)
        if identity is None:
            return self.powered_on()  # the device stops and says why; a person boots again
        leaf = leaf_of(identity.certificate_pem)
        self.cloud.meet(leaf.decode(), order.client_id)
        if not self.cloud.lets_in(certificate_id(leaf), order.client_id):
            return self._lost(ev.NotLetIn("CONNACK 0x87 not authorized"))
        return replace(self, link=order.credential)._told(ev.Connected(order.credential))

    def _talk(self, order: act.Action, move: str) -> "DeviceNode":
        match move:
            case "cut before":
                return self._lost(ev.ConnectionLost("cut"))
            case "silence":
                return self._lost(ev.TimedOut())
            case "busy":
                return self._lost(ev.NotAcknowledged("busy", "", may_succeed_later=True))
        match order:
            case act.Subscribe(names):
                denied = ev.SubscriptionDenied(names[:1])
                return self._told(denied if move == "denied" else ev.Subscribed())
            case act.Disconnect():
                return replace(self, link=None)._told(ev.Disconnected())
            case act.Publish(topic):
                return self._publish(topic, move)
            case act.Request():
                return self._request(order, move)
        raise AssertionError(order)

    def _publish(self, topic: str, move: str) -> "DeviceNode":
        if move == "denied":
            return self._told(ev.PublishDenied(topic))
        with self._opened() as (storage, _):
            held = id_in_use(storage)
        if status(self.cloud, held) != "ACTIVE":  # deleted under way: the connection ends
            return self._lost(ev.ConnectionLost("deleted"))
        node = replace(self, proofs=self.proofs | {held})
        if move == "cut after":
            return node._lost(ev.ConnectionLost("cut"))
        return node._told(ev.PublishAcknowledged())

    def _request(self, order: act.Request, move: str) -> "DeviceNode":
        if move in LIES:
            return self._told(refusal(order, move))
        if move == "malformed":
            return self._told(ev.ReplyMalformed("operation", "no JSON"))
        event = self._answer(order)
        match move, event:
            case "cut after", _:
                return self._lost(ev.ConnectionLost("cut"))
            case "done, but says 503", _:
                return self._told(refusal(order, "says 503"))
            case "another thing", ev.ThingRegistered():
                return self._told(msgspec.structs.replace(event, thing_name="SN-666"))
            case "another key's certificate", ev.CertificateIssued():
                return self._told(
                    msgspec.structs.replace(event, certificate_pem=self.cloud.claim_pem)
                )
        return self._told(event)

    def _answer(self, order: act.Request) -> ev.Event:
        return answer(self.cloud, order)

    # --- what it comes to ----------------------------------------------------------------------

    @contextmanager
    def _opened(self) -> Iterator[tuple[DeviceStorage, FirstBoot]]:
        with open_device_storage(self.scene.state, mount=self.disk.mount) as storage:
            yield storage, self._work(storage)

    def _work(self, storage: DeviceStorage) -> FirstBoot:
        return FirstBoot(lambda: self.machine, self._enrolment(Enrolment, storage), Diary())

    def _enrolment(self, kind: type[_EnrolmentT], storage: DeviceStorage) -> _EnrolmentT:
        return kind(
            storage, self.clock, method=self.scene.method, key_type=KeyType.EC_P256,
            subject=subject_name({"common_name": SERIAL}), issuer_pem=None,
        )  # fmt: skip

    def summed_up(self) -> "DeviceNode":
        """Return this node with what makes it equal to others."""
        with self._opened() as (storage, _):
            return replace(self, summary=self._summary(storage))

    def _summary(self, storage: DeviceStorage) -> Hashable:
        return summary_of(self, storage)


@dataclass(frozen=True)
class _UsersClaim:
    """A trusted user's claim, while that user is there."""

    node: DeviceNode

    def claim(self) -> TlsIdentity:
        if not self.node.user_is_there:
            raise CLAIM_MISSING.error()
        cloud = self.node.cloud
        return MemoryIdentity(cloud.claim_pem.encode(), cloud.claim_key_pem.encode())


def _copied(clock: FakeClock) -> FakeClock:
    twin = FakeClock(clock.wall())
    twin._monotonic = clock.monotonic()
    return twin
