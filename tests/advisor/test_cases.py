"""Each case of MQTT: a client that behaves passes it, and one with one broken habit fails it."""

from collections.abc import Mapping

import pytest

from advisor.case import Case, Given, Verdict
from advisor.cases import CASES, tls
from advisor.codec import MQTT_5
from tests.advisor import virtual_client as vc
from tests.advisor.virtual_client import Habits, verdict

GOOD = Habits()
GIVEN = Given(policies=({"Statement": []},), seconds=900.0)
BY_TLS = {case.id for case in (*tls.CASES, *tls.OURS)} - {"TLS_Receive_Maximum_Size_Fragments"}
HERE = [case for case in CASES if case.needs_client and not case.needs_template]
MQTT = [case for case in HERE if case.id not in BY_TLS]
BROKEN: Mapping[str, Habits] = {
    "TLS_Receive_Maximum_Size_Fragments": Habits(largest=16_384),
    "MQTT_Connect": Habits(connects=False),
    "MQTT_Client_Puback_Qos1": Habits(acknowledges=False),
    "MQTT_Connect_Jitter_Backoff_Retries": Habits(wait=vc.constant),
    "MQTT_Connect_Exponential_Backoff_Retries": Habits(wait=vc.linear),
    "MQTT_Reconnect_Backoff_Retries_On_Server_Disconnect": Habits(wait=vc.constant),
    "MQTT_Reconnect_Backoff_Retries_On_Unstable_Connection": Habits(resets_at_connack=True),
    "MQTT_Publish": Habits(publishes=False, reports=False, job_ends=None),
    "MQTT_Publish_Retry_No_Puback": Habits(publishes_again=False),
    "MQTT_Subscribe": Habits(subscribes=False),
    "MQTT_Subscribe_Retry_No_Suback": Habits(subscribes_again=False),
    "MQTT_No_Ack_PingResp": Habits(hangs_up_without_pingresp=False),
    "MQTT_Persistent_Session_Happy_Case": Habits(ignores_session=True),
    "MQTT_Expired_Persistent_Session": Habits(keeps_quiet_after_loss=True),
    "Shadow_Publish_Reported_State": Habits(reports=False, obeys=False),
    "Shadow_Update_Reported_State": Habits(obeys=False),
    "Job_Execution": Habits(job_ends="FAILED"),
    "Long_Duration_Basic": Habits(publishes_again=False),
    "Long_Duration_Advanced": Habits(hangs_up_without_pingresp=False),
    "Long_Duration_Additional_Time": Habits(publishes=False, reports=False, job_ends=None),
    "W1": Habits(comes_back=False),
    "W2": Habits(is_brittle=True),
    "W3": Habits(answer_seconds=0.2, is_impatient=True),
    "W4": Habits(is_brittle=True),
    "W5": Habits(takes_garbage=True, connack_seconds=None),
    "W6": Habits(takes_garbage=True),
    "P14": Habits(resets_at_connack=True),
    "P15": Habits(wait=vc.constant),
}


def named(case: Case) -> str:
    return case.id


@pytest.mark.parametrize("case", MQTT, ids=named)
def test_a_client_that_behaves_passes(case: Case) -> None:
    assert verdict(case, GOOD, GIVEN).verdict is Verdict.PASS


@pytest.mark.parametrize("case", MQTT, ids=named)
def test_a_broken_client_fails(case: Case) -> None:
    assert verdict(case, BROKEN[case.id], GIVEN).verdict is Verdict.FAIL


AT_5 = {
    "MQTT_Publish_Retry_No_Puback": Verdict.WARNINGS,  # on one connection, as MQTT 5 forbids
}


@pytest.mark.parametrize("case", MQTT, ids=named)
def test_mqtt_5_is_judged_alike(case: Case) -> None:
    found = verdict(case, Habits(version=MQTT_5), GIVEN).verdict
    assert found is AT_5.get(case.id, Verdict.PASS)


@pytest.mark.parametrize(
    ("case_id", "habits"),
    [
        ("MQTT_Connect_Jitter_Backoff_Retries", Habits(wait=vc.exponential)),
        ("MQTT_Reconnect_Backoff_Retries_On_Server_Disconnect", Habits(wait=vc.exponential)),
        ("MQTT_Connect", Habits(keep_alive=3600)),
    ],
)
def test_what_aws_warns_of_is_a_warning(case_id: str, habits: Habits) -> None:
    case = next(case for case in MQTT if case.id == case_id)
    assert verdict(case, habits, GIVEN).verdict is Verdict.WARNINGS


@pytest.mark.parametrize(
    ("case_id", "habits"),
    [
        ("MQTT_Client_Puback_Qos1", Habits(qos=0)),
        ("TLS_Receive_Maximum_Size_Fragments", Habits(qos=0)),
        ("MQTT_Publish_Retry_No_Puback", Habits(takes_new_ids=True)),
        ("MQTT_Persistent_Session_Happy_Case", Habits(is_clean=True)),
        ("MQTT_Expired_Persistent_Session", Habits(is_clean=True)),
        ("Job_Execution", Habits(job_ends=None)),
    ],
)
def test_another_way_to_be_broken_fails_too(case_id: str, habits: Habits) -> None:
    case = next(case for case in MQTT if case.id == case_id)
    assert verdict(case, habits, GIVEN).verdict is Verdict.FAIL
