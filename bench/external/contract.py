"""The contract of a tokenizer, one property after the other, each told with its numbers.

A property that the next ones cannot do without leaves them out where it is broken.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np

from bench.errors import UserError, one_line
from bench.external.subject import Subject

# Of a tokenizer's ids, the share that must be the same alone and in a batch; and how far pixels may
# differ there, as a part of the range: a GPU sums in another order.
SAME_IDS, SAME_PIXELS = 0.98, 4 / 255
# Of decoded values, the share that may lie outside of the range, and how much of it must be used.
OUTSIDE, USED = 0.05, 0.02
OTHER_RANGES = ((0.0, 1.0), (-1.0, 1.0), (0.0, 255.0), (-0.5, 0.5))
# The part of the shortest prefix's distortion below which that of all tokens must lie, and how much
# it may rise from one prefix to a longer one.
FALLS, RISES = 0.99, 1.1
# Below this correlation with the images, what is decoded says nothing of ranges and distortions.
RESEMBLES = 0.1
UNTRAINED = "correlation with the images {:.2f}: untrained weights? distortion is not judged"

Status = Literal["ok", "FAILED", "skipped"]


@dataclass(frozen=True)
class Finding:
    """A property and what became of it."""

    name: str
    status: Status
    text: str

    def __str__(self) -> str:
        return f"{self.status:<8}{self.name:<12}{self.text}"


class Broken(Exception):
    """The contract is broken: how, in numbers. `name` is the property, where it is another one."""

    def __init__(self, text: str, *, name: str | None = None):
        super().__init__(text)
        self.name = name


@dataclass
class Examination:
    """A tokenizer, the images `[B, 3, R, R]` in [0, 1], and what it made of them so far."""

    subject: Subject
    images: np.ndarray
    ids: np.ndarray = field(default_factory=lambda: np.empty(0))
    features: np.ndarray | None = None
    decoded: np.ndarray = field(default_factory=lambda: np.empty(0))

    @functools.cached_property
    def resemblance(self) -> float:
        """Correlation of what is decoded with the images, apart from what all have in common.

        No range changes it. Of equal images, or where all decode alike, there is none: 1.
        """
        apart = [part - part.mean(0) for part in (self.decoded, self.images)]
        if min(part.std() for part in apart) < 1e-6:
            return 1.0
        return float(np.corrcoef(*(part.ravel() for part in apart))[0, 1])

    @property
    def resembles(self) -> bool:
        """Whether it reconstructs the images at all."""
        return self.resemblance >= RESEMBLES

    def encode(self, images: np.ndarray) -> np.ndarray:
        """Ids of the largest budget."""
        budget = self.subject.budgets[-1]
        given = self.subject.encode(images, budget)
        if not given or given[0].shape != (len(images), budget):
            raise Broken(f"encode of {len(images)} images gives {_shapes(given)}")
        return given[0]

    def decode(self, ids: np.ndarray) -> np.ndarray:
        """Images on [0, 1] of the range, not clamped."""
        given = self.subject.decode(ids)
        shape = (len(ids), *self.images.shape[1:])
        if len(given) != 1 or given[0].shape != shape:
            raise Broken(f"decode of {list(ids.shape)} gives {_shapes(given)}, not {list(shape)}")
        return self.subject.on_unit(given[0])


def examine(subject: Subject, images: np.ndarray) -> Iterator[Finding]:
    """All properties, in order, as they are found; images are `[B, 3, R, R]` float32 in [0, 1]."""
    under = Examination(subject, images)
    broken: dict[str, str] = {}
    for name, needs, look in PROPERTIES:
        if broken.get(name) == name:  # Another property found that.
            continue
        missing = next((need for need in needs if need in broken), None)
        if missing is not None:
            broken[name] = broken[missing]
            yield Finding(name, "skipped", f"as {broken[name]} failed")
            continue
        try:
            yield Finding(name, "ok", look(under))
        except (Broken, UserError) as error:
            at = getattr(error, "name", None) or name
            broken[name] = broken[at] = at
            yield Finding(at, "FAILED", one_line(str(error)))
            if at != name:
                yield Finding(name, "skipped", f"as {at} failed")


def _encode(under: Examination) -> str:
    subject, images = under.subject, under.images
    try:
        given = subject.encode(images, subject.budgets[-1])
    except UserError as error:
        side = next(_sides_it_takes(under), None)
        if side is None:
            raise
        described = f"describes {subject.resolution} px, but encode takes images of {side} px"
        raise Broken(
            f"{described} ({error}); describe resolution={side}", name="resolution"
        ) from None
    shape = (len(images), subject.budgets[-1])
    if not given or given[0].shape != shape or given[0].dtype.kind not in "iu":
        raise Broken(f"gives {_shapes(given)}; it must give integers {list(shape)}")
    if len(given) > 2:
        raise Broken(f"gives {_shapes(given)}; it must give ids, or ids and features")
    under.ids, under.features = given[0], given[1] if len(given) > 1 else None
    for budget in () if subject.nested else subject.budgets[:-1]:
        shorter = subject.encode(images, budget)
        if not shorter or shorter[0].shape != (len(images), budget):
            raise Broken(f"with budget={budget} gives {_shapes(shorter)}, not ids of that length")
    return f"{list(images.shape)} to ids {list(shape)} of {given[0].dtype}"


def _sides_it_takes(under: Examination) -> Iterator[int]:
    resolution = under.subject.resolution
    for side in (resolution * 2, resolution // 2, 256, 128, 64, 32):
        if side >= 1 and side != resolution:
            try:
                under.subject.encode(_resized(under.images[:1], side), under.subject.budgets[-1])
            except UserError:
                continue
            yield side


def _ids(under: Examination) -> str:
    codes, ids = under.subject.codes, under.ids
    least, most = int(ids.min()), int(ids.max())
    if not 0 <= least <= most < codes:
        share = float(((ids < 0) | (ids >= codes)).mean())
        raise Broken(
            f"{least} to {most}, of which {share:.1%} lie outside of 0..{codes - 1}; describe the "
            "codebook_size that it has"
        )
    if np.iinfo(ids.dtype).max < codes - 1:
        raise Broken(f"{ids.dtype} cannot hold the ids of {codes} codes; give int64")
    return f"{least} to {most}, within 0..{codes - 1}"


def _features(under: Examination) -> str:
    features = under.features
    if features is None:
        return "none, so that policies look at ids or pixels"
    told = f"{list(features.shape)} of {features.dtype}"
    if features.ndim not in (2, 3) or len(features) != len(under.images):
        raise Broken(f"{told}; they must be [B, L, D] or [B, D], of {len(under.images)} images")
    if features.dtype.kind != "f" or not np.isfinite(features).all():
        bad = features.size if features.dtype.kind != "f" else int((~np.isfinite(features)).sum())
        raise Broken(f"{told}: {bad} values are no finite floats")
    return told


def _decode(under: Examination) -> str:
    subject, count = under.subject, len(under.images)
    given = subject.decode(under.ids)
    if len(given) != 1 or given[0].ndim != 4 or given[0].shape[:2] != (count, 3):
        raise Broken(f"gives {_shapes(given)}; it must give images [{count}, 3, H, W]")
    (images,) = given
    if images.dtype != np.uint8 and images.dtype.kind != "f":
        raise Broken(f"gives {images.dtype}; it must give floats, or uint8")
    if not np.isfinite(images).all():
        raise Broken(f"{int((~np.isfinite(images)).sum())} of its values are not finite")
    side = (subject.resolution, subject.resolution)
    if images.shape[2:] != side:
        high, wide = images.shape[2:]
        told = f"describes {subject.resolution} px, but decodes to {high} x {wide} px"
        raise Broken(f"{told}; one of the two is wrong", name="resolution")
    under.decoded = subject.on_unit(images)
    for budget in () if subject.nested else subject.budgets[:-1]:
        under.decode(subject.encode(under.images, budget)[0])
    return f"ids {list(under.ids.shape)} to {list(images.shape)} of {images.dtype}"


def _resolution(under: Examination) -> str:
    resolution = under.subject.resolution
    other = resolution * 2
    try:
        under.subject.encode(_resized(under.images[:1], other), under.subject.budgets[-1])
    except UserError:
        return f"{resolution} px, as described; images of {other} px are refused"
    return f"{resolution} px, as described; images of {other} px are taken as well, never given"


def _range(under: Examination) -> str:
    low, high = under.subject.range
    raw, images = under.decoded * (high - low) + low, under.images
    error = _mse(under.decoded, images)
    told = f"{raw.min():.3g} to {raw.max():.3g}, described as {low:g} to {high:g}"
    others = {
        (least, most): _mse((raw - least) / (most - least), images)
        for least, most in OTHER_RANGES
        if (least, most) != (low, high)
    }
    better = min(others, key=lambda other: others[other])
    hint = ""
    if others[better] < error / 2:
        hint = (
            f"; as {better[0]:g} to {better[1]:g} the MSE is {others[better]:.3g}, not {error:.3g}"
        )
    used = float(under.decoded.max() - under.decoded.min())
    if used < USED and images.max() - images.min() > USED:
        raise Broken(f"{told}: they use {used:.1%} of it{hint}")
    outside = float(((under.decoded < 0) | (under.decoded > 1)).mean())
    if not under.resembles:
        return f"{told}; {outside:.0%} outside; {UNTRAINED.format(under.resemblance)}"
    if outside > OUTSIDE:
        raise Broken(f"{told}: {outside:.0%} of the values lie outside{hint}")
    if hint:
        raise Broken(f"{told}{hint}")
    return f"{told}; {outside:.1%} outside; MSE {error:.3g}"


def _repeatable(under: Examination) -> str:
    again = under.encode(under.images)
    same = _share(again, under.ids)
    if same < 1:
        raise Broken(f"encoded twice, {same:.1%} of the ids are the same; seed it, and eval()")
    apart = _apart(under.decode(under.ids), under.decoded)
    if apart > SAME_PIXELS:
        raise Broken(f"decoded twice, pixels differ by up to {apart:.3f} of the range; seed it")
    return f"ids the same, pixels within {apart:.2g} of the range"


def _batch(under: Examination) -> str:
    images, ids = under.images, under.ids
    alone = np.concatenate([under.encode(images[row : row + 1]) for row in range(len(images))])
    turned = under.encode(images[::-1])[::-1]
    same = min(_share(alone, ids), _share(turned, ids))
    if same < SAME_IDS:
        raise Broken(
            f"encoded alone or in another order, {same:.1%} of the ids are the same as in a batch, "
            f"not {SAME_IDS:.0%}; does it normalise over the batch, or is it not in eval()?"
        )
    singly = np.concatenate([under.decode(ids[row : row + 1]) for row in range(len(ids))])
    apart = max(_apart(singly, under.decoded), _apart(under.decode(ids[::-1])[::-1], under.decoded))
    if apart > SAME_PIXELS:
        raise Broken(
            f"decoded alone or in another order, pixels differ by up to {apart:.3f} of the range, "
            f"more than {SAME_PIXELS:.3f}"
        )
    return f"{same:.1%} of the ids the same alone, pixels within {apart:.2g} of the range"


def _tail(under: Examination) -> str:
    subject = under.subject
    budget = subject.budgets[0] if subject.nested else subject.budgets[-1]
    prefix = under.encode(under.images)[:, :budget]
    try:
        before = under.decode(prefix)
    except (Broken, UserError) as error:
        raise Broken(
            f"nested=True, but the first {budget} tokens: {error}", name="nested"
        ) from None
    under.decode(under.encode(1 - under.images))
    told = f"{budget} tokens of each image decode to pixels up to {{:.2g}} of the range apart"
    apart = _apart(under.decode(prefix), before)
    if apart > SAME_PIXELS:
        raise Broken(
            f"{told.format(apart)} once other images were encoded: it remembers what it encoded, "
            "so that decode knows more than the tokens"
        )
    new = Examination(subject.anew(), under.images)
    fresh = _apart(new.decode(prefix), before)
    if fresh > SAME_PIXELS:
        raise Broken(
            f"{told.format(fresh)} in a tokenizer made anew: what it decodes is not in the tokens, "
            "or its weights are random"
        )
    return f"{told.format(max(apart, fresh))} after others were encoded, and made anew"


def _nested(under: Examination) -> str:
    subject, images = under.subject, under.images
    if not subject.nested:
        return "not claimed"
    distortion: dict[int, float] = {}
    for budget in subject.budgets:
        prefix = under.ids[:, :budget]
        asked = subject.encode_at(images, budget)
        if asked is not None and _share(asked, prefix) < SAME_IDS:
            raise Broken(
                f"nested=True, but of the ids of encode(budget={budget}) "
                f"{_share(asked, prefix):.1%} are the first {budget} of all"
            )
        try:
            distortion[budget] = _mse(under.decode(prefix), images)
        except (Broken, UserError) as error:
            raise Broken(f"nested=True, but the first {budget} tokens: {error}") from None
    told = "MSE by tokens " + ", ".join(f"{k}: {mse:.3g}" for k, mse in distortion.items())
    if not under.resembles:
        return f"{told}; {UNTRAINED.format(under.resemblance)}"
    values = list(distortion.values())
    if len(values) > 1 and values[-1] >= values[0] * FALLS:
        raise Broken(f"nested=True, but more tokens do not help: {told}")
    least = np.minimum.accumulate(values)
    worse = [k for k, mse in distortion.items() if mse > RISES * least[subject.budgets.index(k)]]
    if worse:
        raise Broken(f"nested=True, but {worse[0]} tokens are worse than fewer: {told}")
    return told


def _codebook(under: Examination) -> str:
    known, counts = np.unique(under.ids, return_counts=True)
    shares = counts / counts.sum()
    bits = abs(float(-(shares * np.log2(shares)).sum()))
    told = (
        f"{len(known)} of {under.subject.codes} codes in {under.ids.size} ids, {bits:.2f} bits each"
    )
    if len(known) == 1:
        raise Broken(f"{told}: all images have the same ids")
    return told


PROPERTIES: tuple[tuple[str, tuple[str, ...], Callable[[Examination], str]], ...] = (
    ("encode", (), _encode),
    ("ids", ("encode",), _ids),
    ("features", ("encode",), _features),
    ("codebook", ("ids",), _codebook),
    ("decode", ("ids",), _decode),
    ("resolution", ("decode",), _resolution),
    ("range", ("codebook", "decode"), _range),
    ("repeatable", ("decode",), _repeatable),
    ("batch", ("repeatable",), _batch),
    ("tail", ("repeatable",), _tail),
    ("nested", ("range", "tail"), _nested),
)


def _share(ids: np.ndarray, others: np.ndarray) -> float:
    return float((ids == others).mean()) if ids.shape == others.shape else 0.0


def _mse(decoded: np.ndarray, images: np.ndarray) -> float:
    return float(((decoded.clip(0, 1) - images) ** 2).mean())


def _apart(images: np.ndarray, others: np.ndarray) -> float:
    return float(np.abs(images - others).max())


def _shapes(given: list[Any]) -> str:
    told = [f"{list(one.shape)} of {one.dtype}" for one in given]
    return " and ".join(told) or "nothing"


def _resized(images: np.ndarray, side: int) -> np.ndarray:
    """The nearest pixels."""
    at = np.arange(side) * images.shape[-1] // side
    return np.ascontiguousarray(images[:, :, at][:, :, :, at])
