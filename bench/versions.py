"""What a measurement ran on, for the other scripts of this folder."""

import os
import platform
from importlib.metadata import version

from threadpoolctl import threadpool_info


def blas_kernel() -> str:
    """The BLAS that NumPy multiplies with, and the kernel that it chose for this processor.

    OPENBLAS_CORETYPE in the environment chooses another one, which may be several times as slow.
    """
    import numpy  # noqa: F401 - loads the library

    found = [pool for pool in threadpool_info() if pool["user_api"] == "blas"]
    kernels = {
        f"{pool['internal_api']} {pool['version']} {pool.get('architecture', '')}".strip()
        for pool in found
    }
    return ", ".join(sorted(kernels)) or "no BLAS"


def ran_on(*packages: str) -> str:
    """Versions of gradloom, of `packages`, of NumPy with its BLAS kernel, and the machine."""
    names = ("gradloom", *packages, "numpy")
    return (
        ", ".join(f"{name} {version(name)}" for name in names)
        + f" ({blas_kernel()}), Python {platform.python_version()}, {platform.machine()}, "
        + f"{os.cpu_count()} cores"
    )
