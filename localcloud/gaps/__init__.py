"""One AWS feature a module that MiniStack lacks; each is deleted when MiniStack has it.

A gap module has two functions: ``is_open(iot)`` says whether MiniStack still lacks the feature,
``close(iot, ...)`` wraps what it must, and may return what is to be called once the saved state
is loaded. Both reach MiniStack through a `Seam`, so that a private
function that is gone is named in a clear error and not met in the middle of a request.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial

from localcloud.errors import GapError
from localcloud.gaps import (
    authorization,
    billing_groups,
    ca_by_signature,
    ca_registration,
    cbor,
    certificate_keys,
    certificate_provider,
    certificate_shape,
    certificate_status,
    client_certificate,
    commands,
    connect_tunnel,
    connections,
    create_certificate_from_csr,
    endpoint_names,
    http_publish,
    jitp,
    jitr_client_id,
    job_requests,
    job_timeouts,
    loopback,
    mqtt_session,
    mqtt_transport,
    ownership_tokens,
    policy_grammar,
    policy_target,
    policy_variables,
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
from localcloud.gaps._support.issuer import Issuer
from localcloud.seam import Seam
from localcloud.settings import Settings

Resume = Callable[[], None]
"""Goes on with what a process left behind."""


@dataclass(frozen=True)
class Gap:
    """A gap module, ready to be applied."""

    name: str
    is_open: Callable[[Seam], bool]
    close: Callable[[Seam], Resume | None]


def all_gaps(issuer: Issuer, settings: Settings) -> list[Gap]:
    """Return every gap in the order of closing.

    ``issuer`` signs device certificates; ``settings`` say how long things take.
    """
    sign = partial(certificate_shape.close, issuer=issuer)
    provision = partial(jitp.close, settings=settings)
    change_status = partial(certificate_status.close, settings=settings)
    register = partial(registration_tasks.close, settings=settings)
    serve_mqtt = partial(mqtt_session.close, settings=settings)
    sign_by_provider = partial(certificate_provider.close, settings=settings)
    csr = create_certificate_from_csr
    return [
        Gap("loopback", loopback.is_open, loopback.close),
        Gap("commands", commands.is_open, commands.close),
        Gap("mqtt_session", mqtt_session.is_open, serve_mqtt),
        Gap("connect_tunnel", connect_tunnel.is_open, connect_tunnel.close),
        Gap("endpoint_names", endpoint_names.is_open, endpoint_names.close),
        Gap("client_certificate", client_certificate.is_open, client_certificate.close),
        Gap("mqtt_transport", mqtt_transport.is_open, mqtt_transport.close),
        Gap("ca_by_signature", ca_by_signature.is_open, ca_by_signature.close),
        Gap("certificate_shape", certificate_shape.is_open, sign),
        Gap("certificate_status", certificate_status.is_open, change_status),
        Gap("ownership_tokens", ownership_tokens.is_open, ownership_tokens.close),
        Gap("create_certificate_from_csr", csr.is_open, csr.close),
        Gap("certificate_provider", certificate_provider.is_open, sign_by_provider),
        Gap("cbor", cbor.is_open, cbor.close),
        Gap("template_grammar", template_grammar.is_open, template_grammar.close),
        Gap("thing_attributes", thing_attributes.is_open, thing_attributes.close),
        Gap("billing_groups", billing_groups.is_open, billing_groups.close),
        Gap("policy_grammar", policy_grammar.is_open, policy_grammar.close),
        Gap("policy_target", policy_target.is_open, policy_target.close),
        Gap("policy_variables", policy_variables.is_open, policy_variables.close),
        Gap("thing_principal_type", thing_principal_type.is_open, thing_principal_type.close),
        Gap("register_thing", register_thing.is_open, register_thing.close),
        Gap("registration_tasks", registration_tasks.is_open, register),
        Gap("ca_registration", ca_registration.is_open, ca_registration.close),
        Gap("rule_permission", rule_permission.is_open, rule_permission.close),
        Gap("rule_actions", rule_actions.is_open, rule_actions.close),
        Gap("rule_sql", rule_sql.is_open, rule_sql.close),
        Gap("shadow_rules", shadow_rules.is_open, shadow_rules.close),
        Gap("job_requests", job_requests.is_open, job_requests.close),
        Gap("job_timeouts", job_timeouts.is_open, job_timeouts.close),
        Gap("jitr_client_id", jitr_client_id.is_open, jitr_client_id.close),
        Gap("jitp", jitp.is_open, provision),
        Gap("certificate_keys", certificate_keys.is_open, certificate_keys.close),
        Gap("provision_request", provision_request.is_open, provision_request.close),
        Gap("registry_versions", registry_versions.is_open, registry_versions.close),
        Gap("authorization", authorization.is_open, authorization.close),
        Gap("connections", connections.is_open, connections.close),
        Gap("http_publish", http_publish.is_open, http_publish.close),
        Gap("request_kinds", request_kinds.is_open, request_kinds.close),
    ]


def close_gaps(iot: Seam, gaps: Iterable[Gap]) -> list[Resume]:
    """Close every gap; return what is to be called once the saved state is loaded.

    Raises:
        GapError: MiniStack has learnt a feature, or lost what a gap module wraps.
    """
    resumes = []
    for gap in gaps:
        if not gap.is_open(iot):
            raise GapError(
                gap.name,
                "MiniStack has this feature now",
                f"Delete localcloud/gaps/{gap.name}.py and its line in gaps/__init__.py.",
            )
        resumes.append(gap.close(iot))
    return [resume for resume in resumes if resume]
