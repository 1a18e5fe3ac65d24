"""Each method's page in docs/, played: its commands work, and it tells what they really do."""

from collections.abc import Iterator

import pytest

from scripts.demonstration.methods import METHODS
from scripts.illustrated.page import shape
from scripts.recording.page import (
    CHECKOUT,
    CLEAN_UP,
    PAGES,
    RUN,
    RecordingError,
    commands,
    without_sizes,
)
from scripts.recording.record import ILLUSTRATED, Recording, record
from scripts.recording.stage import Stage, open_stage
from tests.support.quick_commands import quick_commands

pytestmark = pytest.mark.wire


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    commands = tmp_path_factory.mktemp("commands")
    with quick_commands(commands) as programs, open_stage(programs) as stage:
        yield stage


@pytest.mark.parametrize("method", PAGES)
def test_the_page_tells_what_happens(stage: Stage, method: str) -> None:
    """The teardown at its end leaves the account as it was found, or ``record`` raises."""
    told = PAGES[method].read_text(encoding="utf-8")
    recorded = record(method, stage)
    assert without_sizes(recorded.page) == without_sizes(told), "scripts/docs --record"
    for name, text in recorded.illustrated.items():
        there = (ILLUSTRATED / name).read_text(encoding="utf-8")
        assert shape(text) == shape(there), f"{name}: scripts/docs --record"


def test_the_way_to_a_real_account_leads_to_the_local_one_too(stage: Stage) -> None:
    guide = (CHECKOUT / "docs" / "real-account.md").read_text(encoding="utf-8")
    stage.clear()
    with stage.shell() as shell:
        shell.run("export DEVICE_CONNECTION__FIRST_CONNECT_SPREAD=0")
        recording = Recording(METHODS["claim"], stage, shell)
        for line in commands(guide, "3. Prepare, make, boot"):
            recording.play(line)
        recording.clean_up(commands(guide, CLEAN_UP))


def test_a_command_that_fails_is_shown_with_its_own_words(stage: Stage) -> None:
    with (
        stage.shell() as shell,
        pytest.raises(RecordingError, match=r"cannot be a serial number"),
    ):
        shell.run("factory make --method jitp --serial 'SN 1'")


def test_a_shell_that_ends_is_an_error(stage: Stage) -> None:
    with stage.shell() as shell, pytest.raises(RecordingError, match=r"the shell ended in: exit"):
        shell.run("exit")


def test_a_variable_of_one_line_is_there_in_the_next(stage: Stage) -> None:
    with stage.shell() as shell:
        shell.run("one=1")
        assert shell.run("echo $one") == "1\n"


@pytest.mark.long
def test_a_newcomer_plays_every_page_in_order_and_cleans_up_last(stage: Stage) -> None:
    """One station, one cloud, one folder of devices: no page is in the way of a later one."""
    stage.clear()
    pages = [page.read_text(encoding="utf-8") for page in PAGES.values()]
    with stage.shell() as shell:
        shell.run("rm -rf .firstboot/devices")
        for method, page in zip(PAGES, pages, strict=True):
            recording = Recording(METHODS[method], stage, shell)
            for line in commands(page, RUN):
                recording.play(line)
        for page in pages:
            for line in commands(page, CLEAN_UP):
                shell.run(line)
