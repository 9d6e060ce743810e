import pytest
import torch
from torch.nn import functional as F

from adatok_core.published import titok as module
from adatok_core.published.checkpoint import Checkpoint
from adatok_core.published.layers import ROWS, Linear
from adatok_core.published.weights import Weights

THEN = {"none": lambda y: y, "gelu": F.gelu, "tanh": torch.tanh}


@pytest.mark.parametrize("then", sorted(THEN))
@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float32, 1e-5), (torch.bfloat16, 0.05)])
def test_products_are_the_same_for_any_number_of_rows(then, dtype, tolerance):
    torch.manual_seed(0)
    weight, bias = torch.randn(24, 16, dtype=dtype), torch.randn(24, dtype=dtype)
    weights = Weights(Checkpoint({}, None, {}), "a test", torch.device("cpu"), dtype)
    layer = Linear(weight, bias, weights, then)
    # Weights are laid out anew where a number of rows comes twice in a row, up to some.
    for rows in (0, 0, 3, 5, 5, 5, 3, 5, 3, 3, ROWS + 1, ROWS + 1, 3):
        x = torch.randn(rows, 16, dtype=dtype)
        expected = THEN[then](F.linear(x.float(), weight.float(), bias.float()))
        torch.testing.assert_close(layer(x).float(), expected, atol=tolerance, rtol=tolerance)


def test_batches_are_worked_off_in_parts(filled, layouts, saved, images, monkeypatch):
    model = module.titok(saved(filled(layouts["titok"]())))
    batch = torch.cat((images(16), images(16).flip(-1), images(16)[:1]))
    ids, latents = model.encode(batch)
    whole = model.decode(ids)
    sizes = []
    pixels = module.TiTok._pixels
    monkeypatch.setattr(
        module.TiTok, "_pixels", lambda self, ids: sizes.append(len(ids)) or pixels(self, ids)
    )
    monkeypatch.setattr(module, "ROWS", 60)  # Sequences are 23 rows.
    torch.testing.assert_close(model.encode(batch)[1], latents, atol=1e-5, rtol=0)
    torch.testing.assert_close(model.decode(ids), whole, atol=1e-5, rtol=0)
    assert sizes == [2, 2, 1]
