"""The project's rules (ARCHITECTURE.md, invariants), checked on the sources themselves."""

import ast
import importlib
import re
import shlex
import tomllib
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parent.parent
FOLDERS = ("realtime", "kernels", "exporters", "bench", "demos")
FILES = sorted(file for folder in FOLDERS for file in (ROOT / folder).rglob("*.py"))
PRODUCT = [file for file in FILES if file.relative_to(ROOT).parts[0] in ("realtime", "kernels", "exporters")]
OPS = [file.stem for file in sorted((ROOT / "kernels/reference").glob("*.py")) if file.stem != "__init__"]

MAY_IMPORT = {
    "realtime": ("allaprima.realtime", "allaprima.kernels"),
    "kernels": ("allaprima.kernels",),
    "exporters": (
        "allaprima.exporters",
        "allaprima.realtime.bundle",
        "allaprima.realtime.errors",
        "allaprima.realtime.shelf",
        "allaprima.realtime.steering",
        "allaprima.realtime.sources.scenes",
        "allaprima.realtime.backends.cpu",
        "allaprima.realtime.backends.nets",
        "allaprima.realtime.builds",
        "allaprima.realtime.engine_key",
        "allaprima.realtime.engines",
        "allaprima.realtime.network",
        "allaprima.realtime.onnx_graph",
        "allaprima.realtime.parser_ops",
        "allaprima.realtime.frame",
        "allaprima.realtime.rgb",
        "allaprima.realtime.stylizer",
        "allaprima.kernels.reference",
        "allaprima.kernels.cuda",
    ),
}
ONLY_IN = {
    "torch": ("exporters/", "realtime/backends/nets/"),
    "onnx": ("exporters/", "realtime/network.py", "realtime/onnx_graph.py"),
    "cupy": ("realtime/backends/", "kernels/"),
    "tensorrt": ("realtime/backends/", "exporters/"),
    "openvino": (
        "realtime/backends/",
        "realtime/doctor.py",
        "realtime/machine.py",
        "realtime/shelf.py",
        "exporters/parity.py",
        "exporters/verify.py",
    ),
    "asyncio": ("realtime/live/",),
    "aiortc": ("realtime/live/",),
    "aiohttp": ("realtime/live/",),
    "pygame": ("realtime/sinks/window.py",),
    "pyvirtualcam": ("realtime/sinks/vcam.py",),
    "pickle": ("exporters/training.py", "exporters/vgg.py"),  # for the name of torch's error
}
LONG: dict[str, str] = {}
"""Files over 400 lines, with the reason."""
THREAD_MAINS = {
    "realtime/pipeline.py": ("_read",),
    "realtime/outlets.py": ("_main",),
    "realtime/painting.py": ("_main",),
    "realtime/failsafe.py": ("_main",),  # a frame that fails goes through unpainted
    "realtime/show.py": ("_main",),  # the other streams go on
    "realtime/live/broadcast.py": ("_main",),  # the next frame gets a new codec
}
SELF_EXPLAINING = 15
"""Lines up to which a definition may be its own description."""
DESCRIBED_ELSEWHERE = {
    "realtime/backends/cpu.py:CpuBackend": "realtime/backends/__init__.py: Backend",
    "realtime/sources/test.py:open_test": "realtime/sources/__init__.py: Opener",
    "realtime/sinks/null.py:NullSink": "realtime/sinks/base.py: Sink",
}


def short(file: Path) -> str:
    return file.relative_to(ROOT).as_posix()


def module(file: Path) -> str:
    parts = file.relative_to(ROOT).with_suffix("").parts
    return ".".join(("allaprima", *(part for part in parts if part != "__init__")))


MODULES = {module(file): file for file in FILES}


@cache
def tree(file: Path) -> ast.Module:
    return ast.parse(file.read_text(encoding="utf-8"))


def imported(node: ast.AST) -> Iterator[str]:
    """What an import statement loads, submodules of ours by their full name."""
    if isinstance(node, ast.Import):
        yield from (alias.name for alias in node.names)
    elif isinstance(node, ast.ImportFrom):
        assert not node.level, "imports are absolute"
        for alias in node.names:
            inner = f"{node.module}.{alias.name}"
            yield inner if inner in MODULES else str(node.module)


def all_imports(file: Path) -> set[str]:
    return {name for node in ast.walk(tree(file)) for name in imported(node)}


def imports_on_loading(file: Path) -> set[str]:
    """Without those inside functions and behind TYPE_CHECKING."""
    found: set[str] = set()
    waiting: list[ast.AST] = [tree(file)]
    while waiting:
        node = waiting.pop()
        lazy = isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda)
        if lazy or (isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test)):
            continue
        found |= set(imported(node))
        waiting += ast.iter_child_nodes(node)
    return found


def within(name: str, *packages: str) -> bool:
    return any(name == package or name.startswith(f"{package}.") for package in packages)


# ---- who may import whom ----


@pytest.mark.parametrize("file", PRODUCT, ids=short)
def test_imports_of_ours_keep_to_the_layers(file: Path) -> None:
    ours = {name for name in all_imports(file) if within(name, "allaprima")}
    allowed: tuple[str, ...] = MAY_IMPORT[file.relative_to(ROOT).parts[0]]
    if short(file).startswith("realtime/cli"):
        assert not [name for name in imports_on_loading(file) if within(name, "allaprima.bench")]
        allowed += ("allaprima.bench",)
    assert {name for name in ours if not within(name, *allowed)} == set()


@pytest.mark.parametrize("file", PRODUCT, ids=short)
def test_libraries_stay_in_their_places(file: Path) -> None:
    names = {name.partition(".")[0] for name in all_imports(file)}
    strays = {name for name in names & ONLY_IN.keys() if not short(file).startswith(ONLY_IN[name])}
    assert strays == set()


def test_nothing_imports_the_tests() -> None:
    for file in FILES:
        assert not [name for name in all_imports(file) if within(name, "tests", "pytest")], short(file)


def test_there_is_no_cycle_of_imports() -> None:
    loads = {
        name: {m for m in imports_on_loading(file) if m in MODULES and m != name} for name, file in MODULES.items()
    }
    done: set[str] = set()

    def visit(name: str, path: tuple[str, ...]) -> None:
        assert name not in path, " -> ".join((*path[path.index(name) :], name))
        if name not in done:
            for following in sorted(loads[name]):
                visit(following, (*path, name))
            done.add(name)

    for name in loads:
        visit(name, ())


# ---- what stands where ----


@pytest.mark.parametrize("place", ["stylizer.py", "pipeline.py", "sources", "sinks"])
def test_the_frames_way_does_not_know_the_device(place: str) -> None:
    path = ROOT / "realtime" / place
    for file in path.rglob("*.py") if path.is_dir() else [path]:
        assert "cuda" not in file.read_text(encoding="utf-8").lower(), short(file)


@pytest.mark.parametrize("file", PRODUCT, ids=short)
def test_only_the_mailbox_is_a_queue(file: Path) -> None:
    """A deque with ``maxlen`` is a memory of the last few things, not a queue between threads."""
    if short(file) == "realtime/mailbox.py":
        return
    assert not {"queue", "multiprocessing"} & all_imports(file)
    for node in ast.walk(tree(file)):
        name = getattr(node, "attr", getattr(node, "id", ""))
        assert name not in ("Condition", "SimpleQueue", "Queue", "LifoQueue")
        if isinstance(node, ast.Call) and ast.unparse(node.func).split(".")[-1] == "deque":
            assert "maxlen" in {keyword.arg for keyword in node.keywords}, f"line {node.lineno}"


def broad(handler: ast.ExceptHandler) -> bool:
    kinds = handler.type.elts if isinstance(handler.type, ast.Tuple) else [handler.type]
    return any(kind is None or ast.unparse(kind) in ("Exception", "BaseException") for kind in kinds)


@pytest.mark.parametrize("file", PRODUCT, ids=short)
def test_a_broad_except_stands_in_a_thread_main_or_raises_again(file: Path) -> None:
    for function in ast.walk(tree(file)):
        if not isinstance(function, ast.FunctionDef | ast.AsyncFunctionDef):
            continue
        for node in ast.walk(function):
            if isinstance(node, ast.ExceptHandler) and broad(node):
                main = function.name in THREAD_MAINS.get(short(file), ())
                last = node.body[-1]
                assert main or (isinstance(last, ast.Raise) and last.exc is None), f"line {node.lineno}"


@pytest.mark.parametrize("op", OPS)
def test_every_op_has_its_test(op: str) -> None:
    assert (ROOT / f"tests/kernels/test_{op}.py").is_file()


def test_every_kernel_has_its_wrapper_and_its_reference() -> None:
    for file in (ROOT / "kernels").glob("*.cu"):
        assert file.with_suffix(".py").is_file(), short(file)
        assert file.stem in OPS, short(file)


def test_every_module_that_measures_stands_on_their_page() -> None:
    page = (ROOT / "bench/README.md").read_text(encoding="utf-8")
    named = set(re.findall(r"\w+", page))
    assert {file.stem for file in (ROOT / "bench").glob("*.py")} - named == {"__init__"}


# ---- how it is written ----


@pytest.mark.parametrize("file", [file for file in PRODUCT if short(file).split("/")[0] != "exporters"], ids=short)
def test_public_things_say_what_they_are(file: Path) -> None:
    assert ast.get_docstring(tree(file)), "the module"
    if short(file) == "realtime/errors.py":
        return  # described by the tree in its docstring
    for node in tree(file).body:
        if isinstance(node, ast.FunctionDef | ast.ClassDef) and not node.name.startswith("_"):
            long = (node.end_lineno or 0) - node.lineno >= SELF_EXPLAINING
            known = f"{short(file)}:{node.name}" in DESCRIBED_ELSEWHERE
            assert ast.get_docstring(node) or known or not long, f"{node.name}, line {node.lineno}"


@pytest.mark.parametrize("file", FILES, ids=short)
def test_files_can_be_read_in_one_sitting(file: Path) -> None:
    lines = len(file.read_text(encoding="utf-8").splitlines())
    assert lines <= 400 or short(file) in LONG, f"{lines} lines"


def test_no_exception_to_a_rule_outlives_its_reason() -> None:
    for name in LONG:
        assert len((ROOT / name).read_text(encoding="utf-8").splitlines()) > 400, name
    for name in DESCRIBED_ELSEWHERE:
        file, _, thing = name.partition(":")
        (node,) = [n for n in tree(ROOT / file).body if getattr(n, "name", "") == thing]
        assert isinstance(node, ast.ClassDef | ast.FunctionDef)
        assert not ast.get_docstring(node), name


def test_color_is_spelled_one_way() -> None:
    british = re.compile("col" + "our", re.IGNORECASE)
    for file in [*FILES, *(ROOT / "kernels").glob("*.cu*"), *(ROOT / "exporters").glob("*.toml"), ROOT / "Makefile"]:
        assert not british.search(file.read_text(encoding="utf-8")), short(file)


# ---- what goes with it ----


def test_the_packages_on_disk_are_the_packages_that_are_installed() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    listed = project["tool"]["setuptools"]["packages"]
    on_disk = {module(file) for file in FILES if file.name == "__init__.py"}
    assert sorted(listed) == sorted(on_disk)
    stray = {short(file.parent) for file in FILES if not (file.parent / "__init__.py").exists()}
    assert stray == set(), "a folder of modules without __init__.py is not installed"
    assert project["tool"]["setuptools"]["package-dir"] == {f"allaprima.{folder}": folder for folder in FOLDERS}


README = ROOT / "README.md"


def commands() -> list[str]:
    """Lines of the README's shell blocks that call one of our two commands."""
    if not README.is_file():
        return []
    blocks = re.findall(r"^```sh\n(.*?)^```", README.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)
    lines = "".join(blocks).replace("\\\n", " ").splitlines()
    return [line.strip() for line in lines if re.match(r"\s*allaprima(-train)?\b", line)]


@pytest.mark.skipif(not README.is_file(), reason="there is no README.md yet")
def test_the_readme_shows_how_to_paint() -> None:
    assert any(command.startswith("allaprima run ") for command in commands())


@pytest.mark.parametrize("command", commands())
def test_commands_in_the_readme_can_be_typed(command: str) -> None:
    """The words are parsed by the command itself, which is not run."""
    from typer.main import get_command

    name, *words = shlex.split(command, comments=True)
    home = {"allaprima": "allaprima.realtime.cli", "allaprima-train": "allaprima.exporters.cli"}[name]
    part: Any = get_command(importlib.import_module(home).app)
    context = None
    while hasattr(part, "commands") and words and not words[0].startswith("-"):
        assert words[0] in part.commands, f"{name} has no command {words[0]}"
        context = part.make_context(name, [words[0]], parent=context, resilient_parsing=True)
        part, words = part.commands[words[0]], words[1:]
    part.make_context(name, words, parent=context)
