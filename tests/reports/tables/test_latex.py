import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reports.tables.latex import LONGEST, as_latex, escaped
from reports.tables.table import WORDS, Column, Row, Table, Value, words

COLUMNS = (Column("system", "system", WORDS), Column("mse", "MSE ↓"))


def table(*labels, sections=("",), **about):
    rows = [
        Row({"system": words(label), "mse": Value("0.5", 0.5)}, section=section)
        for section in sections
        for label in labels
    ]
    return Table("t", "A table", COLUMNS, tuple(rows), **about)


def body(text):
    return text.split("\\midrule", 1)[1]


@pytest.mark.parametrize(
    ("text", "set_as"),
    [
        ("lora_rank & 50% #1 $x$ {a}", r"lora\_rank \& 50\% \#1 \$x\$ \{a\}"),
        ("a\\b ~ ^", r"a\textbackslash{}b \textasciitilde{} \textasciicircum{}"),
        (
            "λ ≈ 3 ± 1 \u2013 ok",
            r"\ensuremath{\lambda} \ensuremath{\approx} 3 \ensuremath{\pm} 1 -- ok",
        ),
        ("é ß", "é ß"),
        ("日本", "{[}U+65E5{]}{[}U+672C{]}"),
        ("two\nlines", "two lines"),
        ('say "x"', r"say {\char34}x{\char34}"),
    ],
)
def test_special_signs_are_set_as_they_are(text, set_as):
    assert escaped(text) == set_as


@given(st.text())
def test_any_text_compiles(text):
    """Braces pair, no special sign stands bare, all on one line of signs that LaTeX knows."""
    found = escaped(text)
    bare = re.sub(r"\\[a-zA-Z]+|\\[&%$#_{}]", "", found)
    assert bare.count("{") == bare.count("}")
    assert not set(bare) & set("&%$#_^~\\\n")
    assert all(sign.isascii() or ord(sign) < 0x180 for sign in found)


def test_rows_have_as_many_places_as_columns():
    text = as_latex(table("a & b", "c"))
    rows = [line for line in body(text).splitlines() if line.endswith(r"\\")]
    assert [len(re.findall(r"(?<!\\)&", row)) for row in rows] == [1, 1]
    assert "\\begin{tabular}{@{}lr@{}}" in text
    assert text.endswith("\\bottomrule\n\\end{tabular}\n")


def test_a_row_that_starts_with_a_bracket_is_no_argument_of_the_line_before():
    assert not re.search(r"^\[", as_latex(table("[x]")), re.MULTILINE)


def test_sections_stand_over_their_rows():
    text = as_latex(table("a", sections=("about 2 tokens", "about 4 tokens")))
    assert text.index("about 2 tokens") < text.index("a & 0.5") < text.index("about 4 tokens")
    assert text.count("\\multicolumn{2}") == 2


def test_long_tables_break_over_pages():
    text = as_latex(table(*map(str, range(LONGEST + 1))))
    assert "\\begin{longtable}" in text
    assert "\\endhead" in text
    assert "booktabs,longtable" in text


def test_ties_are_bold_and_verdicts_are_words():
    values = {"mse": Value("0.5", 0.5, tied=True), "system": Value("a", verdict="better")}
    text = as_latex(Table("t", "T", COLUMNS, (Row(values),)))
    assert r"a (better) & \textbf{0.5} \\" in text


def test_notes_are_comments_even_over_several_lines():
    text = as_latex(table("a", notes=("one\n\\input{x}",)))
    assert "% one \\input{x}\n" in text


def test_without_rows_only_the_reason_is_left():
    text = as_latex(Table("t", "T", notes=("Not made: nothing.",)))
    assert text == "% T\n% Not made: nothing.\n"
