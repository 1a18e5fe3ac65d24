"""Each fault does what it says, to whom it says, as often as it says."""

import json
import time
import uuid
from collections.abc import Iterator
from concurrent.futures import Future

import pytest
from awscrt.exceptions import AwsCrtError
from awsiot import V2ServiceException

from localcloud.cli import main
from localcloud.errors import FAULT
from tests.support.errors import raises
from tests.support.hang import SECONDS
from tests.wire.conftest import LocalCloud
from tests.wire.localcloud_sdk import (
    Fleet,
    IdentityV2,
    NotLetInError,
    RejectedError,
    mqtt5_client,
    mqtt311_connection,
    new_csr,
    prepare_fleet,
)

pytestmark = pytest.mark.wire


@pytest.fixture(scope="module")
def fleet(local_cloud: LocalCloud) -> Fleet:
    return prepare_fleet(local_cloud)


@pytest.fixture
def serial() -> str:
    return f"SN-{uuid.uuid4().hex[:8]}"


@pytest.fixture
def cloud(local_cloud: LocalCloud) -> Iterator[LocalCloud]:
    yield local_cloud
    local_cloud.clear_faults()


@pytest.fixture
def dropped() -> "Future[None]":
    return Future()


@pytest.fixture
def identity(
    cloud: LocalCloud, fleet: Fleet, serial: str, dropped: "Future[None]"
) -> Iterator[IdentityV2]:
    with mqtt5_client(cloud, fleet.claim, f"claim-{serial}", dropped) as client:
        yield IdentityV2(client, seconds=1)


def thing_exists(cloud: LocalCloud, name: str) -> bool:
    things = cloud.client("iot").list_things(maxResults=250)["things"]
    return name in {thing["thingName"] for thing in things}


def new_token(identity: IdentityV2, serial: str) -> str:
    token: str = identity.create_from_csr(new_csr(serial)[0]).certificate_ownership_token
    return token


def test_reject_answers_with_the_chosen_words_once(
    cloud: LocalCloud, identity: IdentityV2, serial: str
) -> None:
    chosen = {"status_code": 403, "error_code": "AccessDenied", "error_message": "no"}
    cloud.fault("reject", operation="create-from-csr", **chosen)
    with pytest.raises(RejectedError, match="403 AccessDenied: no"):
        new_token(identity, serial)
    assert new_token(identity, serial)


def test_a_fault_strikes_the_named_operation_only(
    cloud: LocalCloud, identity: IdentityV2, serial: str
) -> None:
    cloud.fault("reject", operation="provision")
    assert new_token(identity, serial)


def test_a_fault_strikes_the_named_clients_only(
    cloud: LocalCloud, identity: IdentityV2, serial: str
) -> None:
    cloud.fault("reject", client_id="claim-other-*")
    assert new_token(identity, serial)


def test_throttle_rejects_until_it_is_switched_off(
    cloud: LocalCloud, identity: IdentityV2, serial: str
) -> None:
    cloud.fault("throttle", operation="create-from-csr")
    for _ in range(3):
        with pytest.raises(RejectedError, match="429 ThrottlingException"):
            new_token(identity, serial)
    cloud.clear_faults()
    assert new_token(identity, serial)


def test_a_dropped_reply_is_lost_but_the_thing_is_registered(
    cloud: LocalCloud, identity: IdentityV2, fleet: Fleet, serial: str
) -> None:
    token = new_token(identity, serial)
    cloud.fault("drop-reply", operation="provision")
    with pytest.raises(V2ServiceException, match="register_thing failure") as lost:
        identity.register(fleet.template, token, serial)
    assert "TIMEOUT" in str(lost.value.inner_error)
    assert thing_exists(cloud, serial)


def test_a_delayed_reply_comes_late(cloud: LocalCloud, identity: IdentityV2, serial: str) -> None:
    cloud.fault("delay-reply", operation="create-from-csr", seconds=0.3)
    before = time.monotonic()
    assert new_token(identity, serial)
    assert time.monotonic() - before >= 0.3


def test_cut_before_reply_registers_the_thing_and_drops_the_connection(
    cloud: LocalCloud, identity: IdentityV2, fleet: Fleet, serial: str, dropped: "Future[None]"
) -> None:
    token = new_token(identity, serial)
    cloud.fault("cut-before-reply", operation="provision")
    with pytest.raises(V2ServiceException):
        identity.register(fleet.template, token, serial)
    assert dropped.done()
    assert thing_exists(cloud, serial)


def test_cut_after_packet_drops_the_connection_then(
    cloud: LocalCloud, fleet: Fleet, serial: str, dropped: "Future[None]"
) -> None:
    cloud.fault("cut-after-packet", client_id=f"claim-{serial}", packets=1)
    with mqtt5_client(cloud, fleet.claim, f"claim-{serial}", dropped):
        assert dropped.result(SECONDS) is None


def test_cut_at_connect_gives_no_connack(cloud: LocalCloud, fleet: Fleet, serial: str) -> None:
    cloud.fault("cut-at-connect", client_id=f"claim-{serial}")
    with (
        pytest.raises(NotLetInError) as refused,
        mqtt5_client(cloud, fleet.claim, f"claim-{serial}"),
    ):
        pass
    assert refused.value.reason is None


def test_refuse_connect_gives_the_chosen_reason_on_mqtt5(
    cloud: LocalCloud, fleet: Fleet, serial: str
) -> None:
    cloud.fault("refuse-connect", client_id=f"claim-{serial}", reason_code=151)
    with (
        pytest.raises(NotLetInError) as refused,
        mqtt5_client(cloud, fleet.claim, f"claim-{serial}"),
    ):
        pass
    assert refused.value.reason == 151


def test_refuse_connect_closes_on_mqtt311(cloud: LocalCloud, fleet: Fleet, serial: str) -> None:
    cloud.fault("refuse-connect", client_id=f"claim-{serial}")
    with (
        pytest.raises(AwsCrtError, match="UNEXPECTED_HANGUP"),
        mqtt311_connection(cloud, fleet.claim, f"claim-{serial}"),
    ):
        pass


def test_tokens_can_age_without_expiring(
    cloud: LocalCloud, identity: IdentityV2, fleet: Fleet, serial: str
) -> None:
    token = new_token(identity, serial)
    cloud.fault("expire-tokens", seconds=3000)
    assert identity.register(fleet.template, token, serial).thing_name == serial


def test_active_faults_are_listed_with_what_is_left(cloud: LocalCloud) -> None:
    number = cloud.fault("drop-reply", client_id="nobody", count=7)["id"]
    (listed,) = cloud.admin("GET", "faults")
    assert (listed["id"], listed["kind"], listed["remaining"]) == (number, "drop-reply", 7)


def test_one_fault_can_be_switched_off(cloud: LocalCloud) -> None:
    first = cloud.fault("drop-reply", client_id="nobody")["id"]
    second = cloud.fault("drop-reply", client_id="nobody")["id"]
    cloud.admin("DELETE", f"faults/{first}")
    assert [fault["id"] for fault in cloud.admin("GET", "faults")] == [second]


def test_a_fault_that_makes_no_sense_is_refused_by_name(cloud: LocalCloud) -> None:
    with raises(FAULT, match=r"\$\.operation"):
        cloud.fault("reject", operation="everything")


@pytest.mark.parametrize("words", ["nonsense", "stall", "stall seconds=-1", "--off 999"])
def test_a_fault_that_the_server_refuses_is_misuse_and_says_why(
    cloud: LocalCloud, words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["fault", *words.split(), "--json", "--state", str(cloud.folder.path)])
    told = json.loads(capsys.readouterr().out)
    assert (ended.value.code, told["code"], told["exit_code"]) == (2, "FB-910", 2)
    assert "{" not in told["message"]
