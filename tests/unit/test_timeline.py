"""Does the story of a boot name each thing that happened, once, and when?"""

import time

import pytest

from device.api import Device
from device.errors.provisioning import (
    CONNECTION_LOST,
    NO_REPLY,
    NOT_LET_IN,
    in_order_of_likelihood,
    not_activated_yet,
)
from device.provisioning import events as ev
from device.provisioning.claim_states import State
from device.provisioning.events import Credential
from device.provisioning.presented import State as Presented
from device.runtime.timeline import Step, Timeline
from tests.support.clock import FakeClock


@pytest.fixture
def told() -> list[Step]:
    return []


@pytest.fixture
def timeline(told: list[Step]) -> Timeline:
    return Timeline(told.append)


@pytest.mark.parametrize(
    ("event", "name", "detail"),
    [
        (ev.KeyGenerated("csr"), "key made", ""),
        (ev.Connected(Credential.CLAIM), "claim connected", ""),
        (ev.Connected(Credential.STAGED), "device connected", ""),
        (ev.Connected(Credential.DEVICE), "device connected", ""),
        (ev.NotLetIn("CONNACK 0x87"), "refused by AWS IoT", "CONNACK 0x87"),
        (ev.CertificateIssued("an-id", "pem", "token"), "certificate issued", "an-id"),
        (ev.CertificateStaged("proof"), "certificate staged", ""),
        (ev.ThingRegistered("SN-1", {}), "thing registered", "SN-1"),
        (ev.PublishAcknowledged(), "identity proven", ""),
        (ev.IdentityPromoted(claim_destroyed=True), "claim destroyed", ""),
        (ev.IdentityPromoted(claim_destroyed=False), "certificate promoted", ""),
    ],
)
def test_each_step_has_a_name(
    timeline: Timeline, told: list[Step], event: ev.Event, name: str, detail: str
) -> None:
    timeline.received(event, State.PROVISIONED)

    assert [(step.name, step.detail) for step in told] == [(name, detail)]


@pytest.mark.parametrize("event", [ev.Subscribed(), ev.Disconnected(), ev.NothingStored()])
def test_what_only_matters_inside_is_not_told(
    timeline: Timeline, told: list[Step], event: ev.Event
) -> None:
    timeline.received(event, State.PROVISIONED)

    assert told == []


def test_an_operating_device_tells_its_story(timeline: Timeline, told: list[Step]) -> None:
    timeline.add("operating")
    timeline.add("telemetry acknowledged", "message 7")
    timeline.waiting(NO_REPLY.error(step="operating"), 1.25)

    assert [(step.name, step.detail) for step in told] == [
        ("operating", ""),
        ("telemetry acknowledged", "message 7"),
        ("waiting", "1.2 s, because of FB-417: no answer while operating"),
    ]


def test_a_device_that_stays_out_says_once_what_to_do(timeline: Timeline, told: list[Step]) -> None:
    refused = NOT_LET_IN.error(
        "closed",
        credential=Credential.DEVICE,
        next_step=in_order_of_likelihood(["The certificate is INACTIVE."]),
    )
    for _ in range(4):
        timeline.waiting(refused, 1.0)

    assert [step.name for step in told] == ["waiting", "waiting", "next", "waiting", "waiting"]
    assert "INACTIVE" in told[2].detail


def test_advice_comes_again_after_an_hour(told: list[Step]) -> None:
    """However often the device came back in between: a quarrel for a name is made of that."""
    clock = FakeClock()
    timeline = Timeline(told.append, now=clock.monotonic)
    for _ in range(3 * 60):
        timeline.add("operating")
        timeline.waiting(
            CONNECTION_LOST.error("0x8E", step="operating", next_step="find the other client"), 1.0
        )
        clock.advance(61.0)

    advice = [step.detail for step in told if step.name == "next"]
    assert advice == ["find the other client"] * 3


def test_losses_that_are_hours_apart_need_no_advice(told: list[Step]) -> None:
    clock = FakeClock()
    timeline = Timeline(told.append, now=clock.monotonic)
    for _ in range(10):
        timeline.waiting(NO_REPLY.error(step="operating"), 1.0)
        clock.advance(3601.0)

    assert "next" not in [step.name for step in told]


def test_an_expected_refusal_is_one_calm_line(timeline: Timeline, told: list[Step]) -> None:
    for refusals in (1, 2, 3):
        timeline.received(ev.NotLetIn("closed"), Presented.AWAITING_ACTIVATION)
        next_step = in_order_of_likelihood(["The CA is not registered."], "Look.")
        timeline.waiting(not_activated_yet("closed", refusals, next_step), 1.5)

    assert [step.name for step in told] == ["refused by AWS IoT"] * 3
    assert "as it does while it registers a certificate" in told[0].detail
    assert told[0].detail.endswith("trying again in 1.5 s")
    assert not any("The CA" in step.detail or len(step.detail) > 220 for step in told)


def test_what_takes_long_says_how_long(timeline: Timeline, told: list[Step]) -> None:
    timeline.slow("connecting with the claim", 19.0)

    assert (told[0].name, told[0].detail) == (
        "waiting",
        "connecting with the claim, for up to 19 s",
    )


def test_times_count_from_the_start_of_the_program(told: list[Step]) -> None:
    timeline = Timeline(told.append, started=time.monotonic() - 60.0)
    timeline.add("first")
    timeline.add("second")

    assert 60_000 <= told[0].ms <= told[1].ms < 70_000


def test_no_step_shows_a_secret(timeline: Timeline, told: list[Step]) -> None:
    issued = ev.CertificateIssued("an-id", "pem", "the-token", "the-key")
    timeline.received(issued, State.STAGING_CERTIFICATE)
    timeline.received(
        ev.StagedCertificateFound("the-token", "the-proof"), State.STAGING_CERTIFICATE
    )

    assert "the-" not in repr(timeline)
    assert len(told) == 1


def test_what_is_told_in_years_at_work_is_not_kept() -> None:
    timeline = Timeline(lambda _: None)

    timeline.add("telemetry acknowledged", "message 1")

    assert [held for held in vars(timeline).values() if isinstance(held, list | dict)] == [{}, {}]


def test_a_device_keeps_its_latest_thousand_steps() -> None:
    device = Device("nowhere")
    tell = device._teller(None)
    for number in range(1_500):
        tell(Step(str(number), 0.0))

    assert [step.name for step in device.steps][::999] == ["500", "1499"]
