"""What each kernel takes of each GPU, from the compiler: ``python -m allaprima.bench.registers``.

NVRTC compiles every instantiation in use; neither a GPU nor a driver is needed.  The table is written to
`bench/results/kernels-registers.md`.
"""

import importlib
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.metadata import version
from pathlib import Path

from allaprima.kernels import cuda

ARCHITECTURES = (75, 80, 86, 89, 90, 100, 120)
OPTIONS = (*cuda.OPTIONS, "-ftz=true", "-Werror=all-warnings", "--ptxas-options=-v")
"""CuPy's, with warnings as errors and a report."""
TABLE = Path(__file__).parent / "results" / "kernels-registers.md"
REPORT = re.compile(
    r"Compiling entry function '(?P<symbol>\w+)'.*?(?P<stack>\d+) bytes stack frame, (?P<stored>\d+) bytes spill "
    r"stores, (?P<loaded>\d+) bytes spill loads.*?Used (?P<registers>\d+) registers(?P<rest>[^\n]*)",
    re.DOTALL,
)


class DoesNotCompile(Exception):
    """With NVRTC's log."""


@dataclass(frozen=True, slots=True)
class Usage:
    """One instantiation on one architecture; memory in bytes, ``stack`` is local memory of each thread."""

    text: str
    kernel: str
    architecture: int
    registers: int
    shared: int
    stack: int
    spilled: int


def modules() -> list[cuda.Module]:
    """All there are, in the order of their names."""
    found: list[cuda.Module] = []
    folder = Path(str(cuda.__file__)).parent
    for name in sorted(file.stem for file in folder.glob("*.cu") if file.with_suffix(".py").exists()):
        things = vars(importlib.import_module(f"allaprima.kernels.{name}")).values()
        found += [thing for thing in things if isinstance(thing, cuda.Module) and thing.name == name]
    return found


def usage(source: str, name: str, expressions: Sequence[str], architecture: int) -> list[Usage]:
    """Compile a text; raises `DoesNotCompile` for errors and warnings.  Needs cuda-bindings and NVRTC."""
    from cuda.bindings import nvrtc

    status, program = nvrtc.nvrtcCreateProgram(source.encode(), name.encode(), 0, [], [])
    for expression in expressions:
        nvrtc.nvrtcAddNameExpression(program, expression.encode())
    options = [*OPTIONS, f"--gpu-architecture=sm_{architecture}", f"-I{_include()}"]
    status, *_ = nvrtc.nvrtcCompileProgram(program, len(options), [option.encode() for option in options])
    log = b" " * nvrtc.nvrtcGetProgramLogSize(program)[1]
    nvrtc.nvrtcGetProgramLog(program, log)
    if status != nvrtc.nvrtcResult.NVRTC_SUCCESS:
        raise DoesNotCompile(f"sm_{architecture}: {log.decode()}")
    names = {nvrtc.nvrtcGetLoweredName(program, e.encode())[1].decode(): e for e in expressions}
    nvrtc.nvrtcDestroyProgram(program)
    found = {row.kernel: row for row in _parsed(log.decode(), name, names, architecture)}
    return [found[expression] for expression in expressions]


def _parsed(log: str, text: str, names: dict[str, str], architecture: int) -> Iterator[Usage]:
    for found in REPORT.finditer(log):
        shared = re.search(r"(\d+) bytes smem", found["rest"])
        yield Usage(
            text,
            names[found["symbol"]],
            architecture,
            int(found["registers"]),
            int(shared[1]) if shared else 0,
            int(found["stack"]),
            int(found["stored"]) + int(found["loaded"]),
        )


@cache
def _include() -> Path:
    """Where ``cuda_fp16.h`` is, in the package nvidia-cuda-runtime."""
    import nvidia

    found = [file for folder in nvidia.__path__ for file in Path(folder).glob("*/include/cuda_fp16.h")]
    if not found:
        raise ImportError("cuda_fp16.h is missing: install nvidia-cuda-runtime")
    return found[0].parent


def table(rows: Iterable[Usage]) -> str:
    """Markdown: a line for each instantiation, registers by architecture."""
    by_kernel: dict[tuple[str, str], dict[int, Usage]] = {}
    for row in rows:
        by_kernel.setdefault((row.text, row.kernel), {})[row.architecture] = row
    lines = [
        f"| text | kernel | {' | '.join(f'sm_{a}' for a in ARCHITECTURES)} | shared | local | spilled |",
        "|---|---|" + "---:|" * (len(ARCHITECTURES) + 3),
    ]
    for (text, kernel), at in by_kernel.items():
        registers = " | ".join(str(at[a].registers) for a in ARCHITECTURES)
        memory = " | ".join(str(max(getattr(u, what) for u in at.values())) for what in ("shared", "stack", "spilled"))
        lines.append(f"| {text} | `{kernel}` | {registers} | {memory} |")
    return "\n".join(lines) + "\n"


def main() -> None:
    """Compile everything, print the table and write it."""
    rows = [
        row
        for module in modules()
        for architecture in ARCHITECTURES
        for row in usage(module.source(), f"{module.name}.cu", module.expressions, architecture)
    ]
    text = table(rows)
    TABLE.write_text(
        "# Registers of the kernels\n\n"
        "Registers of a thread by architecture; shared memory of a block, local memory and spills of a thread in "
        f"bytes, the most of all architectures. Compiled by NVRTC {version('nvidia-cuda-nvrtc')}: "
        "`python -m allaprima.bench.registers`.\n\n" + text,
        encoding="utf-8",
    )
    print(text, end="")


if __name__ == "__main__":
    main()
