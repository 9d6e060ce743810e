import errno
import os

import pytest

from bench.errors import UserError
from reports.page.output import PAGE, SIGN, new_report


def write(folder, text="new"):
    (folder / PAGE).write_text(f"<html><head>{SIGN}</head>{text}")


def test_an_earlier_report_is_replaced_whole(tmp_path):
    out = tmp_path / "deep" / "report"
    with new_report(out) as folder:
        write(folder, "old")
        (folder / "figures").mkdir()
    with new_report(out) as folder:
        assert "old" in (out / PAGE).read_text()
        write(folder)
    assert [path.name for path in out.iterdir()] == [PAGE]
    assert "new" in (out / PAGE).read_text()
    assert [path.name for path in out.parent.iterdir()] == ["report"]


def test_what_fails_leaves_everything_as_it_was(tmp_path):
    out = tmp_path / "report"
    with new_report(out) as folder:
        write(folder, "old")
    with pytest.raises(ZeroDivisionError), new_report(out) as folder:
        write(folder, 1 / 0)
    assert "old" in (out / PAGE).read_text()
    assert [path.name for path in tmp_path.iterdir()] == ["report"]


def test_an_earlier_report_is_back_where_a_new_one_cannot_take_its_place(tmp_path, monkeypatch):
    out = tmp_path / "report"
    with new_report(out) as folder:
        write(folder, "old")

    def replace(source, target):
        if str(source).endswith(".new"):
            raise OSError(errno.ENOSPC, "No space left on device", str(source))
        os.rename(source, target)

    monkeypatch.setattr("reports.page.output.os.replace", replace)
    with pytest.raises(OSError, match="No space") as error, new_report(out) as folder:
        write(folder)
    assert error.value.filename == str(out)
    assert "old" in (out / PAGE).read_text()
    assert [path.name for path in tmp_path.iterdir()] == ["report"]


def test_an_empty_folder_is_taken(tmp_path):
    with new_report(tmp_path / "a") as folder:
        write(folder)
    (tmp_path / "b").mkdir()
    with new_report(tmp_path / "b") as folder:
        write(folder)
    assert (tmp_path / "b" / PAGE).read_text() == (tmp_path / "a" / PAGE).read_text()


@pytest.mark.parametrize("name", ["notes.txt", "index.html"])
def test_folders_that_are_no_report_are_refused(tmp_path, name):
    (tmp_path / name).write_text("mine")
    with pytest.raises(UserError, match="is no report and is not replaced"), new_report(tmp_path):
        pass
    assert (tmp_path / name).read_text() == "mine"


def test_other_things_in_a_report_are_not_removed(tmp_path):
    write(tmp_path)
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(UserError, match=r"also holds 'notes\.txt'"), new_report(tmp_path):
        pass


def test_a_file_is_refused(tmp_path):
    (tmp_path / "report").write_text("mine")
    with pytest.raises(UserError, match="is a file"), new_report(tmp_path / "report"):
        pass
