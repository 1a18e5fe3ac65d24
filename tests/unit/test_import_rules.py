"""Who may import whom (design, section 1), who may print, and what is not loaded at start."""

import ast
import functools
import importlib
import os
import subprocess
import sys
from collections.abc import Iterator
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

from tests.support.devices import make_device
from tests.support.hang import SECONDS

ROOT = Path(__file__).parents[2]
PACKAGES = ("advisor", "device", "factory", "fleet", "localcloud", "pytest_firstboot")
PLACES = {
    "awscrt": ("device.connection.awscrt_session",),
    "awsiot": ("device.connection.awscrt_session",),
    "boto3": ("factory",),
    # MiniStack brings it; the plugin signs with it.
    "botocore": ("factory", "localcloud", "pytest_firstboot.local_aws"),
    "ministack": ("localcloud",),
    "rich": ("factory.bulk.progress", "factory.bulk.screen", "fleet.progress"),  # for people
}
NEVER = {
    "advisor": ("device", "factory", "fleet", "localcloud", "pytest_firstboot"),
    "device": ("advisor", "factory", "fleet", "localcloud", "pytest_firstboot"),
    "factory": ("advisor", "fleet", "localcloud", "pytest_firstboot"),
    "fleet": ("advisor", "localcloud"),  # as pytest_firstboot
    "localcloud": ("advisor", "device", "factory", "fleet", "pytest_firstboot"),
    "pytest_firstboot": ("advisor", "fleet", "localcloud"),  # which it runs as a process
}
# It fills a device's storage, and its errors derive from the device's.
FACTORY_MAY_USE = ("device.config", "device.errors", "device.identity", "device.storage")
PROVISIONING_MAY_USE = ("msgspec", "device.errors", "device.provisioning")
PURE = {
    "device.provisioning": PROVISIONING_MAY_USE,
    "device.operation": ("device.operation", *PROVISIONING_MAY_USE),
}

# The rooms and loose modules of the local AWS, from the ground up.
FLOORS = (
    *("errors", "seam", "settings"),
    *("door", "broker", "gaps", "durable", "faults", "wire"),
    *("page", "process", "verbs", "cli", "__main__"),
)

# A small module that only one other imports is better a part of it. These have a reason to be one.
SMALL = 40  # lines
ALONE = {
    "device.operation.metrics": "a task, as each of the others is",
    "device.runtime.reboot": "starts another program, which nothing else of the device does",
    "device.provisioning.limits": "the lengths that device and tests agree on, in one list",
    "device.storage.formats": "grows with each new format",
    "device.storage.private_memory": "loaded by verbs that open secrets, and by no other",
    "device.storage.roots.file_fuses": "a root of trust, loaded if it is the chosen one",
    "device.storage.roots.refused_pin_file": "the half of PinMemory that needs a disk",
    "factory.lint.rules": "gathers the rules, so that each can stand beside its check",
    "factory.making.rewrap": "what the verb does, for stations without a command line",
}
SERIES = ("verbs", "gaps", "errors")  # one of a kind a file, however short


def modules() -> Iterator[tuple[str, Path]]:
    """Yield every module of the packages, by dotted name."""
    for package in PACKAGES:
        for path in sorted((ROOT / package).rglob("*.py")):
            name = ".".join(path.relative_to(ROOT).with_suffix("").parts)
            yield name.removesuffix(".__init__"), path


MODULES = dict(modules())


@functools.cache
def imports_of(module: str) -> list[str]:
    """Return what a module imports anywhere in it, each name in full."""
    found: list[str] = []
    for node in ast.walk(ast.parse(MODULES[module].read_text())):
        if isinstance(node, ast.Import):
            found += (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "imports are absolute here"
            found += (f"{node.module}.{alias.name}" for alias in node.names)
    return found


def is_in(name: str, *packages: str) -> bool:
    return any(name == package or name.startswith(f"{package}.") for package in packages)


def offenders(rule_breaker: str, *forbidden: str) -> list[str]:
    """Return ``module: import`` for each forbidden import below ``rule_breaker``."""
    return [
        f"{module}: {name}"
        for module in MODULES
        if is_in(module, rule_breaker)
        for name in imports_of(module)
        if is_in(name, *forbidden)
    ]


@pytest.mark.parametrize(("package", "forbidden"), NEVER.items())
def test_device_and_localcloud_know_nobody(package: str, forbidden: tuple[str, ...]) -> None:
    assert offenders(package, *forbidden) == []


def test_factory_uses_only_what_it_fills() -> None:
    used = offenders("factory", "device")
    assert used, "the walk found nothing, so it proves nothing"
    assert [use for use in used if not is_in(use.split(": ")[1], *FACTORY_MAY_USE)] == []


@pytest.mark.parametrize("package", ["device", "factory"])
def test_the_plugin_uses_the_public_api_alone(package: str) -> None:
    public = {f"{package}.{name}" for name in importlib.import_module(package).__all__}
    used = {use.split(": ")[1] for use in offenders("pytest_firstboot", package)}
    assert used, "the walk found nothing, so it proves nothing"
    assert used - public == set()


def test_a_fleet_uses_the_public_api_of_factory_alone() -> None:
    public = {f"factory.{name}" for name in importlib.import_module("factory").__all__}
    used = {use.split(": ")[1] for use in offenders("fleet", "factory")}
    assert used, "the walk found nothing, so it proves nothing"
    assert used - public == set()


@pytest.mark.parametrize("package", ["device", "factory"])
def test_what_is_imported_from_a_package_loads_nothing_before_it_is_asked_for(package: str) -> None:
    code = f"import sys, {package}; print(*sorted(sys.modules))"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True,
        timeout=SECONDS,
    )  # fmt: skip
    loaded = {name.partition(".")[0] for name in done.stdout.split()}
    assert loaded.isdisjoint({"awscrt", "awsiot", "boto3", "cryptography", "msgspec", "yaml"})


def test_no_room_of_the_local_aws_imports_one_above_it() -> None:
    uses = [use.split(": ") for use in offenders("localcloud", "localcloud")]
    assert uses, "the walk found nothing, so it proves nothing"
    floor = FLOORS.index
    upward = [
        f"{module}: {name}"
        for module, name in uses
        if floor(module.split(".")[1]) < floor(name.split(".")[1])
    ]
    assert upward == []


@pytest.mark.parametrize("package", ["device", "factory", "localcloud", "advisor"])
def test_no_two_rooms_need_each_other(package: str) -> None:
    rooms = {room_of(name): set[str]() for name in MODULES if is_in(name, package)}
    for use in offenders(package, package):
        user, used = (room_of(name) for name in use.split(": "))
        # A package itself only names what its rooms offer, for those outside.
        if user != used and package not in {user, used}:
            rooms[user].add(used)
    assert any(rooms.values()), "the walk found nothing, so it proves nothing"
    TopologicalSorter(rooms).prepare()  # raises CycleError, with the rooms


def room_of(name: str) -> str:
    """Return the folder, or the loose module, in which something dotted is."""
    return ".".join(name.split(".")[:2])


def test_what_gaps_share_knows_no_gap() -> None:
    used = offenders("localcloud.gaps._support", "localcloud.gaps")
    assert used, "the walk found nothing, so it proves nothing"
    assert [use for use in used if not is_in(use.split(": ")[1], "localcloud.gaps._support")] == []


@pytest.mark.parametrize(("library", "places"), PLACES.items())
def test_a_heavy_library_has_its_place(library: str, places: tuple[str, ...]) -> None:
    used = [use for package in PACKAGES for use in offenders(package, library)]
    assert [use for use in used if not is_in(use.split(":")[0], *places)] == []


@pytest.mark.parametrize(("package", "may_use"), PURE.items())
def test_a_pure_package_uses_nothing_else(package: str, may_use: tuple[str, ...]) -> None:
    impure = [
        f"{module}: {name}"
        for module in MODULES
        if is_in(module, package)
        for name in imports_of(module)
        if not is_in(name, *may_use) and name.partition(".")[0] not in sys.stdlib_module_names
    ]
    assert impure == []


# The standard library holds sockets, files, clocks, threads and dice as well.
WORLD = ("asyncio", "datetime", "os", "pathlib", "random", "secrets", "socket", "ssl", "threading")


@pytest.mark.parametrize("package", PURE)
def test_a_pure_package_touches_no_world(package: str) -> None:
    assert offenders(package, *WORLD, "time", "io", "queue", "subprocess") == []


@pytest.mark.parametrize("package", PURE)
def test_the_walk_sees_a_pure_package(package: str) -> None:
    assert sum(is_in(module, package) for module in MODULES) >= 4


def importers() -> dict[str, set[str]]:
    """Return who imports each module, or a name out of it."""
    found: dict[str, set[str]] = {module: set() for module in MODULES}
    for importer in MODULES:
        for name in imports_of(importer):
            for module in (name, name.rpartition(".")[0]):
                if module in found and module != importer:
                    found[module].add(importer)
    return found


def test_a_small_module_with_one_importer_has_a_reason() -> None:
    small = {
        module
        for module, path in MODULES.items()
        if path.name != "__init__.py"
        and len(path.read_text().splitlines()) < SMALL
        and not {*SERIES, "__main__"} & {*module.split(".")}
    }
    lonely = {module for module, found in importers().items() if len(found) <= 1}
    assert small & lonely - ALONE.keys() == set()


def test_only_command_lines_print_or_exit() -> None:
    calls = {"print", "exit", "quit", "sys.exit", "os._exit"}
    loud = [
        f"{module}:{node.lineno}"
        for module, path in MODULES.items()
        if not module.endswith((".cli", ".__main__"))
        for node in ast.walk(ast.parse(path.read_text()))
        if (isinstance(node, ast.Call) and ast.unparse(node.func) in calls)
        or (isinstance(node, ast.Raise) and "SystemExit" in ast.unparse(node))
    ]
    assert loud == []


def loaded_by(program: str, *arguments: str) -> set[str]:
    """Return the modules that ``program`` loads in a process of its own."""
    report = subprocess.run(
        [sys.executable, "-X", "importtime", "-c", program, *arguments],
        cwd=ROOT,
        env={name: value for name, value in os.environ.items() if name != "DEVICE_STATE"},
        capture_output=True,
        text=True,
        check=True,
        timeout=SECONDS,
    ).stderr
    lines = [line for line in report.splitlines() if line.startswith("import time:")]
    return {line.rpartition("|")[2].strip() for line in lines}


COMMAND = "import sys; from device.__main__ import main; sys.exit(main())"
MOST_FOR_STATUS = 56
"""Modules of ours and of cryptography; Python's own differ with its version."""


def test_version_loads_nothing() -> None:
    loaded = loaded_by(COMMAND, "--version")
    assert {name for name in loaded if name.startswith("device")} == {"device", "device.__main__"}
    assert loaded.isdisjoint({"argparse", "enum", "re", "typing"})


def test_status_loads_few_modules_and_no_second_openssl(tmp_path: Path) -> None:
    state = str(make_device(tmp_path / "device"))
    loaded = loaded_by(COMMAND, "status", "--state", state)
    assert "msgspec" in loaded, "status was not reached"
    assert loaded.isdisjoint({"awscrt", "dataclasses", "_hashlib", "json", "socket", "yaml"})
    assert loaded.isdisjoint({"ctypes", "logging", "cryptography.hazmat.primitives.ciphers"})
    counted = [name for name in loaded if name.startswith(("device", "cryptography"))]
    assert len(counted) <= MOST_FOR_STATUS


def test_a_first_boot_loads_no_openssl_of_pythons_own() -> None:
    """That of cryptography is there, and awscrt's; a third is 4 to 8 MiB (docs/performance.md)."""
    modules = "device.startup, device.runtime.enrolment, device.runtime.first_boot"
    hashes = "from device.verbs._online import hash_without_openssl as without; without()"
    seen = "import sys; assert sys.modules['_hashlib'] is None"
    loaded = loaded_by(f"{hashes}; import {modules}; {seen}")
    assert {"cryptography.x509", "hashlib"} <= loaded
    assert "ssl" not in loaded


def test_a_command_looks_for_garbage_rarely() -> None:
    code = "import gc; from device.__main__ import main; main(); print(*gc.get_threshold())"
    done = subprocess.run(
        [sys.executable, "-c", code, "--version"], cwd=ROOT, capture_output=True, text=True,
        check=True, timeout=SECONDS,
    )  # fmt: skip
    assert int(done.stdout.splitlines()[1].split()[0]) > 48_000


def test_a_device_at_work_has_not_loaded_what_only_a_first_boot_needs() -> None:
    """Each of these is one to four MiB (docs/performance.md)."""
    program = (
        "import device.startup, device.runtime.operating, device.runtime.durable_outbox, "
        "device.storage.sealed_keys"
    )
    loaded = loaded_by(program)
    assert "awscrt" in loaded
    assert loaded.isdisjoint({"cryptography.hazmat.primitives.serialization", "shutil"})
    assert loaded.isdisjoint({"_hashlib", "cryptography.x509", "ssl", "yaml"})
    assert loaded.isdisjoint({"device.runtime.enrolment", "device.runtime.first_boot"})
