import importlib
import sys

import pytest

from bench.external import adapter, identity
from bench.external.guest import Origin

# A tokenizer of 8 px, 4 quarters of grey: what a user would write, with numpy alone.
GOOD = '''
import numpy as np

class Quarters:
    """Mean grey of the quarters, in `levels` steps."""

    def __init__(self, levels=16):
        self.levels = levels

    def describe(self):
        return dict(
            resolution=8, max_tokens=4, codebook_size=self.levels, nested=True, arrays="numpy"
        )

    def encode(self, images):
        grey = images.reshape(len(images), 3, 2, 4, 2, 4).mean((1, 3, 5)).reshape(-1, 4)
        return np.minimum((grey * self.levels).astype(int), self.levels - 1), grey

    def decode(self, ids):
        grey = np.full((len(ids), 4), 0.5)
        grey[:, : ids.shape[1]] = (ids + 0.5) / self.levels
        grey = grey.reshape(-1, 1, 2, 2).repeat(3, 1)
        return grey.repeat(4, 2).repeat(4, 3)
'''


@pytest.fixture
def write(tmp_path):
    """`write(text, name="fourths.py")`: a module in the folder of the tokenizers."""

    def write(text=GOOD, name="fourths.py"):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        importlib.invalidate_caches()
        return path

    before, known = list(sys.path), set(sys.modules)
    write()
    yield write
    sys.path[:] = before
    for name in set(sys.modules) - known:
        if str(tmp_path) in str(getattr(sys.modules[name], "__file__", None)):
            del sys.modules[name]
    adapter._LAST.clear()
    identity._meant_for.cache_clear()
    identity._source.cache_clear()


@pytest.fixture
def origin(tmp_path, write):
    """`origin(factory, python=None, **arguments)`, relative to that folder."""

    def origin(factory="fourths.py:Quarters", python=None, **arguments):
        return Origin(factory=factory, arguments=arguments, python=python, folder=str(tmp_path))

    return origin


BROKEN = GOOD + "\n\nclass Broken(Quarters):\n    {}\n"


@pytest.fixture
def broken(write, origin):
    """`broken("def decode(...): ...", python=None)`: a `Quarters` of which this is different."""

    def broken(change, python=None, **arguments):
        write(BROKEN.format(change.replace("\n", "\n    ")), "broken.py")
        return origin("broken.py:Broken", python, **arguments)

    return broken


@pytest.fixture(params=["here", "elsewhere"])
def python(request):
    """The interpreter of a tokenizer: of this process, or of one of its own."""
    return None if request.param == "here" else sys.executable
