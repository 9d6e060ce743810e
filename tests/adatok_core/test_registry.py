from dataclasses import dataclass, field
from pathlib import Path

import pytest

from adatok_core import registry
from adatok_core.registry import Registry, RegistryError


@dataclass(frozen=True)
class Package:
    name: str


@dataclass(frozen=True)
class Point:
    """An entry point of a backport: another class than `importlib.metadata`'s."""

    name: str
    module: str
    attr: str
    dist: Package = field(default_factory=lambda: Package("their-package"))

    @property
    def value(self):
        return f"{self.module}:{self.attr}"


@pytest.fixture
def installed(monkeypatch):
    """`installed(*points)`: these are the entry points of any group."""

    def installed(*points):
        monkeypatch.setattr(registry, "entry_points", lambda group: points)

    return installed


def colours(**options):
    made = Registry("colour", group="nobody.colours", **options)
    made.add("red", 1, about="Like a rose")
    made.add("dir", "os:getcwd")
    return made


def test_things_are_had_by_name_and_imported_when_asked_for():
    import os

    made = colours()
    assert made["red"] == 1
    assert made["dir"] is os.getcwd
    assert list(made) == ["red", "dir"]
    assert len(made) == 2


def test_an_entry_knows_where_it_was_registered():
    path, line = colours().entry("red").origin.rsplit(":", 1)
    assert path == __file__
    assert 'made.add("red"' in Path(__file__).read_text().splitlines()[int(line) - 1]


def test_unknown_names_come_with_the_nearest():
    with pytest.raises(RegistryError, match="unknown colour 'rde'; did you mean 'red'"):
        colours()["rde"]


def test_a_name_is_registered_once():
    made = colours()
    with pytest.raises(RegistryError, match=f"colour 'red' .*taken by {__file__}"):
        made.add("red", 2)
    assert made["red"] == 1


def test_plug_ins_follow_by_name_and_are_told_when_listed(installed):
    installed(Point("violet", "os.path", "join"), Point("green", "os.path", "split"))
    made = colours()
    assert list(made) == ["red", "dir", "green", "violet"]
    entry = {entry.name: entry for entry in made.entries()}["violet"]
    assert entry.origin == "their-package: os.path:join"
    assert entry.about.startswith("Join two or more pathname components")
    assert made.own() == [1, made["dir"]]


def test_a_plug_in_that_takes_a_name_is_refused_each_time_with_both_places(installed):
    installed(Point("aqua", "os.path", "join"), Point("red", "os.path", "join"))
    made = colours()
    for _ in range(2):
        with pytest.raises(RegistryError, match=r"their-package: os.path:join.*test_registry.py"):
            list(made)


@pytest.mark.parametrize("point", [Point("x", "no_module", "a"), Point("x", "os.path", "nothing")])
def test_a_plug_in_that_cannot_be_imported_is_told_when_asked_for(installed, point):
    installed(point)
    made = colours()
    assert "x" in made
    with pytest.raises(RegistryError, match=r"colour 'x' \(their-package.*cannot be imported"):
        made["x"]
    assert [e.about for e in made.entries()][-1].startswith("cannot be used: colour 'x'")


def test_things_of_another_type_are_refused(installed):
    installed(Point("x", "os.path", "join"))
    made = Registry("colour", group="nobody.colours", expects=int)
    with pytest.raises(RegistryError, match="is a function, and must be a int"):
        made["x"]


def test_the_revision_grows_with_what_is_registered():
    made, before = colours(), Registry.revision
    made.add("blue", 3)
    assert Registry.revision == before + 1
