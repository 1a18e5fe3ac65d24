"""The pytest plugin: its options, its marker and its fixtures (docs/testing-devices.md).

Every run of pytest loads it where it is installed, so it imports nothing that takes time.
"""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Final

import pytest

from pytest_firstboot.bench import Boot, CloudClock, Maker, Network, PowerCut, Wire
from pytest_firstboot.extra import LOCAL_AWS, STATION, check_installed
from pytest_firstboot.place import PlaceError, RealAccount, place_of

if TYPE_CHECKING:
    from device import Device
    from factory import Registry, Station
    from pytest_firstboot.local_aws import LocalAWS

_MARKER: Final = (
    "firstboot(method, serial, environment, ...): what the fixture device is; the arguments are "
    "those of the fixture make_device"
)


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add what leads the tests to a real account."""
    group = parser.getgroup("firstboot", "devices and the AWS that they connect to")
    group.addoption(
        "--firstboot-account",
        metavar="ID",
        help="use this AWS account, and not a local AWS; its twelve digits",
    )
    group.addoption(
        "--firstboot-profile",
        metavar="NAME",
        help="with --firstboot-account: the profile with its credentials; default: boto3's chain",
    )
    group.addoption(
        "--firstboot-endpoint",
        metavar="HOST[:PORT]",
        help="with --firstboot-account: where devices connect; default: AWS is asked",
    )


def pytest_configure(config: pytest.Config) -> None:
    """Refuse options that do not name an account; know the marker."""
    config.addinivalue_line("markers", _MARKER)
    try:
        _place(config)
    except PlaceError as error:
        raise pytest.UsageError(str(error)) from None


def _place(config: pytest.Config) -> RealAccount | None:
    names = ("firstboot_account", "firstboot_profile", "firstboot_endpoint")
    return place_of(*(config.getoption(name) for name in names))


@pytest.fixture(scope="session")
def local_aws(
    pytestconfig: pytest.Config, tmp_path_factory: pytest.TempPathFactory
) -> Iterator["LocalAWS"]:
    """A local AWS for this test run; with xdist, each worker has one."""
    from pytest_firstboot.local_aws import LocalAWS  # noqa: PLC0415 - see the module

    check_installed("testing", *STATION, *LOCAL_AWS)
    if _place(pytestconfig) is not None:
        pytest.skip("this needs the local AWS, and --firstboot-account names a real one")
    with LocalAWS(tmp_path_factory.mktemp("local-aws") / "state") as running:
        yield running


@pytest.fixture(scope="session")
def station(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> "Station":
    """A manufacturing station; what it makes is in the registry of `cloud`."""
    from factory import Station  # noqa: PLC0415 - see the module

    check_installed("testing", *STATION)
    folder = tmp_path_factory.mktemp("station")
    account = _place(request.config)
    if account is None:
        return Station(folder, environment=request.getfixturevalue("local_aws").environment)
    made = Station(folder, environment=account.environment)
    account.check(made)
    return made


@pytest.fixture
def cloud(station: "Station") -> "Registry":
    """The registry in a few words, such as ``cloud.thing(serial).certificates``."""
    return station.registry


@pytest.fixture
def make_device(
    station: "Station", tmp_path_factory: pytest.TempPathFactory, pytestconfig: pytest.Config
) -> Iterator[Maker]:
    """Makes as many devices as a test needs: ``make_device(method="jitp")``."""
    maker = Maker(station, tmp_path_factory.mktemp("devices"))
    yield maker
    if _place(pytestconfig) is not None:
        for device in maker.devices:
            station.registry.thing(device.serial).delete()


@pytest.fixture
def device(make_device: Maker, request: pytest.FixtureRequest) -> "Device":
    """A device that is made, and not booted."""
    marker = request.node.get_closest_marker("firstboot")
    return make_device(**(marker.kwargs if marker else {}))


@pytest.fixture
def boot(request: pytest.FixtureRequest) -> Boot:
    """Boots `device`, or another: ``boot()``, ``boot(other)``."""
    return Boot(lambda: request.getfixturevalue("device"))


@pytest.fixture
def power_cut(request: pytest.FixtureRequest) -> Iterator[PowerCut]:
    """Cuts the power in the next boot.

    ``with power_cut(after="certificate staged"): boot()``
    """
    cut = PowerCut(lambda: request.getfixturevalue("device"))
    yield cut
    cut.check()


@pytest.fixture
def network(local_aws: "LocalAWS") -> Iterator[Network]:
    """Disturbs the network: ``network.fault("drop-reply", operation="provision")``."""
    disturbed = Network(local_aws)
    yield disturbed
    disturbed.clear()


@pytest.fixture
def clock(local_aws: "LocalAWS") -> Iterator[CloudClock]:
    """The cloud's clock: ``clock.advance("90d")``."""
    moved = CloudClock(local_aws)
    yield moved
    if moved.is_ahead:
        local_aws.restart()


@pytest.fixture
def wire(local_aws: "LocalAWS") -> Wire:
    """What went over the wire since the test began: ``wire.packets("CONNECT")``."""
    return Wire(local_aws)
