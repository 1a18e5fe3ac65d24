"""Clients without a certificate are refused.

AWS IoT requires mutual TLS on its X.509 ports (developer guide, "Transport security";
docs/aws-iot-facts.md, 5.2). MiniStack serves a client without a certificate under the
default account, and no policy applies to it.
"""

import ssl
from collections.abc import Callable

from localcloud.seam import Seam


def is_open(iot: Seam) -> bool:
    """Whether MiniStack still leaves the client certificate to the client."""
    return "CERT_OPTIONAL" in iot["_mtls_build_ssl_context"].__code__.co_names


def close(iot: Seam) -> None:
    """Require one in the handshake."""
    build: Callable[[], ssl.SSLContext] = iot["_mtls_build_ssl_context"]

    def build_requiring_certificate() -> ssl.SSLContext:
        context = build()
        context.verify_mode = ssl.CERT_REQUIRED
        return context

    iot["_mtls_build_ssl_context"] = build_requiring_certificate
