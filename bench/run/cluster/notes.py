"""Notes between the driver and the trials of one run, which Ray keeps on its head node.

Files would not do: a network file system may show a new one half a minute late.
"""

from __future__ import annotations

import importlib
from dataclasses import dataclass
from typing import Any

STOP = "stop"
_NAMESPACE = b"adatok-bench"


@dataclass(frozen=True)
class Notes:
    """Texts by name, of the run that is called `run`."""

    run: str

    def write(self, name: str, text: str) -> None:
        """Put a note; the one of this name goes."""
        self._ray()._internal_kv_put(self._key(name), text.encode(), namespace=_NAMESPACE)

    def read(self, name: str) -> str | None:
        """A note, or None."""
        found: bytes | None = self._ray()._internal_kv_get(self._key(name), namespace=_NAMESPACE)
        return None if found is None else found.decode()

    def remove(self, name: str) -> None:
        """Forget a note."""
        self._ray()._internal_kv_del(self._key(name), namespace=_NAMESPACE)

    def remove_all(self) -> None:
        """Forget all of this run."""
        self._ray()._internal_kv_del(self._key(""), del_by_prefix=True, namespace=_NAMESPACE)

    def _key(self, name: str) -> bytes:
        return f"{self.run}/{name}".encode()

    @staticmethod
    def _ray() -> Any:
        return importlib.import_module("ray.experimental.internal_kv")
