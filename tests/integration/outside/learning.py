"""An objective and a weighting of another package; torch is imported where they are built."""

from dataclasses import dataclass, field
from typing import Literal

from adatok_core.config import KL, OFF, Annealed
from adatok_core.config.objective import ObjectiveChoice
from adatok_core.config.weighting import WeightingChoice


@dataclass(frozen=True, kw_only=True)
class Expected:
    """The expected reward, without a baseline."""

    kind: Literal["expected"] = "expected"
    kl: KL = field(default_factory=KL)
    entropy: Annealed = OFF


@dataclass(frozen=True, kw_only=True)
class Ramp:
    """The efficiency weight grows from 0 to `efficiency` within `steps`."""

    kind: Literal["ramp"] = "ramp"
    efficiency: float = 0.5
    steps: int = 2


OBJECTIVE = ObjectiveChoice(config=Expected, build="learning_built:ExpectedReward")
WEIGHTING = WeightingChoice(config=Ramp, build="learning_built:RampWeighting")
