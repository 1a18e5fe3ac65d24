"""The elements that the hardware tests run on: SoftHSM2, then a TPM in software."""

from collections.abc import Callable, Iterator

import pytest

from tests.support import elements
from tests.support.elements import ElementBench


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark what is in this folder."""
    for item in items:
        if "tests/hardware/" in item.path.as_posix():
            item.add_marker(pytest.mark.hardware)


Figures = Callable[[str], None]


@pytest.fixture
def figures(
    record_property: Callable[[str, object], None], request: pytest.FixtureRequest
) -> Figures:
    """Takes what was measured; it is shown at the end of the run."""
    return lambda figure: record_property("figure", f"{request.node.name}: {figure}")


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Show what was measured."""
    reports = terminalreporter.getreports("passed")
    shown = [value for each in reports for name, value in each.user_properties if name == "figure"]
    if shown:
        terminalreporter.section("what the elements did")
    for line in shown:
        terminalreporter.write_line(line)


@pytest.fixture(scope="session")
def softhsm(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ElementBench]:
    """SoftHSM, with tokens of this test run only."""
    with elements.softhsm(tmp_path_factory.mktemp("softhsm")) as bench:
        yield bench


@pytest.fixture(scope="session")
def tpm(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ElementBench]:
    """A TPM in software, of this test run only."""
    with elements.tpm(tmp_path_factory.mktemp("tpm")) as bench:
        yield bench


@pytest.fixture(params=["softhsm", "tpm"])
def bench(request: pytest.FixtureRequest) -> ElementBench:
    """One kind of element after the other."""
    made: ElementBench = request.getfixturevalue(request.param)
    return made


@pytest.fixture
def label(request: pytest.FixtureRequest) -> str:
    """A token label that no other test uses."""
    return f"dev-{abs(hash(request.node.nodeid)) % 10**10}"
