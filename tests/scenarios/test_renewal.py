"""R1 to R5 in memory: a renewal ends with one identity, a new key, and nothing left behind."""

from pathlib import Path
from typing import Any

import pytest

from device.errors import FirstbootError, Row
from device.errors.provisioning import (
    CERTIFICATE_UNACCEPTABLE,
    CLOUD_REJECTED,
    CONNECTION_LOST,
    NO_REPLY,
    NOT_LET_IN,
    TOPIC_DENIED,
    UNEXPECTED_THING_NAME,
)
from device.errors.renewal import (
    NOT_PROVISIONED,
    RENEWAL_NOT_CONFIRMED,
    RENEWAL_REFUSED,
    RENEWED_CERTIFICATE_REFUSED,
)
from device.identity.certificates import leaf_of
from device.identity.pem import parse_certificate
from device.lifecycle.journal import load_configuration
from device.runtime.loop import Patience
from device.storage.device_storage import open_device_storage
from device.storage.secure_storage import Uid
from tests.support.certificates import new_key, self_signed
from tests.support.errors import raises
from tests.support.renewals import (
    assert_one_identity,
    identity_of,
    renew,
    renew_home,
)
from tests.support.worlds import Diary, MemoryWorld, boot

SERIAL = "SN-1"
BRIEF = Patience(unreachable=60.0, refused=60.0)
LASTING = Patience(unreachable=4000.0, refused=4000.0)


@pytest.fixture
def provisioned(memory: MemoryWorld, tmp_path: Path) -> Path:
    state = memory.make_device(tmp_path / "device", SERIAL)
    boot(memory, state)
    return state


def test_a_renewal_gives_another_certificate_for_another_key(
    memory: MemoryWorld, provisioned: Path
) -> None:
    old = identity_of(memory, provisioned)

    new = renew(memory, provisioned)

    assert new.certificate_id != old.certificate_id
    assert new.key != old.key
    assert_one_identity(memory, provisioned, SERIAL)


def test_the_old_certificate_is_inactive_and_detached_and_its_key_destroyed(
    memory: MemoryWorld, provisioned: Path
) -> None:
    old = identity_of(memory, provisioned)

    renew(memory, provisioned)

    retired = memory.cloud.certificates[old.certificate_id]
    assert (retired.status, retired.thing) == ("INACTIVE", None)
    with open_device_storage(provisioned, read_only=True, mount=memory.mount) as storage:
        assert old.key not in storage.keys.keys()  # noqa: SIM118 - a KeyStore is no dict


def test_each_of_ten_renewals_has_a_certificate_of_its_own(
    memory: MemoryWorld, provisioned: Path
) -> None:
    seen = {identity_of(memory, provisioned).certificate_id}

    seen |= {renew(memory, provisioned).certificate_id for _ in range(10)}

    assert len(seen) == 11
    assert_one_identity(memory, provisioned, SERIAL)


def test_the_new_certificate_keeps_the_subject(memory: MemoryWorld, provisioned: Path) -> None:
    subjects = []
    for _ in range(2):
        with open_device_storage(provisioned, read_only=True, mount=memory.mount) as storage:
            pem = leaf_of(storage.ps.get(Uid.DEVICE_CERTIFICATE))
            subjects.append(parse_certificate(pem).subject)
        renew(memory, provisioned)

    assert subjects[0] == subjects[1]


def test_a_device_that_never_booted_has_nothing_to_renew(
    memory: MemoryWorld, tmp_path: Path
) -> None:
    state = memory.make_device(tmp_path / "device", SERIAL)

    with raises(NOT_PROVISIONED):
        renew(memory, state)


def test_the_device_configuration_stays(memory: MemoryWorld, provisioned: Path) -> None:
    renew(memory, provisioned)

    with open_device_storage(provisioned, read_only=True, mount=memory.mount) as storage:
        assert load_configuration(storage.ps) == {"greeting": "hello"}


# --- rolled back --------------------------------------------------------------------------


def refused(memory: MemoryWorld) -> None:
    memory.cloud.renewal.refuses_new_ones = True


def not_agreed(memory: MemoryWorld) -> None:
    memory.cloud.renewal.refusal = "it lacks a policy"


def wrong_thing(memory: MemoryWorld) -> None:
    memory.cloud.renewal.renames_to = "SN-2"


def wrong_key(memory: MemoryWorld) -> None:
    memory.cloud.dress = lambda _: self_signed(new_key()).decode()


def disabled(memory: MemoryWorld) -> None:
    memory.cloud.template_enabled = False


def hook_says_no(memory: MemoryWorld) -> None:
    memory.fault("reject", operation="provision", status_code=403, error_code="AccessDenied")


def may_not_ask(memory: MemoryWorld) -> None:
    memory.fault("deny-publish", operation="prove")


ROLLED_BACK: list[tuple[Any, Row]] = [
    (refused, RENEWED_CERTIFICATE_REFUSED),
    (not_agreed, RENEWAL_REFUSED),
    (wrong_thing, UNEXPECTED_THING_NAME),
    (wrong_key, CERTIFICATE_UNACCEPTABLE),
    (disabled, CLOUD_REJECTED),
    (hook_says_no, CLOUD_REJECTED),
    (may_not_ask, TOPIC_DENIED),
]


@pytest.mark.parametrize(("spoil", "error"), ROLLED_BACK)
def test_a_renewal_that_cannot_work_is_rolled_back_with_its_own_error(
    memory: MemoryWorld, provisioned: Path, spoil: Any, error: Row
) -> None:
    old = identity_of(memory, provisioned)
    spoil(memory)

    with raises(error):
        renew(memory, provisioned, patience=LASTING)

    assert identity_of(memory, provisioned) == old
    assert_one_identity(memory, provisioned, SERIAL)


@pytest.mark.parametrize("spoil", [spoil for spoil, _ in ROLLED_BACK])
def test_after_a_roll_back_the_next_renewal_works(
    memory: MemoryWorld, provisioned: Path, spoil: Any
) -> None:
    before = vars(memory.cloud.renewal).copy()
    dress = memory.cloud.dress
    spoil(memory)
    with pytest.raises(FirstbootError):
        renew(memory, provisioned, patience=LASTING)
    vars(memory.cloud.renewal).update(before)
    memory.cloud.dress, memory.cloud.template_enabled = dress, True

    renew(memory, provisioned)

    assert_one_identity(memory, provisioned, SERIAL)


# --- not answered, or not as it should be --------------------------------------------------


def test_a_refusal_without_words_is_no_reason_to_give_up_at_once(
    memory: MemoryWorld, provisioned: Path
) -> None:
    memory.fault("cut-after-tls", client_id=f"renew-{SERIAL}", count=2)

    renew(memory, provisioned)

    assert len(memory.cloud.renewal.registered) == 1
    assert_one_identity(memory, provisioned, SERIAL)


def test_nothing_is_promoted_without_a_confirmation(memory: MemoryWorld, provisioned: Path) -> None:
    old = identity_of(memory, provisioned)
    memory.cloud.renewal.is_silent = True

    with raises(NO_REPLY):
        renew(memory, provisioned, patience=BRIEF)

    assert identity_of(memory, provisioned) == old
    assert memory.cloud.certificates[old.certificate_id].status == "ACTIVE"


def test_a_confirmation_that_comes_later_ends_the_same_renewal(
    memory: MemoryWorld, provisioned: Path
) -> None:
    memory.cloud.renewal.is_silent = True
    with raises(NO_REPLY):
        renew(memory, provisioned, patience=BRIEF)
    memory.cloud.renewal.is_silent = False

    renew(memory, provisioned)

    assert len(memory.cloud.renewal.registered) == 1
    assert_one_identity(memory, provisioned, SERIAL)


def test_a_confirmation_for_another_certificate_promotes_nothing(
    memory: MemoryWorld, provisioned: Path
) -> None:
    old = identity_of(memory, provisioned)
    memory.fault("another-answer", operation="prove", count=None, certificateId="e" * 64)

    with raises(RENEWAL_NOT_CONFIRMED) as caught:
        renew(memory, provisioned, patience=BRIEF)

    assert caught.value.fields["seen"] == "e" * 64
    assert identity_of(memory, provisioned) == old


def test_one_confirmation_for_another_certificate_delays_and_no_more(
    memory: MemoryWorld, provisioned: Path
) -> None:
    memory.fault("another-answer", operation="prove", certificateId="e" * 64)

    renew(memory, provisioned)

    assert_one_identity(memory, provisioned, SERIAL)


@pytest.mark.parametrize("fields", [{"step": "?"}, {"certificateId": 1}, {"reason": []}])
def test_an_answer_of_another_form_promotes_nothing(
    memory: MemoryWorld, provisioned: Path, fields: dict[str, Any]
) -> None:
    old = identity_of(memory, provisioned)
    memory.fault("another-answer", operation="prove", count=None, **fields)

    with pytest.raises(FirstbootError):
        renew(memory, provisioned, patience=BRIEF)

    assert identity_of(memory, provisioned) == old


@pytest.mark.parametrize("operation", ["create-from-csr", "provision", "prove", "retire"])
@pytest.mark.parametrize("kind", ["drop-reply", "cut-before-reply", "cut-before-request"])
def test_a_request_without_an_answer_is_made_again(
    memory: MemoryWorld, provisioned: Path, operation: str, kind: str
) -> None:
    memory.fault(kind, operation=operation)

    renew(memory, provisioned)

    assert_one_identity(memory, provisioned, SERIAL)


def test_an_answer_after_the_time_out_is_not_taken(memory: MemoryWorld, provisioned: Path) -> None:
    """The first certificate is not registered; the answer that comes late is no answer any more."""
    memory.fault("drop-reply", operation="create-from-csr")
    diary = Diary()

    renew(memory, provisioned, diary=diary)

    assert diary.types().count("CertificateIssued") == 1
    assert_one_identity(memory, provisioned, SERIAL)


def test_the_old_certificate_is_retired_by_the_next_run_if_the_cloud_was_silent(
    memory: MemoryWorld, provisioned: Path
) -> None:
    memory.fault("cut-before-request", operation="retire", count=None)
    with raises(CONNECTION_LOST):
        renew(memory, provisioned, patience=BRIEF)
    new = identity_of(memory, provisioned)
    assert len(memory.registry(SERIAL).active_certificates) == 2
    memory.cloud.faults.clear()

    renew(memory, provisioned)

    assert memory.cloud.certificates[new.certificate_id].status == "INACTIVE"
    assert_one_identity(memory, provisioned, SERIAL)


def test_a_current_certificate_that_is_refused_is_kept(
    memory: MemoryWorld, provisioned: Path
) -> None:
    old = identity_of(memory, provisioned)
    memory.cloud.certificates[old.certificate_id].status = "INACTIVE"

    with raises(NOT_LET_IN):
        renew(memory, provisioned, patience=BRIEF)

    assert identity_of(memory, provisioned) == old


def test_no_certificate_is_asked_for_before_the_former_ones_are_retired(
    memory: MemoryWorld, provisioned: Path
) -> None:
    """So a thing has two ACTIVE certificates at most, however often renewals fail."""
    memory.fault("cut-before-request", operation="retire", count=None)
    memory.cloud.renewal.refusal = "no"
    for _ in range(5):
        with pytest.raises(FirstbootError):
            renew(memory, provisioned, patience=BRIEF)

    assert len(memory.registry(SERIAL).active_certificates) == 2


@pytest.mark.parametrize("times", [1, 2])
def test_two_renewals_of_one_device_at_once_end_with_one_certificate(
    memory: MemoryWorld, provisioned: Path, times: int
) -> None:
    """One of them stopped in the middle; the other continues it, and makes no second one."""
    for _ in range(times):
        memory.cloud.renewal.is_silent = True
        with raises(NO_REPLY):
            renew(memory, provisioned, patience=BRIEF)
    memory.cloud.renewal.is_silent = False

    renew_home(memory, provisioned)

    assert_one_identity(memory, provisioned, SERIAL)
