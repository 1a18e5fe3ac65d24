"""Does each command name the extra that is missing, with the command that installs it?"""

import signal
import sys
from collections.abc import Iterator, Mapping, MutableMapping
from contextlib import chdir, contextmanager, redirect_stderr, redirect_stdout
from importlib import import_module
from io import StringIO
from typing import Any

import pytest

pytest_plugins = ["pytester"]

OURS = ("advisor", "device", "factory", "fleet", "localcloud", "pytest_firstboot")
OF_EXTRAS = (
    "boto3", "botocore", "cbor2", "gevent", "hypercorn", "locust", "ministack", "rich",
    "gmqtt", "aiomqtt", "paho", "AWSIoTPythonSDK",
)  # fmt: skip
MISSING = {
    "factory.cli prepare --method claim": "factory",
    "factory.cli make --method claim --serial A --out A": "factory",
    "factory.cli bulk --count 1 --batch B --out B": "factory",
    "factory.cli single --serial A --out A": "factory",
    "factory.cli claim --trusted-user --to c.json": "factory",
    "factory.cli audit": "factory",
    "factory.cli explain --serial A": "factory",
    "factory.cli teardown": "factory",
    "localcloud.cli up": "local",
    "localcloud.cli up --detach": "local",
    "fleet.cli --devices 1": "fleet",
    "fleet.swarm": "fleet",
}
WORKING = (
    "device.cli --help", "device.cli explain FB-110", "device.cli doctor --state . --offline",
    "device.cli status --state .", "device.cli boot --state .",
    "factory.cli --help", "factory.cli explain FB-803", "factory.cli lint --method claim",
    "factory.cli report B", "factory.cli manifest B", "factory.cli verify B",
    "localcloud.cli --help", "localcloud.cli status", "localcloud.cli env", "localcloud.cli logs",
    "localcloud.cli watch", "localcloud.cli watch --web", "localcloud.cli fault",
    "localcloud.cli wire", "localcloud.cli clock", "localcloud.cli reset", "localcloud.cli down",
    "localcloud.cli explain FB-903", "advisor.cli --help", "advisor.cli --list", "fleet.cli --help",
)  # fmt: skip


@contextmanager
def bare() -> Iterator[None]:
    """Have only what ``pip install firstboot`` brings; our own modules are loaded anew."""
    before = {name: module for name, module in sys.modules.items() if is_touched(name)}
    handlers = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    for name in before:
        del sys.modules[name]
    forbid(sys.modules)
    try:
        yield
    finally:
        for name in filter(is_touched, list(sys.modules)):
            del sys.modules[name]
        sys.modules.update(before)
        for number, handler in handlers.items():
            signal.signal(number, handler)


def forbid(modules: MutableMapping[str, Any]) -> None:
    """Have each import of an extra's package fail, in Python's own way."""
    modules.update(dict.fromkeys(OF_EXTRAS))


def is_touched(module: str) -> bool:
    return module.partition(".")[0] in {*OURS, *OF_EXTRAS}


def run(command: str) -> tuple[bool, str]:
    """Run one line as its entry point does; return whether it succeeded, and what it said."""
    module, *words = command.split()
    with redirect_stdout(StringIO()) as out, redirect_stderr(StringIO()) as err:
        try:
            code = import_module(module).main(*([words] if words else []))
        except SystemExit as ended:
            code = ended.code
    return not code, f"{out.getvalue()}{err.getvalue()}{code}"


@pytest.fixture(scope="module")
def ran(tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, tuple[bool, str]]:
    """What came of each command; together, because loading our modules anew takes time."""
    folder = tmp_path_factory.mktemp("bare")
    with chdir(folder), bare():
        return {command: run(command) for command in (*MISSING, *WORKING)}


@pytest.mark.parametrize("command", MISSING)
def test_the_missing_extra_is_named(command: str, ran: Mapping[str, tuple[bool, str]]) -> None:
    succeeded, said = ran[command]
    assert not succeeded
    assert f"pip install 'firstboot[{MISSING[command]}]'" in said


@pytest.mark.parametrize("command", WORKING)
def test_what_needs_no_extra_asks_for_none(
    command: str, ran: Mapping[str, tuple[bool, str]]
) -> None:
    _, said = ran[command]
    assert len(said) > len("None")
    assert "firstboot[" not in said


WITHOUT = f"""
    import sys

    sys.modules.update(dict.fromkeys({OF_EXTRAS!r}))
"""


@pytest.mark.parametrize("fixture", ["local_aws", "station", "cloud", "device", "wire"])
def test_the_plugin_names_its_extra(pytester: pytest.Pytester, fixture: str) -> None:
    pytester.makeconftest(WITHOUT)
    pytester.makepyfile(f"def test_it({fixture}):\n    pass\n")
    done = pytester.runpytest_inprocess("-p", "no:cacheprovider")
    done.assert_outcomes(errors=1)
    assert "pip install 'firstboot[testing]'" in done.stdout.str()
