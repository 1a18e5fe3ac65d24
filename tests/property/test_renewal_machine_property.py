"""The renewal machine under any order of events: what it may never do, and where it always ends."""

from collections import deque

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from device.errors import FirstbootError
from device.errors.provisioning import UNEXPECTED_EVENT
from device.errors.renewal import RENEWED_CERTIFICATE_REFUSED
from device.provisioning import actions as act
from device.provisioning import events as ev
from device.provisioning import renewal_events as re
from device.provisioning.events import Credential
from device.provisioning.renewal import RenewalMachine, RenewalPlan
from device.provisioning.renewal_states import AWAITING_REPLY, CONNECTING, TRANSITIONS, State
from tests.support.effort import examples
from tests.support.errors import suppressed

OLD, NEW = "a" * 64, "b" * 64
PLAN = RenewalPlan(
    thing_name="SN-1",
    certificate_id=OLD,
    template_name="firstboot-renewal",
    birth_client_id=None,
    proof_client_id="renew-SN-1",
    method="claim",
    serial="SN-1",
    expired_at=None,
    reply_timeout=15.0,
    connect_timeout=20.0,
)
EVENTS: tuple[ev.Event, ...] = (
    ev.NothingStored(),
    ev.KeyFound("csr"),
    ev.StagedCertificateFound("token", certificate_id=NEW),
    ev.RegistrationFound("SN-1", NEW, "token"),
    ev.StagedCertificateDoubted(NEW),
    re.RetirementFound(OLD),
    re.NothingLeft(),
    ev.KeyGenerated("csr"),
    ev.Connected(Credential.DEVICE),
    ev.Connected(Credential.STAGED),
    ev.NotLetIn("no"),
    ev.ConnectFailed("nobody"),
    ev.ConnectionLost("gone"),
    ev.Disconnected(),
    ev.Subscribed(),
    ev.SubscriptionDenied(("t",)),
    ev.PublishDenied("t"),
    ev.NotAcknowledged("busy", "wait", may_succeed_later=True),
    ev.TimedOut(),
    ev.CertificateIssued(NEW, "pem", "token"),
    ev.CertificateStaged(),
    ev.CertificateUnacceptable("bad"),
    ev.ClockFoundBehind(0.0, 1.0),
    ev.ThingRegistered("SN-1", {}),
    ev.ThingRegistered("SN-2", {}),
    ev.RequestDenied("RegisterThing", 403, "AccessDenied", ""),
    ev.RequestRefused("RegisterThing", 400, "InvalidTemplate", ""),
    ev.TokenRefused("RegisterThing", 400, "InvalidCertificateOwnershipToken", ""),
    ev.RequestThrottled("RegisterThing", 429, "Throttled", ""),
    ev.ReplyMalformed("RegisterThing", "bad"),
    re.RenewalConfirmed(NEW),
    re.OtherCertificateConfirmed(NEW, OLD),
    re.RenewalRefused("no"),
    re.CertificateRetired(OLD),
    ev.IdentityPromoted(claim_destroyed=False),
    re.HandedOver(),
    re.RolledBack(),
)


class HonestWorld:
    """A cloud and a storage that do what a machine orders, from whatever they hold."""

    def __init__(self) -> None:
        self.progress: ev.Event | None = None
        self.to_retire: list[str] = []
        self.is_wanted = True
        self.is_registered = False
        self.identity = OLD

    def stored(self) -> ev.Event:
        if self.progress is not None:
            return self.progress
        if self.to_retire:
            return re.RetirementFound(self.to_retire[0])
        return ev.NothingStored() if self.is_wanted else re.NothingLeft()

    def answer(self, order: act.Action, state: State) -> ev.Event | None:  # noqa: C901, PLR0912 - one row an order
        match order:
            case act.GenerateKey():
                self.progress = ev.KeyFound("csr")
                return ev.KeyGenerated("csr")
            case act.Connect(Credential.STAGED) if not self.is_registered:
                return ev.NotLetIn("CONNACK 0x87")
            case act.Connect(credential):
                return ev.Connected(credential)
            case act.Subscribe():
                return ev.Subscribed()
            case act.Disconnect():
                return ev.Disconnected()
            case act.StageCertificate():
                self.progress = ev.StagedCertificateFound("token", certificate_id=NEW)
                return ev.CertificateStaged()
            case act.RecordRegistration():
                self.progress = ev.RegistrationFound("SN-1", NEW, "token")
            case act.Request(topic):
                return self._reply(topic, state)
            case act.Promote():
                self.to_retire.append(self.identity)
                self.identity, self.progress, self.is_wanted = NEW, None, False
                return ev.IdentityPromoted(claim_destroyed=False)
            case re.HandOver():
                return re.HandedOver()
            case re.RecordRetired(identifier):
                self.to_retire = [each for each in self.to_retire if each != identifier]
            case re.RollBack():
                self.progress, self.is_wanted, self.is_registered = None, False, False
                return re.RolledBack()
            case re.LookAgain() | act.WaitBeforeRetry():
                return self.stored()
        return None

    def _reply(self, topic: str, state: State) -> ev.Event:
        if topic.startswith("$aws/certificates"):
            return ev.CertificateIssued(NEW, "pem", "token")
        if topic.startswith("$aws/provisioning"):
            self.is_registered = True
            return ev.ThingRegistered("SN-1", {})
        if state is State.PROVING_CERTIFICATE:
            return re.RenewalConfirmed(NEW)
        return re.CertificateRetired(self.to_retire[0])


def run_home(machine: RenewalMachine, world: HonestWorld, first: ev.Event) -> int:
    """Let the honest world answer until the machine has ended; return the number of events."""
    facts, seen = deque([first]), 0
    while not machine.finished:
        assert seen < 200, f"it goes in circles in {machine.state}"
        seen += 1
        for order in machine.receive(facts.popleft()):
            if isinstance(order, act.Fail):
                raise order.cause
            fact = world.answer(order, machine.state)
            facts.extend([fact] if fact is not None else [])
    return seen


STORING = (
    act.GenerateKey, act.StageCertificate, act.RecordRegistration, act.Promote, re.RollBack,
    re.RecordRetired,
)  # fmt: skip


def reached(events: list[ev.Event], world: HonestWorld) -> list[act.Action]:
    """Let a machine see those of ``events`` that can happen; ``world`` stores what it orders."""
    machine, orders = RenewalMachine(PLAN), []
    for event in events:
        try:
            ordered = machine.receive(event)
        except FirstbootError as error:
            assert error.row is UNEXPECTED_EVENT  # noqa: PT017 - or it is legal
            continue
        for order in ordered:
            if isinstance(order, STORING):
                world.answer(order, machine.state)
        orders += ordered
    return orders


@given(st.lists(st.sampled_from(EVENTS), max_size=60))
def test_nothing_is_promoted_without_a_confirmation(events: list[ev.Event]) -> None:
    machine, promoted = RenewalMachine(PLAN), []
    for event in events:
        try:
            orders = machine.receive(event)
        except FirstbootError as error:
            assert error.row is UNEXPECTED_EVENT  # noqa: PT017 - or it is legal
            continue
        if any(isinstance(order, act.Promote) for order in orders):
            promoted.append(event)
    assert all(isinstance(event, re.RenewalConfirmed) for event in promoted)


@given(st.lists(st.sampled_from(EVENTS), max_size=60))
def test_the_current_certificate_is_never_asked_to_be_retired_before_the_promotion(
    events: list[ev.Event],
) -> None:
    """Only the storage says what else is to be retired, and that is not the current one."""
    others = [event for event in events if not isinstance(event, re.RetirementFound)]
    kinds = [type(order) for order in reached(others, HonestWorld())]
    retired = [at for at, kind in enumerate(kinds) if kind is re.RecordRetired]
    assert all(act.Promote in kinds[:at] for at in retired)


@pytest.mark.parametrize("state", [state for state in State if state is not State.ENDED])
def test_every_state_can_be_left(state: State) -> None:
    assert TRANSITIONS[state]


@pytest.mark.parametrize("state", [each for each in State if each in AWAITING_REPLY | CONNECTING])
def test_every_wait_for_the_cloud_ends_by_a_time_out(state: State) -> None:
    assert ev.TimedOut in TRANSITIONS[state]


def test_an_honest_cloud_leads_to_the_new_certificate() -> None:
    world = HonestWorld()
    run_home(RenewalMachine(PLAN), world, world.stored())

    assert (world.identity, world.to_retire) == (NEW, [])


@settings(max_examples=examples(300))
@given(st.lists(st.sampled_from(EVENTS), max_size=60), st.booleans())
def test_from_every_reachable_state_an_honest_cloud_leads_to_one_identity(
    events: list[ev.Event], is_registered: bool
) -> None:
    """Power fails wherever the events led; then the cloud answers as it should."""
    world = HonestWorld()
    reached(events, world)
    world.is_registered |= is_registered

    with suppressed(RENEWED_CERTIFICATE_REFUSED):  # it was in doubt, and is rolled back
        run_home(
            RenewalMachine(replace(PLAN, certificate_id=world.identity)), world, world.stored()
        )

    assert (world.progress, world.to_retire) == (None, [])
    assert world.identity in {OLD, NEW}


def test_every_state_is_reached_by_some_order_of_events() -> None:
    """The states are counted, so that a row that nothing leads to is seen."""
    seen, front = {State.AWAITING_POWER}, deque([State.AWAITING_POWER])
    while front:
        for state in TRANSITIONS[front.popleft()].values():
            if state not in seen:
                seen.add(state)
                front.append(state)
    assert seen == set(State)
    assert len(seen) == 25


@pytest.mark.parametrize("state", State)
def test_every_row_gives_orders_and_no_other_error(state: State) -> None:
    for event in EVENTS:
        machine = RenewalMachine(PLAN)
        machine._state = state
        try:
            machine.receive(event)
        except FirstbootError as error:
            assert error.row is UNEXPECTED_EVENT  # noqa: PT017 - or it is legal
            assert type(event) not in TRANSITIONS[state]
