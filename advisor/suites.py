"""The TLS suites of AWS IoT Core, and which of its security policies can serve a ClientHello.

Source: AWS IoT Core Developer Guide, "Transport security in AWS IoT Core". The names are
OpenSSL's, as there. What is recommended is what the guide marked so when it still did (2020):
AES 128 GCM with ECDHE; of TLS 1.3 all three.
"""

from collections.abc import Mapping
from typing import Final

from advisor.client_hello import ClientHello

TLS_12: Final = 0x0303
TLS_13: Final = 0x0304

RECOMMENDED: Final[Mapping[int, str]] = {
    0x1301: "TLS_AES_128_GCM_SHA256",
    0x1302: "TLS_AES_256_GCM_SHA384",
    0x1303: "TLS_CHACHA20_POLY1305_SHA256",
    0xC02B: "ECDHE-ECDSA-AES128-GCM-SHA256",
    0xC02F: "ECDHE-RSA-AES128-GCM-SHA256",
}
SUPPORTED: Final[Mapping[int, str]] = {
    **RECOMMENDED,
    0xC02C: "ECDHE-ECDSA-AES256-GCM-SHA384",
    0xC030: "ECDHE-RSA-AES256-GCM-SHA384",
    0xC023: "ECDHE-ECDSA-AES128-SHA256",
    0xC027: "ECDHE-RSA-AES128-SHA256",
    0xC024: "ECDHE-ECDSA-AES256-SHA384",
    0xC028: "ECDHE-RSA-AES256-SHA384",
    0xC009: "ECDHE-ECDSA-AES128-SHA",
    0xC013: "ECDHE-RSA-AES128-SHA",
    0xC00A: "ECDHE-ECDSA-AES256-SHA",
    0xC014: "ECDHE-RSA-AES256-SHA",
    0x009C: "AES128-GCM-SHA256",
    0x003C: "AES128-SHA256",
    0x002F: "AES128-SHA",
    0x009D: "AES256-GCM-SHA384",
    0x003D: "AES256-SHA256",
    0x0035: "AES256-SHA",
}
POLICIES: Final[Mapping[str, tuple[int, ...]]] = {
    "TLS13_1_3_2022_10": (TLS_13,),
    "TLS13_1_2_2022_10": (TLS_13, TLS_12),
    "TLS12_1_2_2022_10": (TLS_12,),
    "TLS12_1_0_2016_01": (TLS_12,),
    "TLS12_1_0_2015_01": (TLS_12,),
}
"""The TLS versions of each policy, without ``IoTSecurityPolicy_``. 1.0 and 1.1 are no more."""


def unsupported(hello: ClientHello) -> list[str]:
    """Return the suites in ``hello`` that AWS IoT Core does not have."""
    return [f"{suite:#06x}" for suite in hello.suites if suite not in SUPPORTED]


def policies_for(hello: ClientHello) -> list[str]:
    """Return the security policies with a version and a suite that ``hello`` offers too."""
    return [
        name
        for name, versions in POLICIES.items()
        if any(_can_speak(hello, version) for version in versions)
    ]


def _can_speak(hello: ClientHello, version: int) -> bool:
    is_of_13 = {suite >> 8 == 0x13 for suite in hello.suites if suite in SUPPORTED}
    return version in hello.versions and (version == TLS_13) in is_of_13
