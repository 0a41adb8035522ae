"""Calls to git."""

import subprocess

from datastill.errors import DataError


def git(*arguments: str, strict: bool = False) -> bytes:
    """Return what git prints, b"" if it fails; raises DataError instead if `strict`."""
    command = ["git", *arguments]
    try:
        return subprocess.run(command, capture_output=True, timeout=60, check=True).stdout
    except subprocess.CalledProcessError as error:
        message = f"{' '.join(command)}: {error.stderr.decode().strip()}"
    except (OSError, subprocess.TimeoutExpired) as error:
        message = f"git cannot be run: {getattr(error, 'strerror', error)}"
    if strict:
        raise DataError(message)
    return b""
