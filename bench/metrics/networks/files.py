"""The weight files that our networks need and no package ships, as they are published."""

from bench.metrics.weight_files import Weights

_TORCH_FIDELITY = "https://github.com/toshas/torch-fidelity/releases/download/v0.2.0"
_DINOV2 = "https://dl.fbaipublicfiles.com/dinov2"

INCEPTION = Weights(
    name="inception",
    file="weights-inception-2015-12-05-6726825d.pth",
    sha256="6726825d",
    source=f"{_TORCH_FIDELITY}/weights-inception-2015-12-05-6726825d.pth",
)
VGG16 = Weights(
    name="vgg16",
    file="vgg16-397923af.pth",
    sha256="397923af",
    source="https://download.pytorch.org/models/vgg16-397923af.pth",
)
LPIPS = Weights(
    name="lpips",
    file="weights-vgg16-lpips.pth",
    sha256="a78928a0af1e5f0fcb1f3b9e8f8c3a2a5a3de244d830ad5c1feddc79b8432868",
    source=f"{_TORCH_FIDELITY}/weights-vgg16-lpips.pth",
)
DINOV2 = Weights(
    name="dinov2",
    file="dinov2_vitl14_pretrain.pth",
    sha256="d5383ea8f4877b2472eb973e0fd72d557c7da5d3611bd527ceeb1d7162cbf428",
    source=f"{_DINOV2}/dinov2_vitl14/dinov2_vitl14_pretrain.pth",
)
DINOV2_SMALL = Weights(
    name="dinov2_small",
    file="dinov2_vits14_pretrain.pth",
    sha256="b938bf1bc15cd2ec0feacfe3a1bb553fe8ea9ca46a7e1d8d00217f29aef60cd9",
    source=f"{_DINOV2}/dinov2_vits14/dinov2_vits14_pretrain.pth",
)
