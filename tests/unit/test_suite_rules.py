"""The rules of tests/conftest.py hold: no network, and in CI no test that does not run."""

import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SKIPS = "import pytest\n\ndef test_it():\n    pytest.skip('no token here')\n"
SKIPS_AT_IMPORT = "import pytest\n\npytest.skip('no library', allow_module_level=True)\n"
NEEDS_ACCOUNT = "import pytest\n\n@pytest.mark.aws\ndef test_it():\n    pytest.skip('opt-in')\n"
EXPECTED_TO_FAIL = "import pytest\n\n@pytest.mark.xfail\ndef test_it():\n    assert False\n"


def suite_ends_with(folder: Path, test: str, ci: str) -> tuple[int, str]:
    """Run ``test`` under the suite's rules; return exit code and output."""
    file = folder / "test_one.py"
    file.write_text(test)
    done = subprocess.run(
        [
            sys.executable,
            "-m",
            "pytest",
            "-q",
            "-p",
            "tests.conftest",
            "-c",
            "setup.cfg",
            f"--rootdir={folder}",  # or pytest looks at what others have in /tmp, and may not
            f"--confcutdir={folder}",
            str(file),
        ],
        cwd=ROOT,
        env={**os.environ, "CI": ci},
        capture_output=True,
        text=True,
        check=False,
    )
    return done.returncode, done.stdout


@pytest.mark.parametrize("test", [SKIPS, SKIPS_AT_IMPORT])
def test_a_skip_fails_in_ci(tmp_path: Path, test: str) -> None:
    exit_code, said = suite_ends_with(tmp_path, test, ci="true")
    assert exit_code != 0
    assert "skipped, which CI does not accept" in said


@pytest.mark.parametrize("test", [NEEDS_ACCOUNT, EXPECTED_TO_FAIL])
def test_what_is_skipped_on_purpose_passes_in_ci(tmp_path: Path, test: str) -> None:
    assert suite_ends_with(tmp_path, test, ci="true")[0] == 0


def test_a_skip_passes_at_home(tmp_path: Path) -> None:
    assert suite_ends_with(tmp_path, SKIPS, ci="")[0] == 0


@pytest.mark.parametrize("address", ["192.0.2.1", "2001:db8::1"])
def test_no_test_leaves_this_machine(address: str) -> None:
    with pytest.raises(PermissionError, match="not this machine"):
        socket.create_connection((address, 443), timeout=0.01)


def test_no_test_asks_for_a_name() -> None:
    with pytest.raises(PermissionError, match="example"):
        socket.getaddrinfo("firstboot.example", 443)


def test_loopback_is_open() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        socket.create_connection(server.getsockname()).close()
