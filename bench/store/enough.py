"""Refusals of more images than there are, said alike wherever they are found."""

from __future__ import annotations

from bench.errors import UserError


def require_training_batch(batch: int, count: int) -> None:
    """Refuse a tokenizer's batch of more than the `count` training images."""
    if batch > count:
        raise UserError(
            f"training.batch: {batch} exceeds the {count} training images; lower it or add images"
        )


def require_bank(images: int, count: int) -> None:
    """Refuse a policy's bank of more than the `count` training images."""
    if images > count:
        raise UserError(
            f"bank.policy_images: {images} exceeds the {count} training images; ask for fewer, or "
            "null for all"
        )


def require_batch(batch: int, count: int) -> None:
    """Refuse a policy's batch of more than the `count` images of its bank."""
    if batch > count:
        raise UserError(
            f"policy.batch: {batch} exceeds the {count} images of the policy's bank; lower it, or "
            "raise bank.policy_images"
        )
