"""Which client does what: the rows and columns of docs/foreign-clients.md."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, Final

from tests.foreign import mqtt_clients, sdk_clients
from tests.foreign.conversations import claim, echo, job, shadow
from tests.foreign.place import Place
from tests.wire.localcloud_registry import mark

STEPS: Final = (
    "connect 3.1.1",
    "connect 5",
    "claim, CSR",
    "claim, AWS's key",
    "shadow",
    "job",
    "QoS 1 again",
)
"""What is done: connect, and publish to oneself; the rest with the newest MQTT of the client."""
Do = Callable[[Place], None]


@dataclass(frozen=True)
class Case:
    """One client does one thing; it fails by raising."""

    client: str
    step: str
    do: Do

    def __str__(self) -> str:
        """Name it."""
        return f"{self.client}: {self.step}"


def _echo(talk: mqtt_clients.Talk, version: int, place: Place) -> None:
    topic = f"dt/{mark('echo')}"
    assert talk(place, place.device, mark("foreign"), version, echo(topic)) == b'{"t": 21.5}'


def _claim(talk: mqtt_clients.Talk, place: Place) -> None:
    serial, fleet = mark("SN"), place.fleet
    made, thing = talk(place, fleet.claim, f"claim-{serial}", 5, claim(fleet.template, serial))
    assert (place.certificates(serial), thing) == ({made: "ACTIVE"}, serial)


def _shadow(talk: mqtt_clients.Talk, place: Place) -> None:
    thing = place.thing()
    assert talk(place, place.device, thing, 5, shadow(thing)) == {"on": True}


def _job(talk: mqtt_clients.Talk, place: Place) -> None:
    thing, made = place.thing_with_job()
    assert talk(place, place.device, thing, 5, job(thing)) == made
    assert place.job_status(thing, made) == "SUCCEEDED"


def _of(talk: mqtt_clients.Talk) -> Mapping[str, Do]:
    return {
        "connect 3.1.1": partial(_echo, talk, 4),
        "connect 5": partial(_echo, talk, 5),
        "claim, CSR": partial(_claim, talk),
        "shadow": partial(_shadow, talk),
        "job": partial(_job, talk),
    }


def _paho_again(place: Place) -> None:
    """Receive, acknowledge nothing, break off: the same message comes on the next connection."""
    name, topic = mark("foreign"), f"dt/{mark('again')}"
    connect = partial(mqtt_clients.Paho, place, place.device, name, 4, clean=False)
    first = connect(acknowledge=False)
    first.subscribe(topic)
    place.cloud.client("iot-data").publish(topic=topic, qos=1, payload=b"once more")
    assert first.receive().payload == b"once more"
    first.cut()
    second = connect()
    assert second.receive().payload == b"once more"
    second.hang_up()


def _v2_connect(version: int, place: Place) -> None:
    with sdk_clients.v2(place, place.device, mark("foreign"), version):
        pass


def _v2_claim(place: Place, *, aws_makes_the_key: bool) -> None:
    for version in (4, 5):
        serial = mark("SN")
        made = sdk_clients.v2_claim(place, version, serial, aws_makes_the_key=aws_makes_the_key)
        assert place.certificates(serial) == {made: "ACTIVE"}


def _v2_shadow(place: Place) -> None:
    assert sdk_clients.v2_shadow(place, 5, place.thing()) == {"on": True}


def _v2_job(place: Place) -> None:
    thing, made = place.thing_with_job()
    assert sdk_clients.v2_job(place, 5, thing) == made
    assert place.job_status(thing, made) == "SUCCEEDED"


def _v1_echo(place: Place) -> None:
    assert sdk_clients.v1_echo(place, mark("foreign")) == b'{"t": 21.5}'


def _v1_shadow(place: Place) -> None:
    assert sdk_clients.v1_shadow(place, place.thing()) == "accepted"


def _v1_job(place: Place) -> None:
    thing, made = place.thing_with_job()
    assert sdk_clients.v1_job(place, thing) == made
    assert place.job_status(thing, made) == "SUCCEEDED"


def _boto3_shadow(place: Place) -> None:
    data, thing = place.cloud.client("iot-data"), place.thing()
    data.update_thing_shadow(thingName=thing, payload=b'{"state": {"reported": {"on": true}}}')
    assert b'"on"' in data.get_thing_shadow(thingName=thing)["payload"].read()


def _boto3_job(place: Place) -> None:
    jobs, (thing, made) = place.cloud.client("iot-jobs-data"), place.thing_with_job()
    begun: Any = jobs.start_next_pending_job_execution(thingName=thing)["execution"]
    jobs.update_job_execution(thingName=thing, jobId=begun["jobId"], status="SUCCEEDED")
    assert place.job_status(thing, made) == "SUCCEEDED"


CLIENTS: Final[Mapping[str, Mapping[str, Do]]] = {
    "awsiotsdk": {
        "connect 3.1.1": partial(_v2_connect, 4),
        "connect 5": partial(_v2_connect, 5),
        "claim, CSR": partial(_v2_claim, aws_makes_the_key=False),
        "claim, AWS's key": partial(_v2_claim, aws_makes_the_key=True),
        "shadow": _v2_shadow,
        "job": _v2_job,
    },
    "AWSIoTPythonSDK": {"connect 3.1.1": _v1_echo, "shadow": _v1_shadow, "job": _v1_job},
    "paho-mqtt": {**_of(mqtt_clients.paho), "QoS 1 again": _paho_again},
    "aiomqtt": _of(mqtt_clients.aiomqtt_),
    "gmqtt": _of(mqtt_clients.gmqtt_),
    "boto3": {"shadow": _boto3_shadow, "job": _boto3_job},
}
"""By the name of the package on PyPI."""

CASES: Final = [
    Case(client, step, do) for client, does in CLIENTS.items() for step, do in does.items()
]
