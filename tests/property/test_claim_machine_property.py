"""Can any order of events break a rule of the claim machine?"""

from collections import Counter
from typing import Final

from hypothesis import given, settings
from hypothesis import strategies as st

from device.errors import FirstbootError
from device.errors.provisioning import UNEXPECTED_EVENT
from device.provisioning import actions as act
from device.provisioning import events as ev
from device.provisioning.claim import ClaimMachine, ClaimPlan
from device.provisioning.claim_states import TRANSITIONS, State
from device.provisioning.events import Credential
from tests.support.errors import suppressed

EVENTS: Final[tuple[ev.Event, ...]] = (
    ev.NothingStored(),
    ev.KeyFound("csr"),
    ev.StagedCertificateFound("token"),
    ev.RegistrationFound("thing", "id"),
    ev.StagedCertificateDoubted("id"),
    ev.StagedCertificateDoubted("id", "thing"),
    ev.ClockFoundBehind(0.0, 86_400.0),
    ev.KeyGenerated("csr"),
    ev.CertificateStaged(),
    ev.CertificateUnacceptable("other key"),
    ev.IdentityPromoted(claim_destroyed=True),
    ev.Connected(Credential.CLAIM),
    ev.NotLetIn("0x87"),
    ev.ConnectFailed("down"),
    ev.ConnectionLost("gone"),
    ev.Disconnected(),
    ev.Subscribed(),
    ev.SubscriptionDenied(("t",)),
    ev.PublishAcknowledged(),
    ev.PublishDenied("t"),
    ev.TimedOut(),
    ev.CertificateIssued("id", "pem", "token"),
    ev.ThingRegistered("thing", {}),
    ev.ThingRegistered("another", {}),
    ev.RequestDenied("op", 403, "c", "m"),
    ev.RequestRefused("op", 400, "c", "m"),
    ev.TokenRefused("op", 400, "c", "m"),
    ev.RequestThrottled("op", 429, "c", "m"),
    ev.ReplyMalformed("op", "x"),
)
# What helps a machine along is drawn more often, or it would hardly ever get far.
HELPFUL: Final = frozenset({
    ev.KeyGenerated, ev.Connected, ev.Subscribed, ev.CertificateIssued, ev.CertificateStaged,
    ev.ThingRegistered, ev.Disconnected, ev.PublishAcknowledged, ev.IdentityPromoted,
})  # fmt: skip
PLAN: Final = ClaimPlan("T", {}, "claim-1", "thing", "dt/{thing_name}/telemetry", 15, 30)


def run_of(data: st.DataObject) -> tuple[ClaimMachine, list[tuple[ev.Event, list[act.Action]]]]:
    """Feed a machine with drawn events; return it with what was received and ordered."""
    machine = ClaimMachine(PLAN)
    story: list[tuple[ev.Event, list[act.Action]]] = []
    for _ in range(50):
        legal = [event for event in EVENTS if type(event) in machine.transitions[machine.state]]
        helpful = [event for event in legal if type(event) in HELPFUL]
        pools = [st.sampled_from(pool) for pool in (helpful, legal, EVENTS) if pool]
        event = data.draw(st.one_of(pools))
        before = machine.state
        try:
            story.append((event, machine.receive(event)))
        except FirstbootError as error:
            assert error.row is UNEXPECTED_EVENT  # noqa: PT017 - or it is legal
            assert machine.state is before
    return machine, story


def ordered(story: list[tuple[ev.Event, list[act.Action]]]) -> list[object]:
    """Return the story as one line: each event, then its orders."""
    return [item for event, orders in story for item in (event, *orders)]


@given(st.data())
def test_nothing_is_promoted_before_it_is_proven(data: st.DataObject) -> None:
    _, story = run_of(data)
    for event, orders in story:
        if any(isinstance(order, act.Promote) for order in orders):
            assert isinstance(event, ev.PublishAcknowledged)
            assert orders == [act.Promote("thing")]


@given(st.data())
def test_the_proof_is_published_with_the_staged_certificate(data: st.DataObject) -> None:
    _, story = run_of(data)
    credential = None
    for item in ordered(story):
        if isinstance(item, act.Connect):
            credential = item.credential
        if isinstance(item, act.Publish):
            assert credential is Credential.STAGED
        if isinstance(item, act.Request):
            assert credential is Credential.CLAIM


@given(st.data())
def test_nothing_is_requested_before_the_replies_are_subscribed(data: st.DataObject) -> None:
    _, story = run_of(data)
    subscribed = False
    for item in ordered(story):
        match item:
            case act.Connect() | act.Disconnect() | act.WaitBeforeRetry():
                subscribed = False
            case ev.Subscribed():
                subscribed = True
            case act.Request():
                assert subscribed


@given(st.data())
def test_a_staged_certificate_is_dropped_only_when_it_is_doubted_and_refused_again(
    data: st.DataObject,
) -> None:
    _, story = run_of(data)
    found: ev.Event | None = None
    for event, orders in story:
        found = event if type(event) in TRANSITIONS[State.AWAITING_POWER] else found
        if act.GiveUpStagedCertificate() in orders:
            assert isinstance(event, ev.NotLetIn)
            assert isinstance(found, ev.StagedCertificateDoubted)


@given(st.data())
def test_a_round_is_a_refused_probe_a_working_claim_and_a_refused_token(
    data: st.DataObject,
) -> None:
    _, story = run_of(data)
    seen: list[type[ev.Event]] = []
    for event, orders in story:
        seen.append(type(event))
        if act.RecordRefusal() in orders:
            assert seen[-4:-1] == [ev.NotLetIn, ev.Connected, ev.Subscribed]
            assert isinstance(event, ev.TokenRefused)


@given(st.data())
def test_a_name_that_nobody_expects_is_never_used(data: st.DataObject) -> None:
    _, story = run_of(data)
    for item in ordered(story):
        if isinstance(item, act.Connect | act.RecordRegistration):
            assert "another" not in repr(item)


@given(st.data())
def test_a_stopped_machine_says_nothing_more(data: st.DataObject) -> None:
    machine, story = run_of(data)
    if machine.state in {State.FAILED, State.PROVISIONED}:
        for event in EVENTS:
            with suppressed(UNEXPECTED_EVENT):
                raise AssertionError(machine.receive(event))
    assert len([1 for _, orders in story if act.Promote("thing") in orders]) <= 1


def test_the_runs_above_get_far() -> None:
    """A property that never reaches the interesting state says nothing."""
    reached: Counter[State] = Counter()

    @settings(max_examples=200, database=None, derandomize=True)
    @given(st.data())
    def count(data: st.DataObject) -> None:
        machine, _ = run_of(data)
        reached[machine.state] += 1

    count()
    assert reached[State.PROVISIONED] >= 20, reached
    assert reached[State.FAILED] >= 20, reached
