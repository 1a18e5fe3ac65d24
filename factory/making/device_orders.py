"""From the words of the command line, and the environment, to what devices are to be."""

import argparse
import os
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path

from device.config.endpoint import Endpoint
from device.config.methods import METHODS, PRESENTED_METHODS
from device.config.settings import Loaded, Settings, load_with_sources
from device.storage.keys import KeyType
from device.storage.roots.root_plan import FILE, RootPlan, parse_plan
from factory.account.cloud import Cloud
from factory.account.documents import CONFIG
from factory.making.device_element import check_element, check_store
from factory.making.device_settings import (
    check_key_type,
    check_method,
    device_subject,
    load_device_settings,
)
from factory.making.new_device import DeviceOrder, new_device_id
from factory.station.endpoint import find_endpoint
from factory.station.root_ca import AMAZON_ROOTS, load_root_ca


def device_orders(
    arguments: argparse.Namespace, serial_numbers: Sequence[str], cloud: Cloud
) -> list[DeviceOrder]:
    """Return the orders for devices, all checked; ``cloud`` is asked only for an endpoint.

    Raises:
        StationError, ConfigurationError, ElementError: something in one cannot be used.
        CloudError: AWS did not answer, or said no.
    """
    check_element(arguments.element, arguments.method, len(serial_numbers))
    config = arguments.config or CONFIG / config_name(arguments.method)
    loaded = _loaded(config, arguments.method)
    settings = loaded.settings
    check_method(config, arguments.method)
    check_key_type(loaded, arguments.method)
    if arguments.method in PRESENTED_METHODS:  # its key is made with the device
        check_store(arguments.element, settings.key.store, str(config))
    first = DeviceOrder(
        serial_number=serial_numbers[0],
        device_id=getattr(arguments, "device_id", None) or new_device_id(),
        endpoint="",
        root_ca=load_root_ca(_root_ca(arguments.root_ca, settings)),
        config=config,
        environment=dict(os.environ),
        settings=loaded,
        is_allowed=getattr(arguments, "allowed", True),
        root_of_trust=_root_of_trust(arguments.root_of_trust),
        element=arguments.element,
        key_type=KeyType(settings.key.type),
        is_id_given=bool(getattr(arguments, "device_id", None)),
    )
    orders = [first, *_alike(first, serial_numbers[1:])]
    for order in orders:
        device_subject(order, loaded)
    endpoint = _endpoint(arguments, cloud)
    return [replace(order, endpoint=endpoint) for order in orders]


def with_settings_file(orders: Iterable[DeviceOrder], name: str, method: str) -> list[DeviceOrder]:
    """Return ``orders`` with the settings file ``name`` of config/."""
    config = CONFIG / name
    loaded = _loaded(config, method)
    return [replace(order, config=config, settings=loaded) for order in orders]


def _loaded(config: Path, method: str) -> Loaded:
    return load_with_sources(config, os.environ, {"method": method})


def config_name(method: str) -> str:
    """Return the name of the settings file of a method, in config/."""
    return METHODS[method].settings_file


def given_endpoint(arguments: argparse.Namespace) -> str | None:
    """Return the endpoint that was given, by flag, variable or file; None if AWS is to be asked.

    Raises:
        ConfigurationError: it cannot be used.
    """
    if arguments.endpoint:
        return str(Endpoint.parse(arguments.endpoint, "--endpoint", key=""))
    # The environment's endpoint is that of the environment's account.
    if (named := os.environ.get("DEVICE_ENDPOINT")) and not arguments.account:
        return str(Endpoint.parse(named, "DEVICE_ENDPOINT", key=""))
    config = getattr(arguments, "config", None)
    in_file = load_device_settings(config).endpoint if config else None
    return str(Endpoint.parse(in_file, str(config))) if in_file else None


def _alike(first: DeviceOrder, serial_numbers: Iterable[str]) -> Iterable[DeviceOrder]:
    for each in serial_numbers:
        yield replace(first, serial_number=each, device_id=new_device_id())


def _endpoint(arguments: argparse.Namespace, cloud: Cloud) -> str:
    return given_endpoint(arguments) or find_endpoint(cloud)


def _root_ca(given: Path | None, settings: Settings) -> Path:
    return given or Path(settings.root_ca or AMAZON_ROOTS)


def _root_of_trust(given: str | None) -> RootPlan:
    if given:
        return parse_plan(given, "--root-of-trust")
    named = os.environ.get("DEVICE_ROOT_OF_TRUST")
    return parse_plan(named, "DEVICE_ROOT_OF_TRUST") if named else FILE
