import pytest
import torch

from adatok_core.config import (
    ConstraintWeighting,
    FixedWeighting,
    GradientWeighting,
    HypervolumeWeighting,
)
from adatok_core.weighting import build_weighting
from adatok_core.weighting.constraint import Constraint
from adatok_core.weighting.fixed import Fixed
from adatok_core.weighting.gradient import Gradient
from adatok_core.weighting.hypervolume import Hypervolume

CANDIDATES = (2, 4, 8)
SCHEMES = {
    Fixed: FixedWeighting(efficiency=0.3),
    Constraint: ConstraintWeighting(mean_budget=3, step_size=0.37),
    Hypervolume: HypervolumeWeighting(reference="untrained", efficiency=0.3, every=2),
    Gradient: GradientWeighting(efficiency=0.3, step_size=0.37),
}


def random_view(view, step):
    generator = torch.Generator().manual_seed(step)
    return view(
        step=step,
        policy=torch.rand(5, 3, generator=generator).softmax(-1),
        fidelity=torch.rand(5, 3, generator=generator),
        gradients=torch.randn(2, 7, generator=generator),
        point=tuple((0.2 + step / 40 + torch.rand(2, generator=generator) / 2).tolist()),
    )


def numbers(weighting):
    tensors = {"weights": weighting.weights, "scale": torch.tensor(weighting.advantage_scale)}
    return tensors | weighting.state()


@pytest.mark.parametrize(("scheme", "config"), SCHEMES.items())
def test_the_kind_of_the_configuration_is_built(scheme, config):
    assert type(build_weighting(config, CANDIDATES)) is scheme


@pytest.mark.parametrize("config", SCHEMES.values())
def test_weights_stay_on_the_simplex(config, view):
    weighting = build_weighting(config, CANDIDATES)
    weighting.begin((0.3, 0.4))
    for step in range(20):
        assert weighting.weights.shape == (2,)
        assert weighting.weights.dtype == torch.float32
        assert (weighting.weights >= 0).all()
        assert weighting.weights.sum().item() == pytest.approx(1)
        weighting.update(random_view(view, step + 1))


@pytest.mark.parametrize("config", [c for s, c in SCHEMES.items() if s is not Hypervolume])
def test_advantages_keep_their_scale(config, view):
    weighting = build_weighting(config, CANDIDATES)
    weighting.begin((0.3, 0.4))
    weighting.update(random_view(view, 1))
    assert weighting.advantage_scale == 1


@pytest.mark.parametrize("config", SCHEMES.values())
@pytest.mark.parametrize("stop", [0, 5, 8])
def test_a_resumed_weighting_goes_on_bit_for_bit(config, stop, view, tmp_path):
    whole = build_weighting(config, CANDIDATES)
    whole.begin((0.3, 0.4))
    for step in range(stop):
        whole.update(random_view(view, step + 1))
    torch.save(whole.state(), tmp_path / "state.pt")
    resumed = build_weighting(config, CANDIDATES)
    resumed.load_state(torch.load(tmp_path / "state.pt", weights_only=True))
    for step in range(stop, 14):
        torch.testing.assert_close(numbers(resumed), numbers(whole), rtol=0, atol=0)
        whole.update(random_view(view, step + 1))
        resumed.update(random_view(view, step + 1))
    torch.testing.assert_close(numbers(resumed), numbers(whole), rtol=0, atol=0)


@pytest.mark.parametrize("config", [c for s, c in SCHEMES.items() if s is not Fixed])
def test_a_state_is_a_copy_in_float64_that_changes_what_it_is_loaded_into(config, view):
    weighting = build_weighting(config, CANDIDATES)
    weighting.begin((0.3, 0.4))
    weighting.update(random_view(view, 2))
    state = weighting.state()
    assert {tensor.dtype for tensor in state.values()} == {torch.float64}
    before = {name: tensor.clone() for name, tensor in state.items()}
    other = build_weighting(config, CANDIDATES)
    other.load_state(state)
    for step in range(2, 20):
        weighting.update(random_view(view, step + 1))
        other.update(random_view(view, step + 1))
    torch.testing.assert_close(state, before, rtol=0, atol=0)
    after = other.state()
    assert any(not torch.equal(after[name], before[name]) for name in before)
