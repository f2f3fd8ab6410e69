"""The optional parts of the package: what each is for, whether it is here, the command that adds it."""

from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec

MODULES = {
    "window": ("pygame",),
    "vcam": ("pyvirtualcam",),
    "webrtc": ("aiortc", "aiohttp"),
    "cuda": ("cupy",),
    "tensorrt": ("tensorrt",),
    "train": ("torch", "onnx", "PIL", "matplotlib"),
}
"""Extra to the modules that it brings."""
PURPOSE = {
    "window": "show the picture on a screen",
    "vcam": "be a camera for video calls",
    "webrtc": "paint in a browser",
    "cuda": "paint on an NVIDIA card",
    "tensorrt": "paint faster on an NVIDIA card",
    "train": "make styles of your own",
}


def present(extra: str) -> bool:
    """Whether all of it could be imported; nothing is."""
    return all(find_spec(module) is not None for module in MODULES[extra])


def command(extra: str) -> str:
    """What to type to get it."""
    return f"pip install 'allaprima[{extra}]'"


def versions(extra: str) -> str:
    return ", ".join(f"{module} {_version(module)}".strip() for module in MODULES[extra])


def _version(module: str) -> str:
    try:
        return version(module)
    except PackageNotFoundError:  # cupy's package is called after the CUDA it was built for
        return ""
