"""Finds out whether any package is known to be vulnerable. Fails if one is, or if PyPI could not be asked at all.

Where PyPI's JSON API has every release, pip-audit does it, for all that is installed, and strictly: a package that
can't be looked up is a failure. Some mirrors have the newest release of a package there and no other. To pip-audit each
package is then "not found", which it takes for no known vulnerability. So this looks first if the API answers for
a release that is known to be vulnerable. If not, it asks for the newest releases, of what the service itself needs, and
names every package that is not the newest, because nothing is known of it. AUDIT_REQUIRED=1 makes those a failure too.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import urllib.error
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from importlib import metadata
from pathlib import Path
from typing import Any

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

REQUIREMENTS = Path(__file__).resolve().parents[1] / "requirements.txt"
API = "https://pypi.org/pypi"
KNOWN_VULNERABLE = "django/2.0"


def asked(what: str) -> dict[str, Any]:
    """What PyPI says of `name` or `name/version`. Raises OSError and ValueError."""
    with urllib.request.urlopen(f"{API}/{what}/json", timeout=30) as answer:  # noqa: S310 - always https
        return dict(json.load(answer))


def has_every_release() -> bool:
    try:
        return bool(asked(KNOWN_VULNERABLE)["vulnerabilities"])
    except urllib.error.HTTPError:
        return False


def needed() -> dict[str, str]:
    """The installed version of each package in requirements.txt, and of what those need in turn."""
    lines = (line.partition("#")[0].strip() for line in REQUIREMENTS.read_text().splitlines())
    waiting = [Requirement(line) for line in lines if line]
    done: set[str] = set()
    versions: dict[str, str] = {}
    while waiting:
        requirement = waiting.pop()
        extras = requirement.extras or {""}
        if str(requirement) in done or not _applies(requirement, {""}):
            continue
        done.add(str(requirement))
        found = metadata.distribution(requirement.name)
        versions[canonicalize_name(requirement.name)] = found.version
        for each in map(Requirement, found.requires or ()):
            if _applies(each, extras):
                each.marker = None
                waiting.append(each)
    return versions


def _applies(requirement: Requirement, extras: set[str]) -> bool:
    return requirement.marker is None or any(requirement.marker.evaluate({"extra": extra}) for extra in extras)


def audit_newest() -> int:
    versions = needed()
    with ThreadPoolExecutor(4) as several:
        answers = dict(zip(versions, several.map(asked, versions), strict=True))
    vulnerable, unknown = [], []
    for name, version in sorted(versions.items()):
        if answers[name]["info"]["version"] != version:
            unknown.append(f"{name} {version} (the newest is {answers[name]['info']['version']})")
        else:
            known = [each for each in answers[name]["vulnerabilities"] if not each.get("withdrawn")]
            vulnerable += [f"{name} {version}: {each['id']} {each.get('link', '')}" for each in known]
    sys.stdout.write(f"{len(versions) - len(unknown)} of {len(versions)} packages were looked up.\n")
    for line in unknown:
        sys.stdout.write(f"NOT AUDITED: {line}\n")
    for line in vulnerable:
        sys.stdout.write(f"VULNERABLE: {line}\n")
    return 1 if vulnerable or (unknown and os.environ.get("AUDIT_REQUIRED")) else 0


def main() -> int:
    try:
        if not has_every_release():
            return audit_newest()
    except OSError as error:
        sys.stderr.write(f"NOT AUDITED: {API} can't be asked: {error}\n")
        return 1
    command = [sys.executable, "-m", "pip_audit", "--strict", "--progress-spinner", "off"]
    return subprocess.run(command, check=False).returncode  # noqa: S603 - nothing of it comes from outside


if __name__ == "__main__":
    sys.exit(main())
