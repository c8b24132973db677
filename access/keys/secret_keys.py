"""The secret of a key: how it is made, and what is stored of it.

Only its SHA-256 is stored. A slow, salted hash is meant for passwords, which can be guessed. 256 random bits cannot be
guessed, so one fast hash is just as safe, and it is cheap enough for every request.

A key is looked up by the hash of its whole secret. The time of a lookup therefore tells an attacker nothing about a
secret: it depends on a hash, and he cannot choose what the hash of his guess will be.
"""

from __future__ import annotations

import hashlib
import re
import secrets

PREFIX = "sk-orch-"
SECRET_BYTES = 32
# How many characters stay visible, so that people can tell keys apart. They reveal 24 of the 256 random bits.
SHOWN_CHARACTERS = len(PREFIX) + 4
WELL_FORMED = re.compile(rf"{PREFIX}[A-Za-z0-9_-]{{43}}")


def new_secret() -> str:
    """`sk-orch-` followed by 256 random bits, which are written as 43 characters."""
    return PREFIX + secrets.token_urlsafe(SECRET_BYTES)


def digest_of(secret: str) -> str:
    """SHA-256 of the whole secret, in hexadecimal."""
    return hashlib.sha256(secret.encode("utf-8", "surrogateescape")).hexdigest()


def shown_part(secret: str) -> str:
    """The first characters, which are stored and shown."""
    return secret[:SHOWN_CHARACTERS]


def is_well_formed(secret: str) -> bool:
    """False if this cannot be a secret of ours. Then nothing need be looked up."""
    return WELL_FORMED.fullmatch(secret) is not None
