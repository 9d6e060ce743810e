import json

from bench.store.curve import FILE, CurveReader, CurveWriter

ROWS = [{"step": step, "loss": 1 / step} for step in (10, 20, 30, 40)]


def test_rows_are_read_once_and_a_torn_line_when_it_is_whole(tmp_path):
    writer, reader = CurveWriter(tmp_path), CurveReader(tmp_path)
    assert reader.rows() == []
    writer.write(ROWS[:2])
    assert reader.rows() == ROWS[:2]
    line = json.dumps(ROWS[2])
    with (tmp_path / FILE).open("a") as file:
        file.write(line[:7])
        file.flush()
        assert reader.rows() == []
        file.write(f"{line[7:]}\nno row\n[1]\n")
    assert reader.rows() == [ROWS[2]]


def test_a_training_that_goes_on_from_a_checkpoint_repeats_no_row(tmp_path):
    reader = CurveReader(tmp_path)
    CurveWriter(tmp_path).write(ROWS[:3])
    assert reader.rows() == ROWS[:3]
    again = CurveWriter(tmp_path)
    again.write(ROWS[:1])
    assert reader.rows() == []
    for count in (2, 3, 4):
        again.write(ROWS[:count])
    assert reader.rows() == ROWS[3:]
    assert [json.loads(line) for line in (tmp_path / FILE).read_text().splitlines()] == ROWS


def test_a_disk_that_is_full_ends_no_training(tmp_path):
    writer = CurveWriter(tmp_path / "later")
    writer.write(ROWS[:1])
    (tmp_path / "later" / FILE).unlink()
    (tmp_path / "later" / FILE).symlink_to("/dev/full")
    writer.write(ROWS[:2])
    (tmp_path / "later" / FILE).unlink()
    writer.write(ROWS[:3])
    assert CurveReader(tmp_path / "later").rows() == ROWS[:3]
