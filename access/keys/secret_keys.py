"""The secret itself: how it is made, and what is kept of it.

Only its SHA-256 is stored. A slow, salted hash is for passwords, which can be guessed; 256 random bits can't be, so one
fast hash is as safe, and cheap enough for every request. The hash is of the whole secret, and is what a key is looked
up by: what an attacker could learn from the time of a lookup concerns a hash that he does not choose.
"""

from __future__ import annotations

import hashlib
import re
import secrets

PREFIX = "sk-orch-"
SECRET_BYTES = 32
SHOWN_CHARACTERS = len(PREFIX) + 4
"""How much of a secret stays visible, to tell keys apart: 24 of its 256 random bits."""
WELL_FORMED = re.compile(rf"{PREFIX}[A-Za-z0-9_-]{{43}}")


def new_secret() -> str:
    """`sk-orch-` and 256 random bits."""
    return PREFIX + secrets.token_urlsafe(SECRET_BYTES)


def digest_of(secret: str) -> str:
    """SHA-256 of the whole secret, in hexadecimal."""
    return hashlib.sha256(secret.encode("utf-8", "surrogateescape")).hexdigest()


def shown_part(secret: str) -> str:
    return secret[:SHOWN_CHARACTERS]


def is_well_formed(secret: str) -> bool:
    """False for what can't be a key of ours, so that nothing has to be looked up."""
    return WELL_FORMED.fullmatch(secret) is not None
