import pytest

from adatok_core.config import FSQ, LFQ, VQ, ResidualVQ


@pytest.mark.parametrize(
    ("config", "size"),
    [
        (FSQ(levels=(8, 5, 5, 5)), 1000),
        (FSQ(levels=(3, 2)), 6),
        (LFQ(bits=10), 1024),
        (LFQ(bits=48), 2**48),
        (VQ(codebook_size=77), 77),
        (ResidualVQ(entries=16, depth=3), 4096),
        (ResidualVQ(entries=16, depth=1), 16),
    ],
)
def test_the_codebook_has_one_code_per_combination(config, size):
    assert config.codebook_size == size


def test_each_kind_has_its_own_name():
    assert [kind().kind for kind in (FSQ, LFQ, VQ, ResidualVQ)] == [
        "fsq",
        "lfq",
        "vq",
        "residual_vq",
    ]
