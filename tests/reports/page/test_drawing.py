import pytest

from bench.errors import UserError
from bench.records.report_plugins import REPORTS, Figure, Report, declared
from reports.page.drawing import draw
from reports.tables.declared import TableReport


def figure(answer, **options):
    return Figure(title="Quality", alt="Quality by tokens.", draw=answer, **options)


def drawn(one, tmp_path, *, published=None):
    return draw(one, [], tmp_path, store=tmp_path, published=published)


def raising(error):
    def answer(records, folder, **given):
        raise error

    return answer


def test_every_report_is_a_titled_figure_or_table():
    figures, tables = declared(Figure), declared(TableReport)
    assert figures.keys() | tables.keys() == set(REPORTS)
    assert list(figures)[:4] == ["pareto", "settle", "price", "price_over_training"]
    assert list(figures)[-1] == "summary"
    assert all(one.title and one.about for one in (*figures.values(), *tables.values()))


def test_every_table_is_named_in_the_order_of_the_page(two_arms):
    tables = [one.build(two_arms) for one in declared(TableReport).values()]
    assert [table.name for table in tables] == [
        *("comparison", "ablations", "price", "generation", "throughput"),
        *("protocol", "compute", "cells"),
    ]
    made = {table.name for table in tables if table.rows}
    assert made == {"comparison", "ablations", "protocol", "compute", "cells"}
    assert all(table.title and table.notes for table in tables)


def test_a_figure_without_data_says_so_in_words(tokenizer, failed, tmp_path):
    for one in declared(Figure).values():
        found = draw(one, [failed(tokenizer())], tmp_path, store=tmp_path, published=None)
        assert not found.failed, found.report.text
        assert found.pictures == []
        assert found.report.text.strip()


def test_a_figure_that_breaks_is_told_and_ends_nothing(tmp_path):
    found = drawn(figure(raising(ZeroDivisionError("division by zero"))), tmp_path)
    assert found.failed
    assert found.report.text == (
        "Quality: not drawn, because of ZeroDivisionError: division by zero"
    )


def test_records_that_cannot_stand_together_are_words(tmp_path):
    found = drawn(figure(raising(UserError("not comparable"))), tmp_path)
    assert not found.failed
    assert "because not comparable" in found.report.text


def test_published_results_that_cannot_be_used_end_the_report(tmp_path):
    one = figure(raising(UserError("no such file")), takes=("published",))
    assert "no such file" in drawn(one, tmp_path).report.text
    with pytest.raises(UserError, match="no such file"):
        drawn(one, tmp_path, published=tmp_path / "none.yaml")


def test_a_figures_own_title_and_alt_come_first(tmp_path):
    own = drawn(figure(lambda records, folder: Report(title="Mine", alt="Shows it")), tmp_path)
    none = drawn(figure(lambda records, folder: Report()), tmp_path)
    assert (own.title, own.alt) == ("Mine", "Shows it")
    assert (none.title, none.alt) == ("Quality", "Quality by tokens.")
