"""How much memory this machine has."""

import os


def machine_memory() -> int:
    """Return the bytes of memory of this machine, beyond which nothing should be tried.

    Examples
    --------
    >>> machine_memory() > 1 << 20
    True
    """
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
