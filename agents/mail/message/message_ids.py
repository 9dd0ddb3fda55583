"""Message-IDs: one for each command, whichever attempt it is, so that a resend is the same mail."""

from __future__ import annotations

import hashlib


def local_part(command_id: str) -> str:
    """Return what stands before the @; the domain is the sender's. It tells nothing of anybody."""
    return hashlib.sha256(command_id.encode()).hexdigest()[:40]
