"""kill -9 at any moment: whatever the local AWS answered, it knows after the next start.

Ten kills here; ``FIRSTBOOT_KILLS=200`` for more. The moments come from a seed, which a failure
names.
"""

import json
import os
import random
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from localcloud.process import lifecycle
from localcloud.process.state_folder import Ports, Server, StateFolder
from localcloud.verbs.env import environment_of
from tests.support import hang
from tests.support.effort import is_long
from tests.support.plain_mqtt import PlainMqtt
from tests.wire.conftest import ROOT, LocalCloud, free_ports
from tests.wire.localcloud_sdk import Fleet, new_csr, prepare_fleet

pytestmark = pytest.mark.wire

KILLS = int(os.environ.get("FIRSTBOOT_KILLS", "10" if is_long() else "5"))
MOST_ANSWERS = 16  # of one life
LONGEST_WAIT = 0.02  # seconds, from the last of them to the kill
MOST_UNANSWERED = (BotoCoreError, OSError)


@dataclass
class Answered:
    """What the clients were told."""

    things: dict[str, str] = field(default_factory=dict)
    """Thing and the value of its attribute."""
    doubtful: dict[str, set[str]] = field(default_factory=dict)
    """Thing and the values that were asked for, and never answered."""
    gone: set[str] = field(default_factory=set)
    roles: list[str] = field(default_factory=list)
    objects: list[str] = field(default_factory=list)
    items: list[str] = field(default_factory=list)
    devices: dict[str, str] = field(default_factory=dict)
    """Thing and certificate of what was provisioned over MQTT."""
    retained: str = ""
    maybe_retained: set[str] = field(default_factory=set)


class Mortal:
    """A local AWS that is killed, its clients, and what they were told."""

    def __init__(self, folder: StateFolder, ports: Ports, process: "subprocess.Popen[str]") -> None:
        self.folder = folder
        self.ports = ports
        self.answered = Answered()
        self.progress = threading.Semaphore(0)
        """Released once for each answer."""
        self.answers = 0
        self._process = process
        self._serial = 0
        config = Config(retries={"max_attempts": 0}, connect_timeout=5, read_timeout=10)
        variables = environment_of(folder, Server(0, ports))
        self.session: dict[str, Any] = {
            service: boto3.client(
                service, endpoint_url=variables["AWS_ENDPOINT_URL"], config=config,
                aws_access_key_id=variables["AWS_ACCESS_KEY_ID"],
                aws_secret_access_key=variables["AWS_SECRET_ACCESS_KEY"], region_name="us-east-1",
            )
            for service in ("iot", "iot-data", "iam", "s3", "dynamodb")
        }  # fmt: skip
        for client in self.session.values():
            client.meta.events.register("after-call", self.count)

    def live(self) -> int:
        assert self._process.stdin is not None
        self._process.stdin.write("live\n")
        self._process.stdin.flush()
        server = lifecycle.wait_until_ready(self.folder, lambda: self._process.poll() is not None)
        return server.pid

    def count(self, **_answer: object) -> None:
        self.answers += 1
        self.progress.release()

    def next(self) -> int:
        self._serial += 1
        return self._serial


@contextmanager
def mortal(folder: StateFolder) -> Iterator[Mortal]:
    folder.create()
    ports = free_ports()
    command = [sys.executable, "-m", "tests.support.mortal_cloud", str(folder.path)]
    with subprocess.Popen(
        [*command, str(ports.api), str(ports.mqtt)], stdin=subprocess.PIPE, text=True, cwd=ROOT
    ) as process:
        try:
            yield Mortal(folder, ports, process)
        finally:
            if server := folder.server():
                os.kill(server.pid, signal.SIGTERM)
            with suppress(subprocess.TimeoutExpired):
                process.communicate(timeout=hang.SECONDS)
            process.kill()


def until_it_dies(work: Callable[[], None], is_dead: threading.Event) -> None:
    while not is_dead.is_set():
        with suppress(*MOST_UNANSWERED):
            work()
            continue
        is_dead.wait(0.02)


def work_over_http(cloud: Mortal) -> None:
    told, number, iot = cloud.answered, cloud.next(), cloud.session["iot"]
    name = f"thing-{number}"
    told.doubtful[name] = {"1", "2"}
    iot.create_thing(thingName=name, attributePayload={"attributes": {"n": "1"}})
    told.things[name] = "1"
    iot.update_thing(thingName=name, attributePayload={"attributes": {"n": "2"}})
    told.things[name] = "2"
    if number % 3 == 0:
        del told.things[name]  # from here on it may be gone
        iot.delete_thing(thingName=name)
        told.gone.add(name)
    trust = {"Version": "2012-10-17", "Statement": [{
        "Effect": "Allow", "Principal": {"Service": "iot.amazonaws.com"},
        "Action": "sts:AssumeRole"}]}  # fmt: skip
    cloud.session["iam"].create_role(
        RoleName=f"role-{number}", AssumeRolePolicyDocument=json.dumps(trust)
    )
    told.roles.append(f"role-{number}")
    cloud.session["s3"].put_object(Bucket="bucket", Key=f"key-{number}", Body=b"content")
    told.objects.append(f"key-{number}")
    cloud.session["dynamodb"].put_item(TableName="table", Item={"id": {"S": f"item-{number}"}})
    told.items.append(f"item-{number}")
    told.maybe_retained.add(str(number))
    cloud.session["iot-data"].publish(topic="kept", qos=1, retain=True, payload=str(number))
    told.retained, told.maybe_retained = str(number), set()


def work_over_mqtt(cloud: Mortal, fleet: Fleet, claim: Path) -> None:
    serial = f"SN-{cloud.next()}"
    csr, _key = new_csr(serial)
    with PlainMqtt(cloud.ports.mqtt, cloud.folder.root_ca, claim, f"claim-{serial}") as mqtt:
        asked = {"certificateSigningRequest": csr}
        made = mqtt.ask("$aws/certificates/create-from-csr/json", asked)
        mqtt.ask(
            f"$aws/provisioning-templates/{fleet.template}/provision/json",
            {
                "certificateOwnershipToken": made["certificateOwnershipToken"],
                "parameters": {"SerialNumber": serial},
            },
        )
    cloud.count()
    cloud.answered.devices[serial] = made["certificateId"]


def prepare(cloud: Mortal, folder: Path) -> tuple[Fleet, Path]:
    described = LocalCloud(
        f"http://127.0.0.1:{cloud.ports.api}", "localhost", cloud.ports.mqtt,
        cloud.folder.root_ca, environment_of(cloud.folder, Server(0, cloud.ports)),
        cloud.folder, 0,
    )  # fmt: skip
    fleet = prepare_fleet(described)
    cloud.session["s3"].create_bucket(Bucket="bucket")
    cloud.session["dynamodb"].create_table(
        TableName="table", BillingMode="PAY_PER_REQUEST",
        KeySchema=[{"AttributeName": "id", "KeyType": "HASH"}],
        AttributeDefinitions=[{"AttributeName": "id", "AttributeType": "S"}],
    )  # fmt: skip
    claim = folder / "claim.pem"
    claim.write_text(fleet.claim.certificate_pem + fleet.claim.private_key_pem)
    return fleet, claim


def one_life(cloud: Mortal, pid: int, fleet: Fleet, claim: Path, moments: random.Random) -> None:
    """Work for some answers and a moment more, then kill."""
    is_dead = threading.Event()
    works: list[Callable[[], None]] = [
        lambda: work_over_http(cloud),
        lambda: work_over_mqtt(cloud, fleet, claim),
    ]
    workers = [
        threading.Thread(target=until_it_dies, args=(work, is_dead), daemon=True) for work in works
    ]
    for worker in workers:
        worker.start()
    try:
        for _answer in range(moments.randint(1, MOST_ANSWERS)):
            assert cloud.progress.acquire(timeout=hang.SECONDS), "no answer"
        time.sleep(moments.uniform(0, LONGEST_WAIT))  # the moment of the kill is what is tried
        os.kill(pid, signal.SIGKILL)
    finally:
        is_dead.set()
    hang.join(*workers)


def lost(cloud: Mortal) -> list[str]:
    """Return what was answered and is not known any more."""
    told, iot = cloud.answered, cloud.session["iot"]
    pages = iot.get_paginator("list_things").paginate()
    found = {each["thingName"]: each["attributes"] for page in pages for each in page["things"]}
    missing = [
        f"{name} with {value}: {found.get(name)}"
        for name, value in told.things.items()
        if found.get(name, {}).get("n") not in {value, *told.doubtful[name] - {"1"}}
    ]
    missing += [f"{name} is back" for name in told.gone if name in found]
    roles = cloud.session["iam"].get_paginator("list_roles").paginate()
    known = {each["RoleName"] for page in roles for each in page["Roles"]}
    missing += [role for role in told.roles if role not in known]
    listed = cloud.session["s3"].get_paginator("list_objects_v2").paginate(Bucket="bucket")
    keys = {each["Key"] for page in listed for each in page.get("Contents", [])}
    missing += [key for key in told.objects if key not in keys]
    rows = cloud.session["dynamodb"].scan(TableName="table")["Items"]
    missing += [item for item in told.items if {"id": {"S": item}} not in rows]
    kept = cloud.session["iot-data"].get_retained_message(topic="kept")["payload"].decode()
    if kept not in {told.retained, *told.maybe_retained}:
        missing.append(f"the retained message {told.retained}: {kept}")
    return missing + [name for name, made in told.devices.items() if not is_whole(iot, name, made)]


def is_whole(iot: Any, thing: str, certificate_id: str) -> bool:
    """Whether a device's thing, certificate and policy are there, and belong together."""
    try:
        principals = iot.list_thing_principals(thingName=thing)["principals"]
        made = iot.describe_certificate(certificateId=certificate_id)["certificateDescription"]
        policies = iot.list_attached_policies(target=made["certificateArn"])["policies"]
    except ClientError:
        return False
    return made["status"] == "ACTIVE" and principals == [made["certificateArn"]] and bool(policies)


def test_nothing_that_was_answered_is_lost(tmp_path: Path) -> None:
    seed = int(os.environ.get("FIRSTBOOT_SEED", time.time_ns() % 1_000_000))
    moments = random.Random(seed)  # noqa: S311  (moments of kills, no secrets)
    with mortal(StateFolder(tmp_path / "cloud")) as cloud:
        pid = cloud.live()
        fleet, claim = prepare(cloud, tmp_path)
        for _kill in range(KILLS):
            one_life(cloud, pid, fleet, claim, moments)
            pid = cloud.live()
        told = cloud.answered
        assert min(len(told.things), len(told.devices), len(told.roles)) > KILLS / 8
        assert lost(cloud) == [], f"FIRSTBOOT_SEED={seed}"
        sys.stdout.write(f"{KILLS} kills, {cloud.answers} answers, {len(told.devices)} devices\n")
