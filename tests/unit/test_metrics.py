"""Does a device say in OpenMetrics what it counted, and is it readable whatever befell the file?"""

import os
from pathlib import Path

import pytest

from device.operation.counters import Counters
from device.operation.metrics import Metrics, WriteMetrics
from device.operation.task import Reconfigured
from device.provisioning import events as ev
from device.runtime import metrics
from tests.support.certificates import NOW
from tests.support.clock import FakeClock
from tests.support.devices import advance_to, open_device


def counters() -> Counters:
    found = Counters()
    found.failed(ev.ConnectFailed("down"))
    found.connected()
    found.publishes = 2
    found.acknowledged(0.25)
    found.failed(ev.ConnectionLost("gone"))
    found.connected()
    found.acknowledged(0.5)
    return found


def test_counters_count_connections_and_the_time_to_a_puback() -> None:
    samples = metrics.counted(counters(), outbox_messages=3)

    assert samples["connects_total"] == 2
    assert samples["reconnects_total"] == 1
    assert samples["connection_failures_total"] == 1
    assert samples["connections_lost_total"] == 1
    assert samples["publishes_total"] == 2
    assert samples["puback_seconds_count"] == 2
    assert samples["puback_seconds_sum"] == 0.75
    assert samples["puback_longest_seconds"] == 0.5
    assert samples["outbox_messages"] == 3


def test_every_sample_has_a_family_and_every_family_its_text(tmp_path: Path) -> None:
    with open_device(tmp_path) as storage:
        advance_to(storage, "proven")
        samples = metrics.counted(counters(), 3) | metrics.stored(
            storage, FakeClock(NOW.timestamp() + 90.0)
        )

    text = metrics.exposition(samples)

    assert text.endswith("# EOF\n")
    for family, (kind, meaning) in metrics.FAMILIES.items():
        assert f"# HELP firstboot_{family} {meaning}\n# TYPE firstboot_{family} {kind}\n" in text
    assert text.count("\nfirstboot_") == len(samples)


def test_the_storage_tells_commits_and_the_age_of_the_certificate(tmp_path: Path) -> None:
    with open_device(tmp_path) as storage:
        advance_to(storage, "proven")
        early = metrics.stored(storage, FakeClock(NOW.timestamp()))
        late = metrics.stored(storage, FakeClock(NOW.timestamp() + 90.0))

    assert late["certificate_age_seconds"] == early["certificate_age_seconds"] + 90
    assert late["storage_commits_total"] > 4


def test_a_file_gives_back_what_was_written(tmp_path: Path) -> None:
    samples = metrics.counted(counters(), 3)
    place = tmp_path / "metrics.prom"

    metrics.write(place, samples)

    assert metrics.read(place) == samples
    assert [file.name for file in tmp_path.iterdir()] == ["metrics.prom"]


@pytest.mark.parametrize("content", [b"", b"\xff\xfe", b"firstboot_connects_total ---\n", b"x y"])
def test_a_file_that_makes_no_sense_has_no_samples(tmp_path: Path, content: bytes) -> None:
    place = tmp_path / "metrics.prom"
    place.write_bytes(content)

    assert metrics.read(place) == {}
    assert metrics.read(tmp_path / "none") == {}


def test_a_place_that_cannot_be_written_ends_nothing(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    metrics.write(tmp_path / "no" / "such" / "folder", {})

    assert "the metrics are not written" in caplog.text


def test_what_is_no_regular_file_is_neither_replaced_nor_waited_for(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    place = tmp_path / "metrics.prom"
    os.mkfifo(place)

    metrics.write(place, {})

    assert "the metrics are not written" in caplog.text
    assert place.is_fifo()
    assert metrics.read(place) == {}


def test_they_are_written_at_once_and_then_by_interval() -> None:
    task = Metrics(60.0)

    assert task.on_due(5.0) == [WriteMetrics()]
    assert task.next_due() == 65.0
    task.on_fact(Reconfigured({"metrics.interval": 10.0}))
    assert task.next_due() == 15.0
