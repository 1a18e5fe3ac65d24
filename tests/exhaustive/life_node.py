"""A node of the searches after the first boot: renewal, recovery by the birth certificate, reset.

A device that is proven renews; one that was reset boots first. Home is a device with another
certificate than before, whose former one is retired.
"""

import json
from collections.abc import Hashable, Mapping
from dataclasses import dataclass, replace
from itertools import groupby

from device.config.device_plan import renewal_plan
from device.errors import FirstbootError
from device.errors.renewal import RECOVERY_REFUSED
from device.lifecycle import journal
from device.lifecycle.journal import Identity, Keyed, Registered, Staged
from device.lifecycle.reset import reset
from device.provisioning import actions as act
from device.provisioning import events as ev
from device.provisioning import renewal_messages
from device.provisioning.events import Credential
from device.provisioning.renewal import RenewalMachine, RenewalPlan
from device.provisioning.renewal_states import State
from device.runtime.first_boot import FirstBoot
from device.runtime.renewal import Renewal
from device.runtime.renewal_enrolment import RenewalEnrolment
from device.storage.device_storage import DeviceStorage
from device.storage.keys import BIRTH_KEY, CLAIM_KEY
from tests.exhaustive.cloud import status
from tests.exhaustive.device_node import SERIAL, DeviceNode
from tests.exhaustive.search import HONEST
from tests.exhaustive.summary import summary_of
from tests.support.clock import FakeClock
from tests.support.worlds import Diary

_REMEMBERED = ("_new", "_retires", "_current")
"""Certificates that a `RenewalMachine` names."""


@dataclass(frozen=True)
class LifeNode(DeviceNode):
    """See the module."""

    is_wanted: bool = True
    """Whether a new certificate is wanted; in memory, as `RenewalEnrolment` has it."""
    recovers: bool = False

    # --- what the search asks ------------------------------------------------------------------

    @property
    def is_home(self) -> bool:
        if self.machine.state is not State.ENDED or self.orders:
            return False
        with self._opened() as (storage, _):
            identity = journal.load_identity(storage.ps)
        return identity is not None and not self._is_dead(identity)

    def moves(self) -> list[str]:
        names = [HONEST, "power cut"]
        with self._opened() as (storage, _):
            identity, progress = journal.load_identity(storage.ps), journal.load(storage.ps)
        names += ["reset"] if self.scene.resets else []
        names += ["an hour passes"] if self.cloud.tokens else []
        new = getattr(progress, "certificate_id", "")
        is_new = status(self.cloud, new) == "ACTIVE" and new not in self.proofs
        if self.scene.lies and identity and is_new:
            names.append("the new certificate is deleted")
        if self.scene.has_birth_certificate and identity:
            names.append("ACTIVE again" if self._is_dead(identity) else "set INACTIVE")
        if self.orders and not self.facts:
            names += self._network_moves(self.orders[0])
        return names

    def broken_rules(self) -> list[str]:
        with self._opened() as (storage, _):
            identity, progress = journal.load_identity(storage.ps), journal.load(storage.ps)
            to_retire, given_up = (
                journal.load_to_retire(storage.ps),
                journal.load_given_up(storage.ps),
            )
            keys = set(storage.keys.keys()) - {BIRTH_KEY, CLAIM_KEY}
        active = set(self.cloud.active_certificates(SERIAL)) - set(given_up)
        held = {
            getattr(progress, "certificate_id", ""),
            identity.certificate_id if identity else "",
        }
        wanted_keys = {each.key for each in (identity, progress) if each}
        rules = {
            "an ACTIVE certificate that the device does not know": bool(
                active - held - set(to_retire)
            ),
            "more than two ACTIVE certificates": len(active) > 2,
            "the identity does not work": identity is not None
            and not self.scene.has_birth_certificate
            and not self.cloud.lets_in(identity.certificate_id, SERIAL),
            "promoted before it was confirmed": identity is not None
            and identity.certificate_id not in self.proofs,
            "a key that nothing names, or a name without its key": keys != wanted_keys,
            "home with a second certificate": self.is_home
            and (active != held - {""} or progress is not None or bool(to_retire)),
        }
        return [name for name, is_broken in rules.items() if is_broken]

    # --- moves ---------------------------------------------------------------------------------

    def _network_moves(self, order: act.Action) -> list[str]:
        match order:
            case act.Request(topic) if topic.startswith("firstboot/renewal/"):
                names = ["cut before", "cut after", "silence", "denied"]
                lies = ["malformed"]
                if self.machine.state is State.PROVING_CERTIFICATE:
                    lies += ["says no", "another certificate"]
                return [*names, *(lies if self.scene.lies else [])]
        return super()._network_moves(order)

    def _moved(self, move: str) -> DeviceNode:
        match move:
            case "reset":
                return self._reset()
            case "the new certificate is deleted":
                with self._opened() as (storage, _):
                    progress = journal.load(storage.ps)
                del self.cloud.certificates[getattr(progress, "certificate_id", "")]
                return self
            case "set INACTIVE" | "ACTIVE again":
                return self._set("INACTIVE" if move == "set INACTIVE" else "ACTIVE")
        if not self.facts and not self.orders:
            return self.powered_on()  # booted after a reset: a renewal begins
        return super()._moved(move)

    def _reset(self) -> DeviceNode:
        with self._opened() as (storage, _):
            reset(storage)
        return self.powered_on()

    def _set(self, wanted: str) -> DeviceNode:
        with self._opened() as (storage, _):
            identity = journal.load_identity(storage.ps)
        assert identity is not None
        self.cloud.deactivate(identity.certificate_id, wanted)
        self.cloud.clock.advance(1.0)
        return self

    def powered_on(self, *, user_is_there: bool = True) -> DeviceNode:
        node = replace(
            self, clock=FakeClock(self.clock.wall()), link=None, orders=(), facts=(), is_wanted=True
        )
        with node._opened() as (storage, _):
            identity = journal.load_identity(storage.ps)
            if identity is not None:
                recovers = self.scene.has_birth_certificate and self._is_dead(identity)
                node = replace(node, recovers=recovers)
                machine = RenewalMachine(node._plan(identity))
        if identity is None:
            return DeviceNode.powered_on(node)
        with node._opened() as (_, work):
            return replace(node, machine=machine, facts=(work.resume(),))

    def _waited(self, cause: FirstbootError) -> DeviceNode:
        """After many waits `device run` looks again whether its certificate is dead."""
        if cause.row is RECOVERY_REFUSED:
            self._do_what_the_report_says()
        with self._opened() as (storage, _):
            identity = journal.load_identity(storage.ps)
        if (
            identity
            and self.scene.has_birth_certificate
            and self._is_dead(identity) != self.recovers
        ):
            return self.powered_on()
        return super()._waited(cause)

    def _failed(self) -> DeviceNode:
        """Begin again; if the cloud refused to have the device back, after a person's work."""
        if self.recovers:
            self._do_what_the_report_says()
        return self.powered_on()

    def _do_what_the_report_says(self) -> None:
        """Set INACTIVE what FB-447's audit names: certificates that are still good."""
        for each in set(self.cloud.active_certificates(SERIAL)) - self._names():
            self.cloud.deactivate(each)
            self.cloud.clock.advance(1.0)

    def _names(self) -> set[str]:
        """Return the ids of the certificates that the device could connect with."""
        with self._opened() as (storage, _):
            identity, progress = journal.load_identity(storage.ps), journal.load(storage.ps)
        return {
            each.certificate_id
            for each in (identity, progress)
            if not isinstance(each, Keyed | None)
        }

    def _carry_out(self, order: act.Action) -> DeviceNode:
        with self._opened() as (_, work):
            fact = work.carry_out(order)
        node = self
        if isinstance(work, Renewal):
            kept = work._renewals
            node = replace(self, is_wanted=kept.is_wanted, recovers=kept.recovers)
        return node._told(fact) if fact is not None else node

    # --- the cloud -----------------------------------------------------------------------------

    def _request(self, order: act.Request, move: str) -> DeviceNode:
        if status(self.cloud, self._principal()) != "ACTIVE":
            return self._lost(ev.ConnectionLost("its certificate is not ACTIVE any more"))
        if order.topic.startswith("firstboot/renewal/"):
            return self._ask(order, move)
        return super()._request(order, move)

    def _principal(self) -> str:
        with self._opened() as (storage, _):
            identity, progress = journal.load_identity(storage.ps), journal.load(storage.ps)
        match self.link:
            case Credential.STAGED if isinstance(progress, Staged | Registered):
                return progress.certificate_id
            case Credential.DEVICE | Credential.STAGED if identity:
                return identity.certificate_id  # STAGED: it was promoted since
            case Credential.BIRTH:
                return next(iter(self.cloud.recovery.births))
        return self.cloud.claim_id

    def _answer(self, order: act.Request) -> ev.Event:
        if "firstboot-recovery" not in order.topic:
            return super()._answer(order)
        suffix, document = self.cloud.recovery.answer(self._principal(), order.payload)
        return self._understood(f"{order.topic}/{suffix}", document)

    def _ask(self, order: act.Request, move: str) -> DeviceNode:
        if move == "denied":
            return self._told(ev.PublishDenied(order.topic))
        if move == "malformed":
            return self._told(ev.ReplyMalformed("renewal", "no JSON"))
        principal, asked = self._principal(), json.loads(order.payload)
        if move == "says no":
            said = {"step": "refused", "certificateId": principal, "reason": "no"}
        elif move == "another certificate":
            said = {"step": "confirmed", "certificateId": "e" * 64}
        else:
            said = self.cloud.renewal.answer(SERIAL, principal, asked) or {}
        node = self
        if said.get("step") == "confirmed" and said["certificateId"] == principal:
            node = replace(self, proofs=self.proofs | {principal})
        if move == "cut after" or not said:
            return node._lost(ev.ConnectionLost("cut") if said else ev.TimedOut())
        return node._told(node._understood(renewal_messages.topic_of_cloud(SERIAL), said))

    def _understood(self, topic: str, document: Mapping[str, object]) -> ev.Event:
        message = ev.MessageReceived(topic, json.dumps(document).encode())
        return self.machine.reply_in(message) or ev.TimedOut()

    def _is_dead(self, identity: Identity) -> bool:
        return not self.cloud.lets_in(identity.certificate_id, SERIAL)

    # --- what it comes to ----------------------------------------------------------------------

    def _plan(self, identity: Identity) -> RenewalPlan:
        return renewal_plan(
            self.scene.settings, SERIAL, identity.certificate_id,
            serial=SERIAL, expired_at=None, recovers=self.recovers,
        )  # fmt: skip

    def _work(self, storage: DeviceStorage) -> FirstBoot:
        identity = journal.load_identity(storage.ps)
        if identity is None:
            return super()._work(storage)
        enrolment = self._enrolment(RenewalEnrolment, storage)
        enrolment.is_wanted, enrolment.recovers = self.is_wanted, self.recovers
        plan = self._plan(identity)
        return Renewal(lambda: plan, enrolment, Diary())

    def _summary(self, storage: DeviceStorage) -> Hashable:
        identity, progress = journal.load_identity(storage.ps), journal.load(storage.ps)
        current = identity.certificate_id if identity else ""
        held = getattr(progress, "certificate_id", "")
        remembered = vars(self.machine)
        to_retire = journal.load_to_retire(storage.ps)
        named = {"": "", current: "current", held: "held", **dict.fromkeys(to_retire, "to retire")}
        return (
            type(self.machine).__name__,
            summary_of(self, storage, only_active_orphans=identity is not None),
            (self.is_wanted, self.recovers, status(self.cloud, current)),
            self._waiting_for_their_end(to_retire),
            self._would_count_a_refusal(storage, progress),
            tuple(named.get(remembered.get(each, ""), "other") for each in _REMEMBERED),
            remembered.get("_failure") is not None,
        )

    def _waiting_for_their_end(self, to_retire: tuple[str, ...]) -> tuple[str, ...]:
        """Return what of the certificates to retire is ACTIVE; dead ones in a row are as one.

        The cloud says of each in turn that it is retired, and none comes to life again.
        """
        active = set(self.cloud.active_certificates(SERIAL))
        found = ("ACTIVE" if each in active else "dead" for each in to_retire)
        return tuple(
            each for kind, run in groupby(found) for each in ([kind] if kind == "dead" else run)
        )

    def _would_count_a_refusal(
        self, storage: DeviceStorage, progress: journal.Progress | None
    ) -> bool:
        """Whether enough time has passed under power since the last round against a certificate."""
        if not isinstance(progress, Staged | Registered):
            return False
        given_up, so_far = len(journal.load_given_up(storage.ps)), progress.evidence
        return so_far.and_a_round(self.clock.monotonic(), given_up).rounds > so_far.rounds
