"""API keys: many random bits, of which the service holds the SHA-256 alone.

A hash without salt is enough for a secret that nobody can guess, and lets a key be looked for by
one hash.
"""

import hashlib
import hmac
import secrets
from collections.abc import Sequence
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from lossmeter.access.principals import Principal, Rate, scopes_of
from lossmeter.errors import ParameterInvalid

PREFIX = "lossmeter_"
KEY_BYTES = 32


class KeyEntry(BaseModel):
    """A key as an operator lists it."""

    model_config = ConfigDict(extra="forbid")

    name: Annotated[str, Field(pattern="^[A-Za-z0-9._@-]{1,64}$")]
    sha256: Annotated[str, Field(pattern="^[0-9a-f]{64}$")]
    scopes: Annotated[list[Literal["evaluate", "read", "admin"]], Field(min_length=1)]
    requests_per_second: Annotated[float, Field(ge=0)] | None = None
    bytes_per_second: Annotated[float, Field(ge=0)] | None = None


LIST = TypeAdapter(list[KeyEntry])


class Keys:
    """The keys of a list.

    Args:
        entries: What is known of each; two of one name are one principal, as when one is renewed.
        rate: Of those that say none.
    """

    def __init__(self, entries: Sequence[KeyEntry], rate: Rate) -> None:
        self._known = [(bytes.fromhex(one.sha256), _principal(one, rate)) for one in entries]

    def find(self, key: str) -> Principal | None:
        """Whose key this is, in the time that it takes to compare it with every one."""
        digest, found = hashlib.sha256(key.encode()).digest(), None
        for known, principal in self._known:
            if hmac.compare_digest(known, digest):
                found = principal
        return found


def read_keys(data: str | bytes, rate: Rate, field: str) -> Keys:
    """The keys of a JSON list.

    Raises:
        ParameterInvalid: It is no such list; the message repeats nothing of it.
    """
    try:
        return Keys(LIST.validate_json(data), rate)
    except ValidationError as error:
        found = error.errors(include_input=False, include_url=False, include_context=False)[0]
        where = ".".join(map(str, found["loc"])) or "the list"
        raise ParameterInvalid(f"{where}: {found['msg']}", field=field) from None


def new_key(name: str, scopes: Sequence[str]) -> dict[str, Any]:
    """A key that nobody has, and the entry to list it by.

    Raises:
        ParameterInvalid: The name or a scope cannot be.
    """
    if not scopes or scopes_of(scopes) != set(scopes):
        raise ParameterInvalid("scopes are evaluate, read and admin", field="scopes")
    key = PREFIX + secrets.token_urlsafe(KEY_BYTES)
    entry = {"name": name, "sha256": hashlib.sha256(key.encode()).hexdigest()}
    try:
        LIST.validate_python([{**entry, "scopes": list(scopes)}])
    except ValidationError:
        raise ParameterInvalid(
            "a name has 1 to 64 letters, digits, dots, dashes, @ and underscores", field="name"
        ) from None
    return {"key": key, "entry": {**entry, "scopes": list(scopes)}}


def _principal(entry: KeyEntry, rate: Rate) -> Principal:
    own = (entry.requests_per_second, entry.bytes_per_second)
    rates = Rate(*(usual if one is None else one for one, usual in zip(own, rate, strict=True)))
    return Principal(f"key {entry.name}", scopes_of(entry.scopes), rates)
