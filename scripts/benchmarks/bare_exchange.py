"""The least a device can do to be provisioned by claim: AWS's SDK, and nothing kept.

The yardstick for ``scripts/bench first-boot``, written as AWS's own samples are: a key in
memory, a certificate for it, RegisterThing, a connection as the thing, one acknowledged
message. Prints the seconds from the claim's CONNACK to the PUBACK.
"""

import argparse
import time
from collections.abc import Callable
from concurrent.futures import Future
from typing import Final

from awscrt import mqtt5
from awscrt.mqtt_request_response import ClientOptions
from awsiot import iotidentity, mqtt5_client_builder
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

TIMEOUT: Final = 30
Started = tuple[mqtt5.Client, Callable[[], None]]


def start(
    build: Callable[..., mqtt5.Client], *credential: str | bytes, **options: object
) -> Started:
    """Connect; return the client, and what closes it."""
    connected: Future[object] = Future()
    stopped: Future[object] = Future()
    client = build(
        *credential,
        on_lifecycle_connection_success=connected.set_result,
        on_lifecycle_connection_failure=lambda data: connected.set_exception(data.exception),
        on_lifecycle_stopped=stopped.set_result,
        **options,
    )
    client.start()
    connected.result(TIMEOUT)

    def close() -> None:
        client.stop()
        stopped.result(TIMEOUT)

    return client, close


def request_certificate(
    client: mqtt5.Client, template: str, serial: str
) -> tuple[bytes, bytes, str]:
    """Return a certificate and its key as PEM, and the name of the thing."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, serial)])
    csr = x509.CertificateSigningRequestBuilder().subject_name(subject).sign(key, hashes.SHA256())
    identity = iotidentity.IotIdentityClientV2(
        client,
        ClientOptions(
            max_request_response_subscriptions=2,
            max_streaming_subscriptions=0,
            operation_timeout_in_seconds=TIMEOUT,
        ),
    )
    issued = identity.create_certificate_from_csr(
        iotidentity.CreateCertificateFromCsrRequest(
            certificate_signing_request=csr.public_bytes(serialization.Encoding.PEM).decode()
        )
    ).result(TIMEOUT)
    registered = identity.register_thing(
        iotidentity.RegisterThingRequest(
            template_name=template,
            certificate_ownership_token=issued.certificate_ownership_token,
            parameters={"SerialNumber": serial},
        )
    ).result(TIMEOUT)
    key_pem = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    return issued.certificate_pem.encode(), key_pem, registered.thing_name


def main() -> None:
    """Provision one thing."""
    parser = argparse.ArgumentParser(description=__doc__)
    for name in ("endpoint", "port", "ca-file", "cert", "key", "template", "serial"):
        parser.add_argument(f"--{name}", required=True)
    options = parser.parse_args()
    server = {
        "endpoint": options.endpoint,
        "port": int(options.port),
        "ca_filepath": options.ca_file,
    }
    claim, close_claim = start(
        mqtt5_client_builder.mtls_from_path,
        options.cert,
        options.key,
        client_id=f"claim-{options.serial}",
        **server,
    )
    connected = time.monotonic()
    certificate, key, thing = request_certificate(claim, options.template, options.serial)
    close_claim()
    device, close_device = start(
        mqtt5_client_builder.mtls_from_bytes, certificate, key, client_id=thing, **server
    )
    message = mqtt5.PublishPacket(
        topic=f"dt/{thing}/telemetry", payload=b"{}", qos=mqtt5.QoS.AT_LEAST_ONCE
    )
    device.publish(message).result(TIMEOUT)
    print(f"connected to proven: {time.monotonic() - connected:.6f} s")  # noqa: T201
    close_device()


if __name__ == "__main__":
    main()
