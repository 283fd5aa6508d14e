"""What rclone says went wrong, told by its pattern alone: its own words may hold paths."""

import re

from exactcopy.errors import StoreUnavailable
from exactcopy.model import Problem

# The first that fits counts: pattern, code, what is wrong, what to do.
_TROUBLE = (
    (
        r"find section in config",
        "no_remote",
        "the remote's name is not in rclone's configuration",
        "Mend `remote`, or set the remote up with `rclone config`.",
    ),
    (
        r"decrypt config",
        "config_locked",
        "rclone's configuration is encrypted and no password for it is there",
        "Set RCLONE_CONFIG_PASS or RCLONE_PASSWORD_COMMAND.",
    ),
    (
        r"didn't find backend|not set in config file|revealing password",
        "bad_config",
        "rclone's settings of this remote are not whole or make no sense",
        "Mend them with `rclone config`.",
    ),
    (
        r"load config",
        "bad_config",
        "rclone's configuration cannot be read",
        "Mend the file that `config` names.",
    ),
    (
        r"\b429\b|too_?many_?requests|rateLimit|rate limit|quotaExceeded|SlowDown",
        "rate_limited",
        "the provider answers that it is asked too often",
        "Try again later, or give rclone a client id of your own.",
    ),
    (
        r"PermanentRedirect|update region for bucket|AuthorizationHeaderMalformed|IllegalLocationConstraint",
        "wrong_region",
        "the bucket lies in another region",
        "Mend `region` with `rclone config`.",
    ),
    (
        r"RequestTimeTooSkewed",
        "clock_skew",
        "the clocks of this computer and the provider differ too much",
        "Set the clock and let it be kept.",
    ),
    (
        r"x509|knownhosts",
        "tls",
        "the server does not prove who it is",
        "Mend its address, or name its authority or its key to rclone.",
    ),
    (
        r"\b401\b|unauthori[sz]ed|invalid_grant|token expired|expired_access_token|invalid_access_token|fetch token"
        r"|empty token|Invalid Credentials|InvalidAccessKeyId|SignatureDoesNotMatch|ExpiredToken|unable to authenticate"
        r"|bad_auth_token|get credentials",
        "login_refused",
        "the provider does not accept the stored login, or it has expired",
        "Log in again with `rclone config reconnect`, or mend its keys with `rclone config`.",
    ),
    (
        r"\b403\b|forbidden|AccessDenied|access_error|permission|no_permission|missing_scope",
        "not_permitted",
        "the stored login may not list or read there",
        "Grant it read access.",
    ),
    (
        r"directory not found|object not found|bucket not found|not_found|itemNotFound|NoSuchBucket|InvalidBucketName"
        r"|NoSuchKey|\b404\b|no such file",
        "missing",
        "the folder is not there",
        "Mend `remote`.",
    ),
    (r"is a file not a directory", "missing", "this is no folder", "Name a folder in `remote`."),
    (
        r"no such host|connection refused|timeout|timed out|unreachable|dial tcp|proxyconnect|deadline|\bEOF\b"
        r"|connection reset|handshake|couldn't connect",
        "unreachable",
        "the provider cannot be reached",
        "Check the connection, then audit again.",
    ),
    (r"", "failed", "rclone could not examine it", "Find out why with `rclone lsd` and this remote."),
)
_REASONS = {
    "login_refused": Problem.PERMISSION,
    "not_permitted": Problem.PERMISSION,
    "missing": Problem.VANISHED,
}


def unavailable(where: str, text: str) -> StoreUnavailable:
    """Return why the store `where` cannot be examined, in our words."""
    code, what, remedy = _trouble(text)
    return StoreUnavailable(code, where, what, remedy)


def reason(text: str) -> Problem:
    """Return what is wrong with the one object or folder that rclone speaks of."""
    return _REASONS.get(_trouble(text)[0], Problem.IO_ERROR)


def _trouble(text: str) -> tuple[str, str, str]:
    return next(known[1:] for known in _TROUBLE if re.search(known[0], text, re.IGNORECASE))
