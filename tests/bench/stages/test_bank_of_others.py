"""Banks of tokenizers that are not trained here."""

from contextlib import nullcontext

import numpy as np
import pandas as pd
import pytest
import torch

from bench.artifacts.decodings import Originals, TokenizerDecodings
from bench.config.tokenizers import ExternalTokenizer
from bench.data.image_set import ImageSet
from bench.external.adapter import make_external
from bench.metrics.pixel import mse
from bench.stages.banks.spot_check import spot_check
from bench.stages.banks.taken import TakenImages

TOKENIZER = '''
import numpy as np

class Rounds:
    """Mean grey; alone it decodes to values that are `apart` (a share) from those in a batch."""

    def __init__(self, apart):
        self.apart = apart

    def describe(self):
        return dict(resolution=8, max_tokens=1, codebook_size=256, arrays="numpy")

    def encode(self, images):
        return (images.mean((1, 2, 3)) * 255).round().astype(int)[:, None]

    def decode(self, ids):
        grey = ids[:, :, None, None] / 255 * (1 + self.apart * (len(ids) == 1))
        return np.tile(grey, (1, 3, 8, 8))
'''


@pytest.mark.parametrize(("apart", "fails"), [(0.0, False), (0.05, False), (0.2, True)])
def test_rounding_by_the_batch_is_no_fault_of_others_and_more_is(tmp_path, apart, fails):
    """As in bfloat16, whose sums differ by a batch's size."""
    (tmp_path / "rounds.py").write_text(TOKENIZER)
    settings = ExternalTokenizer(factory="rounds.py:Rounds", arguments={"apart": apart})
    decodings = TokenizerDecodings(make_external(settings, folder=str(tmp_path)))
    pixels = np.random.default_rng(0).integers(0, 256, (24, 3, 8, 8), dtype=np.uint8)
    names = [str(row) for row in range(24)]
    originals = Originals(names, torch.from_numpy(pixels))
    ids, _ = decodings.encoded(originals)
    (decoded,) = decodings.pictures(originals, ids, [1])
    stored = mse(originals.pixels, decoded)[:, None].numpy()
    images = TakenImages.of(ImageSet(pixels, table=pd.DataFrame({"id": names})), {})
    fault = pytest.raises(RuntimeError, match="not deterministic here")
    with fault if fails else nullcontext():
        spot_check(decodings, [1], images, stored=stored, stored_ids=ids.numpy(), device="cpu")
