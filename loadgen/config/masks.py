"""Hides secrets in messages: passwords, wherever a user puts them, even by mistake.

In: a text, or an option's name. Out: the text with *** for what may be a secret.
"""

import re

MASK = "***"
_SECRET = re.compile(
    r"password|passwd|secret|token|user\.info|jaas|credential|key\.pem|private|kinit\.cmd|oauthbearer\.config|assertion"
)
_LOGIN = re.compile(r"^([\[ '\"]*(?:[A-Za-z0-9_+.-]+://)?).*:.*@", re.DOTALL)
_LOGIN_INSIDE = re.compile(r"[^\s'\"(]+:[^\s'\")]*@")


def is_secret(option: str) -> bool:
    """Whether an option's value must never be shown; the location of a key file may be."""
    return _SECRET.search(option.lower()) is not None and not option.lower().endswith(".location")


def without_login(text: str) -> str:
    """The text with *** for USER:PASSWORD before an @."""
    return _LOGIN.sub(rf"\1{MASK}@", text)


def without_logins(sentence: str) -> str:
    """The sentence with *** for each USER:PASSWORD before an @."""
    return _LOGIN_INSIDE.sub(f"{MASK}@", sentence)


def hidden(text: str) -> str:
    """The text for a message: *** if it names a secret, and for USER:PASSWORD before an @."""
    return MASK if is_secret(text) else without_login(text)
