import pytest

from adatok_core.config import FSQ, LFQ, VQ, ResidualVQ

OUT_OF_RANGE = [
    (FSQ, {"levels": ()}, "levels"),
    (FSQ, {"levels": (8, 1)}, "levels"),
    (LFQ, {"bits": 0}, "bits"),
    (LFQ, {"bits": 49}, "bits"),
    (LFQ, {"commitment": -0.1}, "commitment"),
    (LFQ, {"entropy_weight": -0.1}, "entropy_weight"),
    (LFQ, {"diversity": -0.1}, "diversity"),
    (LFQ, {"temperature": 0.0}, "temperature"),
    (VQ, {"codebook_size": 1}, "codebook_size"),
    (ResidualVQ, {"entries": 1}, "entries"),
    (ResidualVQ, {"depth": 0}, "depth"),
    (ResidualVQ, {"entries": 256, "depth": 8}, "depth"),
    *((kind, {"dimension": 0}, "dimension") for kind in (VQ, ResidualVQ)),
    *((kind, {"commitment": -0.1}, "commitment") for kind in (VQ, ResidualVQ)),
    *(
        (kind, {key: value}, key)
        for kind in (VQ, ResidualVQ)
        for key in ("usage_decay", "revive_below")
        for value in (-0.1, 1.0)
    ),
]

NONE = {"dimension": 1, "commitment": 0, "usage_decay": 0, "revive_below": 0}
ON_THE_EDGE = [
    (FSQ, {"levels": (2,)}),
    (LFQ, {"bits": 1, "commitment": 0, "entropy_weight": 0, "diversity": 0, "temperature": 1e-3}),
    (LFQ, {"bits": 48}),
    (VQ, {"codebook_size": 2, **NONE}),
    (ResidualVQ, {"entries": 2, "depth": 1, **NONE}),
    (ResidualVQ, {"entries": 2, "depth": 62}),
    (ResidualVQ, {"entries": 256, "depth": 7}),
]


@pytest.mark.parametrize(("kind", "values", "key"), OUT_OF_RANGE)
def test_a_value_out_of_range_is_refused_by_its_key(refused, kind, values, key):
    refused(kind, values, key)


@pytest.mark.parametrize(("kind", "values"), ON_THE_EDGE)
def test_the_ends_of_a_range_are_accepted(accepted, kind, values):
    accepted(kind, values)


@pytest.mark.parametrize("kind", [FSQ, LFQ, VQ, ResidualVQ])
def test_defaults_are_valid_frozen_and_strict(frozen_and_strict, kind):
    frozen_and_strict(kind())


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
