import pytest
import torch
from torch import nn

from adatok_core.generator.weights import PackedLinear, can_pack, prepared

CPU = torch.device("cpu")
packs = pytest.mark.skipif(not can_pack("fp32"), reason="torch without oneDNN")


@packs
@pytest.mark.parametrize("rows", [1, 3, 32])
@pytest.mark.parametrize(("inner", "outer"), [(16, 48), (7, 5), (130, 257)])
def test_a_packed_layer_is_the_layer(rows, inner, outer):
    torch.manual_seed(0)
    layer = nn.Linear(inner, outer, bias=False)
    x = torch.randn(rows, 2, inner)
    with torch.no_grad():
        torch.testing.assert_close(PackedLinear(layer)(x), layer(x), atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_a_prepared_copy_predicts_the_same_and_leaves_the_original_alone(untrained, precision):
    generator, _ = untrained()
    before = {name: value.clone() for name, value in generator.state_dict().items()}
    copied = prepared(generator, precision=precision, device=CPU)
    classes, tokens = torch.tensor([0, 1]), torch.tensor([[1, 2, 3], [4, 5, 6]])
    with torch.no_grad():
        expected, logits = generator(classes, tokens), copied(classes, tokens)
    assert logits.dtype == (torch.bfloat16 if precision == "bf16" else torch.float32)
    tolerance = 0.1 if precision == "bf16" else 1e-5
    torch.testing.assert_close(logits.float(), expected, atol=tolerance, rtol=tolerance)
    after = generator.state_dict()
    assert all(torch.equal(after[name], before[name]) for name in before)
    assert all(parameter.requires_grad for parameter in generator.parameters())


@packs
def test_every_linear_layer_is_packed_where_it_can_be(untrained, monkeypatch):
    generator, _ = untrained()

    def linears():
        modules = list(prepared(generator, precision="fp32", device=CPU).modules())
        return [sum(isinstance(m, kind) for m in modules) for kind in (PackedLinear, nn.Linear)]

    assert linears() == [4 * 2 + 1, 0]
    monkeypatch.setattr(torch.backends.mkldnn, "is_available", lambda: False)
    assert linears() == [0, 4 * 2 + 1]


def test_an_unknown_precision_is_refused(untrained):
    with pytest.raises(ValueError, match=r"^precision: fp16 is none of fp32, bf16$"):
        prepared(untrained()[0], precision="fp16", device=CPU)
