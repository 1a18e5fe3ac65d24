"""The rules of tests/conftest.py hold: no network, and in CI no test that does not run."""

import os
import re
import socket
import subprocess
import sys
from collections import defaultdict
from pathlib import Path

import pytest

from tests.support.hang import SECONDS

ROOT = Path(__file__).parents[2]
FILES = {
    "skips": "def test_it():\n    pytest.skip('no token here')\n",
    "skips_at_import": "pytest.skip('no library', allow_module_level=True)\n",
    "needs_account": "@pytest.mark.aws\ndef test_it():\n    pytest.skip('opt-in')\n",
    "expected_to_fail": "@pytest.mark.xfail\ndef test_it():\n    assert False\n",
    "is_long": "@pytest.mark.long\ndef test_it():\n    assert False\n",
}
"""A test file each; they are run together, since each start of pytest takes a second."""


def run_of_all(folder: Path, *options: str, ci: str) -> tuple[dict[str, set[str]], str]:
    """Run these files under the suite's rules; return their names by outcome, and the output."""
    for name, test in FILES.items():
        (folder / f"test_{name}.py").write_text(f"import pytest\n\n{test}")
    done = subprocess.run(
        [
            sys.executable,
            "-m",
            "pytest",
            "-q",
            "-rA",
            "-p",
            "tests.conftest",
            "-c",
            "setup.cfg",
            f"--rootdir={folder}",  # or pytest looks at what others have in /tmp, and may not
            f"--confcutdir={folder}",
            *options,
            str(folder),
        ],
        cwd=ROOT,
        env={**os.environ, "CI": ci},
        capture_output=True,
        text=True,
        check=False,
        timeout=SECONDS,
    )
    outcome = re.compile(r"^(FAILED|ERROR|SKIPPED|XFAIL)\b.*test_(\w+)\.py", re.MULTILINE)
    names: dict[str, set[str]] = defaultdict(set)
    for word, name in outcome.findall(done.stdout):
        names[word].add(name)
    return names, done.stdout


def test_in_ci_a_skip_fails_unless_it_is_on_purpose(tmp_path: Path) -> None:
    names, said = run_of_all(tmp_path, "--continue-on-collection-errors", ci="true")
    assert names["FAILED"] | names["ERROR"] == {"skips", "skips_at_import"}
    assert "skipped, which CI does not accept" in said
    assert names["SKIPPED"] == {"needs_account"}
    assert names["XFAIL"] == {"expected_to_fail"}


@pytest.fixture(scope="module")
def at_home(tmp_path_factory: pytest.TempPathFactory) -> tuple[dict[str, set[str]], str]:
    """A long run with a worker."""
    return run_of_all(tmp_path_factory.mktemp("home"), "--long", "--numprocesses=1", ci="")


def test_at_home_a_skip_passes_and_only_a_long_run_does_what_is_long(
    at_home: tuple[dict[str, set[str]], str],
) -> None:
    names, _ = at_home
    assert names["FAILED"] == {"is_long"}
    assert names["ERROR"] == set()


def test_a_failure_is_shown_once_when_it_happens(
    at_home: tuple[dict[str, set[str]], str],
) -> None:
    before_the_end, _, _ = at_home[1].partition("= FAILURES =")
    assert before_the_end.count("test_is_long.py::test_it failed (call):\n") == 1
    assert "    E       assert False\n" in before_the_end


@pytest.mark.parametrize("address", ["192.0.2.1", "2001:db8::1"])
def test_no_test_leaves_this_machine(address: str) -> None:
    with pytest.raises(PermissionError, match="not this machine"):
        socket.create_connection((address, 443), timeout=0.01)


def test_no_test_asks_for_a_name() -> None:
    with pytest.raises(PermissionError, match="example"):
        socket.getaddrinfo("firstboot.example", 443)


def test_loopback_is_open() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        socket.create_connection(server.getsockname(), SECONDS).close()
