from bench.statistics.bootstrap import BootstrapInterval
from bench.statistics.intervals import StudentInterval, student_interval
from reports.paper.text import caption, page, show_half, show_interval, show_percent, unfinished


def test_intervals_are_shown_with_their_ends():
    interval = student_interval([0.5, 0.6, 0.55])
    assert show_interval(interval) == f"0.55 [{interval.low:.2f}, {interval.high:.2f}]"
    assert show_interval(interval, over=True).endswith(f"{interval.high:.2f}] over 3 seeds")
    assert show_interval(student_interval([0.5])) == "0.50 (one seed)"
    assert show_interval(None) == "-"


def test_intervals_over_images_say_so():
    over = BootstrapInterval(0.5, 0.25, 0.75, 64, 0.01)
    assert show_interval(over, over=True) == "0.50 [0.25, 0.75] over 64 images"
    assert caption(BootstrapInterval) == "95 % BCa bootstrap over images"
    assert caption(StudentInterval) == "95 % Student t over seeds"


def test_half_widths_and_percentages():
    interval = student_interval([0.5, 0.6, 0.55])
    assert show_half(interval) == f"0.55 ± {interval.half:.2f}"
    assert (show_half(student_interval([0.5])), show_half(None)) == ("0.50", "-")
    assert show_half(student_interval([0.5]), digits=1) == "0.5"
    assert (show_percent(0.0123), show_percent(None)) == ("1.2 %", "-")
    assert show_percent(0.05, digits=0, sign=True) == "+5 %"


def test_cells_without_a_result_are_named_with_their_error(tokenizer, failed, vary):
    done = tokenizer()
    lost = failed(done, error="tokenizer: diverged")
    pending = vary(lost, status="pending", error=None)
    assert unfinished([done, lost, pending]) == [
        "failed: elastic: training.seed 0: tokenizer: diverged",
        "pending: elastic: training.seed 0: not run",
    ]


def test_a_page_leaves_out_empty_blocks():
    assert page([], "") == ""
    assert page("one", [], ["two", "lines"]) == "one\n\ntwo\nlines\n"
