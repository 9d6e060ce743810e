"""Which lengths images keep in training: pure functions of settings and a step's generator."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from adatok_core.budgets import heads_of
from adatok_core.config import LengthSampling


def require_chosen(
    chosen: Tensor | None, *, budgets: Sequence[int], count: int, config: LengthSampling
) -> None:
    """Refuse lengths `chosen` for `count` images that do not fit the settings.

    Raises `ValueError`, also when they are missing, or given where nothing asks for them.
    """
    if not config.needs_chosen:
        if chosen is not None:
            raise ValueError(
                f"chosen: lengths are given, but lengths.distribution is {config.distribution}; "
                "set it to policy"
            )
        return
    if chosen is None:
        key = "distribution" if config.distribution == "policy" else "weights"
        raise ValueError(f"lengths.{key}: policy needs the lengths chosen for the images")
    if chosen.shape != (count,) or chosen.dtype != torch.int64:
        raise ValueError(
            f"chosen: must be int64 [{count}], one length for each image, not "
            f"{str(chosen.dtype).removeprefix('torch.')} {list(chosen.shape)}"
        )
    if int(chosen.min()) < 1 or int(chosen.max()) > budgets[-1]:
        raise ValueError(
            f"chosen: lengths must lie in 1..{budgets[-1]}, not in "
            f"{int(chosen.min())}..{int(chosen.max())}"
        )


def step_lengths(
    budgets: Sequence[int],
    count: int,
    *,
    config: LengthSampling,
    generator: torch.Generator,
    chosen: Tensor | None = None,
) -> Tensor:
    """Lengths of all decodings of `count` images in a step, `[R, count]` int64 in `1..b_M`.

    With more than one, the first are all `b_M`; those of a sandwich go on with the smallest length
    that may be drawn.
    """
    draws = config.drawn if config.decodes == "sandwich" else 1
    drawn = [
        sample_lengths(budgets, count, config=config, generator=generator, chosen=chosen)
        for _ in range(draws)
    ]
    fixed = [torch.full((count,), length) for length in _fixed_lengths(budgets, config)]
    return torch.stack([*fixed, *drawn])


def sample_lengths(
    budgets: Sequence[int],
    count: int,
    *,
    config: LengthSampling,
    generator: torch.Generator,
    chosen: Tensor | None = None,
) -> Tensor:
    """Draw how many leading tokens each of `count` images keeps, `[count]` int64 in `1..b_M`.

    With the distribution `policy`, exactly `max(1, round(share * count))` images, at random places,
    keep what is `chosen [count]` for them. A positive `full_share` then lets as many of its share
    keep all `b_M`.
    """
    lengths = torch.tensor(_drawn_lengths(budgets, config))
    draws = count if config.per == "image" else 1
    kept = lengths[torch.randint(len(lengths), (draws,), generator=generator)].repeat(
        count // draws
    )
    if config.distribution == "policy" and config.share:
        if chosen is None:
            raise ValueError("lengths.distribution: policy needs the lengths chosen for the images")
        places = _places(config.share, count, generator)
        kept[places] = chosen[places]
    if config.full_share:
        kept[_places(config.full_share, count, generator)] = budgets[-1]
    return kept


def trained_lengths(
    budgets: Sequence[int], config: LengthSampling, *, chosen: Tensor | None = None
) -> tuple[int, ...]:
    """All lengths that `step_lengths` can give for a large batch, increasing.

    A policy's are those that are `chosen`: where it is not told, all budgets.
    """
    if config.full_share == 1:
        return (budgets[-1],)
    lengths = {budgets[-1]} if config.full_share else set()
    if config.distribution == "policy" and config.share:
        lengths |= set(budgets if chosen is None else chosen.tolist())
    if config.distribution != "policy" or config.share < 1:
        lengths |= set(_drawn_lengths(budgets, config))
    return tuple(sorted(lengths | set(_fixed_lengths(budgets, config))))


def expected_shares(
    budgets: Sequence[int], count: int, *, config: LengthSampling, chosen: Tensor | None = None
) -> Tensor:
    """The share of a step's decodings of `count` images that each budget serves, `[M]`, sum 1."""

    def shares(lengths: Tensor) -> Tensor:
        heads = heads_of(lengths, budgets)
        return torch.bincount(heads, minlength=len(budgets)) / len(lengths)

    full = shares(torch.tensor([budgets[-1]]))
    drawn = shares(torch.tensor(_drawn_lengths(budgets, config)))
    if config.distribution == "policy" and chosen is not None:
        drawn = torch.lerp(drawn, shares(chosen), _exact(config.share, count) / count)
    drawn = torch.lerp(drawn, full, _exact(config.full_share, count) / count)
    fixed = [shares(torch.tensor([length])) for length in _fixed_lengths(budgets, config)]
    draws = config.decodings - len(fixed)
    return sum(fixed, start=draws * drawn) / config.decodings


def _fixed_lengths(budgets: Sequence[int], config: LengthSampling) -> list[int]:
    """Lengths at which every image is decoded, whatever is drawn: the full one first."""
    if config.decodes == "one":
        return []
    smallest = [min(_drawn_lengths(budgets, config))] if config.decodes == "sandwich" else []
    return [budgets[-1], *smallest]


def _places(share: float, count: int, generator: torch.Generator) -> Tensor:
    """As many random places among `count` as make up the share."""
    return torch.randperm(count, generator=generator)[: _exact(share, count)]


def _exact(share: float, count: int) -> int:
    """Images of `count` that make up a share: one at least when it is positive."""
    return max(1, round(share * count)) if share else 0


def _drawn_lengths(budgets: Sequence[int], config: LengthSampling) -> list[int]:
    if config.drawn_from == "all":
        return list(range(1, budgets[-1] + 1))
    if config.drawn_from == "powers_of_two":
        return [2**power for power in range(budgets[-1].bit_length())]
    return list(budgets)
