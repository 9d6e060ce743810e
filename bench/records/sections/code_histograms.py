"""Part of a record of samples that says how far their codes are from those of real images."""

from __future__ import annotations

from bench.records.parts import Part


class PositionDistance(Part):
    """Distance of the codes at a position, of `n` samples and `n_data` real images that have it.

    `reconstructions` is that of as many training images; both are null where a side has none.
    """

    position: int
    n: int
    n_data: int
    distance: float | None
    reconstructions: float | None


class CodeHistograms(Part):
    """Distances of histograms of codes (`bench.judging.code_distance`), pooled and by position.

    `reconstructions` are those of as many training images: what chance and the split give.
    """

    tokens: int
    tokens_data: int
    distance: float
    reconstructions: float
    by_position: tuple[PositionDistance, ...]

    def metrics(self) -> dict[str, float]:
        """The pooled distances, and means over positions, weighted by the images that have them."""
        known = [
            (row.n_data, row.distance, row.reconstructions)
            for row in self.by_position
            if row.distance is not None and row.reconstructions is not None
        ]
        found = {"chd": self.distance, "chd_reconstructions": self.reconstructions}
        weight = sum(n for n, _, _ in known)
        if weight:
            found["chd_position"] = sum(n * one for n, one, _ in known) / weight
            found["chd_position_reconstructions"] = sum(n * one for n, _, one in known) / weight
        return found
