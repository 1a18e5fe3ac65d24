"""Does each row of the claim machine's table do what it says?"""

import json

import pytest
from msgspec.structs import replace

from device.errors import ExitCode
from device.errors.provisioning import (
    CERTIFICATE_GIVEN_UP,
    CERTIFICATE_IN_DOUBT,
    CLOCK_BEHIND,
    CLOUD_REJECTED,
    NOT_LET_IN,
    TAKEN_OVER,
    UNEXPECTED_EVENT,
    UNEXPECTED_THING_NAME,
)
from device.provisioning import actions as act
from device.provisioning import events as ev
from device.provisioning.claim import ClaimMachine, ClaimPlan
from device.provisioning.claim_states import (
    AWAITING_REPLY,
    CONNECTING,
    TRANSITIONS,
    TRANSITIONS_WITH_AWS_KEYS,
    State,
)
from device.provisioning.events import Credential
from tests.support.errors import raises

PLAN = ClaimPlan(
    template_name="T",
    parameters={"SerialNumber": "SN-1"},
    claim_client_id="claim-SN-1",
    expected_thing_name="SN-1",
    proof_topic="dt/{thing_name}/telemetry",
    reply_timeout=15.0,
    connect_timeout=30.0,
)
ISSUED = ev.CertificateIssued("id", "pem", "token")


def fed(*events: ev.Event, plan: ClaimPlan = PLAN) -> tuple[ClaimMachine, list[act.Action]]:
    """Return a machine that received ``events``, and the orders that the last one led to."""
    machine, orders = ClaimMachine(plan), []
    for event in events:
        orders = machine.receive(event)
    return machine, orders


TO_REQUEST = (
    ev.NothingStored(),
    ev.KeyGenerated("csr"),
    ev.Connected(Credential.CLAIM),
    ev.Subscribed(),
)
TO_REGISTER = (*TO_REQUEST, ISSUED, ev.CertificateStaged())
TO_PROVE = (
    *TO_REGISTER,
    ev.ThingRegistered("SN-1", {"a": "b"}),
    ev.Disconnected(),
    ev.Connected(Credential.STAGED),
)


def test_the_way_from_nothing_to_proven() -> None:
    machine = ClaimMachine(PLAN)
    kinds = [
        [type(order).__name__ for order in machine.receive(event)]
        for event in (*TO_PROVE, ev.PublishAcknowledged(), ev.IdentityPromoted(True))
    ]
    assert kinds == [
        ["GenerateKey"],
        ["Connect"],
        ["Subscribe"],
        ["Request"],
        ["StageCertificate"],
        ["Request"],
        ["RecordRegistration", "Disconnect"],
        ["Connect"],
        ["Publish"],
        ["Promote"],
        [],
    ]
    assert machine.finished


def test_all_reply_topics_are_subscribed_in_one_packet() -> None:
    _, orders = fed(*TO_REQUEST[:3])
    assert orders == [
        act.Subscribe(
            (
                "$aws/certificates/create-from-csr/json/accepted",
                "$aws/certificates/create-from-csr/json/rejected",
                "$aws/provisioning-templates/T/provision/json/accepted",
                "$aws/provisioning-templates/T/provision/json/rejected",
            )
        )
    ]


def test_the_request_carries_the_csr() -> None:
    _, orders = fed(*TO_REQUEST)
    topic, payload = (
        "$aws/certificates/create-from-csr/json",
        b'{"certificateSigningRequest":"csr"}',
    )
    assert orders == [act.Request(topic, payload)]


def test_registering_carries_the_token_and_the_parameters() -> None:
    _, orders = fed(*TO_REGISTER)
    payload = b'{"certificateOwnershipToken":"token","parameters":{"SerialNumber":"SN-1"}}'
    assert orders == [act.Request("$aws/provisioning-templates/T/provision/json", payload)]


def test_the_device_connects_under_the_name_the_cloud_gave_it() -> None:
    registered = ev.ThingRegistered("another-name", {})
    plan = replace(PLAN, named_by_cloud=True)
    machine, orders = fed(*TO_REGISTER, registered, ev.Disconnected(), plan=plan)
    assert orders == [act.Connect(Credential.STAGED, "another-name")]
    assert machine.receive(ev.Connected(Credential.STAGED)) == [
        act.Publish(
            "dt/another-name/telemetry", b'{"event":"identity-proven","thing":"another-name"}'
        )
    ]


def test_with_aws_keys_there_is_no_key_to_make() -> None:
    plan = replace(PLAN, keys_made_by_aws=True)
    events = (ev.NothingStored(), ev.Connected(Credential.CLAIM), ev.Subscribed())
    _, orders = fed(*events, plan=plan)
    assert orders == [act.Request("$aws/certificates/create/json", b"{}")]


@pytest.mark.parametrize(
    ("stored", "connect"),
    [
        (ev.KeyFound("csr"), act.Connect(Credential.CLAIM, "claim-SN-1")),
        (ev.StagedCertificateFound("token"), act.Connect(Credential.STAGED, "SN-1")),
        (ev.StagedCertificateDoubted("id"), act.Connect(Credential.STAGED, "SN-1")),
        (ev.StagedCertificateDoubted("id", "thing"), act.Connect(Credential.STAGED, "thing")),
        (ev.RegistrationFound("thing", "id"), act.Connect(Credential.STAGED, "thing")),
    ],
)
def test_power_returns(stored: ev.Event, connect: act.Connect) -> None:
    _, orders = fed(stored)
    assert orders == [connect]


def test_a_staged_certificate_that_is_let_in_is_registered() -> None:
    _, orders = fed(ev.StagedCertificateFound("token"), ev.Connected(Credential.STAGED))
    assert orders[0] == act.RecordRegistration("SN-1", None)
    assert isinstance(orders[1], act.Publish)


def test_a_staged_certificate_that_is_not_let_in_is_registered_with_its_token() -> None:
    events = (
        ev.StagedCertificateFound("saved"),
        ev.NotLetIn("0x87"),
        ev.Connected(Credential.CLAIM),
        ev.Subscribed(),
    )
    machine, orders = fed(*events)
    assert machine.state is State.REDEEMING_SAVED_TOKEN
    assert isinstance(orders[0], act.Request)
    assert b'"saved"' in orders[0].payload


REFUSED = ev.TokenRefused("RegisterThing", 400, "InvalidCertificateOwnershipToken", "expired")
FOUND = [ev.StagedCertificateFound("saved", "", "id"), ev.RegistrationFound("SN-1", "id", "saved")]


@pytest.mark.parametrize("found", FOUND, ids=lambda one: type(one).__name__)
def test_a_saved_token_that_is_refused_is_a_round_of_evidence(found: ev.Event) -> None:
    events = (found, ev.NotLetIn("0x87"), ev.Connected(Credential.CLAIM), ev.Subscribed(), REFUSED)
    _, orders = fed(*events)
    record, wait = orders
    assert record == act.RecordRefusal()
    assert isinstance(wait, act.WaitBeforeRetry)
    assert wait.cause.row is CERTIFICATE_IN_DOUBT
    assert wait.cause.exit_code is ExitCode.TRY_LATER


@pytest.mark.parametrize("event", [ev.ConnectFailed("x"), ev.TimedOut(), ev.ConnectionLost("x")])
def test_a_network_fault_at_the_probe_says_nothing(event: ev.Event) -> None:
    for found in (*FOUND, ev.StagedCertificateDoubted("id")):
        _, orders = fed(found, event)
        assert [type(order) for order in orders] == [act.WaitBeforeRetry]


def test_a_doubted_certificate_is_given_up_only_after_it_was_tried_again() -> None:
    _, orders = fed(ev.StagedCertificateDoubted("id"), ev.NotLetIn("0x87"))
    give_up, wait = orders
    assert give_up == act.GiveUpStagedCertificate()
    assert isinstance(wait, act.WaitBeforeRetry)
    assert wait.cause.row is CERTIFICATE_GIVEN_UP
    assert "aws iot update-certificate" in wait.cause.next_step


def test_a_doubted_certificate_that_is_let_in_is_proven() -> None:
    _, orders = fed(ev.StagedCertificateDoubted("id"), ev.Connected(Credential.STAGED))
    assert [type(order) for order in orders] == [act.RecordRegistration, act.Publish]


def test_a_token_that_is_refused_at_once_gives_up_nothing() -> None:
    _, orders = fed(*TO_REGISTER, REFUSED)
    assert [type(order) for order in orders] == [act.WaitBeforeRetry]


@pytest.mark.parametrize(
    ("refusal", "is_a_round"),
    [
        (ev.RequestRefused("RegisterThing", 400, "NeverHeardOfIt", ""), True),
        (ev.RequestRefused("RegisterThing", 400, "InvalidTemplate", ""), False),
        (ev.RequestRefused("RegisterThing", 400, "ProvisioningFailed", ""), False),
        (ev.RequestDenied("RegisterThing", 403, "AccessDenied", ""), False),
        (ev.RequestThrottled("RegisterThing", 429, "Throttling", ""), False),
    ],
)
def test_only_words_about_the_token_are_evidence(refusal: ev.Event, *, is_a_round: bool) -> None:
    events = (FOUND[0], ev.NotLetIn("0x87"), ev.Connected(Credential.CLAIM), ev.Subscribed())
    _, orders = fed(*events, refusal)
    assert (act.RecordRefusal() in orders) is is_a_round
    assert isinstance(orders[-1], act.WaitBeforeRetry)


def test_without_a_claim_a_refused_certificate_is_tried_again() -> None:
    (wait,) = fed(FOUND[0], ev.NotLetIn("x"), plan=replace(PLAN, claim_at_hand=False))[1]
    assert isinstance(wait, act.WaitBeforeRetry)
    assert wait.cause.exit_code is ExitCode.TRY_LATER, "a hang-up is not a denial"


def sent(*events: ev.Event, parameters: dict[str, str]) -> dict[str, str]:
    """Return the parameters of the RegisterThing that follows ``events``."""
    (request,) = fed(*events, plan=replace(PLAN, parameters=parameters))[1]
    assert isinstance(request, act.Request)
    found: dict[str, str] = json.loads(request.payload)["parameters"]
    return found


def test_what_was_given_up_is_told_where_the_settings_ask_for_it() -> None:
    staged = (*TO_REQUEST, ISSUED, ev.CertificateStaged("", ("a", "b")))
    asked = {"SerialNumber": "SN-1", "GivenUp": "{given_up}"}
    assert sent(*staged, parameters=asked) == {"SerialNumber": "SN-1", "GivenUp": "a,b"}
    assert sent(*staged, parameters={"SerialNumber": "SN-1"}) == {"SerialNumber": "SN-1"}


def test_where_nothing_was_given_up_the_template_need_not_know_the_parameter() -> None:
    asked = {"SerialNumber": "SN-1", "GivenUp": "{given_up}"}
    assert sent(*TO_REGISTER, parameters=asked) == {"SerialNumber": "SN-1"}


def test_another_thing_name_is_not_adopted() -> None:
    machine, orders = fed(*TO_REGISTER, ev.ThingRegistered("SN-2", {}))
    assert machine.state is State.FAILED
    (fail,) = orders
    assert isinstance(fail, act.Fail)
    assert fail.cause.row is UNEXPECTED_THING_NAME
    assert "SN-2" in str(fail.cause)
    assert "SN-1" in str(fail.cause)
    assert "thing_name" in fail.cause.next_step


REGISTER = "$aws/provisioning-templates/T/provision/json"
THING = b'{"thingName":"SN-1","deviceConfiguration":{}}'


@pytest.mark.parametrize(
    "topic",
    [
        "$aws/provisioning-templates/OTHER/provision/json/accepted",
        "$aws/provisioning-templates/T/provision/cbor/accepted",
        "$aws/certificates/create-from-csr/json/accepted",
        "$aws/certificates/create/json/rejected",
        "dt/SN-1/telemetry",
    ],
)
def test_a_reply_to_another_request_is_none(topic: str) -> None:
    machine, _ = fed(*TO_REGISTER)
    assert machine.reply_in(ev.MessageReceived(topic, THING)) is None


def test_a_reply_is_taken_only_while_its_request_is_in_flight() -> None:
    reply = ev.MessageReceived(f"{REGISTER}/accepted", THING)
    machine, _ = fed(*TO_REGISTER)
    assert machine.reply_in(reply) == ev.ThingRegistered("SN-1", {})
    assert fed(*TO_REQUEST)[0].reply_in(reply) is None
    assert fed(*TO_PROVE)[0].reply_in(reply) is None


def test_a_takeover_says_who_to_look_for() -> None:
    (wait,) = fed(*TO_PROVE, ev.ConnectionLost("DISCONNECT 0x8E", taken_over=True))[1]
    assert isinstance(wait, act.WaitBeforeRetry)
    assert wait.cause.row is TAKEN_OVER
    assert "list-thing-principals" in wait.cause.next_step


def test_a_clock_that_is_behind_waits_and_keeps_the_certificate() -> None:
    (wait,) = fed(*TO_REQUEST, ISSUED, ev.ClockFoundBehind(0.0, 86_400.0))[1]
    assert isinstance(wait, act.WaitBeforeRetry)
    assert wait.cause.row is CLOCK_BEHIND


def test_a_retry_remembers_nothing() -> None:
    machine, _ = fed(*TO_REGISTER, ev.ConnectionLost("x"), ev.KeyFound("csr"))
    machine.receive(ev.Connected(Credential.CLAIM))
    (request,) = machine.receive(ev.Subscribed())
    assert isinstance(request, act.Request)
    assert request.topic.startswith("$aws/certificates/")


def test_a_denied_claim_names_the_claim() -> None:
    _, orders = fed(*TO_REQUEST[:2], ev.NotLetIn("hang-up"))
    (wait,) = orders
    assert isinstance(wait, act.WaitBeforeRetry)
    assert wait.cause.row is NOT_LET_IN
    assert wait.cause.fields["credential"] is Credential.CLAIM


def test_a_denied_hook_stops() -> None:
    denied = ev.RequestDenied("RegisterThing", 403, "AccessDenied", "Access Denied")
    machine, orders = fed(*TO_REGISTER, denied)
    assert machine.state is State.FAILED
    (fail,) = orders
    assert isinstance(fail, act.Fail)
    assert fail.cause.row is CLOUD_REJECTED
    assert "hook" in fail.cause.next_step


def test_an_event_without_a_row_changes_nothing() -> None:
    machine, _ = fed(*TO_REQUEST)
    with raises(UNEXPECTED_EVENT) as raised:
        machine.receive(ev.PublishAcknowledged())
    assert machine.state is State.REQUESTING_CERTIFICATE
    assert raised.value.fields["state"] == "REQUESTING_CERTIFICATE"


@pytest.mark.parametrize("table", [TRANSITIONS, TRANSITIONS_WITH_AWS_KEYS])
def test_every_state_has_a_row_and_a_way_to_an_end(
    table: dict[State, dict[type[ev.Event], State]],
) -> None:
    assert set(table) == set(State)
    can_end = {State.PROVISIONED, State.FAILED}
    for _ in State:
        can_end |= {state for state in State if can_end & set(table[state].values())}
    assert can_end == set(State)


def test_every_state_that_waits_for_the_network_has_a_time_limit() -> None:
    for state in CONNECTING | AWAITING_REPLY:
        assert ev.TimedOut in TRANSITIONS[state], state
    for state in set(State) - CONNECTING - AWAITING_REPLY:
        assert ev.TimedOut not in TRANSITIONS[state], state


def test_every_failure_has_words() -> None:
    """Each event that leads to a wait or a stop becomes an error with a next step."""
    samples: dict[type[ev.Event], ev.Event] = {
        ev.NotLetIn: ev.NotLetIn("x"),
        ev.ConnectFailed: ev.ConnectFailed("x"),
        ev.ConnectionLost: ev.ConnectionLost("x"),
        ev.TimedOut: ev.TimedOut(),
        ev.NotAcknowledged: ev.NotAcknowledged("x", "y", may_succeed_later=True),
        ev.ReplyMalformed: ev.ReplyMalformed("op", "x"),
        ev.SubscriptionDenied: ev.SubscriptionDenied(("t",)),
        ev.PublishDenied: ev.PublishDenied("t"),
        ev.ClockFoundBehind: ev.ClockFoundBehind(0.0, 1.0),
        ev.UnexpectedThingNamed: ev.UnexpectedThingNamed("a", "b"),
        ev.CertificateUnacceptable: ev.CertificateUnacceptable("x"),
        ev.RequestThrottled: ev.RequestThrottled("op", 429, "c", "m"),
        ev.RequestDenied: ev.RequestDenied("op", 403, "c", "m"),
        ev.RequestRefused: ev.RequestRefused("op", 400, "c", "m"),
        ev.TokenRefused: ev.TokenRefused("op", 400, "c", "m"),
    }
    for state, row in TRANSITIONS.items():
        for event, after in row.items():
            if after in {State.WAITING_TO_RETRY, State.FAILED}:
                machine = ClaimMachine(PLAN)
                machine._state = state
                order = machine.receive(samples[event])[-1]
                assert isinstance(order, act.WaitBeforeRetry | act.Fail)
                assert str(order.cause)
                assert order.cause.next_step
