"""Make `import torchvision`, and with it torch-fidelity, work on a CPU build of torch."""

import re

import torch

_MISSING = re.compile(r"operator torchvision::(nms|qnms) does not exist")


def prepare_torchvision() -> None:
    """Import torchvision, declaring its two missing operator schemas if that import needs them.

    PyPI's torchvision is a CUDA build whose C library does not load beside a CPU torch; it then
    fails to register fake kernels for operators nobody declared (pytorch/vision#9085). Where the
    import works, or fails in another way, nothing is declared. Call it before the first import of
    torchvision or torch-fidelity in every process; further calls cost nothing.

    Raises:
        ImportError, RuntimeError: torchvision cannot be imported for another reason.
    """
    try:
        import torchvision
    except RuntimeError as error:
        if not _MISSING.search(str(error)):
            raise
        for name in ("nms", "qnms"):
            schema = "(Tensor dets, Tensor scores, float iou_threshold) -> Tensor"
            torch.library.define(f"torchvision::{name}", schema)
        import torchvision  # noqa: F401
