import math

from bench.statistics.intervals import StudentInterval
from reports.paper.text import said_p, show_p, show_share, show_significant

WIDE = StudentInterval(-0.0123, -0.0204, -0.0042, 5)
ONE = StudentInterval(0.02, math.nan, math.nan, 1)


def test_significant_digits_follow_the_mean():
    assert show_significant(StudentInterval(0.0123456, 0.01, 0.02, 3)) == (
        "0.01235 [0.01000, 0.02000]"
    )
    assert show_significant(StudentInterval(1234.5, 1000.0, 1500.0, 3), digits=3) == (
        "1234 [1000, 1500]"
    )
    assert show_significant(StudentInterval(-25.0, -26.0, -24.0, 3), digits=3) == (
        "-25.0 [-26.0, -24.0]"
    )
    assert show_significant(StudentInterval(0.0, 0.0, 0.0, 3)) == "0.000 [0.000, 0.000]"
    assert show_significant(ONE) == "0.02000 (one seed)"
    assert show_significant(None) == "-"


def test_shares_carry_their_sign():
    assert show_share(WIDE) == "-1.2 % [-2.0, -0.4]"
    assert show_share(ONE) == "+2.0 % (one seed)"
    assert show_share(None) == "-"


def test_p_values():
    assert [show_p(p) for p in (0.0123, 1e-5, math.nan)] == ["0.012", "< 0.001", "-"]
    assert [said_p(p) for p in (0.0123, 1e-5, math.nan)] == ["p = 0.012", "p < 0.001", "p -"]
