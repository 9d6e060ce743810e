"""How well a generator predicts the tokens of images, and their lengths.

Letters: `n` images, `T` tokens of the longest sequence.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from adatok_core.generator.model import Generator
from adatok_core.generator.sequences import Vocabulary


def next_token_logits(
    generator: Generator, vocabulary: Vocabulary, classes: Tensor | None, tokens: Tensor
) -> Tensor:
    """Float32 logits `[n, T, size]` of what stands at each place of `tokens [n, T]`.

    What may not stand there has `-inf`, as in decoding.
    """
    logits: Tensor = generator(classes, tokens[:, :-1]).float()
    if vocabulary.lengths == "fixed":
        return logits
    allowed = vocabulary.allowed(torch.arange(tokens.shape[1], device=tokens.device))
    return logits.where(allowed, -math.inf)


@dataclass(frozen=True, kw_only=True)
class Likelihood:
    """Negative log-likelihoods of images, in nats.

    An image's is `nats_per_token` times its ids, given that there is another one, plus the
    `length_nats_per_image` that its length costs: of the length token, or of the choice at every
    step between the end and another id (0 at a fixed length). So layouts compare, in each part.
    """

    nats_per_image: float
    nats_per_token: float
    length_nats_per_image: float


@torch.no_grad()
def likelihood(
    generator: Generator,
    vocabulary: Vocabulary,
    *,
    ids: Tensor,
    lengths: Tensor,
    labels: Tensor | None,
    batch: int = 64,
) -> Likelihood:
    """Of the first `lengths [n]` of `ids [n, N']`, with `labels [n]` (None without classes).

    `batch` images at a time, on the generator's device.

    Raises:
        ValueError: see `Vocabulary.sequences` and `require_labels`.
    """
    device = generator.logits.weight.device
    classes = class_labels(generator, labels, count=len(ids))
    content = length = 0.0
    for part in torch.arange(len(ids)).split(batch):
        tokens, predicted = (x.to(device) for x in vocabulary.sequences(ids[part], lengths[part]))
        given = None if classes is None else classes[part].to(device)
        logits = next_token_logits(generator, vocabulary, given, tokens)[predicted]
        targets = tokens[predicted]
        of_target = logits.gather(1, targets[:, None]).squeeze(1)
        of_all, of_ids = logits.logsumexp(-1), logits[:, : vocabulary.codes].logsumexp(-1)
        is_id = targets < vocabulary.codes
        content += (of_ids - of_target)[is_id].double().sum().item()
        length += (of_all - of_ids.where(is_id, of_target)).double().sum().item()
    return Likelihood(
        nats_per_image=(content + length) / len(ids),
        nats_per_token=content / int(lengths.sum()),
        length_nats_per_image=length / len(ids),
    )


def class_labels(generator: Generator, labels: Tensor | None, *, count: int) -> Tensor | None:
    """The `labels [count]` as int64; None for a generator without classes, which ignores them.

    Raises:
        ValueError: when there are none, too few, or others than the generator's classes.
    """
    if not generator.config.class_conditional:
        return None
    if labels is None or len(labels) != count:
        raise ValueError(f"labels: {count} images need one each")
    if labels.min() < 0 or labels.max() >= generator.classes:
        raise ValueError(f"labels: must lie in 0..{generator.classes - 1}")
    return labels.long()
