"""A soak over TLS, of ten minutes: the local AWS is really stopped and started in between."""

from collections.abc import Callable, Iterator
from pathlib import Path
from random import Random
from typing import Any

import msgspec
import pytest

from device.config.settings import Connection, Retry
from localcloud.process.state_folder import StateFolder
from pytest_firstboot import LocalAWS
from tests.support.hang import allow
from tests.support.renewals import assert_one_identity, identity_of, renew_home
from tests.support.soak import soak
from tests.support.wire_world import WireWorld
from tests.support.worlds import boot
from tests.wire.conftest import described, free_ports, local_aws_in

pytestmark = [pytest.mark.wire, pytest.mark.long]

SERIAL = "SN-SOAK"
SECONDS = 600.0
SEED = 11
STOPS = 0.3
"""How often a broken broker is one that was stopped and started; else it only hangs up."""
IMPATIENT = Connection(retry=Retry(longest=1.0), reply_timeout=3.0, connect_timeout=5.0)
FAULTS: tuple[Callable[[Random], dict[str, Any]], ...] = (
    lambda _: {"kind": "cut-at-connect"},
    lambda chance: {"kind": "cut-after-packet", "packets": chance.randint(1, 20)},
    lambda _: {"kind": "cut-before-reply"},
    lambda _: {"kind": "drop-reply"},
    lambda _: {"kind": "delay-reply", "seconds": 4},
    lambda _: {"kind": "withhold-connack"},
    lambda chance: {"kind": "half-open", "packets": chance.randint(1, 8)},
)


class Trouble:
    """What can fail over TLS."""

    def __init__(self, world: WireWorld, aws: LocalAWS, state: Path) -> None:
        self._world, self._aws, self._state = world, aws, state
        self._chance = Random(SEED)  # noqa: S311 - a test
        self.stops = 0

    def restart_broker(self) -> None:
        if self._chance.random() < STOPS:
            self.stops += 1
            self._aws.restart()
        else:
            self._aws.fault("cut-after-packet", packets=1, count=3)

    def fault(self, chance: Random) -> None:
        self._aws.fault(**chance.choice(FAULTS)(chance))

    def power_came_back(self) -> None:
        """The certificate that the device now has is ACTIVE."""
        identity = identity_of(self._world, self._state)
        assert self._world.status(identity.certificate_id) == "ACTIVE"


@pytest.fixture
def aws(tmp_path: Path) -> Iterator[LocalAWS]:
    """A local AWS of its own, since all other tests need theirs."""
    with local_aws_in(StateFolder(tmp_path / "cloud"), free_ports()) as started:
        yield started


def test_a_soak_of_ten_minutes_over_tls_ends_with_one_identity(
    aws: LocalAWS, tmp_path: Path, record_property: Callable[[str, object], None]
) -> None:
    allow(2 * SECONDS)
    world = WireWorld(described(aws, StateFolder(tmp_path / "cloud")), tmp_path / "station")
    world.factory("prepare", "--method", "claim", "--renewal")
    world.settings = msgspec.structs.replace(world.settings, connection=IMPATIENT)
    state = world.make_device(tmp_path / "device", SERIAL)
    boot(world, state)
    trouble = Trouble(world, aws, state)

    counts = soak(world, state, trouble, SEED, SECONDS)

    world.clear_faults()
    renew_home(world, state)
    assert_one_identity(world, state, SERIAL)
    assert active_of_no_thing(world) == 1, "the claim alone"
    counts["stops of the local AWS"] = trouble.stops
    record_property(f"soak over TLS, seed {SEED}", dict(counts))
    print(f"\nsoak of {SECONDS:.0f} s over TLS, seed {SEED}: {dict(counts)}")  # noqa: T201
    assert min(counts[what] for what in ("power cuts", "renewed", "broker restarts")) > 0


def active_of_no_thing(world: WireWorld) -> int:
    """Count the ACTIVE certificates that no thing has."""
    pages = world.iot.get_paginator("list_certificates").paginate()
    found = [each for page in pages for each in page["certificates"] if each["status"] == "ACTIVE"]
    arns = [each["certificateArn"] for each in found]
    return sum(not world.iot.list_principal_things(principal=arn)["things"] for arn in arns)
