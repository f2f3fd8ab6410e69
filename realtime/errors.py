"""Every error a user can meet, as one tree.

    AllaprimaError            1
    ├─ ConfigError            2   a flag, a config key, a value that cannot be
    │  └─ UnknownStyle        8
    ├─ SourceError            3   the input cannot be opened or read
    │  └─ SourceLost          9   it was there and went away
    ├─ SinkError              4   the output cannot be opened or written
    │  └─ OutputExists       10
    ├─ BundleError            5   a model bundle or a style file is damaged or foreign
    │  └─ EngineMissing      11   no engine has been built for this bundle, size and GPU
    └─ BackendError           6   the device
       ├─ BackendUnavailable  7   it cannot be used here, and nothing was opened
       ├─ OutOfDeviceMemory  12
       ├─ KernelError        13   a kernel does not compile, or does what it must not
       └─ DeviceLost         14   the device, or its driver, has gone

The number is the exit code of the command line.  ``hint`` is one sentence that says what to do.
"""


class AllaprimaError(Exception):
    """Root of the tree.  ``str(error)`` is one line that names what is wrong."""

    exit_code = 1

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.hint = hint


class ConfigError(AllaprimaError):
    exit_code = 2


class UnknownStyle(ConfigError):
    exit_code = 8


class SourceError(AllaprimaError):
    exit_code = 3


class SourceLost(SourceError):
    exit_code = 9


class SinkError(AllaprimaError):
    exit_code = 4


class OutputExists(SinkError):
    exit_code = 10


class BundleError(AllaprimaError):
    exit_code = 5


class EngineMissing(BundleError):
    exit_code = 11


class BackendError(AllaprimaError):
    exit_code = 6


class BackendUnavailable(BackendError):
    exit_code = 7


class OutOfDeviceMemory(BackendError):
    exit_code = 12


class KernelError(BackendError):
    exit_code = 13


class DeviceLost(BackendError):
    exit_code = 14
