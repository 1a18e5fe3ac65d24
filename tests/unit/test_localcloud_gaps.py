"""MiniStack still lacks what our gap modules add; red here means: delete the module named."""

import asyncio
import pkgutil
import ssl
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from cryptography import x509
from ministack.services import iot as ministack_iot

import localcloud
from localcloud import gaps
from localcloud.broker.provisioning import CREATE_FROM_CSR
from localcloud.door import loopback
from localcloud.durable.watched import Store as WatchedStore
from localcloud.durable.watched import Watched, working
from localcloud.errors import GAP
from localcloud.gaps import (
    Gap,
    all_gaps,
    certificate_shape,
    client_certificate,
    close_gaps,
    create_certificate_from_csr,
    ownership_tokens,
)
from localcloud.gaps._support.issuer import open_issuer
from localcloud.seam import Seam
from localcloud.settings import Settings
from tests.support.errors import raises
from tests.unit.test_localcloud_gap_watch import WATCHED as WATCHED_IN_GAP_WATCH

EVERY_INTERFACE = "0.0.0.0"  # noqa: S104  (what must not happen)
ACCOUNT, REGION = "000000000000", "us-east-1"


@pytest.fixture
def iot() -> Seam:
    """MiniStack as it is installed: nothing wrapped."""
    return Seam(ministack_iot)


# --- MiniStack as it is --------------------------------------------------------------


def test_ministack_knows_no_create_from_csr_topic(iot: Seam) -> None:
    assert create_certificate_from_csr.is_open(iot)


class Recorder(asyncio.SelectorEventLoop):
    """Notes where a listener would be, and opens none."""

    hosts: list[object] = []  # noqa: RUF012  (one loop in one test)

    async def create_server(self, *_arguments: Any, **options: Any) -> Any:
        self.hosts.append(options["host"])


def test_ministack_listens_for_mqtt_on_every_interface(
    iot: Seam, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ministack_iot, "_mtls_server", None)
    monkeypatch.setattr(ministack_iot, "_mtls_loop", None)
    with asyncio.Runner(loop_factory=Recorder) as runner:
        runner.run(iot["_mtls_start_locked"]())
    assert Recorder.hosts == [EVERY_INTERFACE]


def test_ministack_lets_in_who_has_no_certificate(iot: Seam) -> None:
    assert iot["_mtls_build_ssl_context"]().verify_mode == ssl.CERT_OPTIONAL
    assert client_certificate.is_open(iot)


def test_ministack_signs_devices_with_the_root_of_the_endpoint(iot: Seam) -> None:
    made, _key, _public = iot["sign_leaf_certificate"](*iot["_ensure_ca"](), "AWS IoT Certificate")
    root = x509.load_pem_x509_certificate(iot["get_ca_cert_pem"]().encode())
    assert x509.load_pem_x509_certificate(made.encode()).issuer == root.subject
    assert certificate_shape.is_open(iot)


def test_ministack_keeps_the_certificate_of_an_expired_token(iot: Seam) -> None:
    certificates, tokens = iot["_certificates"], iot["_ownership_tokens"]
    certificates.set_scoped(ACCOUNT, REGION, "id", {"status": "PENDING_ACTIVATION"})
    tokens.set_scoped(ACCOUNT, REGION, "token", {"certificateId": "id", "expiration": 0})
    iot["_drop_expired"](tokens)
    assert not tokens.contains_scoped(ACCOUNT, REGION, "token")
    assert certificates.pop_scoped(ACCOUNT, REGION, "id", None) is not None
    assert ownership_tokens.is_open(iot)


def test_every_gap_is_watched_by_a_test_above(iot: Seam, tmp_path: Any) -> None:
    listed = all_gaps(open_issuer(tmp_path / "issuing-ca.pem"), Settings())
    assert {gap.name for gap in listed} == WATCHED_IN_GAP_WATCH | {
        "client_certificate",
        "certificate_shape",
        "ownership_tokens",
        "create_certificate_from_csr",
    }


def test_every_module_in_gaps_is_a_gap(tmp_path: Any) -> None:
    listed = {gap.name for gap in all_gaps(open_issuer(tmp_path / "issuing-ca.pem"), Settings())}
    modules = {found.name for found in pkgutil.iter_modules(gaps.__path__)}
    assert modules == listed | {"_support"}


def test_the_page_has_every_gap_and_every_room() -> None:
    page = (Path(gaps.__path__[0]).parents[1] / "docs" / "local-aws.md").read_text()
    found = {each.name: each.ispkg for each in pkgutil.iter_modules(gaps.__path__)}
    missing = [name for name, is_room in found.items() if not is_room and f"`{name}`" not in page]
    rooms = [each.name for each in pkgutil.iter_modules(localcloud.__path__) if each.ispkg]
    assert missing == []
    assert [name for name in rooms if f"| `{name}/` |" not in page] == []


# --- MiniStack as it may become ------------------------------------------------------


def test_a_feature_that_ministack_has_learnt_stops_the_start() -> None:
    learnt = SimpleNamespace(_parse_fleet_provisioning_topic=lambda _topic: ("csr", None))
    gap = create_certificate_from_csr
    with raises(GAP, match="has this feature now") as stopped:
        close_gaps(Seam(learnt), [Gap("the_gap", gap.is_open, gap.close)])
    assert "Delete localcloud/gaps/the_gap.py" in stopped.value.next_step


def test_a_function_that_is_gone_stops_the_start() -> None:
    gap = create_certificate_from_csr
    with raises(GAP, match="has no _parse_fleet_provisioning_topic"):
        close_gaps(Seam(SimpleNamespace()), [Gap("the_gap", gap.is_open, gap.close)])


def test_what_is_not_there_is_not_replaced() -> None:
    empty = SimpleNamespace()
    with raises(GAP, match="has no _gone"):
        Seam(empty)["_gone"] = 1
    assert not hasattr(empty, "_gone")


# --- loopback ------------------------------------------------------------------------


@pytest.mark.parametrize("host", [EVERY_INTERFACE, "", "::", "::1", "192.168.0.1"])
def test_no_other_address_may_be_bound(host: str) -> None:
    with pytest.raises(PermissionError, match=r"127\.0\.0\.1 only"):
        loopback.refuse("socket.bind", (object(), (host, 1)))


@pytest.mark.parametrize(
    ("event", "address"),
    [
        ("socket.bind", ("127.0.0.1", 1)),
        ("socket.bind", ("localhost", 1)),
        ("socket.bind", "/run/unix.socket"),
        ("socket.bind", (1, 2)),
        ("socket.connect", ("192.168.0.1", 1)),
    ],
)
def test_loopback_and_what_is_no_listener_may(event: str, address: object) -> None:
    loopback.refuse(event, (object(), address))


# --- ownership tokens ----------------------------------------------------------------


def test_tokens_are_never_the_same() -> None:
    assert len({ownership_tokens.new_token() for _ in range(100)}) == 100


class Store:
    """A scoped store of MiniStack's, as far as ownership tokens need one."""

    def __init__(self, **records: dict[str, Any]) -> None:
        self.records = {(ACCOUNT, REGION, name): record for name, record in records.items()}
        self._data = self.records  # as MiniStack names it

    def all_items(self) -> list[Any]:
        return list(self.records.items())

    def all_values(self) -> list[Any]:
        return list(self.records.values())

    def get_scoped(self, account: str, region: str, name: str) -> Any:
        return self.records.get((account, region, name))

    def pop_scoped(self, account: str, region: str, name: str) -> Any:
        return self.records.pop((account, region, name))


def forget_expired(store: Store) -> None:
    """What MiniStack does; it also looks at ``_certificates`` nowhere."""
    for key, record in store.all_items():
        if record["expiration"] <= time.time():
            del store.records[key]


@pytest.mark.parametrize(
    ("certificate", "kept"),
    [
        ({"status": "PENDING_ACTIVATION"}, False),
        ({"status": "PENDING_ACTIVATION", "attachedThings": ["arn"]}, True),
        ({"status": "PENDING_ACTIVATION", "attachedPolicies": ["p"]}, True),
        ({"status": "ACTIVE"}, True),
        ({"status": "INACTIVE"}, True),
    ],
)
def test_only_a_certificate_that_nobody_registered_goes_with_its_token(
    certificate: dict[str, Any], *, kept: bool
) -> None:
    token = {"certificateId": "id", "expiration": time.time() + 3600}
    fake = SimpleNamespace(
        _certificates=Store(id=certificate),
        _ownership_tokens=Store(token=token),
        _drop_expired=forget_expired,
        _fleet_create_keys_and_certificate=None,
    )
    ownership_tokens.close(Seam(fake))
    assert ownership_tokens.age(Seam(fake), 3000) == 1
    assert fake._ownership_tokens.records, "young enough"
    ownership_tokens.age(Seam(fake), 601)
    assert not fake._ownership_tokens.records
    assert bool(fake._certificates.records) == kept


def test_a_new_token_looks_at_the_oldest_one_only_and_notes_none() -> None:
    young = {"certificateId": "id", "expiration": time.time() + 3600}
    tokens = Watched(
        WatchedStore("iot", "tokens"), {(ACCOUNT, REGION, str(n)): young for n in "123"}
    )
    fake = SimpleNamespace(
        _certificates=Store(),
        _ownership_tokens=SimpleNamespace(_data=tokens),
        _drop_expired=lambda _: pytest.fail("it looked at every token"),
        _fleet_create_keys_and_certificate=None,
    )
    ownership_tokens.close(Seam(fake))
    with working(alters=True) as work:
        fake._drop_expired(fake._ownership_tokens)
    assert not work.records


def test_expired_claims_are_forgotten_as_before() -> None:
    claims = Store(claim={"certificateId": "id", "expiration": 0})
    fake = SimpleNamespace(
        _ownership_tokens=Store(),
        _drop_expired=forget_expired,
        _fleet_create_keys_and_certificate=None,
    )
    ownership_tokens.close(Seam(fake))
    fake._drop_expired(claims)
    assert not claims.records


# --- create-from-csr -----------------------------------------------------------------


@pytest.mark.parametrize(
    ("payload", "error_code"),
    [
        (b"", "InvalidPayload"),
        (b"{", "InvalidPayload"),
        (b"[]", "InvalidPayload"),
        (b"\xff\xfe", "InvalidPayload"),
        (b"{}", "InvalidCsr"),
        (b'{"certificateSigningRequest": ""}', "InvalidCsr"),
        (b'{"certificateSigningRequest": 1}', "InvalidCsr"),
        (b'{"certificateSigningRequest": "garbage"}', "InvalidCsr"),
    ],
)
def test_garbage_is_rejected_and_nothing_is_made(
    iot: Seam, payload: bytes, error_code: str
) -> None:
    fake = SimpleNamespace(
        _fleet_provisioning_reply=None,
        _ensure_ca=iot["_ensure_ca"],
        sign_certificate_request=iot["sign_certificate_request"],
    )
    create_certificate_from_csr.close(Seam(fake))
    kind, document = asyncio.run(
        fake._fleet_provisioning_reply(ACCOUNT, REGION, CREATE_FROM_CSR, None, payload, {})
    )
    assert kind == "rejected"
    assert (document["statusCode"], document["errorCode"]) == (400, error_code)
