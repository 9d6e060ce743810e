import copy
from dataclasses import asdict, replace

import pytest

from bench.errors import UserError
from bench.records.parts import RecordedProtocol
from bench.records.protocol import Protocol, SampleProtocol, require_one_protocol

ABOUT = {
    "images": {"digest": "d", "count": 24},
    "resolution": 32,
    "extractors": {"lite0": {"weights_sha256": "w", "layer": "pooled 1280", "input_px": 64}},
}


def recorded(protocol):
    """The protocol, or its fields, as a record holds it."""
    fields = protocol if isinstance(protocol, dict) else protocol.plain()
    return RecordedProtocol.model_validate(fields)


def test_a_banks_protocol_takes_what_the_bank_says():
    protocol = Protocol.of_bank(ABOUT)
    assert (protocol.images_digest, protocol.images_count, protocol.resolution) == ("d", 24, 32)
    assert protocol.extractors == ABOUT["extractors"]
    assert protocol.estimators == {}
    settings = {"inception_score": {"splits": 10}}
    assert Protocol.of_bank(ABOUT, estimators=settings).estimators == settings
    packages = {"torch", "numpy", "scipy", "pillow"}
    assert set(protocol.versions) == packages | {"efficientnet-lite-pytorch"}
    inception = {**ABOUT, "extractors": {"inception": {"layer": "pooled 2048"}}}
    assert set(Protocol.of_bank(inception).versions) == packages | {"torch-fidelity"}
    unknown = {**ABOUT, "extractors": {"own": {"layer": "last"}}}
    assert set(Protocol.of_bank(unknown).versions) == packages


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("images_digest", "e"),
        ("images_count", 25),
        ("resolution", 64),
        ("crop", "none"),
        ("resize_filter", "nearest"),
        ("uint8_rule", "truncate"),
        ("reference", "statistics file"),
        ("feature_dtype", "float16"),
        ("error_dtype", "float16"),
        ("perceptual", "VGG"),
        ("weights", "last step"),
        ("estimators", {"inception_score": {"splits": 10}}),
        ("extractors", {}),
        ("versions", {}),
        ("selection", {"limit": 16}),
    ],
)
def test_each_field_is_part_of_the_hash_and_named_when_it_differs(name, value):
    protocol = Protocol.of_bank(ABOUT)
    other = replace(protocol, **{name: value})
    assert other.hash != protocol.hash
    with pytest.raises(UserError, match=rf"protocol field '{name}[\w.]*' differs") as error:
        require_one_protocol([recorded(protocol), recorded(protocol), recorded(other)])
    shown = ["absent"] if isinstance(value, dict) else [value, getattr(protocol, name)]
    assert all(str(one) in str(error.value) for one in shown)
    assert "\n" not in str(error.value)


def test_every_field_is_tried_above():
    tried = test_each_field_is_part_of_the_hash_and_named_when_it_differs.pytestmark[0].args[1]
    assert [name for name, _ in tried] == list(asdict(Protocol.of_bank(ABOUT)))


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("extractors.lite0.input_px", 128),
        ("extractors.lite0.weights_sha256", "v"),
        ("extractors.lite0", None),
        ("versions.torch", "1.0"),
    ],
)
def test_a_nested_field_is_named_by_its_path(path, value):
    protocol = asdict(Protocol.of_bank(ABOUT))
    other = copy.deepcopy(protocol)
    *parents, last = path.split(".")
    place = other
    for name in parents:
        place = place[name]
    if value is None:
        del place[last]
    else:
        place[last] = value
    shown = "absent" if value is None else value
    with pytest.raises(UserError, match=f"protocol field '{path}' differs .* and {shown}\\)"):
        require_one_protocol([recorded(protocol), recorded(other)])


def test_one_protocol_is_accepted():
    protocol = recorded(Protocol.of_bank(ABOUT))
    assert Protocol.of_bank(ABOUT).hash == Protocol.of_bank(ABOUT).hash
    require_one_protocol([protocol, recorded(protocol.plain())])
    require_one_protocol([])


def test_a_field_that_only_one_side_has_is_a_difference():
    paired = Protocol.of_bank(ABOUT)
    sides = recorded(paired), recorded({**asdict(paired), "sampling": {"images": 20}})
    for pair in (sides, sides[::-1]):
        with pytest.raises(UserError, match="'sampling' differs"):
            require_one_protocol(pair)


def test_samples_have_a_protocol_of_their_own():
    sampling = {"temperature": 1.0, "guidance": 2.0, "images": 20}
    protocol = SampleProtocol.of_samples(ABOUT, estimators={}, sampling=sampling)
    paired = Protocol.of_bank(ABOUT)
    assert protocol.reference == "unpaired originals of the validation images"
    assert protocol.sampling == sampling
    assert (
        asdict(protocol).items()
        > {name: value for name, value in asdict(paired).items() if name != "reference"}.items()
    )
    assert protocol.hash != paired.hash
    assert "sampling" not in asdict(paired)  # its hash is what it was
    with pytest.raises(UserError, match=r"'reference' differs \(paired originals and unpaired"):
        require_one_protocol([recorded(paired), recorded(protocol)])
    other = SampleProtocol.of_samples(ABOUT, estimators={}, sampling={**sampling, "guidance": 3.0})
    with pytest.raises(UserError, match=r"'sampling\.guidance' differs \(2\.0 and 3\.0\)"):
        require_one_protocol([recorded(protocol), recorded(other)])
