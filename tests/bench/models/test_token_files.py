import json

import pyarrow as pa
import pyarrow.parquet as parquet
import pytest

from bench.data.manifest import UnreadableFile
from bench.errors import UserError
from bench.models import token_files
from bench.models.token_files import (
    METADATA,
    Row,
    TokenFile,
    TokenSource,
    new_token_file,
    png_names,
)

SOURCE = TokenSource(
    tokenizer_sha256="a" * 64,
    policy_sha256=None,
    codebook_size=25,
    max_tokens=4,
    resolution=32,
    budget=None,
)


def row(path, *tokens):
    return Row(path, "pixels", "file", list(tokens))


def written(path, *rows, source=SOURCE):
    with new_token_file(path, source) as writer:
        writer.write(rows)
        writer.close([UnreadableFile("bad.png", "torn")])
    return path


def changed(path, name, values):
    """The same file with one column replaced: what no encoder writes."""
    table = parquet.read_table(path)
    place = table.schema.get_field_index(name)
    table = table.set_column(place, table.schema.field(name), pa.array(values, table[name].type))
    metadata = parquet.ParquetFile(path).metadata.metadata
    parquet.write_table(table.replace_schema_metadata({METADATA: metadata[METADATA]}), path)
    return path


def test_rows_and_what_they_are_of_come_back(tmp_path, monkeypatch):
    monkeypatch.setattr(token_files, "ROWS", 2)
    rows = [row("a.png", 0, 24), row("b/c.jpg", 3), row("d.png", 1, 2, 3, 4)]
    file = TokenFile.open(written(tmp_path / "new" / "t.parquet", *rows))
    assert list(file.rows()) == rows
    assert (file.source, file.count) == (SOURCE, 3)
    assert parquet.ParquetFile(file.path).num_row_groups == 2
    table = parquet.read_table(file.path)
    assert table.column_names == ["path", "sha256", "file_sha256", "budget", "tokens"]
    assert table["budget"].to_pylist() == [2, 1, 4]
    assert table.schema.field("tokens").type == pa.list_(pa.int32())
    about = json.loads(parquet.ParquetFile(file.path).metadata.metadata[METADATA])
    assert about["unreadable"] == [{"path": "bad.png", "reason": "torn"}]
    assert (about["resolution"], about["codebook_size"]) == (32, 25)


def test_large_codebooks_take_wide_ids(tmp_path):
    large = TokenSource(**{**vars(SOURCE), "codebook_size": 2**48})
    file = TokenFile.open(written(tmp_path / "t.parquet", row("a.png", 2**47), source=large))
    assert next(file.rows()).tokens == [2**47]


def test_a_file_appears_whole_or_not_at_all(tmp_path):
    def interrupted():
        with new_token_file(tmp_path / "t", SOURCE) as writer:
            writer.write([row("a.png", 1)])
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert list(tmp_path.iterdir()) == []


def test_what_is_there_is_not_replaced(tmp_path):
    path = tmp_path / "t.parquet"
    path.write_text("mine")
    with pytest.raises(UserError, match="is there already"), new_token_file(path, SOURCE):
        pass
    assert path.read_text() == "mine"


@pytest.mark.parametrize(
    ("column", "values", "expected"),
    [
        ("tokens", [[0, 25], [1]], "a.png: has ids outside 0..24"),
        ("tokens", [[0, 1], [-1]], "b.png: has ids outside 0..24"),
        ("tokens", [[0, 1], [1, 2]], "b.png: has 2 tokens, but a budget of 1"),
        ("tokens", [None, [1]], "row 0: tokens: is null"),
        ("tokens", [[0, None], [1]], "a.png: a token is null"),
        ("budget", [2, None], "row 1: budget: is null"),
        ("path", ["a\0.png", "b.png"], "is no path that a folder lists"),
        ("path", ["x/../a.png", "b.png"], "leads out of the folder"),
        ("path", ["x//a.png", "b.png"], "is no path that a folder lists"),
        ("path", ["a" * 252, "b.png"], "above 251 bytes"),
        ("path", ["a" * 5000, "b.png"], "has a path of 5000 bytes"),
        ("budget", [2, 5], "b.png: its budget 5 is outside 1..4"),
        ("budget", [0, 1], "a.png: its budget 0 is outside 1..4"),
        ("path", ["../a.png", "b.png"], "leads out of the folder"),
        ("path", ["/a.png", "b.png"], "leads out of the folder"),
        ("path", ["a/../../b.png", "b.png"], "leads out of the folder"),
        ("path", ["b.png", "b.png"], "b.png: is there twice"),
    ],
)
def test_what_no_encoder_writes_is_refused(tmp_path, column, values, expected):
    path = written(tmp_path / "t.parquet", row("a.png", 0, 1), row("b.png", 1))
    with pytest.raises(UserError) as error:
        TokenFile.open(changed(path, column, values))
    assert expected in str(error.value)


def test_other_files_are_refused_in_one_line(tmp_path):
    with pytest.raises(UserError, match="no such file"):
        TokenFile.open(tmp_path / "none.parquet")
    (tmp_path / "text").write_text("no")
    parquet.write_table(pa.table({"path": ["a"]}), tmp_path / "other.parquet")
    for name in ("text", "other.parquet"):
        with pytest.raises(UserError, match="is no file of tokens"):
            TokenFile.open(tmp_path / name)


def test_a_newer_format_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(token_files, "FORMAT", 2)
    path = written(tmp_path / "t.parquet", row("a.png", 1))
    monkeypatch.undo()
    with pytest.raises(UserError, match="newer adatok-bench"):
        TokenFile.open(path)


@pytest.mark.parametrize(
    ("paths", "names"),
    [
        (["a.png", "b/c.JPG", "d.tar.webp"], ["a.png", "b/c.png", "d.tar.png"]),
        (["a.jpg", "a.png"], ["a.jpg.png", "a.png"]),
        (["a.jpg", "a.webp", "b/a.jpg"], ["a.jpg.png", "a.webp.png", "b/a.png"]),
    ],
)
def test_names_of_pngs(paths, names):
    assert png_names(paths) == names


def test_names_of_folders_are_taken():
    assert png_names(["a.jpg", "a.png/b.jpg"]) == ["a.jpg.png", "a.png/b.png"]
    with pytest.raises(UserError, match="rename one"):
        png_names(["a.jpg", "a.png/b.jpg", "a.jpg.png/c.jpg"])


def test_names_that_collide_all_the_same_are_refused():
    with pytest.raises(UserError, match="rename one"):
        png_names(["a.jpg", "a.png", "a.jpg.png"])
