import re
from dataclasses import FrozenInstanceError, fields

import pytest


@pytest.fixture
def refused():
    """`refused(kind, values, key)`: the values are an error whose message begins with the key."""

    def refused(kind, values, key):
        with pytest.raises(ValueError, match=rf"^{re.escape(key)}: "):
            kind(**values)

    return refused


@pytest.fixture
def accepted():
    """`accepted(kind, values)`: the values are kept as they are."""

    def accepted(kind, values):
        built = kind(**values)
        assert {key: getattr(built, key) for key in values} == values

    return accepted


@pytest.fixture
def frozen_and_strict():
    """`frozen_and_strict(config)`: an instance that cannot change, of a class of known keys."""

    def frozen_and_strict(config):
        kind = type(config)
        with pytest.raises(FrozenInstanceError):
            setattr(config, fields(kind)[0].name, None)
        with pytest.raises(TypeError):
            kind(unheard_of=1)
        assert kind.__pydantic_config__ == {"extra": "forbid"}

    return frozen_and_strict
