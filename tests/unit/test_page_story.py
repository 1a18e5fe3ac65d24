"""What the packets of a device tell of where it stands."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from device.errors.catalogue import row_of
from localcloud.page.story import CLAIM_STEPS, TITLES, Mark, Story

CSR = "$aws/certificates/create-from-csr/json"
PROVISION = "$aws/provisioning-templates/t/provision/json"


def packet(name: str, by: str = "device", connection: int = 1, **facts: Any) -> dict[str, Any]:
    return {"connection": connection, "packet": name, "by": by, **facts}


def event(name: str, by: str = "cloud", connection: int = 1, **facts: Any) -> dict[str, Any]:
    return {"connection": connection, "event": name, "by": by, **facts}


CLAIM = [
    event("opened", "device"),
    packet("CONNECT", client_id="claim-SN-1"),
    packet("CONNACK", "cloud", reason_codes=[0]),
    packet("SUBSCRIBE", topics=[f"{CSR}/accepted"]),
    packet("SUBACK", "cloud", reason_codes=[0]),
    packet("PUBLISH", topics=[CSR], qos=1),
    packet("PUBACK", "cloud", reason_codes=[0]),
    packet("PUBLISH", "cloud", topics=[f"{CSR}/accepted"], qos=0),
    packet("PUBLISH", topics=[PROVISION], qos=1),
    packet("PUBLISH", "cloud", topics=[f"{PROVISION}/accepted"], qos=0),
    packet("DISCONNECT", reason_codes=[0]),
    event("closed"),
]
OWN = [
    packet("CONNECT", connection=2, client_id="SN-1"),
    packet("CONNACK", "cloud", 2, reason_codes=[0]),
    packet("PUBLISH", connection=2, topics=["dt/SN-1/telemetry"], qos=1),
    packet("PUBACK", "cloud", 2, reason_codes=[0]),
]


def marks(events: list[dict[str, Any]]) -> list[Mark]:
    story = Story()
    return [mark for each in events if (mark := story.mark(each))]


def last(*events: dict[str, Any]) -> Mark:
    return marks(list(events))[-1]


def test_a_first_boot_by_claim_goes_through_every_step_in_order() -> None:
    told = marks(CLAIM + OWN)
    assert list(dict.fromkeys(mark.step for mark in told)) == list(CLAIM_STEPS)
    assert {mark.device for mark in told} == {"SN-1"}
    assert (told[-1].step, told[-1].state) == ("provisioned", "done")


@pytest.mark.parametrize(("after", "then", "step", "code"), [
    (2, event("refused", reason="is not ACTIVE here"), "claim", "FB-403"),
    (2, event("refused", reason="certificate x is PENDING_ACTIVATION"), "claim", "FB-404"),
    (2, event("closed"), "claim", "FB-403"),
    (2, packet("CONNACK", "cloud", reason_codes=[0x87]), "claim", "FB-403"),
    (4, packet("SUBACK", "cloud", reason_codes=[0x87]), "subscribe", "FB-410"),
    (6, packet("PUBACK", "cloud", reason_codes=[0x87]), "certificate", "FB-410"),
    (6, packet("PUBACK", "cloud", reason_codes=[0x97]), "certificate", "FB-415"),
    (6, event("refused", reason="no policy allows it"), "certificate", "FB-410"),
    (7, packet("PUBLISH", "cloud", topics=[f"{CSR}/rejected"], reason="429 Throttled"),
     "certificate", "FB-412"),
    (9, packet("PUBLISH", "cloud", topics=[f"{PROVISION}/rejected"], reason="403 AccessDenied"),
     "register", "FB-411"),
    (9, event("closed"), "register", "FB-413"),
    (9, event("closed", "device"), "register", "FB-413"),
    (9, packet("DISCONNECT", "cloud", reason_codes=[0x8E]), "register", "FB-414"),
])  # fmt: skip
def test_a_failure_is_at_the_step_where_it_happened_with_its_code(
    after: int, then: dict[str, Any], step: str, code: str
) -> None:
    told = last(*CLAIM[:after], then)
    assert (told.step, told.state, told.code) == (step, "failed", code)


def test_the_first_reason_is_kept() -> None:
    rejected = packet("PUBLISH", "cloud", topics=[f"{PROVISION}/rejected"], reason="403")
    ended = packet("DISCONNECT", "cloud", reason_codes=[0x87])
    told = last(*CLAIM[:9], rejected, ended, event("closed"))
    assert told.code == "FB-411"


def test_a_device_that_says_goodbye_has_not_failed() -> None:
    told = last(*OWN, packet("DISCONNECT", connection=2, reason_codes=[0]),
                event("closed", connection=2))  # fmt: skip
    assert told.state == "done"


def test_a_foreign_client_with_a_claim_is_known_by_what_it_subscribes_to() -> None:
    connect = packet("CONNECT", client_id="anything")
    told = last(connect, *CLAIM[2:4])
    assert (told.device, told.has_claim, told.step) == ("anything", True, "subscribe")


@pytest.mark.parametrize("code", TITLES)
def test_a_code_means_what_it_means_on_the_device(code: str) -> None:
    assert row_of(code).title == TITLES[code]


texts = st.sampled_from(["", CSR, f"{CSR}/accepted", f"{PROVISION}/rejected", "dt/1", "claim-"])
codes = st.lists(st.integers(0, 255), max_size=3)
packets = st.builds(
    packet,
    st.sampled_from(["CONNECT", "CONNACK", "SUBSCRIBE", "SUBACK", "PUBLISH", "PUBACK", "PINGREQ",
                     "DISCONNECT"]),
    st.sampled_from(["device", "cloud"]),
    st.integers(1, 3),
    client_id=texts, topics=st.lists(texts, min_size=1, max_size=1), reason_codes=codes, qos=codes,
)  # fmt: skip
events = st.builds(
    event,
    st.sampled_from(["opened", "closed", "refused"]),
    st.sampled_from(["device", "cloud"]),
    st.integers(1, 3),
    reason=texts,
)


@given(st.lists(packets | events, max_size=30))
def test_any_order_of_events_has_a_step_that_is_on_the_ladder(each: list[dict[str, Any]]) -> None:
    assert {mark.step for mark in marks(each)} <= set(CLAIM_STEPS)
