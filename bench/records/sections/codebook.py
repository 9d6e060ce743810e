"""Part of a record that says how a tokenizer's codes are used, and what follows from it."""

from __future__ import annotations

from bench.records.parts import Part


class Codebook(Part):
    """How the codes are used, over all tokens and by position: shares of the codebook, and bits.

    Entropies are those of the observed shares (plug-in, without Miller's and Madow's correction):
    `n` images show `log2 n` bits at most at a position, and a share of `n / V` of `V` codes.
    """

    usage: float
    entropy_bits: float
    usage_by_position: tuple[float, ...]
    entropy_bits_by_position: tuple[float, ...]

    @property
    def effective_codes_by_position(self) -> tuple[float, ...]:
        """Number of equally likely codes of the same entropy: `2^H`, the perplexity."""
        return tuple(2.0**bits for bits in self.entropy_bits_by_position)

    @property
    def tail_entropy_ratio(self) -> float | None:
        """Entropy of the last quarter of the positions over that of the first quarter.

        0 where the tail has collapsed to one code per position, 1 where it says as much as the
        beginning. None of a single position, or where the first ones say nothing.
        """
        bits = self.entropy_bits_by_position
        quarter = max(1, len(bits) // 4)
        first = sum(bits[:quarter])
        return sum(bits[-quarter:]) / first if len(bits) > 1 and first > 0 else None

    def metrics(self) -> dict[str, float]:
        """What a record's metrics tell of it in one number."""
        ratio = self.tail_entropy_ratio
        return {} if ratio is None else {"tail_entropy_ratio": ratio}
