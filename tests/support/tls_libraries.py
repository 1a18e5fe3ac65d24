"""Do the two TLS libraries that meet a certificate take it: awscrt, and OpenSSL through ssl?"""

import ssl
from pathlib import Path

from awscrt import io


def load_everywhere(certificate_pem: bytes, private_key_pem: bytes, folder: Path) -> None:
    """Load the pair as a client does; whatever is raised says that it is of no use."""
    options = io.TlsContextOptions.create_client_with_mtls(certificate_pem, private_key_pem)
    io.ClientTlsContext(options)
    pair = folder / "pair.pem"
    pair.write_bytes(private_key_pem + certificate_pem)
    ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_cert_chain(pair)


def trust_everywhere(bundle_pem: bytes) -> None:
    """Load the bundle as trust anchors."""
    options = io.TlsContextOptions()
    options.override_default_trust_store(bundle_pem)
    io.ClientTlsContext(options)
    ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(cadata=bundle_pem.decode())
