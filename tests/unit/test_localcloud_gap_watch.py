"""MiniStack still lacks what issue 3's gap modules add; red here means: delete the module named."""

import json
from collections.abc import Callable
from typing import Any

import pytest
from ministack.core.responses import request_scope
from ministack.services import iot as ministack_iot

from localcloud.gaps import (
    authorization,
    billing_groups,
    ca_by_signature,
    ca_registration,
    certificate_description,
    certificate_keys,
    certificate_provider,
    certificate_status,
    commands,
    connections,
    endpoint_names,
    group_policies,
    http_publish,
    jitp,
    jitr_client_id,
    job_requests,
    job_step_timers,
    job_timeouts,
    mqtt_session,
    mqtt_transport,
    policy_grammar,
    policy_target,
    provision_request,
    register_thing,
    registration_tasks,
    registry_versions,
    request_kinds,
    rule_actions,
    rule_permission,
    rule_sql,
    shadow_rules,
    template_grammar,
    thing_attributes,
    thing_principal_type,
)
from localcloud.seam import Seam

MODULES: dict[str, Any] = {
    "billing_groups": billing_groups,
    "ca_registration": ca_registration,
    "certificate_description": certificate_description,
    "certificate_status": certificate_status,
    "endpoint_names": endpoint_names,
    "jitp": jitp,
    "jitr_client_id": jitr_client_id,
    "job_requests": job_requests,
    "job_step_timers": job_step_timers,
    "job_timeouts": job_timeouts,
    "rule_actions": rule_actions,
    "rule_sql": rule_sql,
    "shadow_rules": shadow_rules,
    "authorization": authorization,
    "certificate_keys": certificate_keys,
    "connections": connections,
    "provision_request": provision_request,
    "registry_versions": registry_versions,
    "request_kinds": request_kinds,
    "certificate_provider": certificate_provider,
    "commands": commands,
    "http_publish": http_publish,
    "ca_by_signature": ca_by_signature,
    "mqtt_session": mqtt_session,
    "mqtt_transport": mqtt_transport,
    "policy_grammar": policy_grammar,
    "policy_target": policy_target,
    "group_policies": group_policies,
    "register_thing": register_thing,
    "registration_tasks": registration_tasks,
    "rule_permission": rule_permission,
    "template_grammar": template_grammar,
    "thing_attributes": thing_attributes,
    "thing_principal_type": thing_principal_type,
}
WATCHED = set(MODULES)


@pytest.fixture
def iot() -> Seam:
    """MiniStack as it is installed: nothing wrapped."""
    return Seam(ministack_iot)


@pytest.mark.parametrize("name", MODULES)
def test_ministack_still_lacks(iot: Seam, name: str) -> None:
    with request_scope("000000000000", "us-east-1"):
        assert MODULES[name].is_open(iot)


def test_looking_leaves_no_trace(iot: Seam) -> None:
    before = json.dumps(iot["get_state"](), default=repr)
    for module in MODULES.values():
        module.is_open(iot)
    assert json.dumps(iot["get_state"](), default=repr) == before


def replaced(monkeypatch: pytest.MonkeyPatch, **functions: Callable[..., Any]) -> Seam:
    for name, function in functions.items():
        monkeypatch.setattr(ministack_iot, name, function)
    return Seam(ministack_iot)


def test_a_path_that_is_served_closes_the_gap(monkeypatch: pytest.MonkeyPatch) -> None:
    async def route(*_call: object) -> tuple[int, dict[str, str], bytes]:
        return 400, {}, b'{"__type": "InvalidRequestException", "message": "templateBody"}'

    iot = replaced(monkeypatch, _route_request=route)
    for module in (register_thing, registration_tasks, billing_groups, thing_principal_type):
        assert not module.is_open(iot)


def test_a_path_that_is_busy_with_the_call_closes_the_gap(monkeypatch: pytest.MonkeyPatch) -> None:
    class Forever:
        def __await__(self) -> Any:
            yield

    async def route(*_call: object) -> None:
        await Forever()

    assert not register_thing.is_open(replaced(monkeypatch, _route_request=route))


def test_an_event_that_names_its_client_closes_the_gap(monkeypatch: pytest.MonkeyPatch) -> None:
    async def publish_event(account_id: str, client_id: str) -> None:
        """As MiniStack might."""

    assert not jitr_client_id.is_open(replaced(monkeypatch, _publish_event=publish_event))


def test_a_look_at_the_policy_closes_the_gap(monkeypatch: pytest.MonkeyPatch) -> None:
    def dispatch(function_arn: str, event: object) -> None:
        ministack_iot._provisioning_hook_function(function_arn, str(event))

    assert not rule_permission.is_open(replaced(monkeypatch, _dispatch_rule_to_lambda=dispatch))
