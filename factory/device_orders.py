"""From the words of the command line, and the environment, to what a device is to be."""

import argparse
import os
from pathlib import Path

from device.storage.roots.plan import FILE, RootPlan, parse_plan
from factory.cloud import Cloud
from factory.device_element import check_element
from factory.documents import CONFIG
from factory.endpoint import find_endpoint, parse_endpoint
from factory.manufacture import DeviceOrder, new_device_id
from factory.root_ca import AMAZON_ROOTS, load_root_ca


def device_order(arguments: argparse.Namespace, serial_number: str, cloud: Cloud) -> DeviceOrder:
    """Return the order for one device; ``cloud`` is asked only if no endpoint is given.

    Raises:
        StationError, ConfigurationError, ElementError: something in it cannot be used.
        CloudError: AWS did not answer, or said no.
    """
    check_element(arguments.element, arguments.method)
    return DeviceOrder(
        serial_number=serial_number,
        device_id=getattr(arguments, "device_id", None) or new_device_id(),
        endpoint=_endpoint(arguments, cloud),
        root_ca=load_root_ca(_root_ca(arguments.root_ca)),
        config=arguments.config or CONFIG / config_name(arguments.method),
        is_allowed=getattr(arguments, "allowed", True),
        root_of_trust=_root_of_trust(arguments.root_of_trust),
        element=arguments.element,
    )


def config_name(method: str) -> str:
    """Return the name of the settings file of a method, in config/."""
    return f"{method.removesuffix('-aws-keys')}.yaml"


def _endpoint(arguments: argparse.Namespace, cloud: Cloud) -> str:
    if arguments.endpoint:
        return parse_endpoint("--endpoint", arguments.endpoint)
    # The environment's endpoint is that of the environment's account.
    if os.environ.get("DEVICE_ENDPOINT") and not arguments.account:
        return parse_endpoint("DEVICE_ENDPOINT", os.environ["DEVICE_ENDPOINT"])
    return find_endpoint(cloud)


def _root_ca(given: Path | None) -> Path:
    return given or Path(os.environ.get("DEVICE_ROOT_CA") or AMAZON_ROOTS)


def _root_of_trust(given: str | None) -> RootPlan:
    if given:
        return parse_plan(given, "--root-of-trust")
    named = os.environ.get("DEVICE_ROOT_OF_TRUST")
    return parse_plan(named, "DEVICE_ROOT_OF_TRUST") if named else FILE
