"""What the names of classes say: the scheme of an authenticator, the reason of an exception, the kind of an attack.

By name along the bases, not by identity: an application's own subclass is what its base is, and no library has to
be imported to ask.
"""

from __future__ import annotations

from typing import Final

_SCHEMES: Final = (
    ("jwt", "jwt"),
    ("jose", "jwt"),
    ("apikey", "api_key"),
    ("basic", "basic"),
    ("digest", "digest"),
    ("remoteuser", "remote_user"),
    ("oauth", "oauth2"),
    ("openid", "oauth2"),
    ("oidc", "oauth2"),
    ("bearer", "bearer"),
    ("session", "session"),
    ("token", "token"),
    ("modelbackend", "password"),
    ("ldap", "password"),
)
_REASONS: Final = {
    "ExpiredSignatureError": "expired",
    "InvalidSignatureError": "invalid_signature",
    "JWSSignatureError": "invalid_signature",
    "InvalidAlgorithmError": "invalid_signature",
    "JWSAlgorithmError": "invalid_signature",
    "InvalidAudienceError": "invalid_claims",
    "InvalidIssuerError": "invalid_claims",
    "InvalidIssuedAtError": "invalid_claims",
    "ImmatureSignatureError": "invalid_claims",
    "MissingRequiredClaimError": "invalid_claims",
    "InvalidSubjectError": "invalid_claims",
    "InvalidJTIError": "invalid_claims",
    "JWTClaimsError": "invalid_claims",
    "InvalidTokenError": "invalid_token",
    "JWTError": "invalid_token",
}
_KINDS: Final = {
    "DisallowedHost": "disallowed_host",
    "DisallowedRedirect": "disallowed_redirect",
    "SuspiciousFileOperation": "path_traversal",
    "SuspiciousMultipartForm": "malformed_upload",
    "SuspiciousSession": "session_tampering",
    "InvalidSessionKey": "session_tampering",
    "RequestDataTooBig": "oversized_request",
    "TooManyFieldsSent": "oversized_request",
    "TooManyFilesSent": "oversized_request",
    "DisallowedModelAdminLookup": "forbidden_lookup",
    "DisallowedModelAdminToField": "forbidden_lookup",
    "SuspiciousOperation": "suspicious_operation",
}


def scheme_of(cls: type) -> str | None:
    """The scheme that a class authenticates with; None when its name does not say."""
    for each in cls.__mro__:
        name = each.__name__.lower().replace("_", "")
        for part, scheme in _SCHEMES:
            if part in name:
                return scheme
    return None


def reason_of(error: BaseException) -> str | None:
    """Why a library refused a token; None when the exception says nothing of the token, but of the program."""
    reason = _named(_REASONS, type(error))
    if reason != "invalid_token":
        return reason
    # python-jose has one exception for everything, and the one behind it says what was wrong.
    behind = error.__cause__ or error.__context__
    while behind is not None:
        better = _named(_REASONS, type(behind))
        if better is not None and better != "invalid_token":
            return better
        behind = behind.__cause__ or behind.__context__
    return reason


def kind_of(error: BaseException) -> str | None:
    """What Django takes a request for; None when it is nothing suspicious."""
    return _named(_KINDS, type(error))


def _named(names: dict[str, str], cls: type) -> str | None:
    return next((names[each.__name__] for each in cls.__mro__ if each.__name__ in names), None)
