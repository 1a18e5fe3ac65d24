"""The certificates of a policy: written with each certificate, and found again at a start."""

from types import SimpleNamespace
from typing import Any

from localcloud.durable import policy_targets
from localcloud.durable.policy_targets import without_certificates
from localcloud.seam import Seam

SCOPE = ("000000000000", "eu-central-1")
GROUP = "arn:aws:iot:eu-central-1:000000000000:thinggroup/G"


def arn(certificate_id: str) -> str:
    return f"arn:aws:iot:eu-central-1:000000000000:cert/{certificate_id}"


class Scoped:
    """A store of MiniStack's, of one scope."""

    def __init__(self, records: dict[str, Any]) -> None:
        self.records = records

    def all_values(self) -> list[Any]:
        return list(self.records.values())

    def all_items(self) -> list[Any]:
        return [((*SCOPE, name), record) for name, record in self.records.items()]

    def get_scoped(self, account: str, region: str, name: str) -> Any:
        return self.records.get(name) if (account, region) == SCOPE else None


def test_what_is_written_of_a_policy_does_not_grow_with_its_certificates() -> None:
    policy = {"policyName": "P", "targets": [arn("1"), GROUP, arn("2")]}
    assert without_certificates(policy) == {"policyName": "P", "targets": [GROUP]}
    assert policy["targets"] == [arn("1"), GROUP, arn("2")]


def test_at_a_start_a_policy_has_the_certificates_that_name_it() -> None:
    stale = {"policyName": "P", "targets": [arn("gone"), GROUP]}
    certificates = {
        "1": {"certificateArn": arn("1"), "attachedPolicies": ["P", "no such policy"]},
        "2": {"certificateArn": arn("2"), "attachedPolicies": []},
        "3": {"certificateArn": arn("3")},
    }
    iot = SimpleNamespace(
        _policies=Scoped({"P": stale}),
        _certificates=Scoped(certificates),
        load_persisted_state=lambda saved: saved.update(read=True),
    )
    saved: dict[str, Any] = {}
    policy_targets.find_at_start(Seam(iot))
    iot.load_persisted_state(saved)
    assert saved == {"read": True}
    assert stale["targets"] == [GROUP, arn("1")]
