"""The certificates of a policy: written with each certificate, and found again at a start."""

from copy import deepcopy
from types import SimpleNamespace
from typing import Any

from localcloud.durable import policy_targets
from localcloud.durable.policy_targets import Targets, without_certificates
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


def test_targets_are_a_list_that_knows_what_it_holds() -> None:
    targets = Targets([arn("1"), GROUP])
    targets.append(arn("2"))
    targets.remove(arn("1"))
    assert targets == [GROUP, arn("2")]
    assert arn("2") in targets
    assert arn("1") not in targets
    assert targets.others == [GROUP]
    targets.remove(GROUP)
    assert without_certificates({"targets": targets}) == {"targets": []}


def test_a_saved_copy_of_targets_is_a_plain_list() -> None:
    targets = Targets([GROUP, arn("1")])
    copied = deepcopy(targets)
    assert type(copied) is list
    assert copied == targets


def test_a_policy_that_gets_a_target_has_targets_from_then_on() -> None:
    policy: dict[str, Any] = {"policyName": "P", "targets": []}

    def change(_name: str, target: str, *, attach: bool) -> None:
        assert attach
        policy["targets"].append(target)

    iot = SimpleNamespace(_policies={"P": policy}, _change_policy_target=change)
    policy_targets.look_up_targets(Seam(iot))
    for number in range(2):
        iot._change_policy_target("P", arn(str(number)), attach=True)
    iot._change_policy_target("no such policy", arn("3"), attach=True)
    assert isinstance(policy["targets"], Targets)
    assert policy["targets"] == [arn("0"), arn("1"), arn("3")]


def test_a_group_that_is_attached_is_written() -> None:
    targets = Targets([arn("1")])
    targets.append(GROUP)
    assert without_certificates({"targets": targets}) == {"targets": [GROUP]}
    targets.remove(GROUP)
    assert without_certificates({"targets": targets}) == {"targets": []}
