import math

import numpy as np
import pytest

from bench.records.sections.codebook import Codebook
from bench.stages.banks.codebook import CodeCounts


def codebook(codes, sizes):
    counts = CodeCounts(sizes, codes.shape[1])
    counts.add(codes)
    return Codebook(**{k: tuple(v) if isinstance(v, list) else v for k, v in counts.use().items()})


def test_uniform_codes_have_all_bits_and_constant_ones_none():
    uniform = np.tile(np.arange(16)[:, None], (1, 3))
    codes = np.concatenate([uniform, np.full((16, 1), 7)], axis=1)[..., None]
    found = codebook(codes, [16])
    assert found.entropy_bits_by_position == pytest.approx((4, 4, 4, 0), abs=1e-9)
    assert found.usage_by_position == (1, 1, 1, 1 / 16)
    assert found.effective_codes_by_position == pytest.approx((16, 16, 16, 1))
    assert found.metrics() == {"tail_entropy_ratio": pytest.approx(0, abs=1e-9)}


def test_parts_of_a_token_add_their_bits():
    parts = np.stack([np.arange(8) % 2, np.arange(8) // 2], -1)
    found = codebook(np.stack([parts, parts], 1), [2, 4])
    assert found.entropy_bits_by_position == pytest.approx((3, 3))
    assert found.tail_entropy_ratio == pytest.approx(1)


@pytest.mark.parametrize(("bits", "ratio"), [((2.0,), None), ((0.0, 1.0), None)])
def test_one_position_or_a_silent_first_one_has_no_ratio(bits, ratio):
    found = Codebook(usage=1, entropy_bits=1, usage_by_position=bits, entropy_bits_by_position=bits)
    assert found.tail_entropy_ratio is ratio
    assert found.metrics() == {}


def test_the_ratio_is_of_quarters():
    bits = (8.0, 6.0, *[math.nan] * 4, 1.0, 2.5)
    found = Codebook(usage=1, entropy_bits=1, usage_by_position=bits, entropy_bits_by_position=bits)
    assert found.tail_entropy_ratio == pytest.approx(3.5 / 14)
