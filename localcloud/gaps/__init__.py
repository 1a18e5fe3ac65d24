"""One AWS feature a module that MiniStack lacks; each is deleted when MiniStack has it.

A gap module has two functions: ``is_open(iot)`` says whether MiniStack still lacks the feature,
``close(iot, ...)`` wraps what it must, and may return what is to be called once the saved state
is loaded. Both reach MiniStack through a `Seam`, so that a private
function that is gone is named in a clear error and not met in the middle of a request.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial
from typing import Final, Protocol

from localcloud.errors import GAP
from localcloud.gaps import (
    authorization,
    billing_groups,
    ca_by_signature,
    ca_registration,
    certificate_description,
    certificate_keys,
    certificate_provider,
    certificate_shape,
    certificate_status,
    client_certificate,
    commands,
    connections,
    create_certificate_from_csr,
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
    ownership_tokens,
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
from localcloud.gaps._support.issuer import Issuer
from localcloud.seam import Seam
from localcloud.settings import Settings

Resume = Callable[[], None]
"""Goes on with what a process left behind."""


class GapModule(Protocol):
    """A module of this package."""

    __name__: str

    def is_open(self, iot: Seam, /) -> bool:
        """Whether MiniStack still lacks the feature."""
        ...

    @property
    def close(self) -> Callable[..., Resume | None]:
        """Adds it."""
        ...


@dataclass(frozen=True)
class Gap:
    """A gap module, ready to be applied."""

    name: str
    is_open: Callable[[Seam], bool]
    close: Callable[[Seam], Resume | None]


_IN_ORDER: Final[tuple[GapModule, ...]] = (
    commands,
    mqtt_session,
    endpoint_names,
    client_certificate,
    mqtt_transport,
    ca_by_signature,
    certificate_shape,
    certificate_status,
    certificate_description,
    ownership_tokens,
    create_certificate_from_csr,
    certificate_provider,
    template_grammar,
    thing_attributes,
    billing_groups,
    policy_grammar,
    policy_target,
    group_policies,
    thing_principal_type,
    register_thing,
    registration_tasks,
    ca_registration,
    rule_permission,
    rule_actions,
    rule_sql,
    shadow_rules,
    job_requests,
    job_step_timers,
    job_timeouts,
    jitr_client_id,
    jitp,
    certificate_keys,
    provision_request,
    registry_versions,
    authorization,
    connections,
    http_publish,
    request_kinds,
)
"""As they are closed: what wraps the same function later is called first."""
_TAKE_SETTINGS: Final = (
    certificate_provider,
    certificate_status,
    jitp,
    mqtt_session,
    registration_tasks,
)


def all_gaps(issuer: Issuer, settings: Settings) -> list[Gap]:
    """Return every gap in the order of closing.

    ``issuer`` signs device certificates; ``settings`` say how long things take.
    """
    given: dict[GapModule, dict[str, object]] = {certificate_shape: {"issuer": issuer}}
    given |= {module: {"settings": settings} for module in _TAKE_SETTINGS}
    return [
        Gap(
            module.__name__.rpartition(".")[2],
            module.is_open,
            partial(module.close, **given.get(module, {})),
        )
        for module in _IN_ORDER
    ]


def close_gaps(iot: Seam, gaps: Iterable[Gap]) -> list[Resume]:
    """Close every gap; return what is to be called once the saved state is loaded.

    Raises:
        GapError: MiniStack has learnt a feature, or lost what a gap module wraps.
    """
    resumes = []
    for gap in gaps:
        if not gap.is_open(iot):
            raise GAP.error(
                "MiniStack has this feature now",
                gap=gap.name,
                next_step=f"Delete localcloud/gaps/{gap.name}.py and its line in gaps/__init__.py.",
            )
        resumes.append(gap.close(iot))
    return [resume for resume in resumes if resume]
