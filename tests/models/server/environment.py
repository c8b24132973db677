"""The environment of the model server: it is made once, and kept in pytest's cache folder for later runs."""

from __future__ import annotations

import fcntl
import hashlib
import shutil
import subprocess
import sys
from pathlib import Path

REQUIREMENTS = Path(__file__).parents[1] / "requirements.txt"


def interpreter(cache: Path) -> Path:
    """The Python of an environment in which the server and the weights are installed.

    Several test processes may ask at once, so the first one makes it and the others wait. Other requirements get
    another folder, and the folders of earlier ones are removed.
    """
    name = hashlib.sha256(REQUIREMENTS.read_bytes() + sys.version.encode()).hexdigest()[:16]
    folder = cache / name
    python = folder / "bin" / "python"
    complete = folder / "complete"
    with (cache / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not complete.exists():
            for other in filter(Path.is_dir, cache.iterdir()):
                shutil.rmtree(other)
            subprocess.run([sys.executable, "-m", "venv", str(folder)], check=True)
            install = [python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-deps"]
            subprocess.run([*install, "--only-binary", ":all:", "-r", REQUIREMENTS], check=True, timeout=900)
            complete.touch()
    return python
