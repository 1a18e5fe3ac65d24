"""The policy that every device works under, whatever its provisioning method."""

import json
from collections.abc import Mapping, Sequence
from typing import Any, Final

from factory.account.certificates import attached_certificates
from factory.account.changes import Change, Outcome
from factory.account.cloud import Cloud
from factory.account.documents import load_policy
from factory.account.policies import ensure_policy, policy_arn, remove_policy
from factory.account.tags import remove_user, tags_of, users_in

THING_POLICY: Final = "firstboot-device"
KIND: Final = "thing policy"
RENEWAL: Final = "renewal"
"""Who needs the policy besides the methods; with it, devices may renew their certificates."""
RENEWAL_DOCUMENT: Final = "firstboot-device-renewal"
"""The statements that the policy then has on top."""


def ensure_thing_policy(cloud: Cloud, method: str) -> Change:
    """Make the policy, bring it back if it has drifted, and note that ``method`` needs it.

    Raises:
        NotMadeByStationError: someone else's policy has this name.
        CloudError: AWS did not answer, or said no.
    """
    renews = method == RENEWAL or RENEWAL in _users(cloud)
    document = thing_policy(cloud.account.placeholders, renews=renews)
    return ensure_policy(cloud, KIND, THING_POLICY, document, method)


def thing_policy(placeholders: Mapping[str, str], *, renews: bool) -> str:
    """Return the policy's document; ``renews``: devices may renew their certificates.

    Raises:
        ConfigurationError: a file of it cannot be used.
    """
    document = load_policy(THING_POLICY, placeholders)
    if not renews:
        return document
    more = json.loads(load_policy(RENEWAL_DOCUMENT, placeholders))["Statement"]
    whole = json.loads(document)
    statements = _merged([*whole["Statement"], *more])
    return json.dumps(whole | {"Statement": statements}, separators=(",", ":"))


def _merged(statements: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """Make one of those that have the same condition: AWS IoT takes 2,048 characters.

    This allows nothing else: AWS IoT asks about each action with a resource of that action's kind
    (``topic/`` to publish and receive, ``topicfilter/`` to subscribe), and what nobody may
    subscribe to nobody receives.
    """
    found: dict[str, tuple[Mapping[str, Any], list[str], list[str]]] = {}
    for statement in statements:
        rest = {name: statement[name] for name in statement if name not in {"Action", "Resource"}}
        _, actions, resources = found.setdefault(json.dumps(rest), (rest, [], []))
        actions += [each for each in _listed(statement["Action"]) if each not in actions]
        resources += _listed(statement["Resource"])
    return [{**rest, "Action": a, "Resource": r} for rest, a, r in found.values()]


def _listed(value: str | list[str]) -> list[str]:
    return [value] if isinstance(value, str) else value


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


def remove_renewal_from_thing_policy(cloud: Cloud) -> Change:
    """Take the renewal out of the policy; delete it, if nothing else needs it.

    Raises:
        NotMadeByStationError: someone else's policy has this name.
        CloudError: AWS did not answer, or said no.
    """
    arn = policy_arn(cloud, KIND, THING_POLICY)
    users = users_in(tags_of(cloud, arn)) if arn else set()
    if arn is None or RENEWAL not in users:
        return Change(KIND, THING_POLICY, Outcome.ABSENT, "renewal was not prepared")
    others = sorted(users - {RENEWAL})
    if not others:
        return remove_thing_policy(cloud, RENEWAL)
    # The content first: a run that is cut here finds the tag, and continues.
    document = thing_policy(cloud.account.placeholders, renews=False)
    ensure_policy(cloud, KIND, THING_POLICY, document, others[0])
    remove_user(cloud, arn, RENEWAL)
    return Change(KIND, THING_POLICY, Outcome.UPDATED, "devices may not renew any more")


def _users(cloud: Cloud) -> set[str]:
    arn = policy_arn(cloud, KIND, THING_POLICY)
    return users_in(tags_of(cloud, arn)) if arn else set()
