"""TLS: Device Advisor's seven cases, and more faults of a server's certificate."""

from collections.abc import Sequence
from typing import Final

from advisor.case import Case, Finding, Judge, always, by, failed, passed, warned
from advisor.certificates import Presented
from advisor.codec import Kind
from advisor.journal import Entry, What, received, sent
from advisor.script import Script
from advisor.suites import RECOMMENDED, SUPPORTED, policies_for, unsupported

_PAGE: Final = "https://docs.aws.amazon.com/iot/latest/developerguide/device-advisor-tests-tls.html"
_SUITES_PAGE: Final = (
    "https://docs.aws.amazon.com/iot/latest/developerguide/transport-security.html"
)
_RFC: Final = "RFC 5280, 6.1; RFC 6125"
LARGEST_PAYLOAD: Final = b"a" * 128 * 1024
_OURS_TO_REFUSE: Final = "CERTIFICATE_VERIFY_FAILED"
"""The endpoint's own word on a client certificate: the client had gone on by then."""


def connects(entries: Sequence[Entry]) -> Finding | None:
    """Pass when a handshake is complete."""
    for entry in entries:
        if entry.what is What.TLS_COMPLETE:
            if "without a client certificate" in entry.detail:
                return warned(f"{entry.detail}: AWS IoT Core asks for one")
            return passed(entry.detail)
        if entry.what is What.TLS_FAILED:
            return failed(f"the handshake failed: {entry.detail}")
    return None


def takes_largest_fragments(entries: Sequence[Entry]) -> Finding | None:
    """Pass when 128 KiB in TLS records of 16 KiB are acknowledged."""
    asked = received(entries, Kind.SUBSCRIBE)
    if asked and all(qos == 0 for packet in asked for _name, qos in packet.filters):
        return failed("the client subscribed at QoS 0; the case needs QoS 1 to see an answer")
    pushed = {packet.packet_id for packet in sent(entries, Kind.PUBLISH)}
    answered = {packet.packet_id for packet in received(entries, Kind.PUBACK)}
    if pushed & answered:
        return passed("the client acknowledged 128 KiB that came in records of 16 KiB")
    lost = [e for e in entries if e.what is What.CLOSED and pushed]
    return failed("the client closed the connection on the large message") if lost else None


def offers_suites(entries: Sequence[Entry]) -> Finding | None:
    """Judge the first ClientHello by the lists of AWS IoT Core."""
    hello = next((e.hello for e in entries if e.hello is not None), None)
    if hello is None:
        return None
    offered = [SUPPORTED[suite] for suite in hello.suites if suite in SUPPORTED]
    served = policies_for(hello)
    if not offered or not served:
        return failed("the client offers nothing that a security policy of AWS IoT Core has")
    said = f"offers {', '.join(offered)}; security policies: {', '.join(served)}"
    if not any(suite in RECOMMENDED for suite in hello.suites):
        return warned(f"none of the recommended suites; {said}")
    if others := unsupported(hello):
        return warned(f"AWS IoT Core does not have {', '.join(others)}; {said}")
    return passed(said)


def refuses(entries: Sequence[Entry]) -> Finding | None:
    """Pass when the client ends its first handshake; fail when it goes on with any.

    The first one counts, because a client may open further connections only to look.
    """
    first = next((e.link for e in entries if e.what is What.HELLO), 0)
    for entry in entries:
        if entry.what is What.TLS_COMPLETE or entry.detail == _OURS_TO_REFUSE:
            return failed("the client completed the handshake")
        if entry.what is What.TLS_FAILED and entry.link == first:
            return passed(f"the client closed the connection: {entry.detail}")
    return None


def names_the_endpoint(entries: Sequence[Entry]) -> Finding | None:
    """Pass when the ClientHello has a server name, without which AWS IoT Core refuses."""
    hello = next((e.hello for e in entries if e.hello is not None), None)
    if hello is None:
        return None
    if not hello.server_name:
        return failed("the ClientHello has no server name (SNI)")
    return passed(f"server name {hello.server_name}")


def _refusing(case_id: str, title: str, presented: Presented, source: str) -> Case:
    return Case(
        case_id,
        title,
        f"The server presents {presented.value}.",
        always(Script()),
        by(refuses),
        "the client neither completed the handshake nor closed the connection",
        source,
        presented,
    )


def _case(  # noqa: PLR0913, PLR0917 - the columns of the table below
    case_id: str, title: str, done: str, script: Script, judge: Judge, otherwise: str
) -> Case:
    return Case(case_id, title, done, always(script), by(judge), otherwise, _PAGE)


CASES: Final = (
    _case(
        "TLS_Connect",
        "TLS Connect",
        "The server presents a good certificate.",
        Script(),
        connects,
        "no TLS handshake was completed",
    ),
    _case(
        "TLS_Receive_Maximum_Size_Fragments",
        "TLS Receive Maximum Size Fragments",
        "128 KiB are published at QoS 1 on what the client subscribed to.",
        Script(pushes=(LARGEST_PAYLOAD,)),
        takes_largest_fragments,
        "the client did not acknowledge the large message",
    ),
    _case(
        "TLS_Support_AWS_IoT_Cipher_Suites",
        "TLS Device Support for AWS IoT recommended Cipher Suites",
        "The ClientHello is compared with AWS IoT Core's suites and security policies.",
        Script(),
        offers_suites,
        "the client sent no ClientHello",
    ),
    Case(
        "TLS_Large_Size_Server_Cert",
        "TLS Large Size Server Certificate",
        f"The server presents {Presented.LARGE.value}.",
        always(Script()),
        by(connects),
        "no TLS handshake was completed",
        _PAGE,
        Presented.LARGE,
    ),
    _refusing(
        "TLS_Unsecure_Server_Cert", "Not Signed By Recognized CA", Presented.UNKNOWN_CA, _PAGE
    ),
    _refusing(
        "TLS_Incorrect_Subject_Name_Server_Cert",
        "Incorrect Subject Common Name (CN) / Subject Alternative Name (SAN)",
        Presented.WRONG_NAME,
        _PAGE,
    ),
    _refusing("TLS_Expired_Server_Cert", "Expired Server Certificate", Presented.EXPIRED, _PAGE),
)

OURS: Final = (
    Case(
        "T1",
        "Server Name Indication",
        "The ClientHello is looked at.",
        always(Script()),
        by(names_the_endpoint),
        "the client sent no ClientHello",
        _SUITES_PAGE,
    ),
    *(
        _refusing(f"T{number}", f"Refuses {presented.value}", presented, _RFC)
        for number, presented in enumerate(
            (
                Presented.NOT_YET_VALID,
                Presented.SELF_SIGNED,
                Presented.NO_INTERMEDIATE,
                Presented.ISSUED_BY_LEAF,
                Presented.INTERMEDIATE_EXPIRED,
                Presented.PATH_TOO_LONG,
                Presented.BAD_SIGNATURE,
                Presented.FOR_CLIENTS,
                Presented.NAME_ONLY_IN_SUBJECT,
                Presented.WILDCARD_OF_ALL,
                Presented.WEAK_KEY,
            ),
            2,
        )
    ),
)
