"""A manufacturing station as a program uses it: prepare, make, look into the registry.

This is the public API (docs/api.md); the verbs of ``factory`` are thin over it. It neither prints
nor takes signals, and a station may be used in several threads: what it keeps is locked on disk.
"""

import logging
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from device.config.methods import METHODS as TABLE
from device.config.methods import Credential
from factory.account.accounts import accounts_in, aws_accounts
from factory.account.aws import Aws
from factory.account.changes import Report
from factory.account.cloud import Account
from factory.account.documents import CONFIG
from factory.account.registry import Registry
from factory.errors import OPTION_NOT_USED, StationNotPreparedError
from factory.lint.checks import documents_of, findings_of, refuse_errors
from factory.making.admission import Wanted
from factory.making.device_orders import (
    OrderOptions,
    config_name,
    device_orders,
    given_endpoint,
    with_settings_file,
)
from factory.making.device_settings import thing_name
from factory.making.line_orders import BatchOrder
from factory.making.new_device import DeviceOrder
from factory.making.retirement import devices_of, enter_retired, retire_for_good
from factory.methods import METHODS, recovery, renewal, single_thing
from factory.methods.line import Line, Piece, Plan, check_line, plan_line, run_line
from factory.methods.method import DEFAULT_CHOICES, Choices
from factory.methods.prepared_account import (
    check_endpoint_of,
    check_prepared,
    forget_prepared,
    note_prepared,
)
from factory.methods.production import Product, as_made, produce, produce_by
from factory.methods.products import MadeDevice, RetiredDevice, made_device
from factory.methods.single_thing import RegisteredBy
from factory.station import station as stored
from factory.station.ledger import Entry, Ledger
from factory.station.serial_list import check_batch_name

_HOOKED: Final = "claim-hook.yaml"
"""The settings of a device that proves itself to the claim's hook."""

# A program that has not set logging up gets no words on its standard error.
for _package in ("device", "factory"):
    logging.getLogger(_package).addHandler(logging.NullHandler())


class Station:
    """The station in ``folder``, and the accounts that it works in."""

    def __init__(
        self,
        folder: Path | str,
        *,
        accounts: Sequence[str] = (),
        environment: Mapping[str, str] | None = None,
    ) -> None:
        """Name the station; nothing is made and nobody is asked yet.

        Args:
            folder: the station's folder; `prepare` makes it.
            accounts: ``PROFILE`` or ``PROFILE:REGION`` for each account, as ``--account`` has them;
                on the local AWS twelve digits. Default: the account of the credentials.
            environment: endpoint, credentials and Region as in ``localcloud env --json``, and
                ``DEVICE_*`` variables. Default: this process's environment and boto3's own chain.

        Raises:
            ConfigurationError: an account is not written as above.
        """
        self.folder: Final = Path(folder)
        self.clouds: Final[Sequence[Aws]] = _clouds(accounts, environment)
        """The accounts in which it works."""
        self._is_account_named: Final = bool(accounts)
        self.environment: Final = os.environ if environment is None else environment
        """Where its variables come from."""

    @property
    def registry(self) -> Registry:
        """The registry of the station's first account."""
        return Registry(self.clouds[0])

    def prepare(
        self, method: str, choices: Choices = DEFAULT_CHOICES
    ) -> list[tuple[Account, Report]]:
        """Create in each account what ``method`` needs; what is already right stays as it is.

        Raises:
            LintFailedError: the linter found an error in a document of the method.
            StationError, StorageError: the cloud or the disk refused; the next run continues.
        """
        refuse_errors(findings_of(method, also=documents_of(choices)))
        return [(cloud.account, self.prepare_in(cloud, method, choices)) for cloud in self.clouds]

    def prepare_in(self, cloud: Aws, method: str, choices: Choices = DEFAULT_CHOICES) -> Report:
        """Create in one account what ``method`` needs; its documents were checked before.

        Raises:
            StationError, StorageError: as for `prepare`.
        """
        with stored.open_or_make_station(self.folder) as station:
            report = METHODS[method].prepare(cloud, station, choices)
            if choices.renewal:
                report = Report.of([report, renewal.prepare(cloud)])
            if choices.recovery_days is not None:
                report = Report.of([report, recovery.prepare(cloud, choices.recovery_days)])
            note_prepared(station, method, cloud)
        return report

    def teardown_in(
        self,
        cloud: Aws,
        method: str | None = None,
        *,
        devices: bool = False,
        renews: bool = False,
    ) -> Report:
        """Remove from one account what `prepare` created for ``method``, or for all methods.

        ``devices``: and what was registered. ``renews``: and what is for renewals and
        recoveries, which goes with all methods in any case. A second run continues.

        Raises:
            StationError, StorageError: the cloud or the disk refused.
        """
        methods = [METHODS[method]] if method else dict.fromkeys(METHODS.values())
        with ExitStack() as stack:
            station = _station_if_any(stack, self.folder)
            # Before the methods, which share the device policy with it.
            first = []
            if renews or not method:
                first = [recovery.teardown(cloud), renewal.teardown(cloud, devices=devices)]
            reports = (each.teardown(cloud, station, devices=devices) for each in methods)
            report = Report.of([*first, *reports])
            if station is not None:
                forget_prepared(station, method, cloud)
        return report

    def make(
        self,
        method: str,
        serial: str,
        out: Path | str,
        *,
        options: OrderOptions | None = None,
        again: bool = False,
    ) -> MadeDevice:
        """Make the device ``serial`` in the folder ``out``, and register it if the method does.

        Args:
            method: how it will provision itself; `prepare` was run for it.
            serial: the serial number; a second device cannot have it, unless ``again``.
            out: the device's folder.
            options: what else the device is to be; their ``method`` is not used.
            again: replace the device that has the serial number, and turn off its certificate.

        Raises:
            SerialNumberUsedError: another device has the serial number.
            StationError, StorageError: the cloud or the disk refused; a second run continues.
        """
        wanted = self._options(method, options)
        [device] = self.make_each(wanted, [serial], lambda _: Path(out), again=again)
        return device

    def make_each(
        self,
        options: OrderOptions,
        serials: Sequence[str],
        folder_of: Callable[[str], Path],
        *,
        again: bool = False,
    ) -> Iterator[MadeDevice]:
        """Make several devices, one after the other, once all that was ordered has been checked.

        Raises:
            StationError, StorageError: as for `make`.
        """
        method = options.method
        self._check_accounts(method)
        orders = device_orders(options, serials, self.clouds[0])
        with stored.open_station(self.folder, read_only=True) as station:
            is_hooked = "--hook" in METHODS[method].options and station.asks_for_proof
            _check_not_allowed(options, is_hooked=is_hooked)
            _check_claim(options)
            self._check_prepared(station, options)
            if is_hooked and options.config is None:
                orders = with_settings_file(orders, _HOOKED, options)
            for order in orders:
                wanted = Wanted(order, folder_of(order.serial_number), again=again)
                product = produce(method, wanted, station, self.clouds)
                if options.birth:
                    recovery.give_birth_certificate(self.clouds[0], wanted.out, thing_name(order))
                name = _HOOKED if is_hooked else config_name(method)
                settings_file = options.config or CONFIG / name
                yield made_device(method, product, wanted.out, settings_file)

    def make_batch(self, order: BatchOrder, jobs: int = 0) -> Iterator[Piece]:
        """Make a batch in ``jobs`` processes (0: two a core); it goes on if a device fails.

        A second run with the same order completes what a stopped one has left.

        Raises:
            SerialNumberUsedError: another device has a serial number; nothing was made.
            StationError, StorageError: something that was ordered cannot be used.
        """
        with self._line(order, jobs) as line:
            order = _with_claim(order, line.station)
            check_line(line, order.wanted(self.clouds[0]))
            yield from run_line(line, order.wanted(self.clouds[0]))

    def plan_batch(self, order: BatchOrder) -> Iterator[tuple[Wanted, Plan]]:
        """Yield what `make_batch` would do; nothing is made or written.

        Raises:
            StationError, StorageError: as for `make_batch`.
        """
        with self._line(order, jobs=1) as line:
            order = _with_claim(order, line.station)
            yield from plan_line(line, order.wanted(self.clouds[0]))

    @contextmanager
    def _line(self, order: BatchOrder, jobs: int) -> Iterator[Line]:
        options = order.options
        check_batch_name(order.name)
        self._check_accounts(options.method)
        with stored.open_station(self.folder, read_only=True) as station:
            is_hooked = "--hook" in METHODS[options.method].options and station.asks_for_proof
            _check_not_allowed(options, is_hooked=is_hooked)
            _check_claim(options)
            self._check_prepared(station, options)
            if options.element or station.element:
                jobs = 1  # each process would log in, and try the PIN
            yield Line(options.method, station, self.clouds, order.name, jobs)

    def ledger(self) -> list[Entry]:
        """Return every line of the station's ledger, the oldest first.

        Raises:
            LedgerError: a line was not written by the station.
        """
        return list(Ledger(self.folder).entries())

    def single(  # noqa: PLR0913 - each is a choice of its own, and has a name at the call
        self,
        serial: str,
        out: Path | str,
        *,
        options: OrderOptions | None = None,
        by: RegisteredBy = RegisteredBy.REGISTER_THING,
        exclusive: bool = True,
        again: bool = False,
    ) -> MadeDevice:
        """Make a device and register it in AWS at once, by the method ``single-thing``.

        Args:
            serial: the serial number.
            out: the device's folder.
            options: what else the device is to be; their ``method`` is not used.
            by: one call with a template, or several calls by hand.
            exclusive: the certificate can belong to no other thing.
            again: replace the device that has the serial number.

        Raises:
            StationError, StorageError: as for `make`.
        """
        wanted = self._options(single_thing.METHOD, options)
        [device] = self.single_each(
            wanted, [serial], lambda _: Path(out), by=by, exclusive=exclusive, again=again
        )
        return device

    def single_each(  # noqa: PLR0913 - as above
        self,
        options: OrderOptions,
        serials: Sequence[str],
        folder_of: Callable[[str], Path],
        *,
        by: RegisteredBy = RegisteredBy.REGISTER_THING,
        exclusive: bool = True,
        again: bool = False,
    ) -> Iterator[MadeDevice]:
        """Make and register several devices as `single` does, once all orders were checked.

        Raises:
            StationError, StorageError: as for `make`.
        """
        [cloud, *_] = self.clouds
        orders = device_orders(options, serials, cloud)
        check_endpoint_of(cloud, given_endpoint(options))

        def make(order: DeviceOrder, out: Path) -> Product:
            single_thing.make_registered(cloud, order, out, by, exclusive=exclusive)
            return as_made(order, out)

        settings_file = options.config or CONFIG / config_name(options.method)
        for order in orders:
            wanted = Wanted(order, folder_of(order.serial_number), again=again)
            product = produce_by(make, options.method, wanted, self.folder, [cloud])
            if options.birth:
                recovery.give_birth_certificate(cloud, wanted.out, thing_name(order))
            yield made_device(options.method, product, wanted.out, settings_file)

    def retire(
        self, serial: str, *, delete_thing: bool = False, config: Path | None = None
    ) -> list[RetiredDevice]:
        """Turn off and detach the certificates of a device that is gone; the ledger says so.

        Args:
            serial: the serial number; every device that has it now is retired.
            delete_thing: delete its thing, too, if nothing else is attached to it.
            config: the device's settings, for the name of its thing; default: the method's.

        Raises:
            SerialNumberUnknownError: the ledger has no such device; nothing was changed.
            RegisteredElsewhereError: it is registered in accounts that are not the station's.
            CloudError: AWS did not answer, or said no; a second run continues from there.
        """
        return list(self.retire_each([serial], delete_thing=delete_thing, config=config))

    def retire_each(
        self, serials: Sequence[str], *, delete_thing: bool = False, config: Path | None = None
    ) -> Iterator[RetiredDevice]:
        """Retire several devices as `retire` does, once all of them are known.

        Raises:
            SerialNumberUnknownError, RegisteredElsewhereError, CloudError: as for `retire`.
        """
        ledger = Ledger(self.folder)
        entries = ledger.entries()
        wanted = [devices_of(entries, each) for each in serials]
        for device in (each for devices in wanted for each in devices):
            yield self._retired(ledger, device, config, delete_thing=delete_thing)

    def _retired(
        self, ledger: Ledger, device: Entry, config: Path | None, *, delete_thing: bool
    ) -> RetiredDevice:
        order = DeviceOrder(
            device.serial_number, device.device_id, "", b"",
            config or CONFIG / config_name(device.method), environment=dict(self.environment),
        )  # fmt: skip
        thing = thing_name(order)
        done = retire_for_good(device, thing, self.clouds, delete_thing=delete_thing)
        enter_retired(ledger, device, "; ".join(w for each in done for w in each.words))
        return RetiredDevice(device.serial_number, device.device_id, thing, done)

    def _options(self, method: str, given: OrderOptions | None) -> OrderOptions:
        options = given or OrderOptions(method)
        environment = options.environment or dict(self.environment)
        return replace(
            options, method=method, environment=environment,
            is_other_account=self._is_account_named,
        )  # fmt: skip

    def _check_accounts(self, method: str) -> None:
        if len(self.clouds) > 1 and not METHODS[method].is_registering:
            raise OPTION_NOT_USED.error(
                f"method {method} makes a device for one account",
                option="--account",
                next_step="Give --account once. For several: --method multi-account.",
            )

    def _check_prepared(self, station: stored.Station, options: OrderOptions) -> None:
        endpoint = given_endpoint(options)
        check_prepared(station, options.method, self.clouds, endpoint)
        if METHODS[options.method].is_made_online:
            check_endpoint_of(self.clouds[0], endpoint)


def _clouds(accounts: Sequence[str], environment: Mapping[str, str] | None) -> list[Aws]:
    if environment is not None:
        return accounts_in(accounts, environment)
    return aws_accounts(list(accounts), os.environ)


def _station_if_any(stack: ExitStack, folder: Path) -> stored.Station | None:
    try:
        return stack.enter_context(stored.open_station(folder))
    except StationNotPreparedError:
        return None


def _with_claim(order: BatchOrder, station: stored.Station) -> BatchOrder:
    """Have the batch get the claim of its own name, if there is one; refuse one that is over."""
    options = order.options
    if "--hook" in METHODS[options.method].options and station.asks_for_proof:
        options = replace(options, config=options.config or CONFIG / _HOOKED)
        order = replace(order, options=options)
    if TABLE[options.method].begins_with is not Credential.CLAIM:
        return order
    known = {each.name for each in station.named_claims}
    name = order.options.claim or (order.name if order.name in known else "")
    station.claim_named(name, datetime.now(UTC))
    return replace(order, options=replace(order.options, claim=name))


def _check_claim(options: OrderOptions) -> None:
    if options.claim and TABLE[options.method].begins_with is not Credential.CLAIM:
        raise OPTION_NOT_USED.error(
            f"devices of method {options.method} get no claim", option="--claim",
            next_step="Leave it out; it is for claim, claim-aws-keys and claim-own-ca.",
        )  # fmt: skip


def _check_not_allowed(options: OrderOptions, *, is_hooked: bool) -> None:
    method = options.method
    if not options.allowed and not (METHODS[method].is_registering or is_hooked):
        raise OPTION_NOT_USED.error(
            f"method {method} has no allow-list in the cloud",
            option="--not-allowed",
            next_step="Leave it out. jitr, multi-account and claim with a hook have such a list.",
        )
