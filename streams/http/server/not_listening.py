"""Why a port can't be opened, with the setting that names it and what to do."""

from __future__ import annotations

import errno

from streams.settings.values import Address


def why_not_listening(setting: str, bind: Address, error: OSError) -> str:
    """Return the whole sentence. `setting`: `RITORNO_…`."""
    reasons = {
        errno.EADDRINUSE: f"port {bind.port} is taken: another worker or another program listens "
        f"there on this machine. Give each its own {setting}, such as {bind.host}:{_next(bind)}",
        errno.EACCES: "not permitted; ports below 1024 need rights, choose a higher one",
        errno.EADDRNOTAVAIL: f"this machine has no address {bind.host}",
    }
    said = reasons.get(error.errno or 0, error.strerror or str(error))
    return f"{setting} = {bind}: {said}"


def _next(bind: Address) -> int:
    return bind.port + 1 if bind.port < 65_535 else bind.port - 1
