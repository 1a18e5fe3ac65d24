"""Which policies count for a certificate that connects, and what they allow it."""

import json
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from localcloud.broker.policies import EXCLUSIVE_MARK, Policies, decide
from localcloud.gaps import group_policies
from localcloud.seam import Seam
from tests.support.certificates import new_key, self_signed

HERE, ELSEWHERE = ("000000000000", "us-east-1"), ("000000000000", "eu-west-1")
ARN = "arn:aws:iot:us-east-1:000000000000"
THING, CERTIFICATE = "lamp", "c1"
PEM = self_signed(new_key()).decode()


class Records(dict[Any, Any]):
    """A store of MiniStack's, of one account and Region."""

    def get_scoped(self, account: str, region: str, name: object) -> Any:
        return self.get(name) if (account, region) == HERE else None


def policy(effect: str, resource: str) -> dict[str, Any]:
    statement = {"Effect": effect, "Action": "iot:*", "Resource": f"{ARN}:{resource}"}
    document = {"Version": "2012-10-17", "Statement": [statement]}
    return {"defaultVersionId": "1", "versions": {"1": {"document": json.dumps(document)}}}


class Registry:
    """A thing with its certificate, in a group below two others."""

    def __init__(self) -> None:
        self.certificate: dict[str, Any] = {
            "certificateId": CERTIFICATE,
            "certificatePem": PEM,
            "attachedPolicies": ["own"],
            "attachedThings": [f"{ARN}:thing/{THING}"],
        }
        self.thing: dict[str, Any] = {
            "thingName": THING,
            "thingArn": f"{ARN}:thing/{THING}",
            "thingGroupNames": ["lamps"],
        }
        self.groups: dict[str, dict[str, Any]] = {
            name: {
                "thingGroupName": name,
                "thingGroupArn": f"{ARN}:thinggroup/{name}",
                "thingGroupMetadata": {"parentGroupName": above} if above else None,
                "attachedPolicies": [f"of-{name}"],
            }
            for name, above in (("lamps", "lights"), ("lights", "all"), ("all", ""), ("other", ""))
        }
        self.policies = {
            "own": policy("Allow", "topic/own"),
            "of-lamps": policy("Allow", "topic/lamps"),
            "of-lights": policy("Allow", "topic/lights"),
            "of-all": policy("Deny", "topic/secret"),
            "of-other": policy("Allow", "topic/other"),
        }

    def documents(self, client_id: str, place: tuple[str, str] = HERE) -> int:
        policies = Policies(self.seam())
        return len(policies.documents(policies.principal(place, CERTIFICATE, client_id, None)))

    def names(self, client_id: str = THING) -> list[str]:
        policies = Policies(self.seam())
        asker = policies.principal(HERE, CERTIFICATE, client_id, None)
        return policies.names(HERE, CERTIFICATE, asker.thing_name())

    def decision(self, topic: str) -> str:
        policies = Policies(self.seam())
        asker = policies.principal(HERE, CERTIFICATE, THING, None)
        return decide(asker, "iot:Publish", asker.arn(f"topic/{topic}"), policies.documents(asker))

    def seam(self) -> Seam:
        return Seam(
            SimpleNamespace(
                _certificates=Records({CERTIFICATE: self.certificate}),
                _things=Records({THING: self.thing}),
                _thing_groups=Records(self.groups),
                _policies=Records(self.policies),
                _provisioning_claim_policy=lambda _template: "{}",
            )
        )


@pytest.fixture
def registry() -> Registry:
    return Registry()


def test_the_groups_of_the_thing_and_those_above_count(registry: Registry) -> None:
    assert registry.names() == ["own", "of-lamps", "of-lights", "of-all"]
    assert registry.documents(THING) == 4


def test_groups_count_only_if_the_client_id_is_the_things_name(registry: Registry) -> None:
    assert registry.names("another-client") == ["own"]


def test_groups_count_only_if_the_certificate_is_attached_to_the_thing(registry: Registry) -> None:
    registry.certificate["attachedThings"] = [f"{ARN}:thing/another"]
    assert registry.names() == ["own"]


def test_an_exclusive_thing_needs_the_client_id_too(registry: Registry) -> None:
    registry.certificate[EXCLUSIVE_MARK] = THING
    assert registry.names("another-client") == ["own"]
    assert registry.names() == ["own", "of-lamps", "of-lights", "of-all"]


def test_a_thing_that_left_its_group_has_no_policies_of_it(registry: Registry) -> None:
    registry.thing["thingGroupNames"] = []
    assert registry.names() == ["own"]


def test_a_policy_that_is_attached_twice_counts_once(registry: Registry) -> None:
    registry.groups["lamps"]["attachedPolicies"] = ["own"]
    assert registry.names() == ["own", "of-lights", "of-all"]


def test_another_region_has_no_such_groups(registry: Registry) -> None:
    assert registry.documents(THING, ELSEWHERE) == 0


def test_a_claim_has_the_policy_of_its_template_only(registry: Registry) -> None:
    policies = Policies(registry.seam())
    claim = policies.principal(HERE, CERTIFICATE, THING, "template")
    assert policies.documents(claim) == ("{}",)


@pytest.mark.parametrize(
    ("topic", "decision"),
    [("own", "Allow"), ("lamps", "Allow"), ("lights", "Allow"), ("other", "ImplicitDeny")],
)
def test_each_policy_that_counts_may_allow(registry: Registry, topic: str, decision: str) -> None:
    assert registry.decision(topic) == decision


def test_a_deny_above_wins_over_an_allow_below(registry: Registry) -> None:
    registry.policies["own"] = policy("Allow", "topic/*")
    assert registry.decision("anything") == "Allow"
    assert registry.decision("secret") == "Deny"


def test_a_policy_of_a_group_may_name_the_thing(registry: Registry) -> None:
    registry.policies["of-all"] = policy("Allow", "topic/${iot:Connection.Thing.ThingName}")
    assert registry.decision(THING) == "Allow"
    assert registry.decision("another") == "ImplicitDeny"


# --- attaching to a group ------------------------------------------------------------


class Attachments:
    """MiniStack's store of groups, and its AttachPolicy, with the gap closed."""

    def __init__(self) -> None:
        self.groups = Registry().groups
        for group in self.groups.values():
            del group["attachedPolicies"]

        def change(name: str, _target: str, **_how: bool) -> tuple[int, dict[str, str], bytes]:
            return (404 if name == "unknown" else 200), {}, b"{}"

        module = SimpleNamespace(_change_policy_target=change, _thing_groups=self.groups)
        self._seam = Seam(module)
        group_policies.close(self._seam)

    def change(self, name: str, target: str, *, attach: bool) -> None:
        self._seam["_change_policy_target"](name, f"{ARN}:{target}", attach=attach)

    def of(self, group: str) -> list[str]:
        found: list[str] = self.groups[group].get("attachedPolicies", [])
        return found


@given(st.lists(st.tuples(st.sampled_from("abc"), st.booleans()), max_size=12))
def test_a_group_knows_what_is_attached_to_it(changes: list[tuple[str, bool]]) -> None:
    attachments, attached = Attachments(), set[str]()
    for name, attach in changes:
        attachments.change(name, "thinggroup/lamps", attach=attach)
        (attached.add if attach else attached.discard)(name)
        assert sorted(attachments.of("lamps")) == sorted(attached)
    assert attachments.of("lights") == []


@pytest.mark.parametrize("target", ["thinggroup/none", "cert/lamps"])
def test_another_target_is_no_group(target: str) -> None:
    attachments = Attachments()
    attachments.change("p", target, attach=True)
    assert not any(attachments.of(group) for group in attachments.groups)


def test_a_refused_attachment_is_none() -> None:
    attachments = Attachments()
    attachments.change("unknown", "thinggroup/lamps", attach=True)
    assert attachments.of("lamps") == []
