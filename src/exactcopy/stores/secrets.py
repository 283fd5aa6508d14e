"""Secrets are in the environment or in files; the configuration holds references: env:NAME or file:/path."""

import os
from pathlib import Path
from unicodedata import category

from exactcopy.errors import StoreUnavailable


def resolve(reference: str, where: str) -> str:
    """Return the secret that `reference` names, that of a file without its last line break.

    Raises StoreUnavailable for the store `where` if there is none, and ValueError if this is no reference.
    """
    scheme, _, name = reference.partition(":")
    match scheme:
        case "env":
            secret, source = os.environ.get(name, ""), f"the environment variable {name}"
            remedy = "Set it for the account that runs the audit."
        case "file":
            # No path in a message.
            secret, source = _content(name), "the file of a secret"
            remedy = "Write the secret into it, one line in UTF-8 that the account that runs the audit can read."
        case _:
            raise ValueError("no reference to a secret")
    if not secret:
        raise StoreUnavailable("secret_missing", where, f"{source} is missing, unreadable or empty", remedy)
    # A second line could become a header of its own, and what refuses it later might show it.
    if any(category(sign) == "Cc" for sign in secret):
        raise StoreUnavailable("secret_unusable", where, f"{source} holds a control character or two lines", remedy)
    return secret


def header(value: str, where: str) -> str:
    """Return what stands in a header for `value`: the secret that it refers to, else `value` as it is.

    Raises StoreUnavailable if there is none, or if no header can hold it.
    """
    content = resolve(value, where) if value.startswith(("env:", "file:")) else value
    if not content.isascii():
        what = "a secret that is to stand in a header holds a sign that is not ASCII"
        raise StoreUnavailable("secret_unusable", where, what, "Write it again as it was given to you.")
    return content


def _content(path: str) -> str:
    try:
        # utf-8-sig: Windows' editor may begin a file with a mark.
        text = Path(path).read_text(encoding="utf-8-sig")
    except (OSError, ValueError):
        return ""
    return text.removesuffix("\n")
