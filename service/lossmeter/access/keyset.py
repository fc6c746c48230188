"""The keys that an issuer of tokens publishes, of a file or a URL."""

import http.client
import json
import logging
import threading
import urllib.request
from collections.abc import Callable, Mapping
from ipaddress import ip_address
from pathlib import Path
from time import monotonic
from urllib.parse import urlsplit

from jwt import PyJWK, PyJWKSet, PyJWTError

from lossmeter.access.principals import KeysWanted
from lossmeter.errors import ParameterInvalid, Unauthenticated

logger = logging.getLogger(__name__)

# After which keys are fetched anew: for as long one that was taken back is still believed.
LIFE_SECONDS = 300.0
# In which they are fetched once, whatever tokens come.
PAUSE_SECONDS = 10.0
FETCH_SECONDS = 5.0
MOST_BYTES = 2**20


class KeySet:
    """Keys by their id, fetched when they are old and when an id is not known.

    Args:
        read: Gets the document.
        clock: Tells the time in seconds.
    """

    def __init__(self, read: Callable[[], bytes], clock: Callable[[], float] = monotonic) -> None:
        self._read = read
        self._clock = clock
        self._keys: Mapping[str | None, PyJWK] = {}
        self._fetched = self._tried = float("-inf")
        self._fetching = threading.Lock()

    def find(self, name: str | None) -> PyJWK:
        """The key of an id; without one, the only key there is.

        Raises:
            KeysWanted: Call ``fetch``, then again.
            Unauthenticated: There is no such key.
        """
        now = self._clock()
        key = self._keys.get(name)
        if now - self._tried > PAUSE_SECONDS and (key is None or self._is_old(now)):
            raise KeysWanted
        if key is None:
            raise Unauthenticated("the token is signed with a key that is not known", given=True)
        return key

    def _is_old(self, now: float) -> bool:
        # Whoever comes while another fetches them goes on with the keys that there are.
        return now - self._fetched > LIFE_SECONDS and not self._fetching.locked()

    def fetch(self) -> None:
        """Get the keys anew, or wait for whoever does; those that were stay where none come."""
        with self._fetching:
            if self._clock() - self._tried <= PAUSE_SECONDS:
                return
            try:
                self._keys = _by_id(self._read())
                self._fetched = self._clock()
            except (OSError, http.client.HTTPException, PyJWTError, ValueError) as error:
                logger.error("the keys of tokens cannot be had: %s", error)
            finally:
                self._tried = self._clock()


def key_set(source: str) -> KeySet:
    """The keys of a file or a URL.

    Raises:
        OSError: The file cannot be read.
        ParameterInvalid: It holds no keys, or the URL is not one whose answer can be believed.
    """
    address = urlsplit(source)
    if address.scheme not in ("http", "https"):
        _check(source)
        return KeySet(Path(source).read_bytes)
    if address.scheme == "http" and not _is_loopback(address.hostname or ""):
        raise ParameterInvalid("keys are fetched over https alone", field="jwt_keys")
    return KeySet(lambda: _fetched(source))


def _check(path: str) -> None:
    try:
        _by_id(Path(path).read_bytes())
    except (PyJWTError, ValueError):
        raise ParameterInvalid("the file is not a JSON Web Key Set", field="jwt_keys") from None


def _is_loopback(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _fetched(url: str) -> bytes:
    with _opener.open(url, timeout=FETCH_SECONDS) as answer:
        data: bytes = answer.read(MOST_BYTES + 1)
    if len(data) > MOST_BYTES:
        raise ValueError(f"more than {MOST_BYTES} bytes")
    return data


class _NoRedirects(urllib.request.HTTPRedirectHandler):
    """Has a redirect fail: it could lead from https to anywhere."""

    def redirect_request(self, *_: object) -> None:
        return None


_opener = urllib.request.build_opener(_NoRedirects)


def _by_id(data: bytes) -> Mapping[str | None, PyJWK]:
    """The keys for signatures, by id; under no id the only one.

    Raises:
        ValueError, PyJWTError: This is no set of keys.
    """
    document = json.loads(data)
    if not isinstance(document, dict):
        raise ValueError("not a JSON object")
    keys = [key for key in PyJWKSet.from_dict(document).keys if key.public_key_use != "enc"]
    found: dict[str | None, PyJWK] = {key.key_id: key for key in keys if key.key_id is not None}
    if len(keys) == 1:
        found[None] = keys[0]
    return found
