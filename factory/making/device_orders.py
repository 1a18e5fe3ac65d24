"""From what is wanted of devices, in words, to what they are to be."""

import argparse
import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
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


@dataclass(frozen=True)
class OrderOptions:
    """What devices are to be, besides their serial numbers."""

    method: str
    config: Path | None = None
    """The devices' settings; None for the method's own."""
    element: str = ""
    """Where the key is made (``factory.making.device_element``); empty: in software, sealed."""
    endpoint: str | None = None
    """``HOST:PORT``; None for ``DEVICE_ENDPOINT`` or the settings' one, else AWS is asked."""
    root_ca: Path | None = None
    """None for ``DEVICE_ROOT_CA`` of the environment, the settings' one, else Amazon's roots."""
    root_of_trust: str | None = None
    device_id: str | None = None
    """16 bytes in hex; None for random ones."""
    claim: str = ""
    """By claim: the name of the claim that the devices get; empty: the newest one."""
    allowed: bool = True
    """Whether the cloud's allow list is to have the device, where its method wants that."""
    birth: bool = False
    """Whether the device gets a birth certificate, to come back with."""
    is_other_account: bool = False
    """Whether an account was named, so that the environment's endpoint is not its own."""
    environment: Mapping[str, str] = field(default_factory=dict)
    """Variables, which override the settings."""

    @classmethod
    def of(cls, arguments: argparse.Namespace) -> "OrderOptions":
        """Return what the command line and this process's environment say."""
        return cls(
            arguments.method,
            config=arguments.config,
            element=arguments.element,
            endpoint=arguments.endpoint,
            root_ca=arguments.root_ca,
            root_of_trust=arguments.root_of_trust,
            device_id=getattr(arguments, "device_id", None),
            claim=getattr(arguments, "claim", None) or "",
            allowed=getattr(arguments, "allowed", True),
            birth=getattr(arguments, "birth", False),
            is_other_account=bool(arguments.account),
            environment=dict(os.environ),
        )


def device_orders(
    arguments: OrderOptions, serial_numbers: Sequence[str], cloud: Cloud
) -> list[DeviceOrder]:
    """Return the orders for devices, all checked; ``cloud`` is asked only for an endpoint.

    Raises:
        StationError, ConfigurationError, ElementError: something in one cannot be used.
        CloudError: AWS did not answer, or said no.
    """
    check_element(arguments.element, arguments.method, len(serial_numbers))
    config = arguments.config or CONFIG / config_name(arguments.method)
    loaded = _loaded(config, arguments)
    settings = loaded.settings
    check_method(config, arguments.method)
    check_key_type(loaded, arguments.method)
    if arguments.method in PRESENTED_METHODS:  # its key is made with the device
        check_store(arguments.element, settings.key.store, str(config))
    first = DeviceOrder(
        serial_number=serial_numbers[0],
        device_id=arguments.device_id or new_device_id(),
        endpoint="",
        root_ca=load_root_ca(_root_ca(arguments, settings)),
        config=config,
        environment=arguments.environment,
        claim=arguments.claim,
        settings=loaded,
        is_allowed=arguments.allowed,
        root_of_trust=_root_of_trust(arguments),
        element=arguments.element,
        key_type=KeyType(settings.key.type),
        is_id_given=bool(arguments.device_id),
    )
    orders = [first, *_alike(first, serial_numbers[1:])]
    for order in orders:
        device_subject(order, loaded)
    endpoint = _endpoint(arguments, cloud)
    return [replace(order, endpoint=endpoint) for order in orders]


def with_settings_file(
    orders: Iterable[DeviceOrder], name: str, options: OrderOptions
) -> list[DeviceOrder]:
    """Return ``orders`` with the settings file ``name`` of config/."""
    config = CONFIG / name
    loaded = _loaded(config, options)
    return [replace(order, config=config, settings=loaded) for order in orders]


def _loaded(config: Path, options: OrderOptions) -> Loaded:
    return load_with_sources(config, options.environment, {"method": options.method})


def config_name(method: str) -> str:
    """Return the name of the settings file of a method, in config/."""
    return METHODS[method].settings_file


def given_endpoint(arguments: OrderOptions) -> str | None:
    """Return the endpoint that was given, by flag, variable or file; None if AWS is to be asked.

    Raises:
        ConfigurationError: it cannot be used.
    """
    if arguments.endpoint:
        return str(Endpoint.parse(arguments.endpoint, "--endpoint", key=""))
    # The environment's endpoint is that of the environment's account.
    named = arguments.environment.get("DEVICE_ENDPOINT")
    if named and not arguments.is_other_account:
        return str(Endpoint.parse(named, "DEVICE_ENDPOINT", key=""))
    config = arguments.config
    in_file = load_device_settings(config).endpoint if config else None
    return str(Endpoint.parse(in_file, str(config))) if in_file else None


def _alike(first: DeviceOrder, serial_numbers: Iterable[str]) -> Iterable[DeviceOrder]:
    for each in serial_numbers:
        yield replace(first, serial_number=each, device_id=new_device_id())


def _endpoint(arguments: OrderOptions, cloud: Cloud) -> str:
    return given_endpoint(arguments) or find_endpoint(cloud)


def _root_ca(arguments: OrderOptions, settings: Settings) -> Path:
    return arguments.root_ca or Path(settings.root_ca or AMAZON_ROOTS)


def _root_of_trust(arguments: OrderOptions) -> RootPlan:
    if arguments.root_of_trust:
        return parse_plan(arguments.root_of_trust, "--root-of-trust")
    named = arguments.environment.get("DEVICE_ROOT_OF_TRUST")
    return parse_plan(named, "DEVICE_ROOT_OF_TRUST") if named else FILE
