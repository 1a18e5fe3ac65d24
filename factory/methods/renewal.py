"""What renewals need in the cloud, for the devices of every method.

A template that registers another certificate for the same thing, with a hook that allows a
device its own thing alone; a topic rule and a Lambda that confirm the new certificate and retire
the old one; and the device policy with the topics of it all.
"""

from pathlib import Path
from typing import Final

from factory.account import provisioning_templates, roles
from factory.account.certificates import (
    attached_certificates,
    delete_certificate,
    describe_certificate,
)
from factory.account.changes import Change, Outcome, Report
from factory.account.cloud import Cloud
from factory.account.documents import CONFIG, load_policy, load_template
from factory.account.lambda_functions import (
    Function,
    ensure_function,
    function_arn,
    remove_function,
)
from factory.account.lambda_role import ensure_lambda_role, remove_lambda_role
from factory.account.log_groups import ensure_log_group, remove_log_group
from factory.account.provisioning_templates import Template, template_arn
from factory.account.registered_devices import things_with
from factory.account.roles import Role, role_arn
from factory.account.thing_policy import (
    RENEWAL,
    RENEWAL_DOCUMENT,
    THING_POLICY,
    ensure_thing_policy,
    remove_renewal_from_thing_policy,
)
from factory.account.topic_rules import ensure_rule, remove_rule, rule_arn
from factory.methods.claim import ROLE

TEMPLATE: Final = "firstboot-renewal"
FUNCTION: Final = "firstboot-renewal"
HOOK: Final = "firstboot-renewal-hook"
RULE: Final = "firstboot_renewal"
SQL: Final = (
    "SELECT step, replaces, topic(3) AS thing, principal() AS principal "
    "FROM 'firstboot/renewal/+/device'"
)
DOCUMENTS: Final = (
    f"templates/{TEMPLATE}",
    f"policies/{RENEWAL_DOCUMENT}",
    f"policies/{FUNCTION}",
    f"policies/{HOOK}",
    "policies/firstboot-lambda",
    f"policies/{ROLE}",
)


def files(folder: Path = CONFIG) -> list[Path]:
    """Return the files in ``folder`` that `prepare` sends to AWS."""
    return [folder / f"{name}.json" for name in DOCUMENTS]


def prepare(cloud: Cloud) -> Report:
    """Make what renewals need, or complete and repair it.

    The template comes last: before there is one, no device can begin.

    Raises:
        NotMadeByStationError: something of the same name is someone else's.
        CloudError: AWS did not answer, or said no.
    """
    role = Role(ROLE, load_policy(ROLE, cloud.account.placeholders), TEMPLATE)
    changes = [
        roles.ensure_role(cloud, role),
        ensure_thing_policy(cloud, RENEWAL),
        *(change for each in _functions(cloud) for change in _ensure_function(cloud, each)),
        ensure_rule(cloud, RULE, SQL, function_arn(cloud, FUNCTION)),
        provisioning_templates.ensure_template(cloud, _template(cloud)),
    ]
    return Report(tuple(changes))


def teardown(cloud: Cloud, *, devices: bool) -> Report:
    """Remove what `prepare` made; ``devices``: and the certificates that were retired.

    Raises:
        NotMadeByStationError: something of the same name is someone else's.
        CloudError: AWS did not answer, or said no.
    """
    changes = [
        provisioning_templates.remove_template(cloud, TEMPLATE),
        remove_rule(cloud, RULE),
    ]
    for name in (FUNCTION, HOOK):
        changes += [
            remove_function(cloud, name),
            remove_lambda_role(cloud, name),
            remove_log_group(cloud, name),
        ]
    changes.append(roles.remove_role(cloud, ROLE, TEMPLATE))
    changes += _remove_retired(cloud) if devices else []
    changes.append(remove_renewal_from_thing_policy(cloud))
    return Report(tuple(changes))


def _template(cloud: Cloud) -> Template:
    return Template(
        TEMPLATE,
        load_template(TEMPLATE),
        role_arn(cloud, ROLE),
        description="Another certificate for the same thing (Firstboot)",
        hook_arn=function_arn(cloud, HOOK),
    )


def _functions(cloud: Cloud) -> list[Function]:
    by_rule, by_template = rule_arn(cloud, RULE), template_arn(cloud, TEMPLATE)
    return [
        Function(FUNCTION, "renewal", role_arn(cloud, FUNCTION), {}, by_rule),
        Function(HOOK, "renewal_hook", role_arn(cloud, HOOK), {}, by_template),
    ]


def _ensure_function(cloud: Cloud, function: Function) -> list[Change]:
    return [
        ensure_log_group(cloud, function.name),
        ensure_lambda_role(cloud, function.name),
        ensure_function(cloud, function),
    ]


def _remove_retired(cloud: Cloud) -> list[Change]:
    """Delete the certificates under the device policy that are INACTIVE and of no thing."""
    removed = []
    for certificate_id in attached_certificates(cloud, THING_POLICY):
        is_inactive = describe_certificate(cloud, certificate_id)["status"] == "INACTIVE"
        if is_inactive and not things_with(cloud, certificate_id):
            delete_certificate(cloud, certificate_id)
            removed.append(Change("retired certificate", certificate_id, Outcome.REMOVED))
    return removed
