"""Every name, method and number of arguments of TensorRT that our sources use is there in the real bindings.

The bindings come from wheels in ``build/trt`` (or ``$ALLAPRIMA_TRT``), which CI puts there; their libraries are
replaced by stubs that the test compiles.  What is used is read off the sources, so a new use is checked by itself.
"""

import ast
import json
import os
import re
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parent.parent.parent
STUBS = ROOT / "tests/trt_stubs"
WHEELS = Path(os.environ.get("ALLAPRIMA_TRT") or ROOT / "build/trt")
TAG = f"cp{sys.version_info[0]}{sys.version_info[1]}"
BINDINGS = sorted(WHEELS.glob(f"tensorrt_cu1?_bindings-*-{TAG}-*.whl"))
TORCH_TENSORRT = sorted(WHEELS.glob("torch_tensorrt-*.whl"))
SOURCES = [
    ROOT / "exporters/engine.py",
    ROOT / "realtime/backends/nets/trt.py",
    ROOT / "realtime/backends/nets/tensorrt_net.py",
]
MODULE = "module"
VARIABLES = {
    "trt": MODULE,
    "builder": "Builder",
    "network": "INetworkDefinition",
    "parser": "OnnxParser",
    "refusal": "ParserError",
    "config": "IBuilderConfig",
    "profile": "IOptimizationProfile",
    "cache": "ITimingCache",
    "serialized": "IHostMemory",
    "runtime": "Runtime",
    "engine": "ICudaEngine",
    "context": "IExecutionContext",
    "severity": "ILogger.Severity",
}
"""What our sources call TensorRT's objects, as variables and as attributes."""


@dataclass(frozen=True)
class Use:
    """A member of a class that is used; called with so many arguments, or not at all."""

    kind: str
    member: str
    place: str
    given: int | None = None
    keywords: tuple[str, ...] = ()
    kept_as: str = ""
    """The variable that the result goes to."""


class Reader(ast.NodeVisitor):
    """Collects the uses in a source."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self.uses: list[Use] = []
        self._called: set[int] = set()
        self.visit(ast.parse(file.read_text(encoding="utf-8")))

    def kind(self, node: ast.AST) -> str | None:
        """The class (or the module) that an expression is, or is an instance of, as far as its name says."""
        if isinstance(node, ast.Name):
            return VARIABLES.get(node.id)
        if not isinstance(node, ast.Attribute):
            return None
        home = self.kind(node.value)
        if home == MODULE:
            return None if node.attr.startswith("_") else node.attr
        if f"{home}.{node.attr}" in VARIABLES.values():
            return f"{home}.{node.attr}"
        return VARIABLES.get(node.attr.lstrip("_")) if isinstance(node.value, ast.Name) else None

    def _note(self, node: ast.Attribute, **more: Any) -> None:
        home = self.kind(node.value)
        if home is not None:
            self.uses.append(Use(home, node.attr, f"{self._file.name}:{node.lineno}", **more))

    def visit_Call(self, node: ast.Call) -> None:
        self._call(node, "")
        self.generic_visit(node)

    def _call(self, node: ast.Call, kept_as: str) -> None:
        if isinstance(node.func, ast.Attribute) and id(node.func) not in self._called:
            self._called.add(id(node.func))
            keywords = tuple(str(keyword.arg) for keyword in node.keywords)
            self._note(node.func, given=len(node.args), keywords=keywords, kept_as=kept_as)

    def visit_Assign(self, node: ast.Assign) -> None:
        target = node.targets[0]
        if isinstance(node.value, ast.Call) and isinstance(target, ast.Name | ast.Attribute):
            self._call(node.value, target.id if isinstance(target, ast.Name) else target.attr.lstrip("_"))
        self.generic_visit(node)

    def visit_Attribute(self, node: ast.Attribute) -> None:
        if id(node) not in self._called:
            self._note(node)
        self.generic_visit(node)

    def visit_ClassDef(self, node: ast.ClassDef) -> None:
        """Methods of a class that TensorRT calls back."""
        for base in node.bases:
            if isinstance(base, ast.Attribute) and self.kind(base.value) == MODULE:
                for method in node.body:
                    if isinstance(method, ast.FunctionDef) and not method.name.startswith("_"):
                        place = f"{self._file.name}:{method.lineno}"
                        self.uses.append(Use(base.attr, method.name, place, len(method.args.args) - 1))
        self.generic_visit(node)


@cache
def uses() -> tuple[Use, ...]:
    return tuple(use for file in SOURCES for use in Reader(file).uses)


@dataclass(frozen=True)
class Signature:
    least: int
    most: int
    names: tuple[str, ...]
    gives: str


def signatures(name: str, doc: str) -> Iterator[Signature]:
    """Of all overloads, from pybind's docstring, without ``self``."""
    for arguments, gives in re.findall(rf"^(?:\d+\. )?{name}\((.*)\) -> (.+)$", doc, re.MULTILINE):
        parts = [part for part in _split(arguments) if part and not part.startswith("self:")]
        names = tuple(part.partition(":")[0].strip() for part in parts)
        least = sum("=" not in part for part in parts)
        yield Signature(least, len(parts), names, gives.rpartition(".")[2])


def _split(arguments: str) -> list[str]:
    """At commas outside of brackets."""
    parts, depth = [""], 0
    for letter in arguments:
        depth += (letter in "[(<") - (letter in "])>")
        if letter == "," and depth == 0:
            parts.append("")
        else:
            parts[-1] += letter
    return [part.strip() for part in parts]


# ---- the real bindings ----


def unpacked(wheel: Path, folder: Path) -> dict[str, str]:
    """An environment in which the bindings can be imported."""
    if shutil.which("gcc") is None:
        pytest.skip("there is no gcc to compile the stubs with")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(folder)
    major = wheel.name.split("-")[1].split(".")[0]
    for name in ("nvinfer", "nvinfer_plugin", "nvonnxparser"):
        file = f"lib{name}.so.{major}"
        command = [
            "gcc",
            "-shared",
            "-fPIC",
            "-w",
            "-o",
            str(folder / file),
            f"-Wl,-soname,{file}",
            str(STUBS / "stub.c"),
        ]
        subprocess.run(command, check=True)
    return os.environ | {"LD_LIBRARY_PATH": str(folder), "PYTHONPATH": str(folder)}


@pytest.fixture(scope="module", params=BINDINGS or [None], ids=lambda wheel: wheel.name.split("-")[1] if wheel else "")
def environment(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    if request.param is None:
        pytest.skip(f"no wheel tensorrt_cu13_bindings-*-{TAG}-*.whl in {WHEELS}")
    return unpacked(request.param, tmp_path_factory.mktemp("bindings"))


@pytest.fixture(scope="module")
def classes(environment: dict[str, str]) -> dict[str, dict[str, str | None]]:
    command = [sys.executable, str(STUBS / "describe.py")]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    found: dict[str, dict[str, str | None]] = json.loads(done.stdout)["classes"]
    return found


def problems(use: Use, classes: dict[str, dict[str, str | None]]) -> Iterator[str]:
    """What of a use does not hold."""
    if use.kind == MODULE:
        if use.member == "__version__":
            return
        if use.member not in classes:
            yield f"there is no {use.member}"
        elif use.given is not None:
            yield from _fits(use, "__init__", classes[use.member]["__init__"])
            yield from _is_kept(use, use.member)
    elif use.kind not in classes:
        yield f"there is no {use.kind}"
    elif use.member not in classes[use.kind]:
        yield f"{use.kind} has no {use.member}"
    elif use.given is not None:
        doc = classes[use.kind][use.member] or ""
        yield from _fits(use, use.member, doc)
        for kind in {one.gives for one in signatures(use.member, doc)} & classes.keys() - {"Dims"}:
            yield from _is_kept(use, kind)


def _is_kept(use: Use, kind: str) -> Iterator[str]:
    """What is made must go by a name that tells what it is, or its uses would not be seen."""
    if use.kept_as and VARIABLES.get(use.kept_as) != kind:
        yield f"{use.kept_as} is a {kind}: say so in VARIABLES"


def _fits(use: Use, name: str, doc: str | None) -> Iterator[str]:
    if not doc:
        yield f"{use.kind}.{use.member} is no method"
        return
    count = (use.given or 0) + len(use.keywords) - (name == "__init__" and use.kind != MODULE)
    overloads = list(signatures(name, doc))
    if not any(one.least <= count <= one.most and set(use.keywords) <= {*one.names} for one in overloads):
        yield f"{use.kind}.{use.member} does not take {count} arguments: {overloads or doc[:80]}"


def test_the_real_bindings_have_all_that_is_used(classes: dict[str, dict[str, str | None]]) -> None:
    wrong = [f"{use.place} {problem}" for use in uses() for problem in problems(use, classes)]
    assert wrong == []


def test_the_fake_has_nothing_that_the_real_ones_lack(classes: dict[str, dict[str, str | None]]) -> None:
    from ..fake_tensorrt import FakeTensorRt

    version = "11.4.0.106" if "BuilderFlag" in classes and "FP16" not in classes["BuilderFlag"] else "10.16.1.11"
    fake = FakeTensorRt(version)
    names = {name for name in vars(fake) if name[0].isupper()}
    assert names - classes.keys() == set()
    enums = ("NetworkDefinitionCreationFlag", "BuilderFlag", "MemoryPoolType", "TensorIOMode", "DataType")
    for enum in enums:
        assert set(getattr(fake, enum).__members__) - classes[enum].keys() == set(), enum
    assert set(fake.ILogger.Severity.__members__) - classes["ILogger.Severity"].keys() == set()


USE = """
import logging, sys
import tensorrt_bindings as trt
sys.modules["tensorrt"] = trt
from allaprima.realtime.backends.nets.trt import Journal, version
from allaprima.exporters.engine import monitor

class Watch:
    cancelled = False
    def progress(self, share, doing): print(f"{share:.3f} {doing}")

logging.basicConfig(level=logging.DEBUG, stream=sys.stdout, format="%(levelname)s %(message)s")
journal = Journal(trt)
severity = trt.ILogger.Severity
for level in (severity.INTERNAL_ERROR, severity.ERROR, severity.WARNING, severity.INFO, severity.VERBOSE):
    journal.logger.log(level, f"at {level.name}")
print(journal.why(), journal.why() == "", version(trt) >= (10, 15))
assert isinstance(journal.logger, trt.ILogger)
try:
    trt.Builder(journal.logger)  # the stub gives null, the real one a builder
except TypeError as error:
    print("nullptr" in str(error))
told = monitor(trt, Watch())
assert isinstance(told, trt.IProgressMonitor)
told.phase_start("outer", None, 2)
told.phase_start("inner", "outer", 4)
print(told.step_complete("inner", 1))
told.phase_finish("inner")
Watch.cancelled = True
print(told.step_complete("outer", 0))
"""


def test_logger_and_monitor_are_taken_by_the_real_bindings(environment: dict[str, str]) -> None:
    """Run for real: classes of ours under TensorRT's."""
    done = subprocess.run([sys.executable, "-c", USE], env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == [
        "CRITICAL at INTERNAL_ERROR",
        "ERROR at ERROR",
        "WARNING at WARNING",
        "DEBUG at INFO",
        ": at INTERNAL_ERROR; at ERROR True True",
        "True",
        "0.000 outer",
        "0.000 inner",
        "0.250 inner",
        "True",
        "0.500 outer",
        "False",
    ]


# ---- torch-tensorrt ----


@pytest.fixture(params=TORCH_TENSORRT or [None], ids=lambda wheel: wheel.name.split("-")[1] if wheel else "")
def torch_tensorrt(request: pytest.FixtureRequest) -> Iterator[zipfile.ZipFile]:
    if request.param is None:
        pytest.skip(f"no wheel torch_tensorrt-*.whl in {WHEELS}")
    with zipfile.ZipFile(request.param) as archive:
        yield archive


def functions(text: str) -> dict[str, ast.FunctionDef]:
    return {node.name: node for node in ast.walk(ast.parse(text)) if isinstance(node, ast.FunctionDef)}


def test_torch_tensorrt_converts_with_the_arguments_we_give(torch_tensorrt: zipfile.ZipFile) -> None:
    """Read, not imported: importing it needs TensorRT's own libraries."""
    ours = ast.parse((ROOT / "exporters/engine_torchtrt.py").read_text(encoding="utf-8"))
    calls = [node for node in ast.walk(ours) if isinstance(node, ast.Call) and ast.unparse(node.func) == "convert"]
    (call,) = calls
    name = "convert_exported_program_to_serialized_trt_engine"
    assert name in ast.unparse(ours)
    theirs = functions(torch_tensorrt.read("torch_tensorrt/dynamo/_compiler.py").decode())[name].args
    assert len(call.args) == 1
    named = {argument.arg for argument in (*theirs.args, *theirs.kwonlyargs)}
    assert {str(keyword.arg) for keyword in call.keywords} - named == set()
    assert f"{name}," in torch_tensorrt.read("torch_tensorrt/dynamo/__init__.py").decode()


def test_torch_tensorrt_names_inputs_and_output_as_we_expect(torch_tensorrt: zipfile.ZipFile) -> None:
    text = torch_tensorrt.read("torch_tensorrt/dynamo/conversion/_TRTInterpreter.py").decode()
    assert 'f"output{i}"' in ast.unparse(functions(text)["output"]).replace("'", '"')
    assert "self._input_names.append(target)" in ast.unparse(functions(text)["placeholder"])


# ---- the test itself ----


def test_the_sources_are_read() -> None:
    found = {(use.kind, use.member) for use in uses()}
    assert {("Builder", "build_serialized_network"), ("IExecutionContext", "execute_async_v3")} <= found
    assert {("ILogger", "log"), ("IProgressMonitor", "step_complete"), ("BuilderFlag", "TF32")} <= found
    assert len(found) > 40


@pytest.mark.parametrize(
    ("use", "wrong"),
    [
        (Use("Builder", "create_network", "", 0), False),
        (Use("Builder", "create_network", "", 1, (), "network"), False),
        (Use("Builder", "create_network", "", 1, (), "net"), True),
        (Use("Builder", "create_network", "", 2), True),
        (Use("Builder", "create_network", "", 0, ("flags",)), False),
        (Use("Builder", "create_network", "", 0, ("flag",)), True),
        (Use("Builder", "create_net", ""), True),
        (Use(MODULE, "Bilder", ""), True),
    ],
)
def test_a_wrong_use_is_found(use: Use, wrong: bool) -> None:
    doc = "create_network(self: t.Builder, flags: typing.SupportsInt = 0) -> t.INetworkDefinition\n"
    classes = {"Builder": {"create_network": doc}, "INetworkDefinition": {"name": None}}
    assert bool(list(problems(use, classes))) is wrong
