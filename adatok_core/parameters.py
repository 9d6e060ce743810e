"""Which parameters of a tokenizer come from another training, which are trained, which decay."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from torch import Tensor, nn

from adatok_core.lora import is_adapter
from adatok_core.quantizers import Projection
from adatok_core.tokenizer import ElasticTokenizer

Trainable = Literal["all", "decoder", "heads"]


def load_start(model: ElasticTokenizer, start: Mapping[str, Tensor]) -> None:
    """Load the weights of a trained tokenizer; adapters it does not have keep their own.

    Raises `ValueError` when anything else is missing, too much, or of another shape.
    """
    own = model.state_dict()
    missing = sorted(name for name in own.keys() - start.keys() if not is_adapter(name))
    unexpected = sorted(start.keys() - own.keys())
    misshapen = [n for n, v in start.items() if n in own and v.shape != own[n].shape]
    faults = {"lacks": missing, "has unknown": unexpected, "has another shape of": misshapen}
    for fault, names in faults.items():
        if names:
            more = f" and {len(names) - 1} more" if len(names) > 1 else ""
            raise ValueError(
                f"start: the trained tokenizer {fault} {names[0]}{more}; "
                "it must be of this configuration but for adapters"
            )
    model.load_state_dict(start, strict=False)


def freeze(model: ElasticTokenizer, trainable: Trainable) -> None:
    """Let gradients reach all of the model, its `decoder`, or only its adapters (`heads`).

    Raises `ValueError` for `heads` when there are no adapters.
    """
    for name, parameter in model.named_parameters():
        within = name.startswith("decoder.") and (trainable == "decoder" or is_adapter(name))
        parameter.requires_grad_(trainable == "all" or within)
    if not any(parameter.requires_grad for parameter in model.parameters()):
        raise ValueError("trainable: heads, but the tokenizer has no adapters; set lora.rank")


def decay_groups(
    model: nn.Module, *, weight_decay: float
) -> list[dict[str, list[nn.Parameter] | float]]:
    """The optimizer's groups of trainable parameters, with and without decay.

    Matrices of linear maps decay: those of linear layers, of adapters, of the quantizer's
    projection. Biases, norms, positions, queries, codebooks and learned tails do not: shrinking
    what stands for a place or a code moves it for no reason.
    """
    decayed = {
        parameter
        for module in model.modules()
        if isinstance(module, nn.Linear | Projection)
        for name, parameter in module.named_parameters(recurse=False)
        if name != "bias"
    }
    trainable = [parameter for parameter in model.parameters() if parameter.requires_grad]
    return [
        {"params": [p for p in trainable if p in decayed], "weight_decay": weight_decay},
        {"params": [p for p in trainable if p not in decayed], "weight_decay": 0.0},
    ]
