"""Which file a kernel's history is kept in."""

from __future__ import annotations

import os
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import pytest

from nbflow.errors import StoreUnavailableError
from nbflow.session.places import (
    StorePlace,
    default_store,
    make_folder,
    orphans,
    store_name,
)

NOW = datetime(2026, 7, 22, 10, 15, 0, tzinfo=UTC)


def place(
    cwd: Path,
    *,
    session: str | None = None,
    vscode: object = None,
    store: str | None = None,
    pid: int = 77,
    now: datetime = NOW,
) -> StorePlace:
    given = {"JPY_SESSION_NAME": session, "NBFLOW_STORE": store}
    environ = {name: value for name, value in given.items() if value is not None}
    namespace = {} if vscode is None else {"__vsc_ipynb_file__": vscode}
    return default_store(environ, namespace, cwd, pid, now=now)


def test_the_store_lies_beside_the_notebook_that_jupyter_names(tmp_path: Path) -> None:
    notebook = tmp_path / "penguins.ipynb"
    notebook.touch()

    found = place(Path("/"), session=str(notebook))

    assert found.path == tmp_path / ".nbflow" / "penguins.duckdb"
    assert found.notebook == notebook
    assert not found.is_own_file
    assert "penguins.ipynb" in found.reason


def test_a_notebook_that_is_not_saved_yet_has_its_store_where_it_will_be(
    tmp_path: Path,
) -> None:
    found = place(Path("/"), session=str(tmp_path / "Untitled.ipynb"))

    assert found.path == tmp_path / ".nbflow" / "Untitled.duckdb"


def test_a_name_relative_to_the_server_means_the_kernels_folder(tmp_path: Path) -> None:
    found = place(tmp_path, session="reports/penguins.ipynb")

    assert found.path == tmp_path / ".nbflow" / "penguins.duckdb"


def test_a_name_relative_to_the_kernels_folder_is_found(tmp_path: Path) -> None:
    (tmp_path / "reports").mkdir()
    (tmp_path / "reports" / "penguins.ipynb").touch()

    found = place(tmp_path, session="reports/penguins.ipynb")

    assert found.path == tmp_path / "reports" / ".nbflow" / "penguins.duckdb"


def test_a_script_that_is_opened_as_a_notebook_counts_as_one(tmp_path: Path) -> None:
    (tmp_path / "penguins.py").touch()

    found = place(tmp_path, session=str(tmp_path / "penguins.py"))

    assert found.path == tmp_path / ".nbflow" / "penguins.duckdb"


@pytest.mark.parametrize(
    "session",
    [
        "Console 1",
        "34361149-e3d8-4dbc-9302-0e86431b3e8c",
        "/nowhere/at/all/penguins.ipynb",
        "",
    ],
)
def test_a_session_without_a_notebook_here_gets_an_own_file(
    session: str, tmp_path: Path
) -> None:
    assert place(tmp_path, session=session).is_own_file


def test_the_notebook_that_vscode_names_wins_over_the_session(tmp_path: Path) -> None:
    notebook = tmp_path / "mine.ipynb"
    notebook.touch()

    found = place(
        tmp_path, session=str(tmp_path / "mine-jvsc-1f2e.ipynb"), vscode=str(notebook)
    )

    assert found.path == tmp_path / ".nbflow" / "mine.duckdb"


@pytest.mark.parametrize(
    "elsewhere", ["/nowhere/else/mine.ipynb", r"c:\elsewhere\mine.ipynb"]
)
def test_a_path_of_vscodes_own_machine_means_nothing_on_a_server(
    elsewhere: str, tmp_path: Path
) -> None:
    session = tmp_path / "there.ipynb"
    session.touch()

    found = place(tmp_path, session=str(session), vscode=elsewhere)

    assert found.path == tmp_path / ".nbflow" / "there.duckdb"


def test_a_variable_of_vscodes_name_that_is_no_text_is_left_alone(
    tmp_path: Path,
) -> None:
    assert place(tmp_path, vscode=3).is_own_file


def test_the_environments_store_wins_over_all(tmp_path: Path) -> None:
    notebook = tmp_path / "penguins.ipynb"
    notebook.touch()
    named = tmp_path / "team" / "history.duckdb"

    found = place(tmp_path, store=str(named), session=str(notebook))

    assert (found.path, found.is_own_file) == (named, False)
    assert found.reason == "NBFLOW_STORE names it"
    assert found.notebook == notebook


def test_a_store_that_was_asked_for_goes_first(tmp_path: Path) -> None:
    environ = {"NBFLOW_STORE": str(tmp_path / "named.duckdb")}

    found = default_store(environ, {}, tmp_path, 77, asked="asked.duckdb")

    assert found.path == tmp_path / "asked.duckdb"
    assert found.reason == "%workflow store names it"
    with pytest.raises(StoreUnavailableError, match="%workflow store names"):
        default_store(environ, {}, tmp_path, 77, asked=str(tmp_path))


def test_the_environments_store_is_relative_to_the_working_folder(
    tmp_path: Path,
) -> None:
    assert place(tmp_path, store="a/b.db").path == tmp_path / "a" / "b.db"


def test_the_environments_store_may_lie_in_the_home_folder(tmp_path: Path) -> None:
    assert place(tmp_path, store="~/x.duckdb").path == Path.home() / "x.duckdb"


def test_an_unknown_home_folder_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(StoreUnavailableError, match="NBFLOW_STORE"):
        place(tmp_path, store="~nobody_has_this_name/x.duckdb")


def test_an_empty_variable_counts_as_none(tmp_path: Path) -> None:
    assert place(tmp_path, store="  ").is_own_file


def test_a_folder_as_the_environments_store_is_refused(tmp_path: Path) -> None:
    with pytest.raises(StoreUnavailableError, match="is a folder"):
        place(tmp_path, store=str(tmp_path))


def test_without_a_notebook_each_process_has_its_own_file(tmp_path: Path) -> None:
    found = place(tmp_path)

    assert found.path == tmp_path / ".nbflow" / "process-20260722T101500Z-77.duckdb"
    assert found.is_own_file
    assert found.notebook is None


def test_a_process_that_gets_an_earlier_ones_id_gets_another_file(
    tmp_path: Path,
) -> None:
    before = place(tmp_path, pid=7)
    after = place(tmp_path, pid=7, now=NOW + timedelta(seconds=1))

    assert before.path != after.path


def test_the_name_of_an_own_file_is_in_utc(tmp_path: Path) -> None:
    local = NOW.astimezone(timezone(timedelta(hours=5)))

    assert place(tmp_path, now=local).path == place(tmp_path).path


def test_the_clock_names_an_own_file_where_no_time_is_given(tmp_path: Path) -> None:
    found = default_store({}, {}, tmp_path, 77)

    assert found.path.name.startswith("process-")


@pytest.mark.parametrize(
    ("notebook", "store"),
    [
        ("penguins.ipynb", "penguins.duckdb"),
        ("My penguins (2).ipynb", "My penguins (2).duckdb"),
        ("Pingüine 🐧.ipynb", "Pingüine 🐧.duckdb"),
        ("v1.2.ipynb", "v1.2.duckdb"),
    ],
)
def test_a_store_is_called_like_its_notebook(notebook: str, store: str) -> None:
    assert store_name(Path(notebook)) == store


@pytest.mark.parametrize(
    "notebook",
    ["a:b.ipynb", 'a"b.ipynb', "a\nb.ipynb", ".hidden.ipynb", "x" * 240 + ".ipynb",
     "🐧" * 60 + ".ipynb", "\udcff.ipynb"],
)  # fmt: skip
def test_a_name_that_not_every_disk_takes_is_made_one(
    notebook: str, tmp_path: Path
) -> None:
    name = store_name(Path(notebook))

    (tmp_path / f"{name}.wal").touch()
    assert not set(name) & set('<>:"/\\|?*\n')
    assert not name.startswith(".")


def test_names_that_differ_only_in_what_is_replaced_stay_different() -> None:
    names = {store_name(Path(f"a{odd}b.ipynb")) for odd in ':"_\n'}

    assert len(names) == 4


def test_long_names_with_the_same_beginning_stay_different() -> None:
    assert store_name(Path("x" * 300 + "1.ipynb")) != store_name(
        Path("x" * 300 + "2.ipynb")
    )


def test_a_notebook_can_not_be_called_like_a_processs_file() -> None:
    name = store_name(Path("process-20260722T101500Z-77.ipynb"))

    assert name != "process-20260722T101500Z-77.duckdb"


def stored(folder: Path, name: str, *, at: int = 0) -> Path:
    folder.mkdir(exist_ok=True)
    file = folder / name
    file.write_bytes(b"12345")
    os.utime(file, (at, at))
    return file


def test_the_store_of_a_renamed_notebook_is_found(tmp_path: Path) -> None:
    folder = tmp_path / ".nbflow"
    old = stored(folder, "yesterday.duckdb", at=1_000)
    stored(folder, "today.duckdb")
    (tmp_path / "today.ipynb").touch()

    (found,) = orphans(folder)

    assert found.path == old
    assert found.size == 5
    assert found.modified == datetime(1970, 1, 1, 0, 16, 40, tzinfo=UTC)
    assert not found.is_process_file


def test_the_last_written_orphan_comes_first(tmp_path: Path) -> None:
    for name, at in (("a", 5), ("b", 9), ("c", 7)):
        stored(tmp_path, f"{name}.duckdb", at=at)

    assert [found.path.stem for found in orphans(tmp_path)] == ["b", "c", "a"]


def test_the_file_of_a_process_is_told_from_a_notebooks(tmp_path: Path) -> None:
    stored(tmp_path, place(tmp_path).path.name)

    (found,) = orphans(tmp_path)

    assert found.is_process_file


def test_only_stores_are_orphans(tmp_path: Path) -> None:
    folder = tmp_path / ".nbflow"
    stored(folder, ".gitignore")
    stored(folder, "gone.duckdb.wal")
    (folder / "folder.duckdb").mkdir()

    assert orphans(folder) == []


def test_a_notebook_with_an_odd_name_claims_its_store(tmp_path: Path) -> None:
    notebook = tmp_path / "a:b.ipynb"
    notebook.touch()
    stored(tmp_path / ".nbflow", store_name(notebook))

    assert orphans(tmp_path / ".nbflow") == []


def test_a_table_of_the_same_name_does_not_claim_a_store(tmp_path: Path) -> None:
    (tmp_path / "penguins.csv").touch()
    stored(tmp_path / ".nbflow", "penguins.duckdb")

    assert len(orphans(tmp_path / ".nbflow")) == 1


def test_a_missing_folder_has_no_orphans(tmp_path: Path) -> None:
    assert orphans(tmp_path / "none" / ".nbflow") == []


def test_an_orphan_says_the_line_that_adopts_it(tmp_path: Path) -> None:
    stored(tmp_path, "My penguins.duckdb")

    (found,) = orphans(tmp_path)

    assert found.adopt == f"%workflow store '{tmp_path / 'My penguins.duckdb'}'"


def test_the_folder_of_a_store_is_kept_out_of_git(tmp_path: Path) -> None:
    file = tmp_path / "new" / ".nbflow" / "penguins.duckdb"

    make_folder(file)
    make_folder(file)

    assert (file.parent / ".gitignore").read_text() == "*\n"
    assert not file.exists()


def test_a_gitignore_that_is_there_is_left_alone(tmp_path: Path) -> None:
    folder = tmp_path / ".nbflow"
    folder.mkdir()
    (folder / ".gitignore").write_text("!keep\n")

    make_folder(folder / "penguins.duckdb")

    assert (folder / ".gitignore").read_text() == "!keep\n"


def test_a_folder_of_the_users_own_gets_no_gitignore(tmp_path: Path) -> None:
    make_folder(tmp_path / "team" / "history.duckdb")

    assert list((tmp_path / "team").iterdir()) == []


def test_a_folder_that_can_not_be_made_is_a_clear_error(tmp_path: Path) -> None:
    (tmp_path / "file").touch()

    with pytest.raises(StoreUnavailableError, match=r"can't be used.*\n.*store PATH"):
        make_folder(tmp_path / "file" / ".nbflow" / "penguins.duckdb")
