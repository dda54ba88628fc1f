"""The house rules that a test can hold: who may import whom, who may write, how long is long."""

from __future__ import annotations

import ast
import statistics
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

import hostpci

SOURCE = Path(hostpci.__file__).parent
MODULES = sorted(str(path.relative_to(SOURCE)) for path in SOURCE.rglob("*.py"))
PACKAGES = {
    "model", "host", "facts", "checks", "planner", "executor", "render", "cli", "demo", "i18n",
    "data", "errors", "pve", "guest", "diagnose",
}  # fmt: skip

# package -> packages of ours that it may import; "" is hostpci itself (the version)
MAY_IMPORT = {
    "errors": set[str](),
    "model": {"errors", "model"},
    "i18n": {"i18n"},
    "data": set[str](),
    "host": {"errors", "model", "host"},
    "pve": {"errors", "model", "host", "data", "pve"},
    "facts": {"", "data", "errors", "model", "host", "facts", "pve"},
    "checks": {"errors", "model", "checks", "pve"},
    "planner": {"errors", "model", "checks", "facts", "planner", "pve"},
    "diagnose": {"errors", "model", "data", "diagnose"},
    "render": {"errors", "model", "i18n", "diagnose", "render"},
    "guest": {"errors", "model", "checks", "host", "pve", "guest"},
    "executor": {"", "errors", "model", "host", "pve", "executor"},
}
# files of these packages may not even name these modules of the standard library
# (guest never touches this machine: it speaks through a GuestShell that it is given)
PURE = {"model", "checks", "planner", "render", "guest", "diagnose"}
# PVE's grammar is as pure; its neighbours in the package talk to a node
GRAMMAR = {f"pve/{name}.py" for name in (
    "cpu", "cpuargs", "formats", "hostpci", "machine", "mapping", "schema", "settings", "showcmd",
    "start", "vgaargs", "vmconfig", "vmoptions",
)}  # fmt: skip
IMPURE_MODULES = {"subprocess", "os", "sys", "shutil", "socket", "tempfile", "pathlib", "io"}
WRITERS = {
    "rename", "replace", "renames", "unlink", "remove", "rmdir", "removedirs", "mkdir", "makedirs",
    "symlink", "link", "truncate", "ftruncate", "chmod", "fchmod", "chown", "fchown", "utime",
    "mkfifo", "mknod", "setxattr", "removexattr", "write", "pwrite", "sendfile", "copy_file_range",
}  # fmt: skip
MAY_WRITE = {"host/files.py", "demo/scratch.py", "demo/tour.py"}
# open device nodes and write to the devices' own registers, or to memory (memfd); create no file
TALKS_TO_DEVICES = {
    "host/vfio.py": {"os.open"},
    "host/watchdog.py": {"os.open", "os.write"},
    "host/memory.py": {"os.write", "os.ftruncate"},
}
STARTERS = {"system", "popen", "fork", "forkpty", "posix_spawn", "posix_spawnp", "startfile"}


@cache
def tree_of(module: str) -> ast.Module:
    return ast.parse((SOURCE / module).read_text(encoding="utf-8"))


def package_of(module: str) -> str:
    first, _, rest = module.partition("/")
    return first if rest else first.removesuffix(".py")


def is_pure(module: str) -> bool:
    return package_of(module) in PURE or module in GRAMMAR


def imports_of(module: str) -> Iterator[str]:
    """Every import: ``.model`` for one of ours, ``os.path`` for others."""
    depth = module.count("/") + 1
    for node in ast.walk(tree_of(module)):
        if isinstance(node, ast.Import):
            yield from (each.name for each in node.names)
        elif isinstance(node, ast.ImportFrom) and not node.level:
            yield str(node.module)
        elif isinstance(node, ast.ImportFrom):
            yield from _relative(module, node, depth)


def _relative(module: str, node: ast.ImportFrom, depth: int) -> Iterator[str]:
    here = module.split("/")[: depth - node.level]
    path = [*here, *(node.module or "").split(".")] if node.module else here
    for each in node.names:
        whole = path or [each.name]
        yield "." + (whole[0] if whole[0] in PACKAGES else "")


def ours(module: str) -> set[str]:
    return {name[1:] for name in imports_of(module) if name.startswith(".")}


def foreign(module: str) -> set[str]:
    return {name.partition(".")[0] for name in imports_of(module) if not name.startswith(".")}


def test_the_scan_sees_imports_in_every_form() -> None:
    assert set(MODULES) >= GRAMMAR
    assert ours("facts/capture.py") >= {"", "host", "model", "facts"}
    assert ours("checks/registry.py") == {"errors", "model", "checks"}
    assert ours("cli/verbs/capture.py") >= {"errors", "facts", "cli", "host"}
    assert "executor" in ours("cli/context.py")  # imported within functions
    assert "subprocess" in foreign("host/runner.py")
    assert {package_of(module) for module in MODULES} <= PACKAGES | {"__init__", "__main__"}


@pytest.mark.parametrize("module", MODULES)
def test_imports_point_downwards(module: str) -> None:
    allowed = MAY_IMPORT.get(package_of(module))
    assert allowed is None or ours(module) <= allowed


@pytest.mark.parametrize("module", MODULES)
def test_our_own_modules_are_imported_relatively(module: str) -> None:
    """The program must run as code pushed to a host under any name."""
    assert "hostpci" not in foreign(module)


@pytest.mark.parametrize("module", sorted(each for each in MODULES if is_pure(each)))
def test_the_core_cannot_reach_the_machine(module: str) -> None:
    assert foreign(module) & IMPURE_MODULES == set()


@pytest.mark.parametrize("module", MODULES)
def test_only_the_runner_starts_programs(module: str) -> None:
    assert "subprocess" not in foreign(module) or module == "host/runner.py"
    for call in calls_of(module):
        name = called(call)
        assert name.removeprefix("os.") not in STARTERS or not name.startswith("os."), name
        assert not name.startswith(("os.exec", "os.spawn")), name
        assert name not in {"eval", "exec", "__import__", "compile"}, name


@pytest.mark.parametrize("module", MODULES)
def test_only_one_module_opens_a_connection(module: str) -> None:
    if module != "pve/https.py":
        assert foreign(module) & {"ssl", "http", "ftplib", "smtplib", "telnetlib"} == set()
        assert "urllib.request" not in set(imports_of(module))


@pytest.mark.parametrize("module", MODULES)
def test_nothing_outside_the_standard_library_is_imported(module: str) -> None:
    assert foreign(module) <= set(sys.stdlib_module_names)


def calls_of(module: str) -> Iterator[ast.Call]:
    return (node for node in ast.walk(tree_of(module)) if isinstance(node, ast.Call))


def called(call: ast.Call) -> str:
    return ast.unparse(call.func)


def opens_for_writing(call: ast.Call) -> bool:
    """``open`` with a mode that is not known to be a reading one."""
    if called(call) not in {"open", "io.open", "os.fdopen", "codecs.open"}:
        return False
    modes = [*call.args[1:2], *(each.value for each in call.keywords if each.arg == "mode")]
    return any(
        not isinstance(mode, ast.Constant) or bool(set(str(mode.value)) & set("wax+"))
        for mode in modes
    )


def writes(module: str) -> set[str]:
    found = set()
    for call in calls_of(module):
        name = called(call)
        if name.startswith("os.") and name.removeprefix("os.") in WRITERS:
            found.add(name)
        if opens_for_writing(call) or name.endswith((".write_text", ".write_bytes")):
            found.add(name)
        if name.startswith(("shutil.", "tempfile.")):
            found.add(name)
        harmless = ("O_RDONLY", "_DIRECTORY", "os.devnull")
        if name == "os.open" and not any(word in ast.unparse(call) for word in harmless):
            found.add(name)
    return found


def test_the_scan_sees_writing() -> None:
    assert writes("host/files.py") >= {"os.rename", "os.unlink", "os.mkdir", "os.rmdir", "os.open"}
    assert writes("demo/scratch.py") >= {"open", "os.makedirs", "os.symlink"}


@pytest.mark.parametrize("module", MODULES)
def test_only_one_module_writes_to_a_host(module: str) -> None:
    if module in TALKS_TO_DEVICES:
        assert writes(module) <= TALKS_TO_DEVICES[module]
    elif module not in MAY_WRITE:
        assert writes(module) == set()


@pytest.mark.parametrize("module", sorted(MAY_WRITE - {"host/files.py"}))
def test_the_demo_reaches_no_host(module: str) -> None:
    assert not ours(module) & {"cli"} or module == "demo/tour.py"
    assert "RealRunner" not in (SOURCE / module).read_text(encoding="utf-8")


# length


def functions_of(module: str) -> Iterator[tuple[str, int]]:
    for node in ast.walk(tree_of(module)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            first = min([node.lineno, *(each.lineno for each in node.decorator_list)])
            yield f"{module}:{node.name}", (node.end_lineno or first) - first + 1


def test_no_function_is_longer_than_a_screen() -> None:
    long = [(name, size) for module in MODULES for name, size in functions_of(module) if size > 50]
    assert long == []


def test_most_functions_are_short() -> None:
    sizes = [size for module in MODULES for _, size in functions_of(module)]
    assert statistics.median(sizes) <= 10
    assert statistics.quantiles(sizes, n=20)[-1] <= 45


def test_no_module_is_longer_than_can_be_known() -> None:
    counted = {module: len((SOURCE / module).read_text().splitlines()) for module in MODULES}
    assert {module: size for module, size in counted.items() if size > 500} == {}


@pytest.mark.parametrize("module", MODULES)
def test_nothing_catches_everything(module: str) -> None:
    """Only the edge may: there, what should not have happened is told and not hidden."""
    caught = [
        ast.unparse(node.type) if node.type else "everything"
        for node in ast.walk(tree_of(module))
        if isinstance(node, ast.ExceptHandler)
    ]
    broad = {"everything", "Exception", "BaseException"} & set(caught)
    assert not broad or module == "cli/main.py"


@pytest.mark.parametrize("module", [each for each in MODULES if each.startswith("model/")])
def test_every_value_is_frozen_and_has_slots(module: str) -> None:
    for node in ast.walk(tree_of(module)):
        if isinstance(node, ast.ClassDef):
            for decorator in node.decorator_list:
                if "dataclass" in ast.unparse(decorator):
                    assert ast.unparse(decorator) == (
                        "dataclass(frozen=True, slots=True, kw_only=True)"
                    ), node.name
