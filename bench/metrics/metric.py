"""The declaration of a metric."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

from adatok_core.registry import load_attribute

if TYPE_CHECKING:
    from torch import Tensor

Measure: TypeAlias = "Callable[[Tensor, Tensor], Tensor]"


@dataclass(frozen=True, kw_only=True)
class Metric:
    """A metric for people and tables; `unit` is empty where it has none.

    `higher_is_better` is None where neither direction is better. `listed`: a column of `results`.
    `main`: its place among the metrics that a terminal has room for. `compared`: its place among
    those that `compare` takes unless told. `quality`: its place among the qualities of
    reconstructions that reports set side by side. `stands_in_for`: a better metric, beside which
    this one is left out.

    `measure` makes it a metric of single images: the `module:function` that gives the values `[B]`
    of the originals and their decodings, both uint8 `[B, 3, H, W]`. It is imported when a bank is
    built. `packages` are those whose versions such values depend on: part of the protocol.
    """

    name: str
    title: str
    unit: str = ""
    higher_is_better: bool | None = False
    listed: bool = False
    main: int | None = None
    compared: int | None = None
    quality: int | None = None
    stands_in_for: str | None = None
    measure: str | None = None
    packages: tuple[str, ...] = ()

    @property
    def judged(self) -> bool:
        """Whether one direction is better than the other."""
        return self.higher_is_better is not None

    @property
    def direction(self) -> str:
        """`higher is better`, `lower is better`, or nothing."""
        if self.higher_is_better is None:
            return ""
        return f"{'higher' if self.higher_is_better else 'lower'} is better"

    @property
    def caption(self) -> str:
        """`PSNR (dB), higher is better`."""
        unit = f" ({self.unit})" if self.unit else ""
        return ", ".join(part for part in (f"{self.title}{unit}", self.direction) if part)

    def load_measure(self) -> Measure:
        """Import the function that measures images.

        Raises:
            ValueError: this is no metric of single images.
        """
        if self.measure is None:
            raise ValueError(f"{self.name} is not measured image by image")
        function: Measure = load_attribute(self.measure)
        return function
