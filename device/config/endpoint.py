"""Where AWS IoT Core is: a host name and a port, and the proxy that leads there."""

import re
from typing import Final
from urllib.parse import unquote

from msgspec import Struct

from device.config.data_endpoint import WHAT_TO_USE, problem_with
from device.errors import ConfigurationError

DEFAULT_PORT: Final = 8883
HTTPS_PORT: Final = 443
_LABEL: Final = r"[A-Za-z0-9_](?:[A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?"
_HOST: Final = rf"(?=.{{1,253}}\Z){_LABEL}(?:\.{_LABEL})*"  # RFC 1123, or IPv4
_IPV6: Final = r"\[([0-9A-Fa-f:.]*:[0-9A-Fa-f:.]*)\]"
_BAD_ESCAPE: Final = r"%(?![0-9A-Fa-f]{2})"
_PROXY_STEP: Final = (
    "Write http://HOST:PORT or http://USER:PASSWORD@HOST:PORT; in USER and PASSWORD write @ as "
    "%40, : as %3A, / as %2F, # as %23, ? as %3F and % as %25."
)


class Login(Struct, frozen=True):
    """The name and password that a proxy asks for."""

    user: str
    password: str

    def __repr__(self) -> str:
        """Leave both out."""
        return "Login()"

    @property
    def basic(self) -> str:
        """Return the value of ``Proxy-Authorization`` (RFC 7617); a secret."""
        from base64 import b64encode  # noqa: PLC0415 - only for a proxy

        return "Basic " + b64encode(f"{self.user}:{self.password}".encode()).decode("ascii")


class Endpoint(Struct, frozen=True):
    """The account's data endpoint, e.g. ``abc-ats.iot.eu-central-1.amazonaws.com``."""

    host: str
    port: int = DEFAULT_PORT
    proxy: "Endpoint | None" = None
    """An HTTP proxy that opens the way (CONNECT); TLS and SNI stay the endpoint's own."""
    login: Login | None = None
    """Of a proxy, where it asks for one."""

    @property
    def first_hop(self) -> "Endpoint":
        """What is dialled: the proxy, where there is one."""
        return self.proxy or self

    def __str__(self) -> str:
        """Return ``host:port``, without the login."""
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"

    @property
    def alpn(self) -> list[str]:
        """What to ask for in TLS: on port 443 AWS IoT serves MQTT only if the client asks for it.

        Source: AWS IoT Core Developer Guide, "Device communication protocols".
        """
        return ["x-amzn-mqtt-ca"] if self.port == HTTPS_PORT else []

    @classmethod
    def parse(cls, text: str, source: str, key: str = "endpoint") -> "Endpoint":
        """Return the endpoint that ``text`` (``host`` or ``host:port``) names.

        Names are the same in capitals, and with a dot at the end.

        Raises:
            ConfigurationError: it is no host and port, or an AWS endpoint that is not the data
                endpoint of an account; ``source`` says who wrote it.
        """
        shown, problem = repr(text), _shape_problem(text.strip())
        if "@" in text:  # what stands before it may be a password
            shown = "the value"
        elif problem is None:
            host, port = _split(text.strip())
            problem = problem_with(host)
            if problem is None:
                return cls(host, DEFAULT_PORT if port is None else port)
        raise ConfigurationError(source, key, f"{shown} {problem}", WHAT_TO_USE)

    @classmethod
    def parse_proxy(cls, text: str, source: str, key: str = "proxy") -> "Endpoint":
        """Return the HTTP proxy that ``text`` names, e.g. ``http://user:p%40ss@host:3128``.

        Raises:
            ConfigurationError: it is not one; the error does not repeat ``text``, which may hold
                a password.
        """
        problem = _proxy_problem(text.strip())
        if problem is not None:
            raise ConfigurationError(source, key, problem, _PROXY_STEP)
        login, address = _without_scheme(text.strip())
        host, port = _split(address)
        return cls(host, port or 0, login=None if login is None else _login(login))


def _split(address: str) -> tuple[str, int | None]:
    """Return host and port of what `_shape_problem` and `_proxy_problem` let pass."""
    host, colon, port = address.rpartition(":")
    if not colon or address.endswith("]"):
        host, port = address, ""
    return host.strip("[]").removesuffix(".").lower(), int(port) if port else None


def _shape_problem(text: str) -> str | None:
    if "@" in text:
        return "holds an @; an endpoint has no user name and no password"
    if "://" in text:
        return f"is a URL ({text.partition(':')[0]}://); an endpoint is host or host:port"
    if "/" in text:
        return "has a path; an endpoint is host or host:port"
    if text.startswith("[") or text.count(":") > 1:
        return "is not host or host:port; use the name of AWS IoT Core, not an IPv6 address"
    return _address_problem(text)


def _address_problem(address: str) -> str | None:
    host, colon, port = address.rpartition(":")
    if not colon or address.endswith("]"):
        host, port = address, str(DEFAULT_PORT)
    if not (re.fullmatch(_HOST, host.removesuffix(".")) or re.fullmatch(_IPV6, host)):
        return "is not host or host:port"
    if not re.fullmatch(r"[0-9]{1,9}", port):
        return "is not host or host:port: the port is not a number"
    if not 0 < int(port) < 65536:
        return "is not host or host:port: a port is 1 to 65535"
    return None


def _without_scheme(text: str) -> tuple[str | None, str]:
    """Return the login, or None, and the address of a proxy."""
    login, at, address = (
        text.partition("://")[2].rpartition("@") if "://" in text else (text.rpartition("@"))
    )
    return (login if at else None), address.removesuffix("/")


def _proxy_problem(text: str) -> str | None:
    scheme, separator, _ = text.partition("://")
    if separator and scheme.lower() != "http":
        return "is not an http:// proxy; https:// and socks:// proxies are not supported"
    login, address = _without_scheme(text)
    if login is not None and (problem := _login_problem(login)) is not None:
        return problem
    if re.search(r"[/?#]", address):
        return "has a path; a proxy is an address and a port"
    if address.endswith("]") or ":" not in address:
        return "names no port" if address else "names no host"
    problem = _address_problem(address)
    return problem and problem.replace("host or host:port", "http://host:port")


def _login_problem(login: str) -> str | None:
    if re.search(_BAD_ESCAPE, login) or re.search(r"[/?#@]", login):
        return "has a user name or password in which a special character is not written as %XX"
    try:
        user, _, password = login.partition(":")
        decoded = [unquote(part, errors="strict") for part in (user, password)]
    except UnicodeDecodeError:
        return "has a user name or password that is not UTF-8"
    if not decoded[0] or ":" in decoded[0]:
        return "has no user name, or one with a colon (RFC 7617)"
    import unicodedata  # noqa: PLC0415 - only for a proxy

    if any(unicodedata.category(character) in {"Cc", "Cs"} for character in "".join(decoded)):
        return "has a user name or password with a control character"
    return None


def _login(login: str) -> Login:
    user, _, password = login.partition(":")
    return Login(unquote(user), unquote(password))
