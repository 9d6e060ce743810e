"""Decoding of one image at a time, the whole sequence at every step: what others must equal."""

from __future__ import annotations

import torch
from torch import Tensor

from adatok_core.config import Sampling
from adatok_core.config.generator import require_guidance
from adatok_core.generator.model import Generator
from adatok_core.generator.sampling import choose, guided, uniforms
from adatok_core.generator.sequences import Parsed, Vocabulary


@torch.no_grad()
def decode_reference(
    generator: Generator,
    vocabulary: Vocabulary,
    *,
    label: int | None,
    seed: int,
    length: int | None,
    sampling: Sampling,
) -> Parsed:
    """One image of class `label` (None without classes) with `length` ids (None: as it decides).

    Raises:
        ValueError: guidance without a null class, a label that is no class of the generator, a
            length that no image has.
    """
    require_guidance(generator.config, sampling.guidance)
    vocabulary.require_label(label, class_conditional=generator.config.class_conditional)
    total = torch.tensor([vocabulary.steps_of(length)])
    wanted = torch.tensor([length or 0])
    numbers = uniforms(seed, vocabulary.max_steps)
    tokens = torch.empty(1, 0, dtype=torch.int64)
    for step in range(vocabulary.max_steps):
        logits = _logits(generator, vocabulary, label, tokens, sampling)
        at = torch.tensor([step])
        allowed = vocabulary.allowed(at, wanted)
        token = choose(logits, numbers[at], sampling=sampling, allowed=allowed)
        tokens = torch.cat([tokens, token[:, None]], dim=1)
        total = vocabulary.steps_after(token, steps=at, total=total)
        if step + 1 >= total:
            break
    return vocabulary.parse(tokens[0], length=length)


def _logits(
    generator: Generator,
    vocabulary: Vocabulary,
    label: int | None,
    tokens: Tensor,
    sampling: Sampling,
) -> Tensor:
    """Logits `[1, size]` of the token after `tokens [1, S]`."""
    if label is None:
        alone: Tensor = generator(None, tokens)[:, -1]
        return alone
    conditional: Tensor = generator(torch.tensor([label]), tokens)[:, -1]
    if sampling.guidance == 1:
        return conditional
    unconditional = generator(torch.tensor([vocabulary.classes]), tokens)[:, -1]
    return guided(conditional, unconditional, sampling.guidance)
