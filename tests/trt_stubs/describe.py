"""Print what TensorRT's bindings have, as JSON: class to member to its docstring; None for what is no method.

Run with the bindings on PYTHONPATH and the stubs on LD_LIBRARY_PATH.
"""

import inspect
import json
from typing import Any

import tensorrt_bindings as trt


def members(kind: Any) -> dict[str, str | None]:
    found = {}
    for name in dir(kind):
        member = inspect.getattr_static(kind, name)
        is_method = (
            callable(getattr(kind, name, None)) and not isinstance(member, property) and not is_value(kind, name)
        )
        found[name] = (getattr(kind, name).__doc__ or "") if is_method else None
    return found


def is_value(kind: Any, name: str) -> bool:
    return inspect.isclass(getattr(kind, name)) or isinstance(getattr(kind, name), kind)


def classes(home: Any, prefix: str = "") -> dict[str, Any]:
    found = {}
    for name, kind in vars(home).items():
        if inspect.isclass(kind) and not name.startswith("_"):
            found[prefix + name] = members(kind)
            if not prefix:
                found |= classes(kind, f"{name}.")
    return found


print(json.dumps({"version": trt.__version__, "classes": classes(trt)}))
