import pytest

from bench.errors import UserError
from bench.metrics.declared import METRICS
from bench.metrics.extractor import Extractor
from bench.metrics.extractors import EXTRACTORS, require_extractors, used_extractors
from bench.metrics.feature_metrics import reconstruction_metrics


def test_extractors_declare_their_metrics_in_their_place():
    names = list(METRICS)
    at = names.index("perceptual")
    assert names[at : at + 7] == [
        "perceptual", "fd_lite0", "kid_lite0", "kid_lite0_low", "kid_lite0_high",
        "fd_lite0_infinite", "fd_lite0_infinite_se",
    ]  # fmt: skip
    at = names.index("gfid")
    assert names[at : at + 10] == [
        "gfid", "gfid_reconstructions", "gkid", "gkid_low", "gkid_high", "gkid_reconstructions",
        "gfid_reference", "gisc", "gprecision", "grecall",
    ]  # fmt: skip
    assert METRICS["gkd_lite0_low"].title == "gKD (Lite0), lower end"
    assert METRICS["rfid_infinite_se"].title == "rFID of infinitely many images, standard error"
    assert METRICS["gprecision_lite1"].caption == (
        "precision of samples (Lite1) (share), higher is better"
    )
    assert METRICS.entry("fd_lite1").origin == EXTRACTORS.entry("lite1").origin


def test_no_name_is_shared_by_reconstructions_and_samples():
    names = [
        metric.name
        for extractor in EXTRACTORS.values()
        for metric in (*extractor.of_reconstructions(), *extractor.of_samples())
    ]
    assert len(names) == len({*names})


def test_a_bank_uses_what_it_is_asked_for():
    def used(**asked):
        return [one.name for one in used_extractors(**{**NONE, **asked})]

    NONE = {"second": False, "inception": False, "named": ()}
    assert used() == ["lite0"]
    assert used(second=True, inception=True) == ["lite0", "lite1", "inception"]
    assert used(named=["inception"]) == ["lite0", "inception"]


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("lite1", "'lite1': set bank.second_extractor; remove it here"),
        ("lite0", "'lite0': every evaluation has it; remove it here"),
        ("inceptoin", "unknown extractor 'inceptoin'; did you mean 'inception'?"),
    ],
)
def test_names_that_no_suite_may_give_are_refused(name, said):
    with pytest.raises(UserError) as error:
        require_extractors([name])
    assert str(error.value) == f"bank.extractors: {said}"


def test_declarations_that_measure_nothing_are_refused():
    with pytest.raises(ValueError, match="mine: declares no metric"):
        Extractor(name="mine", network="nowhere:mine")
    with pytest.raises(ValueError, match="mine: declare reconstructions and samples, or neither"):
        Extractor(
            name="mine",
            network="nowhere:mine",
            reconstructions=reconstruction_metrics("mine", "Mine"),
        )
    with pytest.raises(ValueError, match="lpips gives no features"):
        EXTRACTORS["lpips"].feature_metrics()
