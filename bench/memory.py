"""How freed memory is kept."""

from __future__ import annotations

import ctypes
import sys

_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3
_KEPT_BYTES = 512 * 2**20


def keep_freed_memory() -> bool:
    """Let this process keep what it frees, up to 512 MiB; whether that was possible (glibc only).

    By default glibc gives large blocks back to the system at once. Training a policy takes and
    frees such blocks in every step: the page faults were half of its CPU time. Of a process that
    does nothing but decode images they were a fifth.
    """
    if not sys.platform.startswith("linux"):
        return False
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    settings = (_TRIM_THRESHOLD, _MMAP_THRESHOLD)
    return mallopt is not None and all(mallopt(setting, _KEPT_BYTES) for setting in settings)
