"""Certificate provider: one's own Lambda signs what devices ask for over MQTT.

CreateCertificateProvider and its kin, one provider an account. With one, every
CreateCertificateFromCsr over MQTT goes to the Lambda, with ``certificateSigningRequest``,
``principalId`` and ``clientId``, which has five seconds and returns ``certificatePem``: one
certificate that keeps the CSR's subject and key. The authority need not be registered, and
CreateKeysAndCertificate is as before (developer guide, "Self-managed certificate signing using
AWS IoT Core certificate provider"; botocore model; docs/aws-iot-facts.md, 4.6). The Lambda
must allow ``iot.amazonaws.com`` for the provider's ARN. AWS takes some minutes until a provider
acts, here it acts at once; how AWS words its refusals to a device is not published.
"""

import asyncio
import datetime as dt
import json
import re
import time
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from ministack.services import lambda_svc

from localcloud.broker.provisioning import CREATE_FROM_CSR, Reply, rejected
from localcloud.gaps._support.rest import (
    Answer,
    RefusedError,
    Request,
    arn_of,
    is_unserved,
    page,
    serve,
)
from localcloud.gaps._support.stores import Store, add_store
from localcloud.gaps.certificate_keys import certificate_error
from localcloud.gaps.certificate_shape import check_csr
from localcloud.gaps.create_certificate_from_csr import bad_csr, csr_of, register
from localcloud.seam import Seam
from localcloud.settings import Settings

_OPERATIONS: Final = ["CreateCertificateFromCsr"]
_NAME: Final = re.compile(r"[\w=,@-]{1,128}")
_FUNCTION: Final = re.compile(r"arn:aws:lambda:([a-z0-9-]+):([0-9]{12}):function:[\w-]+(:\S+)?")
_PATH: Final = "/certificate-providers/{certificateProviderName}"
_INVOCATION: Final = "InvocationError"

Provider = dict[str, Any]


class SigningError(Exception):
    """The provider gave no certificate that can be used."""


def is_open(iot: Seam) -> bool:
    """Whether MiniStack still does not know the paths."""
    return is_unserved(iot, "GET", "/certificate-providers/")


def close(iot: Seam, settings: Settings) -> None:
    """Serve the operations, and ask the provider for each certificate."""
    providers = Providers(iot, add_store(iot, "certificate_providers"))
    reply: Callable[..., Awaitable[Reply]] = iot["_fleet_provisioning_reply"]
    missing = "Certificate provider {name} does not exist"
    iot["_TAGGABLE_RESOURCES"]["certificateprovider"] = (providers.store, missing)
    serve(
        iot,
        {
            "GET /certificate-providers/?": providers.list,
            f"POST {_PATH}": providers.create,
            f"GET {_PATH}": providers.describe,
            f"PUT {_PATH}": providers.update,
            f"DELETE {_PATH}": providers.delete,
        },
    )

    async def answer(account: str, region: str, operation: str, *rest: Any) -> Reply:
        with iot["request_scope"](account, region):
            provider = next(iter(providers.store.values()), None)
            if operation != CREATE_FROM_CSR or provider is None:
                return await reply(account, region, operation, *rest)
            _template, payload, connection = rest
            seconds = settings.certificate_provider_seconds
            return await _create(iot, provider, payload, connection, seconds)

    iot["_fleet_provisioning_reply"] = answer


class Providers:
    """The operations, on a ``store`` that has one provider at most in an account and Region."""

    def __init__(self, iot: Seam, store: Store) -> None:
        """Keep providers in ``store``."""
        self._iot = iot
        self.store = store

    async def create(self, request: Request) -> Answer:
        """CreateCertificateProvider."""
        name = request.parts["certificateProviderName"]
        if not _NAME.fullmatch(name):
            text = f"certificateProviderName {name[:80]!r} is not valid"
            raise RefusedError("InvalidRequestException", text)
        function = self._function(request.body.get("lambdaFunctionArn"))
        operations = _operations(request.body.get("accountDefaultForOperations"))
        if name in self.store:
            text = f"Certificate provider {name} already exists"
            raise RefusedError("ResourceAlreadyExistsException", text, 409)
        if self.store:
            text = "An account has one certificate provider at most"
            raise RefusedError("LimitExceededException", text, 410)
        now, arn = time.time(), self._arn(name)
        self.store[name] = {
            "certificateProviderName": name,
            "certificateProviderArn": arn,
            "lambdaFunctionArn": function,
            "accountDefaultForOperations": operations,
            "creationDate": now,
            "lastModifiedDate": now,
        }
        self._iot["_set_created_tags"](arn, request.body.get("tags"))
        return _named(self.store[name])

    async def describe(self, request: Request) -> Answer:
        """DescribeCertificateProvider."""
        return dict(self._found(request))

    async def list(self, request: Request) -> Answer:
        """ListCertificateProviders."""
        shown, token = page(request, [_named(one) for one in self.store.values()])
        answer: dict[str, object] = {"certificateProviders": list(shown)}
        return {**answer, "nextToken": token} if token else answer

    async def update(self, request: Request) -> Answer:
        """UpdateCertificateProvider."""
        provider = dict(self._found(request))
        if "lambdaFunctionArn" in request.body:
            provider["lambdaFunctionArn"] = self._function(request.body["lambdaFunctionArn"])
        if "accountDefaultForOperations" in request.body:
            _operations(request.body["accountDefaultForOperations"])
        provider["lastModifiedDate"] = time.time()
        self.store[provider["certificateProviderName"]] = provider
        return _named(provider)

    async def delete(self, request: Request) -> Answer:
        """DeleteCertificateProvider."""
        provider = self._found(request)
        self._iot["_tags"].pop(provider["certificateProviderArn"], None)
        del self.store[provider["certificateProviderName"]]
        return {}

    def _found(self, request: Request) -> Provider:
        name = request.parts["certificateProviderName"]
        provider: Provider | None = self.store.get(name)
        if provider is None:
            text = f"Certificate provider {name} does not exist"
            raise RefusedError("ResourceNotFoundException", text, 404)
        return provider

    def _function(self, arn: object) -> str:
        found = _FUNCTION.fullmatch(arn) if isinstance(arn, str) else None
        place = (self._iot["get_region"](), self._iot["get_account_id"]())
        if found is None or found.groups()[:2] != place:
            text = "lambdaFunctionArn must be a function of this account and Region"
            raise RefusedError("InvalidRequestException", text)
        return found[0]

    def _arn(self, name: str) -> str:
        return arn_of(self._iot, f"certificateprovider/{name}")


def _operations(given: object) -> list[str]:
    if given != _OPERATIONS:
        text = f"accountDefaultForOperations must be {json.dumps(_OPERATIONS)}"
        raise RefusedError("InvalidRequestException", text)
    return list(_OPERATIONS)


def _named(provider: Mapping[str, Any]) -> Answer:
    return {name: provider[name] for name in ("certificateProviderName", "certificateProviderArn")}


async def _create(
    iot: Seam,
    provider: Provider,
    payload: bytes,
    connection: Mapping[str, str],
    seconds: float,
) -> Reply:
    csr = csr_of(payload)
    if not isinstance(csr, str):
        return csr
    try:
        wanted = check_csr(csr)
    except ValueError:
        return bad_csr()
    event = {
        "certificateSigningRequest": csr,
        "principalId": connection.get("claimCertificateId", ""),
        "clientId": connection["clientId"],
    }
    try:
        pem = signed_certificate(await _invoke(iot, provider, event, seconds), wanted)
    except SigningError as error:
        return rejected(_INVOCATION, f"The certificate provider failed: {error}")
    return "accepted", register(iot, iot["get_account_id"](), iot["get_region"](), pem)


async def _invoke(
    iot: Seam, provider: Provider, event: Mapping[str, str], seconds: float
) -> object:
    function = iot["_provisioning_hook_function"](
        provider["lambdaFunctionArn"], provider["certificateProviderArn"]
    )
    if function is None:
        raise SigningError("AWS IoT may not invoke the function, or it does not exist")
    execute = Seam(lambda_svc)["_execute_function_with_config_scope"]
    name = "certificate-provider"
    invocation = asyncio.ensure_future(
        iot["run_reentrant"](execute, function, event, thread_name=name)
    )
    try:
        # Past the limit the function keeps running; only its answer is dropped.
        result = await asyncio.wait_for(asyncio.shield(invocation), seconds)
    except TimeoutError as error:
        raise SigningError(f"the function did not answer within {seconds:g} s") from error
    if result.get("throttle") or result.get("error"):
        raise SigningError("the function was not executed successfully")
    return _parsed(result.get("body"))


def _parsed(body: object) -> object:
    if not isinstance(body, str | bytes):
        return body
    try:
        return json.loads(body)
    except (ValueError, RecursionError) as error:
        raise SigningError("the function's answer is not JSON") from error


def signed_certificate(answer: object, csr: x509.CertificateSigningRequest) -> str:
    """Return the certificate in a function's ``answer`` to ``csr``, as PEM.

    Raises:
        SigningError: there is none, or it is not for this CSR.
    """
    pem = answer.get("certificatePem") if isinstance(answer, dict) else None
    if not isinstance(pem, str) or not pem:
        raise SigningError("the function returned no certificatePem")
    try:
        certificates = x509.load_pem_x509_certificates(pem.encode())
    except ValueError as error:
        raise SigningError("certificatePem is not a certificate") from error
    if len(certificates) != 1:
        raise SigningError("certificatePem has more than one certificate")
    try:
        _check(certificates[0], csr)
    except (ValueError, UnsupportedAlgorithm) as error:
        raise SigningError("certificatePem has a key that cannot be read") from error
    return certificates[0].public_bytes(Encoding.PEM).decode()


def _check(certificate: x509.Certificate, csr: x509.CertificateSigningRequest) -> None:
    if _spki(certificate) != _spki(csr):
        raise SigningError("the certificate is for another key")
    if certificate.subject != csr.subject:
        raise SigningError("the certificate has another subject")
    pem = certificate.public_bytes(Encoding.PEM).decode()
    error = certificate_error(pem, dt.datetime.now(dt.UTC))
    if error:
        raise SigningError(error)


def _spki(found: x509.Certificate | x509.CertificateSigningRequest) -> bytes:
    return found.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
