"""Is there a secret in what is committed? Each exception has its reason."""

import re
import subprocess
from pathlib import Path
from typing import Final

import pytest

ROOT: Final = Path(__file__).parents[2]
PATTERNS: Final = {
    "a private key": rb"-----BEGIN [A-Z ]*PRIVATE KEY-----\s+[A-Za-z0-9+/=\s]{64}",
    "an AWS access key": rb"\b(?:AKIA|ASIA)[A-Z0-9]{16}\b",
    "an AWS secret key": rb"(?i)aws_secret_access_key\W{1,4}[A-Za-z0-9/+]{40}\b",
    "a token of GitHub": rb"\bgh[pousr]_[A-Za-z0-9]{36}\b",
    "a password in an address": rb"https?://[^/\s:@'\"{]+:[^/\s:@'\"{]{6,}@[a-z0-9]",
    "a token of Slack": rb"\bxox[baprs]-[A-Za-z0-9-]{10,}",
    "a JSON web token": rb"\beyJ[A-Za-z0-9_-]{20,}\.eyJ[A-Za-z0-9_-]{20,}\.",
}
_A_PROXY: Final = "the login of a proxy that is nowhere"
ALLOWED: Final[dict[str, str]] = {
    "device/config/endpoint.py": "the docstring shows how a proxy's login is written",
    "tests/data/corpus/proxy/login": _A_PROXY,
    "tests/unit/test_device_plan.py": _A_PROXY,
    "tests/unit/test_endpoint.py": _A_PROXY,
    "tests/unit/test_sealed_settings.py": _A_PROXY,
    "tests/unit/test_settings.py": _A_PROXY,
    "tests/unit/test_text.py": _A_PROXY,
    "tests/wire/test_localcloud_contract.py": "the key that AWS's own documents show as an example",
}
"""Paths, and why what is found there is no secret."""


def tracked() -> list[Path]:
    done = subprocess.run(
        ["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, check=True, text=True, timeout=60
    )
    return [ROOT / name for name in done.stdout.split("\0") if name]


def found_in(content: bytes) -> list[str]:
    return [what for what, pattern in PATTERNS.items() if re.search(pattern, content)]


def test_nothing_that_is_committed_is_a_secret() -> None:
    hits = {
        str(path.relative_to(ROOT)): found
        for path in tracked()
        if path.is_file() and (found := found_in(path.read_bytes()))
    }
    assert {name: found for name, found in hits.items() if name not in ALLOWED} == {}
    assert set(ALLOWED) <= set(hits), "an exception is no longer needed"


@pytest.mark.parametrize(
    "content",
    [
        b"-----BEGIN EC PRIVATE KEY-----\n" + b"A" * 64,
        b"key = " + b"AKIA" + b"Q" * 16,
        b"https://user:" + b"password@host",
        b"gh" + b"p_" + b"a" * 36,
    ],
)
def test_the_scan_sees_secrets(content: bytes) -> None:
    assert found_in(content)
