import pytest

from bench.data.sources.places import ShardSource, expand
from bench.errors import UserError


@pytest.fixture
def files(tmp_path):
    for name in ("t-08", "t-09", "t-10", "v-a", "v-b", "odd{1}"):
        (tmp_path / f"{name}.tar").write_text("")
    return tmp_path


@pytest.mark.parametrize(
    ("pattern", "names"),
    [
        ("t-{08..10}.tar", ["t-08", "t-09", "t-10"]),
        ("v-{a,b}.tar", ["v-a", "v-b"]),
        ("{t-0[89],v-?}.tar", ["t-08", "t-09", "v-a", "v-b"]),
        ("odd{1}.tar", ["odd{1}"]),
    ],
)
def test_patterns_name_files(files, pattern, names):
    assert expand([f"{files}/{pattern}"], key="k") == [f"{files}/{name}.tar" for name in names]


@pytest.mark.parametrize(
    ("pattern", "words"),
    [
        ("t-{08..11}.tar", "t-11.tar: no such file"),
        ("x-*.tar", "no such file"),
        ("s3://bucket/x.tar", "is no path"),
        ("pipe:cat x.tar", "is no path"),
    ],
)
def test_what_is_not_there_is_one_line(files, monkeypatch, pattern, words):
    monkeypatch.chdir(files)
    with pytest.raises(UserError, match=f"data.train: .*{words}"):
        expand([pattern], key="data.train")


def test_a_shard_is_of_one_split(files):
    source = ShardSource((f"{files}/t-*.tar",), (f"{files}/t-10.tar",))
    with pytest.raises(UserError, match=r"data.validation: names .*t-10"):
        source.shards()


@pytest.mark.parametrize("text", ["a\n\nb\n", "a\na\n", ""])
def test_a_file_of_classes_has_a_line_for_each(tmp_path, text):
    (tmp_path / "classes").write_text(text)
    with pytest.raises(UserError, match="every class one line"):
        ShardSource(("x",), classes=str(tmp_path / "classes")).class_names()
    with pytest.raises(UserError, match=r"cannot read .*gone"):
        ShardSource(("x",), classes=str(tmp_path / "gone")).class_names()
