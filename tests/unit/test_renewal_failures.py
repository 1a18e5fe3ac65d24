"""A renewal in an account that is not prepared for it: is it said first how to prepare it?"""

import pytest
from msgspec.structs import replace

from device.errors import FirstbootError
from device.errors.provisioning import TOPIC_DENIED
from device.provisioning import events as ev
from device.provisioning import renewal_events as re
from device.provisioning.actions import Fail
from device.provisioning.events import Credential, Event
from device.provisioning.renewal import RenewalMachine, RenewalPlan
from tests.property.test_renewal_machine_property import PLAN

TO_SUBSCRIBE = (ev.KeyFound("csr"), ev.Connected(Credential.DEVICE))
TO_REQUEST = (*TO_SUBSCRIBE, ev.Subscribed())
TO_REGISTER = (*TO_REQUEST, ev.CertificateIssued("b" * 64, "pem", "token"), ev.CertificateStaged())
TOPIC = "$aws/provisioning-templates/firstboot-renewal/provision/json/accepted"
NO_TEMPLATE = ev.RequestRefused("RegisterThing", 400, "InvalidTemplate", "it does not exist")


def failure(plan: RenewalPlan, *events: Event) -> FirstbootError:
    machine = RenewalMachine(plan)
    for event in (*events, re.RolledBack()):
        machine.receive(event)
    (fail,) = machine.receive(re.NothingLeft())
    assert isinstance(fail, Fail)
    return fail.cause


@pytest.mark.parametrize(
    "events",
    [
        (*TO_SUBSCRIBE, ev.SubscriptionDenied((TOPIC,))),
        (*TO_REQUEST, ev.PublishDenied(TOPIC)),
        (*TO_REGISTER, NO_TEMPLATE),
    ],
)
def test_an_account_that_may_not_be_prepared_is_prepared_first(events: tuple[Event, ...]) -> None:
    told = failure(replace(PLAN, method="jitp"), *events)

    assert told.next_step.startswith(
        "If the account was not prepared for it: factory prepare --method jitp --renewal."
    )


def test_the_topic_and_where_to_allow_it_are_still_told() -> None:
    told = failure(PLAN, *TO_SUBSCRIBE, ev.SubscriptionDenied((TOPIC,)))

    assert told.row is TOPIC_DENIED
    assert TOPIC in str(told)
    assert f"the thing's policy: {TOPIC}" in told.next_step


def test_who_comes_back_is_told_how_a_recovery_is_prepared() -> None:
    plan = replace(PLAN, birth_client_id="recover-SN-1")

    told = failure(plan, *TO_SUBSCRIBE, ev.SubscriptionDenied((TOPIC,)))

    assert "factory prepare --method claim --recovery DAYS." in told.next_step
    assert "the policy firstboot-birth" in told.next_step


def test_a_missing_template_is_the_renewals_and_not_the_claims() -> None:
    next_step = failure(PLAN, *TO_REGISTER, NO_TEMPLATE).next_step

    assert "firstboot-renewal" in next_step
    assert "claim.template" not in next_step


def test_a_refusal_by_the_hook_is_not_for_want_of_a_preparation() -> None:
    refusal = ev.RequestDenied("RegisterThing", 403, "AccessDenied", "no")

    assert "prepared" not in failure(PLAN, *TO_REGISTER, refusal).next_step
