import json

import pytest


@pytest.fixture
def store(tmp_path):
    return tmp_path / "store"


@pytest.fixture
def write(store):
    """`write(suite, records)`: the folder of a suite's records in the store."""

    def write(suite, records, root=store):
        folder = root / "records" / suite
        folder.mkdir(parents=True)
        for one in records:
            text = json.dumps({**one, "suite": suite})
            (folder / f"{one['cell_key']}.json").write_text(text)
        return folder

    return write


@pytest.fixture
def compare(adatok, store):
    def compare(*arguments):
        return adatok("compare", *arguments, "--store", store)

    return compare


@pytest.fixture
def rows_of(compare):
    """`rows_of("old", "new", ...)`: the differences, as plain values."""
    return lambda *arguments: json.loads(compare(*arguments, "--json").out)["differences"]


@pytest.fixture
def refused(compare):
    """`refused("old", "new", ...)`: why they are not compared, in one line."""

    def refused(*arguments):
        answer = compare(*arguments)
        assert (answer.code, answer.out) == (2, ""), answer
        (line,) = answer.err.strip().splitlines()
        assert line.startswith("error: ")
        return line

    return refused
