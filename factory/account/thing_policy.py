"""The policy that every device works under, whatever its provisioning method."""

from typing import Final

from factory.account.certificates import attached_certificates
from factory.account.changes import Change, Outcome
from factory.account.cloud import Cloud
from factory.account.documents import load_policy
from factory.account.policies import ensure_policy, policy_arn, remove_policy
from factory.account.tags import remove_user

THING_POLICY: Final = "firstboot-device"
KIND: Final = "thing policy"


def ensure_thing_policy(cloud: Cloud, method: str) -> Change:
    """Make the policy, bring it back if it has drifted, and note that ``method`` needs it.

    Raises:
        NotMadeByStationError: someone else's policy has this name.
        CloudError: AWS did not answer, or said no.
    """
    document = load_policy(THING_POLICY, cloud.account.placeholders)
    return ensure_policy(cloud, KIND, THING_POLICY, document, method)


def remove_thing_policy(cloud: Cloud, method: str) -> Change:
    """Delete the policy, unless another method or a device needs it.

    Raises:
        NotMadeByStationError: someone else's policy has this name.
        CloudError: AWS did not answer, or said no.
    """
    arn = policy_arn(cloud, KIND, THING_POLICY)
    if arn is None:
        return Change(KIND, THING_POLICY, Outcome.ABSENT)
    if others := remove_user(cloud, arn, method):
        note = f"still needed: {', '.join(sorted(others))}"
        return Change(KIND, THING_POLICY, Outcome.KEPT, note)
    if devices := len(attached_certificates(cloud, THING_POLICY)):
        note = f"{devices} device(s) work under it; --devices removes them too"
        return Change(KIND, THING_POLICY, Outcome.KEPT, note)
    return remove_policy(cloud, KIND, THING_POLICY)
