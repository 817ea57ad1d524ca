"""Lists for people: what a page draws of them."""

from __future__ import annotations

from nbflow.session.reports import Report


def test_texts_stand_at_the_left_and_numbers_at_the_right() -> None:
    # Each id might be a number.
    rows = (("12345678", "1,024", "0.5"), ("1234e567", "", "-3e-05"))
    columns, numbers = ("id", "bytes", "share"), ("bytes", "share")

    shown = Report("Sizes", columns, rows, "none.", numbers)._repr_html_()

    assert '<th style="text-align:left">id</th><th>bytes</th><th>share</th>' in shown
    assert '<td style="text-align:left">1234e567</td><td></td><td>-3e-05</td>' in shown


def test_nothing_in_a_report_is_markup() -> None:
    shown = Report("<b>", ("<i>",), (("<script>",),), "none.")._repr_html_()

    assert "<b>" not in shown
    assert "<i>" not in shown
    assert "<script>" not in shown
