"""Prints the path of a Chromium that starts; installs one where there is none.

Looked for, in order: what `NBFLOW_CHROMIUM` names, a Chromium or Chrome on the
path, Playwright's own. Tried then: Debian's package (as root), Playwright's
download. Where nothing helps it says what was tried, and fails.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["main"]

ON_THE_PATH = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
APT_GET = ("apt-get", "-qq", "-o", "Dpkg::Use-Pty=0")
# In a process of its own, since Playwright can't start everywhere.
PLAYWRIGHTS_OWN = """
from playwright.sync_api import sync_playwright
with sync_playwright() as playwright:
    print(playwright.chromium.executable_path)
"""
INSTALLERS = {
    "Debian's package": (
        (*APT_GET, "update"),
        (
            *(*APT_GET, "install", "--yes", "--no-install-recommends", "chromium"),
            "libatomic1",  # Playwright's own node needs it
        ),
    ),
    "Playwright's download": (
        (sys.executable, "-m", "playwright", "install", "chromium"),
    ),
}


def main() -> str:
    """Return the path of a Chromium that starts, installing one if need be."""
    tried: list[str] = []
    if found := _find(tried):
        return found
    named = "NBFLOW_CHROMIUM" in os.environ
    for name, commands in () if named else INSTALLERS.items():
        if failure := _install(commands):
            tried.append(f"{name}: {failure}")
        elif found := _find(tried):
            return found
    attempts = "\n".join(f"  - {line}" for line in dict.fromkeys(tried))
    sys.exit(
        "The browser tests need a Chromium and none could be found or installed.\n"
        f"{attempts}\n"
        "Install one (Debian: `apt-get install chromium` as root) or set "
        "NBFLOW_CHROMIUM to the path of its program."
    )


def _find(tried: list[str]) -> str | None:
    for path in _candidates():
        failure = _run(path, "--version")
        if failure is None:
            failure = _run(sys.executable, "-m", "playwright", "--version")
            if failure is None:
                return path
            tried.append(f"Playwright does not start: {failure}")
        else:
            tried.append(f"{path} does not start: {failure}")
    return None


def _candidates() -> Iterator[str]:
    if named := os.environ.get("NBFLOW_CHROMIUM"):
        yield named
        return
    yield from filter(None, map(shutil.which, ON_THE_PATH))
    own = subprocess.run(  # noqa: S603 # the lines above
        [sys.executable, "-c", PLAYWRIGHTS_OWN],
        capture_output=True,
        text=True,
        check=False,
    ).stdout.strip()
    if own:
        yield own


def _install(commands: tuple[tuple[str, ...], ...]) -> str | None:
    if commands[0][0] == "apt-get":
        if shutil.which("apt-get") is None:
            return "there is no apt-get."
        if os.geteuid() != 0:
            return "only root can install it."
    for command in commands:
        sys.stderr.write(f"No Chromium yet: {' '.join(command)}\n")
        if failure := _run(*command):
            return failure
    return None


def _run(*command: str) -> str | None:
    """Return what the command said last if it failed."""
    try:
        done = subprocess.run(  # noqa: S603 # the commands above
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            env={**os.environ, "DEBIAN_FRONTEND": "noninteractive"},
            text=True,
            check=False,
        )
    except OSError as error:
        return str(error)
    if done.returncode == 0:
        return None
    said = [line.strip() for line in done.stdout.splitlines() if line.strip()]
    errors = [line for line in said if "error" in line.lower()]
    return (errors or said or [f"it ended with {done.returncode}."])[-1]


if __name__ == "__main__":
    print(main())
