"""AWS's own device SDKs for Python: awsiotsdk with its V2 service clients, and AWSIoTPythonSDK."""

import json
import queue
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from awscrt.mqtt_request_response import ClientOptions
from awsiot import iotjobs, iotshadow
from AWSIoTPythonSDK.core.jobs.thingJobManager import (
    jobExecutionStatus,
    jobExecutionTopicReplyType,
    jobExecutionTopicType,
)
from AWSIoTPythonSDK.MQTTLib import (
    AWSIoTMQTTClient,
    AWSIoTMQTTShadowClient,
    AWSIoTMQTTThingJobsClient,
)

from tests.foreign.place import Place
from tests.support.hang import SECONDS
from tests.wire.localcloud_sdk import (
    Credential,
    IdentityV2,
    mqtt5_client,
    mqtt311_connection,
    new_csr,
)

_OPTIONS = ClientOptions(
    max_request_response_subscriptions=4,
    max_streaming_subscriptions=2,
    operation_timeout_in_seconds=SECONDS,
)


# --- awsiotsdk -----------------------------------------------------------------------


@contextmanager
def v2(place: Place, credential: Credential, client_id: str, version: int) -> Iterator[Any]:
    """Connect with awscrt."""
    connect = mqtt5_client if version == 5 else mqtt311_connection
    with connect(place.cloud, credential, client_id) as client:
        yield client


def v2_claim(place: Place, version: int, serial: str, *, aws_makes_the_key: bool) -> str:
    """Be provisioned with `IotIdentityClientV2`; return the certificate's id."""
    csr, _key = new_csr(serial)
    with v2(place, place.fleet.claim, f"claim-{serial}", version) as client:
        identity = IdentityV2(client)
        made = identity.create_keys() if aws_makes_the_key else identity.create_from_csr(csr)
        identity.register(place.fleet.template, made.certificate_ownership_token, serial)
    certificate_id: str = made.certificate_id
    return certificate_id


def v2_shadow(place: Place, version: int, thing: str) -> Any:
    """Report a state with `IotShadowClientV2`; return what the shadow says then."""
    with v2(place, place.device, thing, version) as client:
        shadows = iotshadow.IotShadowClientV2(client, _OPTIONS)
        state = iotshadow.ShadowState(reported={"on": True})
        update = iotshadow.UpdateShadowRequest(thing_name=thing, state=state)
        shadows.update_shadow(update).result(SECONDS)
        get = iotshadow.GetShadowRequest(thing_name=thing)
        return shadows.get_shadow(get).result(SECONDS).state.reported


def v2_job(place: Place, version: int, thing: str) -> Any:
    """Do the next job with `IotJobsClientV2`; return its id."""
    with v2(place, place.device, thing, version) as client:
        jobs = iotjobs.IotJobsClientV2(client, _OPTIONS)
        start = iotjobs.StartNextPendingJobExecutionRequest(thing_name=thing)
        job = jobs.start_next_pending_job_execution(start).result(SECONDS).execution.job_id
        status = iotjobs.JobStatus.SUCCEEDED
        done = iotjobs.UpdateJobExecutionRequest(thing_name=thing, job_id=job, status=status)
        jobs.update_job_execution(done).result(SECONDS)
        return job


# --- AWSIoTPythonSDK, version 1 ------------------------------------------------------


def _configure(client: Any, place: Place) -> Any:
    files = place.files(place.device)
    client.configureEndpoint(place.cloud.mqtt_host, place.cloud.mqtt_port)
    client.configureCredentials(str(place.cloud.root_ca), str(files.key), str(files.certificate))
    client.configureMQTTOperationTimeout(SECONDS)
    assert client.connect()
    return client


def v1_echo(place: Place, client_id: str) -> bytes:
    """Publish to oneself with QoS 1; return what came."""
    heard: queue.SimpleQueue[bytes] = queue.SimpleQueue()
    client = _configure(AWSIoTMQTTClient(client_id), place)
    client.subscribe("foreign/v1", 1, lambda _client, _user, got: heard.put(got.payload))
    client.publish("foreign/v1", '{"t": 21.5}', 1)
    try:
        return heard.get(timeout=SECONDS)
    finally:
        client.disconnect()


def v1_shadow(place: Place, thing: str) -> str:
    """Report a state by a shadow handler; return how that was answered."""
    heard: queue.SimpleQueue[str] = queue.SimpleQueue()
    client = _configure(AWSIoTMQTTShadowClient(thing), place)
    handler = client.createShadowHandlerWithName(thing, isPersistentSubscribe=True)
    state = '{"state": {"reported": {"on": true}}}'
    try:
        handler.shadowUpdate(state, lambda _said, status, _token: heard.put(status), int(SECONDS))
        return heard.get(timeout=SECONDS)
    finally:
        client.disconnect()


def v1_job(place: Place, thing: str) -> Any:
    """Do the next job; return its id. Its numbers are strings, as version 1 sends them."""
    heard: queue.SimpleQueue[Any] = queue.SimpleQueue()

    def answered(_client: Any, _user: Any, message: Any) -> None:
        heard.put(json.loads(message.payload))

    client = _configure(AWSIoTMQTTThingJobsClient(f"{thing}-jobs", thing, QoS=1), place)
    accepted = jobExecutionTopicReplyType.JOB_ACCEPTED_REPLY_TYPE
    kinds = (jobExecutionTopicType.JOB_START_NEXT_TOPIC, jobExecutionTopicType.JOB_UPDATE_TOPIC)
    try:
        client.createJobSubscription(answered, kinds[0], accepted)
        client.createJobSubscription(answered, kinds[1], accepted, "+")
        client.sendJobsStartNext()
        begun = heard.get(timeout=SECONDS)["execution"]
        client.sendJobsUpdate(
            begun["jobId"],
            jobExecutionStatus.JOB_EXECUTION_SUCCEEDED,
            expectedVersion=begun["versionNumber"],
            executionNumber=begun["executionNumber"],
        )
        heard.get(timeout=SECONDS)
        return begun["jobId"]
    finally:
        client.disconnect()
