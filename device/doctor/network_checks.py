"""The checks between the device and the server: name, way, proxy, and the server's side of TLS."""

import ipaddress
import socket
from typing import Final

from msgspec.structs import replace

from device.config.data_endpoint import region_of
from device.config.endpoint import HTTPS_PORT, Endpoint
from device.connection.connect_failure import reason_for_distrust, unreached
from device.connection.tunnel import PROBE_SECONDS, TunnelRefusedError, way_to
from device.doctor.case import Case, needed
from device.doctor.finding import DiagnosedError, Finding, SkippedError, failed, ok, warning
from device.doctor.server import ServerSeen, look_at, names_of
from device.errors.doctor import NO_ALPN
from device.errors.provisioning import NOT_REACHABLE
from device.errors.text import foreign
from device.provisioning.events import ConnectFailed

_VARIABLES: Final = ("HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy")


def _wanted(case: Case) -> Endpoint:
    if case.questions.offline:
        raise SkippedError("asked to stay offline")
    return needed(case.endpoint, "an endpoint")


def _reachable(case: Case) -> Endpoint:
    endpoint = _wanted(case)
    if not case.is_reachable:
        raise SkippedError("needs the way to the server")
    return endpoint


def _refused(event: ConnectFailed, step: str) -> DiagnosedError:
    error = NOT_REACHABLE.error(event.detail, step=step, next_step=event.next_step)
    return DiagnosedError(error, failed(error, event.detail.removesuffix(".")))


def dns(case: Case) -> Finding:
    """Resolve the first hop: the endpoint, or the proxy, which resolves the endpoint itself."""
    wanted = _wanted(case)
    hop = wanted.first_hop
    if _is_address(hop.host):
        raise SkippedError(f"{hop.host} is an address")
    try:
        found = case.resolve(hop.host, hop.port)
    except OSError as error:
        raise _refused(unreached(error, wanted), "resolving the name") from None
    addresses = sorted({str(address[0]) for *_, address in found})
    return ok(f"{hop.host} has {', '.join(addresses[:4])}")


def _is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


def tcp(case: Case) -> Finding:
    """Open and close a connection to the first hop."""
    wanted = _wanted(case)
    hop = wanted.first_hop
    try:
        with socket.create_connection((hop.host, hop.port), PROBE_SECONDS) as opened:
            peer = opened.getpeername()[0]
    except OSError as error:
        raise _refused(unreached(error, wanted), "opening a connection") from None
    case.is_reachable = True
    return ok(f"{hop} answers at {peer}")


def proxy(case: Case) -> Finding:
    """Have the proxy open the way, where one is set."""
    wanted = _wanted(case)
    if wanted.proxy is None:
        there = [name for name in _VARIABLES if case.questions.environment.get(name)]
        hint = f"; {', '.join(there)} is set, which the device does not use" if there else ""
        raise SkippedError(f"no proxy is set (proxy, or DEVICE_PROXY){hint}")
    wanted = _reachable(case)
    try:
        with way_to(wanted, PROBE_SECONDS):
            return ok(f"{wanted.proxy} opened the way to {wanted}")
    except TunnelRefusedError as error:
        case.is_reachable = False
        raise _refused(error.event, "asking the proxy") from None
    except OSError as error:
        case.is_reachable = False
        raise _refused(unreached(error, wanted), "asking the proxy") from None


def tls(case: Case) -> Finding:
    """Shake hands without our certificate: is the server's chain one that the device trusts?"""
    wanted = _reachable(case)
    case.is_reachable = False
    if case.root_ca_pem is None:
        case.server = _look(wanted)
        return ok(f"{case.server.words} (not compared with root_ca: none is known)")
    try:
        distrust = reason_for_distrust(wanted, case.root_ca_pem)
    except OSError as error:
        raise _refused(unreached(error, wanted), "TLS without a certificate") from None
    if distrust is not None:
        raise _distrusted(distrust, wanted)
    case.is_reachable = True
    try:
        case.server = look_at(wanted)
    except OSError as error:  # a server that demands a certificate of ours ends the handshake
        return ok(f"the server is trusted; it ended a handshake without our certificate: {error}")
    return ok(case.server.words)


def _look(wanted: Endpoint) -> ServerSeen:
    try:
        return look_at(wanted)
    except OSError as error:
        raise _refused(unreached(error, wanted), "TLS without a certificate") from None


def _distrusted(distrust: ConnectFailed, wanted: Endpoint) -> Exception:
    """Return the error, with whose certificate the server showed."""
    error = _refused(distrust, "TLS without a certificate")
    try:
        shown = foreign(look_at(wanted).words, 300)
    except OSError:
        return error
    finding = replace(error.finding, evidence=f"{error.finding.evidence} ({shown})")
    return DiagnosedError(error.error, finding)


def alpn(case: Case) -> Finding:
    """On port 443, see that the server chose MQTT."""
    wanted = _reachable(case)
    if wanted.port != HTTPS_PORT:
        raise SkippedError(f"port {wanted.port} needs none; 443 does")
    seen = needed(case.server, "TLS")
    if seen.alpn not in wanted.alpn:
        case.is_reachable = False
        raise NO_ALPN.error(f"{wanted} chose {seen.alpn or 'no protocol'}, not {wanted.alpn[0]}")
    return ok(f"the server chose {seen.alpn}")


def sni(case: Case) -> Finding:
    """See that a name is sent, by which AWS IoT finds the account."""
    wanted = _reachable(case)
    if _is_address(wanted.host):
        return warning(
            f"{wanted.host} is an address, so the device sends no name in TLS",
            "AWS IoT finds the account by the name (SNI).",
            "Set endpoint to the account's own name: aws iot describe-endpoint --endpoint-type "
            "iot:Data-ATS.",
            NOT_REACHABLE.code,
        )
    region = region_of(wanted.host)
    words = f"the device sends {wanted.host}" + (f", an endpoint in {region}" if region else "")
    if case.server is not None:
        words += f"; the server's certificate is for {foreign(names_of(case.server.certificate))}"
    return ok(words)
