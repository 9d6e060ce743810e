"""The metrics of a network's features: distances from a reference, and scores."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

from bench.metrics.metric import Metric

LAST = 100


@dataclass(frozen=True, kw_only=True)
class FeatureMetrics:
    """Metrics of one extractor's features, of reconstructions or else of `samples`.

    A sample is compared with images it has nothing to do with, a reconstruction with its own
    original: the same number means something else, so the names differ. Further metrics are named
    after the two distances: the ends of the kernel distance's interval, and the Fréchet distances
    of infinitely many images and of perturbed tokens, or the distances of the samples'
    reconstructions.

    Args:
        frechet: the Fréchet distance; its title goes without the extractor.
        kernel: the kernel distance, likewise.
        score: name of the inception score.
        precision: name of the precision.
        recall: name of the recall.
        extractor: what titles call the extractor; nothing where its names say enough.
        samples: whether these are metrics of generated images.
    """

    frechet: Metric
    kernel: Metric
    score: str
    precision: str
    recall: str
    extractor: str = ""
    samples: bool = False

    @property
    def perturbed(self) -> Metric:
        """The Fréchet distance where tokens are perturbed: `pfid` beside `rfid`, else `pfd_...`."""
        name = "pfid" if self.frechet.name == "rfid" else f"p{self.frechet.name}"
        title = "pFID" if name == "pfid" else f"p{self.frechet.title}"
        of = f" ({self.extractor})" if self.extractor else ""
        return Metric(name=name, title=f"{title}{of}", listed=self.frechet.listed)

    def to_file(self, of: str = "") -> Metric:
        """The Fréchet distance of samples to a reference that comes as a file."""
        title = f"{self.frechet.title} to the reference file{of}"
        name = f"{self.frechet.name}_reference"
        return Metric(name=name, title=title, listed=self.frechet.listed)

    def declarations(self) -> tuple[Metric, ...]:
        """All of them, in the order of tables."""
        of = f" ({self.extractor})" if self.extractor else ""
        distances = self._of_samples(of) if self.samples else self._of_reconstructions(of)
        return (*distances, *self._scores(of))

    def _of_reconstructions(self, of: str) -> Iterator[Metric]:
        yield replace(self.frechet, title=f"{self.frechet.title}{of}")
        yield replace(self.kernel, title=f"{self.kernel.title}{of}")
        yield from self._ends(of)
        title = f"{self.frechet.title} of infinitely many images{of}"
        yield Metric(name=f"{self.frechet.name}_infinite", title=title)
        yield _error(f"{self.frechet.name}_infinite_se", f"{title}, standard error")
        yield self.perturbed

    def _of_samples(self, of: str) -> Iterator[Metric]:
        for distance in (self.frechet, self.kernel):
            yield replace(distance, title=f"{distance.title}{of}")
            if distance is self.kernel:
                yield from self._ends(of)
            yield Metric(
                name=f"{distance.name}_reconstructions",
                title=f"{distance.title} of reconstructions{of}",
                listed=distance.listed,
            )
        yield self.to_file(of)

    def _ends(self, of: str) -> Iterator[Metric]:
        name, title = self.kernel.name, f"{self.kernel.title}{of}"
        yield _error(f"{name}_low", f"{title}, lower end")
        yield _error(f"{name}_high", f"{title}, upper end")

    def _scores(self, of: str) -> Iterator[Metric]:
        whose = f" of samples{of}" if self.samples else of
        for name, title, unit in (
            (self.score, "inception score", ""),
            (self.precision, "precision", "share"),
            (self.recall, "recall", "share"),
        ):
            yield Metric(name=name, title=f"{title}{whose}", unit=unit, higher_is_better=True)


def reconstruction_metrics(
    name: str, title: str, *, frechet: Metric | None = None, kernel: Metric | None = None
) -> FeatureMetrics:
    """Metrics `fd_NAME`, `kid_NAME`, ... of reconstructions, by an extractor of this name.

    The Fréchet distance is listed, and the last of the qualities. Give a distance's declaration
    where it is to be otherwise.
    """
    return FeatureMetrics(
        frechet=frechet or Metric(name=f"fd_{name}", title="FD", listed=True, quality=LAST),
        kernel=kernel or Metric(name=f"kid_{name}", title="KID"),
        score=f"is_{name}",
        precision=f"precision_{name}",
        recall=f"recall_{name}",
        extractor=title,
    )


def sample_metrics(
    name: str, title: str, *, frechet: Metric | None = None, kernel: Metric | None = None
) -> FeatureMetrics:
    """Metrics `gfd_NAME`, `gkd_NAME`, ... of samples; otherwise as `reconstruction_metrics`."""
    return FeatureMetrics(
        frechet=frechet or Metric(name=f"gfd_{name}", title="gFD", listed=True),
        kernel=kernel or Metric(name=f"gkd_{name}", title="gKD"),
        score=f"gis_{name}",
        precision=f"gprecision_{name}",
        recall=f"grecall_{name}",
        extractor=title,
        samples=True,
    )


def _error(name: str, title: str) -> Metric:
    """An end of an interval or a standard error: neither direction is better."""
    return Metric(name=name, title=title, higher_is_better=None)
