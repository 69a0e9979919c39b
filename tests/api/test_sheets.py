"""What a spreadsheet is given runs nothing in it, whoever wrote it."""

from services.api.sheets import plain, table


def test_no_text_is_a_formula() -> None:
    assert [plain(text) for text in ("=1", "-1.5", "-a", "@x", "\tx", "oslo", "", 7, None)] == [
        "'=1",
        "-1.5",
        "'-a",
        "'@x",
        "'\tx",
        "oslo",
        "",
        7,
        None,
    ]


def test_a_table_is_a_file_of_the_columns_that_are_named() -> None:
    answer = table([{"site": "=cmd()", "wh": -5, "more": 1}], ["site", "wh"], "energy")
    assert bytes(answer.body).decode().splitlines() == ["site,wh", "'=cmd(),-5"]
    assert answer.headers["content-disposition"] == 'attachment; filename="energy.csv"'
