import csv
import io

import pytest

from reports.tables.data import as_csv
from reports.tables.latex import as_latex
from reports.tables.markdown import as_markdown
from reports.tables.price import table


def test_a_row_per_arm_and_length_and_one_at_the_mean(priced, fixed_lengths):
    pairs = priced("pairs $2$", price=0.02, **{"training.lengths": {"full_share": 0.5}})
    made = table([*priced(), *pairs, *fixed_lengths(lengths=[2, 6])])
    assert [(name, len(rows)) for name, rows in made.sections] == [
        ("at 2 tokens", 2), ("at the mean of the policy", 2)
    ]  # fmt: skip
    elastic, cheap, *at_mean = made.rows
    assert elastic.values["price"].text == "+16.0 [+13.2, +18.9]"
    assert (elastic.values["price"].verdict, cheap.values["price"].verdict) == ("worse", "")
    assert elastic.values["cost"].text == "equal steps and decoder passes"
    assert [row.values["net"].verdict for row in at_mean] == ["worse", "better"]
    lines = list(csv.DictReader(io.StringIO(as_csv(made))))
    assert float(lines[2]["net"]) == pytest.approx(0.044)
    assert float(lines[2]["net_p_holm"]) > 0
    assert (lines[0]["net"], lines[2]["price_n"], lines[3]["net_verdict"]) == ("-", "3", "better")
    assert r"| pairs \$2\$ policy | 2000 | 5.75 |" in as_markdown(made)
    assert r"pairs \$2\$ & 2000" in as_latex(made)


def test_what_is_missing_is_told(priced, fixed_lengths, failed):
    fixed = fixed_lengths(lengths=[2], seeds=1)
    lost = failed(priced("lost", **{"training.lengths": {"full_share": 0.9}})[0])
    made = table([*priced(gain=None), lost, *fixed])
    (row,) = made.rows
    assert (row.values["price"].text, row.values["seeds"].text) == ("+16.0", "1 of 3")
    assert row.values["remark"].text == "one seed: no interval"
    assert "lost: no cell of it has a result" in made.notes
    assert any(note.startswith("failed: lost") for note in made.notes)
    assert table(priced()).notes[0].startswith("Not made: no elastic tokenizer")


def test_unequal_cost_is_told(priced, fixed_lengths):
    (row,) = table(
        [*priced(gain=None), *fixed_lengths(lengths=[2], swept={"training.steps": 4000})]
    ).rows
    assert row.values["cost"].text == "not at equal steps, 0.5 x steps, 0.5 x decoder passes"
