"""What a device itself can find: its storage, its settings, the way, and what the server says."""

import socket
import ssl
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Final, NoReturn

import trustme

from device.storage import installed_certificate
from device.storage.device_storage import create_device_storage, open_device_storage
from device.storage.keys import FIRST_DEVICE_KEY, KeyType
from device.storage.lifecycle import Lifecycle
from device.storage.secure_storage import Uid
from tests.diagnose.bench import CA, LATER, Bench, Cause, Patient
from tests.support.certificates import new_key, pem_of
from tests.support.clock import FakeClock
from tests.support.devices import AUTHORITY, SERIAL, make_device
from tests.support.scripted_server import (
    OPENED,
    PUBLISH,
    SUBSCRIBE,
    Peer,
    Script,
    after_the_hello,
    connack,
    disconnect,
    hang_up,
    puback,
    suback,
    tls,
)

Plant = Callable[[Bench], Patient]
DENIED: Final = 0x87


# --- the device -----------------------------------------------------------------------------


def no_device(bench: Bench) -> Patient:
    return Patient(bench.folder / "nothing")


def unfinished(bench: Bench) -> Patient:
    create_device_storage(bench.folder / "device").close()
    return Patient(bench.folder / "device")


def damaged(bench: Bench) -> Patient:
    state = bench.device()
    for image in (state / "storage").glob("image-*"):
        content = bytearray(image.read_bytes())
        content[len(content) // 2] ^= 1
        image.write_bytes(content)
    return Patient(state)


def put_back(bench: Bench) -> Patient:
    state = bench.device(step="made")
    before = {path: path.read_bytes() for path in (state / "storage").glob("image-*")}
    for _ in range(2):
        with open_device_storage(state) as storage:
            storage.ps.set(Uid.ENDPOINT, b"localhost:2")
    for path, content in before.items():
        path.write_bytes(content)
    return Patient(state)


def of_another(bench: Bench) -> Patient:
    state = bench.device()
    other = make_device(bench.folder / "other")
    for path in (other / "storage").glob("image-*"):
        (state / "storage" / path.name).write_bytes(path.read_bytes())
    return Patient(state)


def decommissioned(bench: Bench) -> Patient:
    state = bench.device()
    with open_device_storage(state) as storage:
        storage.advance(Lifecycle.DECOMMISSIONED)
    return Patient(state)


def no_credential(bench: Bench) -> Patient:
    return Patient(make_device(bench.folder / "device", claim=None))


def claim_of_another_key(bench: Bench) -> Patient:
    other = AUTHORITY.issue(new_key().public_key(), {"common_name": "claim"})
    claim = (other, pem_of(new_key()))
    return Patient(make_device(bench.folder / "device", claim=claim))


def installed(bench: Bench, *, of_other_key: bool = False, until: datetime | None = None) -> Path:
    """Make a device that holds its certificate, as the bulk method does."""
    state = make_device(bench.folder / "device", claim=None, root_ca=CA.cert_pem.bytes())
    with open_device_storage(state) as storage, storage.transaction():
        key = storage.keys.generate_key(FIRST_DEVICE_KEY, KeyType.EC_P256)
        public = new_key().public_key() if of_other_key else storage.keys.export_public_key(key)
        times = {"not_after": until} if until else {}
        pem = AUTHORITY.issue(public, {"common_name": SERIAL}, **times)
        installed_certificate.save(storage.ps, key, pem)
    return state


def leaf_of_another_key(bench: Bench) -> Patient:
    return Patient(installed(bench, of_other_key=True), "bulk")


def expired(bench: Bench) -> Patient:
    until = datetime(2026, 11, 23, 0, 30, tzinfo=UTC)
    return Patient(installed(bench, until=until), "bulk")


def ends_soon(bench: Bench) -> Patient:
    until = datetime.fromtimestamp(LATER + 600.0, UTC)
    server, state = bench.server(broker()), installed(bench, until=until)
    return Patient(bench.trusted(state), "bulk", flags={"endpoint": server})


def clock_of_1970(bench: Bench) -> Patient:
    return Patient(bench.device(), clock=FakeClock(12.0))


# --- the settings ---------------------------------------------------------------------------


def settings(text: str) -> Plant:
    def plant(bench: Bench) -> Patient:
        path = bench.folder / "settings.yaml"
        path.write_text(text)
        return Patient(bench.device(step="made"), config=path)

    return plant


def made_for_another_method(bench: Bench) -> Patient:
    return Patient(bench.device(step="made"), "jitp")


def no_endpoint(bench: Bench) -> Patient:
    return Patient(bench.device(endpoint=None, step="made"))


def flag(**flags: str) -> Plant:
    return lambda bench: Patient(bench.device(), flags=flags)


def in_an_element(uri: str) -> Plant:
    return lambda bench: Patient(bench.device(), variables={"DEVICE_KEY__STORE": uri})


def unresolved(bench: Bench) -> Patient:
    def resolve(_: str, __: int) -> list[tuple[object]]:
        raise socket.gaierror(-2, "Name or service not known")

    state = bench.device("a-ats.iot.eu-central-1.amazonaws.com")
    return Patient(state, resolve=resolve)


# --- the way --------------------------------------------------------------------------------


def through(proxy: Callable[[Bench], str], endpoint: str = "localhost:443") -> Plant:
    def plant(bench: Bench) -> Patient:
        variables = {"DEVICE_PROXY": f"http://{proxy(bench)}"}
        return Patient(bench.device(endpoint), variables=variables)

    return plant


def answering_proxy(answer: bytes) -> Callable[[Bench], str]:
    return lambda bench: bench.proxy(answer, hang_up)


def no_name_server(bench: Bench) -> Patient:
    def resolve(*_: object) -> NoReturn:
        raise socket.gaierror(socket.EAI_AGAIN, "Temporary failure in name resolution")

    return Patient(bench.device("a.example:8883"), resolve=resolve)


def clock_of_2060(bench: Bench) -> Patient:
    return Patient(bench.device(), clock=FakeClock(datetime(2060, 1, 1, tzinfo=UTC).timestamp()))


def no_certificate_in_root_ca(bench: Bench) -> Patient:
    file = bench.folder / "nothing"
    file.write_text("no certificate\n")
    return Patient(bench.device(), flags={"root_ca": str(file)})


def impatient_proxy(bench: Bench) -> str:
    return bench.proxy(OPENED, hang_up)


def serving(script: Script, context: Callable[[], ssl.SSLContext] = lambda: tls(CA)) -> Plant:
    def plant(bench: Bench) -> Patient:
        return Patient(bench.device(bench.server(script, context())))

    return plant


def plain(script: Script) -> Plant:
    return lambda bench: Patient(bench.device(bench.plain_server(script)))


def at_an_address(bench: Bench) -> Patient:
    endpoint = bench.server(broker(), tls(CA, "127.0.0.1"))
    return Patient(bench.device(endpoint.replace("localhost", "127.0.0.1")))


def not_valid_any_more() -> ssl.SSLContext:
    old = datetime(2020, 1, 1, tzinfo=UTC)
    return tls(CA, not_before=datetime(2019, 1, 1, tzinfo=UTC), not_after=old)


# --- what the server says -------------------------------------------------------------------


def client_id_in(body: bytes) -> str:
    """Return the client id of a CONNECT of MQTT 5 whose properties take less than 128 bytes."""
    start = 11 + body[10]
    return body[start + 2 : start + 2 + int.from_bytes(body[start : start + 2], "big")].decode()


def broker(
    refuses: Callable[[str], int] = lambda _: 0, suback_code: int = 0, puback_code: int = 0,
    then: bytes = b"",
) -> Script:  # fmt: skip
    """Return a broker that answers CONNECT by the client id, and each packet with these codes."""

    def script(peer: Peer) -> None:
        _, body = peer.receive()
        code = refuses(client_id_in(body))
        peer.send(connack(code))
        while not code and (packet := peer.receive())[0]:
            kind, body = packet
            if kind == SUBSCRIBE:
                peer.send(suback(body[:2], *[suback_code] * body.count(b"json/")))
            elif kind == PUBLISH:
                end = 2 + int.from_bytes(body[:2], "big")
                peer.send(puback(body[end : end + 2], puback_code) + then)

    return script


def connacks(code: int) -> Callable[[str], int]:
    return lambda _: code


def silent(peer: Peer) -> None:
    peer.receive()
    with suppress(OSError):
        peer.wait_until_closed()


def no_broker(peer: Peer) -> None:
    peer.receive()
    peer.send(b"\xff" * 50)


def web_server(peer: Peer) -> None:
    """Answer a request, and close at anything else, as many do."""
    if peer.hear().startswith(b"GET "):
        peer.send(b"HTTP/1.1 302 Found\r\nLocation: https://login.example/\r\n\r\n")


def strict_web_server(peer: Peer) -> None:
    """Answer whatever comes."""
    peer.hear()
    peer.send(b"HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n")


def closing_at_publish(peer: Peer) -> None:
    peer.receive()
    peer.send(connack(0))
    peer.receive()


def of_a_claim(script: Script) -> Plant:
    return lambda bench: Patient(bench.device(bench.server(script), step="made"))


DEVICE_CAUSES: Final = [
    Cause("no device in the folder", "storage", "FB-112", "there is no device", no_device),
    Cause("the station did not finish the device", "storage", "FB-115", "not SECURED", unfinished),
    Cause("both copies of the storage are damaged", "storage", "FB-108", "", damaged),
    Cause("an older state of the storage was put back", "storage", "FB-110", "", put_back),
    Cause("the storage is another device's", "storage", "FB-111", "", of_another),
    Cause("the device was decommissioned", "storage", "FB-1", "DECOMMISSIONED", decommissioned),
    Cause("the device holds no credential", "key and certificate", "FB-422", "", no_credential),
    Cause(
        "the claim certificate is for another key",
        "key and certificate", "FB-421", "another key", claim_of_another_key,
    ),
    Cause(
        "the installed certificate is for another key",
        "key and certificate", "FB-420", "another key", leaf_of_another_key,
    ),
    Cause("the certificate has expired", "expiry", "FB-460", "expired at", expired),
    Cause("the certificate ends today", "expiry", "FB-460", "0 days are left", ends_soon),
    Cause("the clock says 1970", "clock", "FB-408", "1970", clock_of_1970),
    Cause(
        "an unknown method in the settings",
        "settings", "FB-001", "no method", settings("method: claims\n"),
    ),
    Cause(
        "a misspelt key in the settings",
        "settings", "FB-001", "endpont", settings("method: claim\nendpont: a\n"),
    ),
    Cause(
        "settings of another method than the device was made for",
        "settings", "FB-001", "made to request its certificate", made_for_another_method,
    ),
    Cause("no endpoint is set", "settings", "FB-001", "endpoint: is not set", no_endpoint),
    Cause(
        "the endpoint is the credential provider's", "settings", "FB-001", "credential provider",
        flag(endpoint="abc.credentials.iot.eu-central-1.amazonaws.com"),
    ),
    Cause("the endpoint is a URL", "settings", "FB-001", "is a URL", flag(endpoint="mqtts://a")),
    Cause("root_ca names no file", "settings", "FB-001", "root_ca", flag(root_ca="none.pem")),
    Cause(
        "the secure element's module is missing", "secure element", "FB-302", "module",
        in_an_element("pkcs11:token=a?module-path=/nowhere.so"),
    ),
    Cause(
        "the endpoint is misspelt", "DNS", "FB-402", "does not resolve",
        unresolved,
    ),
    Cause(
        "nothing listens at the endpoint", "TCP", "FB-402", "connection refused",
        flag(endpoint="localhost:1"),
    ),
    Cause(
        "the proxy does not run", "TCP", "FB-402", "the proxy",
        through(lambda _: "localhost:1"),
    ),
    Cause(
        "the proxy wants a login", "proxy", "FB-402", "407",
        through(answering_proxy(b"HTTP/1.1 407 Who are you\r\n\r\n")),
    ),
    Cause(
        "the proxy forbids the endpoint", "proxy", "FB-402", "refused it",
        through(answering_proxy(b"HTTP/1.1 403 No\r\n\r\n")),
    ),
    Cause(
        "the wrong root CA", "TLS", "FB-402", "is not trusted",
        serving(hang_up, lambda: tls(trustme.CA())),
    ),
    Cause(
        "the server's certificate has expired, or the clock is ahead", "TLS", "FB-402",
        "expired", serving(hang_up, not_valid_any_more),
    ),
    Cause(
        "the server's certificate is for another name", "TLS", "FB-402", "is not trusted",
        serving(hang_up, lambda: tls(CA, "else.example")),
    ),
    Cause("the port does not speak TLS", "TLS", "FB-402", "speak TLS", plain(
        lambda peer: peer.send(b"HTTP/1.1 400 What\r\n\r\n"))),
    Cause("something on the way cuts TLS", "TLS", "FB-402", "closed", plain(after_the_hello)),
    Cause("no ALPN on port 443", "ALPN", "FB-462", "no protocol", through(impatient_proxy)),
    Cause("the endpoint is an address: no SNI", "SNI", "FB-402", "an address", at_an_address),
    Cause(
        "a captive portal whose certificate is trusted", "CONNECT", "FB-402", "is not MQTT",
        serving(web_server),
    ),
    Cause(
        "a load balancer for HTTPS whose certificate is trusted", "CONNECT", "FB-402",
        "is not MQTT", serving(strict_web_server),
    ),
    Cause(
        "the certificate is INACTIVE, deleted or of another account", "CONNECT", "FB-403",
        "INACTIVE", serving(hang_up),
    ),
    Cause(
        "no policy is attached", "CONNECT", "FB-403", "none is attached",
        serving(broker(connacks(DENIED))),
    ),
    Cause(
        "the policy is for another client id", "CONNECT", "FB-403", "but not as SN-1.",
        serving(broker(lambda name: DENIED if name == "SN-1" else 0)),
    ),
    Cause(
        "the account is over its quota of connections", "CONNECT", "FB-402", "quota",
        serving(broker(connacks(0x97))),
    ),
    Cause("the server is busy", "CONNECT", "FB-402", "busy", serving(broker(connacks(0x89)))),
    Cause("the server never answers CONNECT", "CONNECT", "FB-402", "TIMEOUT", serving(silent)),
    Cause(
        "the claim's policy names another template", "subscribe", "FB-410", "denied subscribe",
        of_a_claim(broker(suback_code=DENIED)),
    ),
    Cause(
        "the policy does not allow the telemetry topic", "publish", "FB-410", "denied publish",
        serving(broker(puback_code=DENIED)),
    ),
    Cause(
        "another device has the same client id", "client id", "FB-414", "",
        serving(broker(then=disconnect(0x8E))),
    ),
    Cause("a captive portal answers", "TLS", "FB-402", "does not speak TLS", plain(
        lambda peer: peer.send(b"HTTP/1.1 302 Found\r\nLocation: http://login.example/\r\n\r\n"))),
    Cause(
        "the proxy sends to a login page", "proxy", "FB-402", "302",
        through(answering_proxy(b"HTTP/1.1 302 Found\r\nLocation: http://login.example/\r\n\r\n")),
    ),
    Cause(
        "the proxy cannot reach the endpoint", "proxy", "FB-402", "502",
        through(answering_proxy(b"HTTP/1.1 502 Bad Gateway\r\n\r\n")),
    ),
    Cause(
        "what is set as proxy is none", "proxy", "FB-402", "no HTTP",
        through(lambda bench: bench.plain_server(lambda peer: peer.send(b"\0\1\r\n\r\n"))),
    ),
    Cause("a SOCKS proxy is set", "settings", "FB-001", "proxy", flag(proxy="socks5://a:1")),
    Cause("the name server does not answer now", "DNS", "FB-402", "Temporary", no_name_server),
    Cause("the clock is years ahead", "expiry", "FB-460", "this device's clock", clock_of_2060),
    Cause("root_ca names a folder", "settings", "FB-001", "not a regular file", flag(root_ca="/")),
    Cause(
        "root_ca names a file without a certificate", "settings", "FB-001", "no PEM certificate",
        no_certificate_in_root_ca,
    ),
    Cause(
        "the endpoint is an IPv6 address", "settings", "FB-001", "IPv6", flag(endpoint="[::1]:1")
    ),
    Cause(
        "the telemetry topic has a wildcard", "settings", "FB-001", "not a topic",
        settings("method: claim\ntelemetry: {topic: 'a/#'}\n"),
    ),
    Cause(
        "the client id is not valid", "CONNECT", "FB-402", "client identifier not valid",
        serving(broker(connacks(0x85))),
    ),
    Cause(
        "too many connections a second", "CONNECT", "FB-402", "rate exceeded",
        serving(broker(connacks(0x9F))),
    ),
    Cause(
        "another server than an MQTT broker answers", "CONNECT", "FB-402", "does not speak MQTT",
        serving(no_broker),
    ),
    Cause(
        "too many subscriptions", "subscribe", "FB-415", "quota",
        of_a_claim(broker(suback_code=0x97)),
    ),
    Cause(
        "too many messages", "publish", "FB-415", "quota", serving(broker(puback_code=0x97))
    ),
    Cause(
        "AWS IoT closes the connection at the message", "publish", "FB-413", "no policy allows it",
        serving(closing_at_publish),
    ),
]  # fmt: skip
