"""One AWS feature a module that MiniStack lacks; each is deleted when MiniStack has it.

A gap module has two functions: ``is_open(iot)`` says whether MiniStack still lacks the feature,
``close(iot, ...)`` wraps what it must. Both reach MiniStack through a `Seam`, so that a private
function that is gone is named in a clear error and not met in the middle of a request.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial

from localcloud.errors import GapError
from localcloud.gaps import (
    certificate_shape,
    client_certificate,
    create_certificate_from_csr,
    loopback,
    ownership_tokens,
)
from localcloud.gaps.seam import Seam
from localcloud.issuer import Issuer


@dataclass(frozen=True)
class Gap:
    """A gap module, ready to be applied."""

    name: str
    is_open: Callable[[Seam], bool]
    close: Callable[[Seam], None]


def all_gaps(issuer: Issuer) -> list[Gap]:
    """Return every gap in the order of closing; ``issuer`` signs device certificates."""
    sign = partial(certificate_shape.close, issuer=issuer)
    csr = create_certificate_from_csr
    return [
        Gap("loopback", loopback.is_open, loopback.close),
        Gap("client_certificate", client_certificate.is_open, client_certificate.close),
        Gap("certificate_shape", certificate_shape.is_open, sign),
        Gap("ownership_tokens", ownership_tokens.is_open, ownership_tokens.close),
        Gap("create_certificate_from_csr", csr.is_open, csr.close),
    ]


def close_gaps(iot: Seam, gaps: Iterable[Gap]) -> None:
    """Close every gap.

    Raises:
        GapError: MiniStack has learnt a feature, or lost what a gap module wraps.
    """
    for gap in gaps:
        if not gap.is_open(iot):
            raise GapError(
                gap.name,
                "MiniStack has this feature now",
                f"Delete localcloud/gaps/{gap.name}.py and its line in gaps/__init__.py.",
            )
        gap.close(iot)
