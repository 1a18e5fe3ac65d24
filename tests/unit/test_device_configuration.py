"""Does what AWS IoT configures reach the application, and nothing unusable?"""

import pytest

from device.config.settings import Settings, Telemetry, configured

SETTINGS = Settings(method="claim", telemetry=Telemetry(topic="t", interval=60.0))


@pytest.mark.parametrize(
    ("configuration", "interval"),
    [
        (None, 60.0),
        ({}, 60.0),
        ({"SomethingElse": "5"}, 60.0),
        ({"TelemetryInterval": "5"}, 5.0),
        ({"TelemetryInterval": "0.5"}, 0.5),
        ({"TelemetryInterval": "0"}, 60.0),
        ({"TelemetryInterval": "-1"}, 60.0),
        ({"TelemetryInterval": "soon"}, 60.0),
        ({"TelemetryInterval": "nan"}, 60.0),
        ({"TelemetryInterval": "inf"}, 60.0),
        ({"TelemetryInterval": ""}, 60.0),
    ],
)
def test_the_interval(configuration: dict[str, str] | None, interval: float) -> None:
    assert configured(SETTINGS, configuration).telemetry == Telemetry(topic="t", interval=interval)
