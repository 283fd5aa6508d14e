"""What goes wrong with a bucket or an object, in our own words."""

import re
from collections.abc import Mapping
from typing import Any

from botocore import exceptions as sdk
from botocore.parsers import ResponseParserError
from urllib3.exceptions import NameResolutionError

from exactcopy.errors import ObjectChanged, StoreUnavailable
from exactcopy.model import Problem


class Nonsense(Exception):
    """The server answered with success and without what was asked for, or it contradicts itself."""


class Refused(Exception):
    """Something other than reading was asked of a client that only reads."""


FAILURES = (
    sdk.BotoCoreError,
    sdk.ClientError,
    ResponseParserError,
    Nonsense,
    Refused,
    ObjectChanged,
    ValueError,
    # A time beyond the calendar.
    OverflowError,
)


def code_of(error: Exception) -> str:
    """Return the server's code of an error; that of HTTP where there is no other."""
    return str(error.response.get("Error", {}).get("Code", "")) if isinstance(error, sdk.ClientError) else ""


def status_of(error: Exception) -> int | None:
    """Return the status of HTTP that came with an error."""
    if not isinstance(error, sdk.ClientError):
        return None
    status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode")
    return int(status) if status else None


def problem_of(error: Exception) -> Problem:
    """Return why one object cannot be read."""
    return Problem.CHANGING if isinstance(error, ObjectChanged) else _PROBLEMS.get(code_of(error), Problem.IO_ERROR)


def unavailable(error: Exception, where: str) -> StoreUnavailable:
    """Return why a bucket cannot be listed: what it is, what to do. Never the server's own words."""
    code, what, remedy = _fault(error)
    return StoreUnavailable(code, where, what, remedy)


# HEAD has no body: its answer's only code is that of HTTP.
_PROBLEMS = {
    "NoSuchKey": Problem.VANISHED,
    "404": Problem.VANISHED,
    "AccessDenied": Problem.PERMISSION,
    "403": Problem.PERMISSION,
    "InvalidObjectState": Problem.ARCHIVED,
    "PreconditionFailed": Problem.CHANGING,
    "412": Problem.CHANGING,
    "InvalidRange": Problem.CHANGING,
    "416": Problem.CHANGING,
}

_Fault = tuple[str, str, str]
_KEYS = "Check the keys in `profile`, the environment or the credentials file."
# AWS refuses so as well where the bucket is somebody else's.
_DENIED = ("denied", "this account may not list the bucket", "Grant it s3:ListBucket, or mend `bucket`.")
_MISSING = ("missing", "the bucket does not exist", "Mend `bucket`, or `endpoint`.")
_EXPIRED = ("expired", "the credentials have expired", "Log in again, or renew the keys.")
_FAULTS: Mapping[str, _Fault] = {
    "NoSuchBucket": _MISSING,
    "404": _MISSING,
    "InvalidBucketName": ("missing", "this is no name of a bucket", "Mend `bucket`."),
    "InvalidAccessKeyId": ("wrong_key", "the access key ID is not known there", _KEYS),
    "SignatureDoesNotMatch": ("wrong_secret", "the secret does not belong to the access key ID", _KEYS),
    "AccessDenied": _DENIED,
    "403": _DENIED,
    "AllAccessDisabled": _DENIED,
    "ExpiredToken": _EXPIRED,
    "TokenRefreshRequired": _EXPIRED,
    "InvalidToken": _EXPIRED,
    "RequestTimeTooSkewed": (
        "clock_skew",
        "the clocks of this computer and the server differ too much",
        "Set the clock and let it be kept.",
    ),
}
_ELSEWHERE = frozenset(
    {"PermanentRedirect", "AuthorizationHeaderMalformed", "IllegalLocationConstraintException", "301", "307"}
)
_NO_ANSWER = ("unreachable", "the server does not answer", "Check the network, a firewall or proxy, and `endpoint`.")
_NO_KEYS = (
    "no_credentials",
    "no credentials were found",
    "Name a `profile`, or set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY.",
)
_NO_LOGIN = ("no_credentials", "the credentials could not be had from where they are kept", "Log in there again.")
_NO_NAME = ("unreachable", "the name of the server is not known", "Mend `endpoint` or `region`, or check the network.")
_NO_S3 = ("no_s3", "what answers there does not speak S3", "Mend `endpoint`.")
_NO_SUCCESS = ("server", "the server fails, or does not speak S3", "Check `endpoint`, or try again later.")
_NO_LIST = ("server", "the server fails or refuses to list the bucket", "Try again later, or ask who runs it.")
_SENT_ON = ("wrong_region", "the server sends requests on to another place", "Mend `endpoint` or `region`.")
_KINDS: tuple[tuple[type[Exception] | tuple[type[Exception], ...], _Fault], ...] = (
    (
        sdk.ProfileNotFound,
        ("no_profile", "the profile is not there", "Mend `profile`, or add it to ~/.aws/credentials."),
    ),
    ((sdk.NoCredentialsError, sdk.PartialCredentialsError), _NO_KEYS),
    ((sdk.CredentialRetrievalError, sdk.TokenRetrievalError, sdk.SSOError), _NO_LOGIN),
    (
        (sdk.ConfigNotFound, sdk.ConfigParseError),
        ("no_profile", "the AWS files cannot be read", "Mend ~/.aws/credentials and ~/.aws/config."),
    ),
    (sdk.InvalidRegionError, ("wrong_region", "this is no name of a region", "Mend `region`.")),
    (sdk.ParamValidationError, ("missing", "this is no name of a bucket", "Mend `bucket`.")),
    (
        sdk.SSLError,
        ("tls", "the server does not prove who it is (TLS)", "Mend `endpoint`, or name its CA in AWS_CA_BUNDLE."),
    ),
    (sdk.HTTPClientError, _NO_ANSWER),
    ((ResponseParserError, Nonsense), _NO_S3),
    (Refused, _SENT_ON),
    (ValueError, ("unreachable", "this is no address of a server", "Begin `endpoint` with https://.")),
)


def _fault(error: Exception) -> _Fault:
    """Return the code that the record keeps, what it is, what to do."""
    code = code_of(error)
    if code in _ELSEWHERE:
        return "wrong_region", f"the bucket lies in {_region(error)}", "Mend `region`, or `endpoint`."
    if code:
        # A code that is only a number came without an answer in the language of S3.
        return _FAULTS.get(code, _NO_SUCCESS if code.isdigit() else _NO_LIST)
    if isinstance(getattr(error, "kwargs", {}).get("error"), NameResolutionError):
        return _NO_NAME
    return next((fault for kind, fault in _KINDS if isinstance(error, kind)), _NO_ANSWER)


def _region(error: Any) -> str:
    headers = error.response.get("ResponseMetadata", {}).get("HTTPHeaders", {})
    named = str(error.response["Error"].get("Region") or headers.get("x-amz-bucket-region") or "")
    return f"the region {named}" if re.fullmatch(r"[a-z0-9-]{2,30}", named) else "another region"
