"""Names of packages: what is loaded on first use must still be there on the second."""

from __future__ import annotations

import subprocess
import sys
from importlib import import_module
from pathlib import Path
from pkgutil import iter_modules

import pytest

ROOT = Path(__file__).parents[2]

LAZY = sorted(
    ".".join(path.parent.relative_to(ROOT).parts)
    for path in (ROOT / "nbflow").rglob("__init__.py")
    if " def __getattr__(" in path.read_text("utf-8")
)


@pytest.mark.parametrize("name", LAZY)
def test_no_lazy_name_is_also_a_module(name: str) -> None:
    # The import system binds a module's name in its package, over any function.
    package = import_module(name)
    modules = {module.name for module in iter_modules(package.__path__)}

    both = modules.intersection(package.__all__)

    assert not both


@pytest.mark.parametrize("name", LAZY)
def test_each_lazy_name_is_listed_and_has_a_home(name: str) -> None:
    package = import_module(name)

    listed = set(package.__all__)

    assert listed == set(package._HOMES)
    assert all(callable(getattr(package, lazy)) for lazy in listed)


def test_the_public_page_keeps_its_functions_whatever_was_imported() -> None:
    statement = (
        "import nbflow.cache.memory, nbflow.func, nbflow.graph, nbflow.store.memory\n"
        "import nbflow.testing, types\n"
        "modules = [name for name in nbflow.__all__\n"
        "           if isinstance(getattr(nbflow, name), types.ModuleType)]\n"
        "assert not modules, modules"
    )

    done = subprocess.run(
        [sys.executable, "-c", statement], capture_output=True, check=False, text=True
    )

    assert not done.returncode, done.stderr
