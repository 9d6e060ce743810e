"""Inception score, precision and recall, by torch-fidelity's functions on feature arrays."""

import numpy as np
import torch

from bench.metrics.networks.torchvision_shim import prepare_torchvision

SPLITS = 10
NEIGHBOURS = 3
_SHUFFLE_SEED = 2020  # torch-fidelity's own
_BATCH = 2000


def inception_score(logits: np.ndarray) -> float:
    """exp of the mean divergence between a class posterior and its mean, averaged over 10 splits.

    Salimans et al. 2016, with torch-fidelity's order of images.

    Args:
        logits: `[n, classes]`, at least one per split.

    Raises:
        ValueError: fewer than 10 rows.
    """
    if len(logits) < SPLITS:
        raise ValueError(f"an inception score needs at least {SPLITS} images, not {len(logits)}")
    prepare_torchvision()
    from torch_fidelity.metric_isc import KEY_METRIC_ISC_MEAN, isc_features_to_metric

    found = isc_features_to_metric(_tensor(logits), SPLITS, True, _SHUFFLE_SEED)
    mean: float = found[KEY_METRIC_ISC_MEAN]
    return mean


def precision_recall(features: np.ndarray, reference: np.ndarray) -> tuple[float, float]:
    """Shares of features `[n, d]` within the reference `[m, d]`, and of the reference within them.

    Within a set is what lies no further from one of its members than that one's third nearest
    neighbour (Kynkäänniemi et al. 2019).

    Raises:
        ValueError: fewer than 4 rows on one side.
    """
    fewest = min(len(features), len(reference))
    if fewest <= NEIGHBOURS:
        raise ValueError(f"precision needs at least {NEIGHBOURS + 1} images, not {fewest}")
    prepare_torchvision()
    from torch_fidelity.metric_prc import calculate_precision_recall_part

    precision, recall = calculate_precision_recall_part(
        _tensor(features), _tensor(reference), neighborhood=NEIGHBOURS, batch_size=_BATCH
    )
    return precision, recall


def _tensor(values: np.ndarray) -> torch.Tensor:
    """A copy: torch warns of read-only memory maps."""
    return torch.from_numpy(np.array(values, dtype=np.float32))
