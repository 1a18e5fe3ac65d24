"""Rules for every test: no network but loopback, and in CI no test that does not run."""

import functools
import gc
import ipaddress
import logging
import os
import signal
import sys
from collections.abc import Generator
from pathlib import Path

import hypothesis
import pytest

from scripts import _lines
from tests.support import effort, quick_sdk
from tests.support.order import turns

store_lines = _lines.measured_from_here()  # before anything imports the product
pytest_plugins = ["tests.support.one_local_cloud"]

TESTS = Path(__file__).parent
IN_CI = os.environ.get("CI", "").lower() in {"1", "true"}
WAITING = ("wire", "hardware")

SHOWN = 15
"""How many lines of a failure are shown at once: its message, and where it was raised."""

LOOPBACK_NAMES = {None, "", "localhost", b"localhost"}


def pytest_addoption(parser: pytest.Parser) -> None:
    """Let a run ask for the searches that need longer."""
    parser.addoption(
        "--long",
        action="store_true",
        help="run the tests marked long too, and search all of what others sample",
    )


def pytest_configure(config: pytest.Config) -> None:
    """Refuse the network from here on; read AWS's models once, not for each boto3 session."""
    os.environ[effort.VARIABLE] = "1" if config.getoption("--long") else ""
    # Time is what a test passes in; how fast the machine is today says nothing about the code.
    count = effort.examples(100)
    hypothesis.settings.register_profile(
        "firstboot", deadline=None, print_blob=True, max_examples=count
    )
    hypothesis.settings.load_profile("firstboot")
    sys.addaudithook(refuse_network)  # it stays until the process ends
    quick_sdk.install()
    # Who is started in the background of a shell script ignores Ctrl-C, and so would its children.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    if not hasattr(config, "workerinput"):  # a worker of xdist has no terminal
        config.pluginmanager.register(FailuresAtOnce(config))


class FailuresAtOnce:
    """Shows each failure when it happens: a run that is cut off has told what it found."""

    def __init__(self, config: pytest.Config) -> None:
        self._config = config

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Print the name of a failed test, and the end of its traceback."""
        terminal = self._config.pluginmanager.getplugin("terminalreporter")
        if report.failed and terminal is not None:
            terminal.ensure_newline()
            terminal.write_line(f"{report.nodeid} failed ({report.when}):")
            for line in report.longreprtext.splitlines()[-SHOWN:]:
                terminal.write_line(f"    {line}")


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Generator[None, object, object]:
    """Search no garbage among what is collected, then or later: all of it stays to the end."""
    gc.disable()
    try:
        return (yield)
    finally:
        gc.freeze()
        gc.enable()


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out what is long; put the longest first, and what waits among what computes."""
    if not config.getoption("--long"):
        config.hook.pytest_deselected(items=[each for each in items if is_long(each)])
        items[:] = [each for each in items if not is_long(each)]
    turn = turns(waits_by_file(items))
    items.sort(key=lambda item: turn[within_tests(item)])


def waits_by_file(items: list[pytest.Item]) -> dict[str, bool]:
    """Return for each file whether a test of it waits for others: a server, a device, a chip."""
    waits: dict[str, bool] = {}
    for item in items:
        name = within_tests(item)
        waits[name] = waits.get(name, False) or any(map(item.get_closest_marker, WAITING))
    return waits


def within_tests(item: pytest.Item) -> str:
    """Return the path of a test's file, from this folder on."""
    return _within_tests(item.path)


@functools.cache
def _within_tests(path: Path) -> str:
    return path.relative_to(TESTS).as_posix() if path.is_relative_to(TESTS) else ""


def is_long(item: pytest.Item) -> bool:
    """Whether only ``--long`` has time for a test."""
    return item.get_closest_marker("long") is not None


def refuse_network(event: str, arguments: tuple[object, ...]) -> None:
    """Raise if an audit ``event`` would leave this machine; tests marked ``aws`` may.

    For the whole run, since a test of the suite that needs the internet is a mistake wherever
    it stands. What awscrt and child processes do is out of its sight.
    """
    if event == "socket.getaddrinfo":
        host = arguments[0]
    elif event in {"socket.connect", "socket.sendto"} and isinstance(arguments[1], tuple):
        host = arguments[1][0]
    else:
        return
    if not is_loopback(host) and "FIRSTBOOT_AWS" not in os.environ:
        raise PermissionError(f"a test wants to talk to {host!r}, which is not this machine")


def is_loopback(host: object) -> bool:
    """Whether ``host`` is this machine, by name or address."""
    if host in LOOPBACK_NAMES:
        return True
    try:
        return ipaddress.ip_address(str(host)).is_loopback
    except ValueError:
        return False


def pytest_unconfigure() -> None:
    """Tell scripts/test which lines this worker ran."""
    store_lines()


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup() -> None:
    """Let every test log as at the start: a command that another ran here has set levels."""
    for log in (logging.getLogger(name) for name in ("device", "device.told", "factory", "fleet")):
        log.setLevel(logging.NOTSET)
        log.propagate = True


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item,
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """In CI a skipped test is a failed one: what nobody runs protects nobody."""
    report = yield
    if IN_CI and report.skipped and not hasattr(report, "wasxfail"):
        _fail(report, unless=item.get_closest_marker("aws") is not None)
    return report


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report() -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
    """The same for a module that skips itself."""
    report = yield
    if IN_CI and report.skipped:
        _fail(report, unless=False)
    return report


def _fail(report: pytest.TestReport | pytest.CollectReport, *, unless: bool) -> None:
    if not unless:
        report.outcome = "failed"
        report.longrepr = f"skipped, which CI does not accept: {report.longrepr}"
