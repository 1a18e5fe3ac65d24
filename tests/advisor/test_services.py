"""The small shadow and Jobs services answer as AWS IoT's do."""

import json
from typing import Any

from advisor.script import Message
from advisor.services import JOB_ID, Jobs, Shadow

SHADOW = "$aws/things/advisor/shadow"
JOBS = "$aws/things/advisor/jobs"


def said(messages: list[Message]) -> dict[str, Any]:
    return {topic: json.loads(payload) for topic, payload in messages}


def test_a_shadow_that_desires_nothing_does_not_exist() -> None:
    answer = said(Shadow("advisor").published(f"{SHADOW}/get", b""))
    assert answer[f"{SHADOW}/get/rejected"]["code"] == 404


def test_what_is_desired_is_in_a_get_and_in_a_delta() -> None:
    shadow = Shadow("advisor", {"on": True})
    got = said(shadow.published(f"{SHADOW}/name/config/get", b"{}"))
    told = said(shadow.subscribed(f"{SHADOW}/name/config/update/+"))
    assert got[f"{SHADOW}/name/config/get/accepted"]["state"]["delta"] == {"on": True}
    assert told[f"{SHADOW}/name/config/update/delta"]["state"] == {"on": True}


def test_who_does_not_subscribe_to_deltas_is_sent_none() -> None:
    assert Shadow("advisor", {"on": True}).subscribed(f"{SHADOW}/get/accepted") == []


def test_an_update_is_accepted_with_its_token_or_rejected() -> None:
    shadow = Shadow("advisor")
    update = json.dumps({"state": {"reported": {}}, "clientToken": "t"}).encode()
    accepted = said(shadow.published(f"{SHADOW}/update", update))
    assert accepted[f"{SHADOW}/update/accepted"]["clientToken"] == "t"
    rejected = said(shadow.published(f"{SHADOW}/update", b"nonsense"))
    assert rejected[f"{SHADOW}/update/rejected"]["code"] == 400


def test_a_job_goes_from_queued_to_its_end() -> None:
    jobs = Jobs("advisor", {"operation": "x"})
    listed = said(jobs.published(f"{JOBS}/get", b"{}"))[f"{JOBS}/get/accepted"]
    assert [job["jobId"] for job in listed["queuedJobs"]] == [JOB_ID]
    begun = said(jobs.published(f"{JOBS}/start-next", b'{"clientToken": "t"}'))
    begun = begun[f"{JOBS}/start-next/accepted"]
    assert (begun["execution"]["status"], begun["clientToken"]) == ("IN_PROGRESS", "t")
    got = said(jobs.published(f"{JOBS}/$next/get", b"{}"))[f"{JOBS}/$next/get/accepted"]
    assert got["execution"]["jobDocument"] == {"operation": "x"}
    ended = said(jobs.published(f"{JOBS}/{JOB_ID}/update", b'{"status": "SUCCEEDED"}'))
    assert ended[f"{JOBS}/notify-next"] == {"timestamp": 1}
    assert jobs.subscribed(f"{JOBS}/notify-next") == []


def test_other_topics_have_no_answer() -> None:
    jobs, shadow = Jobs("advisor", {}), Shadow("advisor", {})
    assert jobs.published("dt/advisor", b"") == shadow.published("dt/advisor", b"") == []
    assert jobs.published(f"{JOBS}/other/update", b"{}") == []
    assert set(said(jobs.subscribed(f"{JOBS}/+"))) == {f"{JOBS}/notify", f"{JOBS}/notify-next"}
