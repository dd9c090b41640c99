"""Verifies a request by Standard Webhooks 1.0.0, from the specification and with nothing of ours: what a subscriber's
own library does with it."""

import base64
import hashlib
import hmac
import re
import time

TOLERANCE = 300  # seconds, too old and too new alike, as the reference libraries have it


class BadSignature(Exception):
    pass


def sign(secret, message_id, timestamp, body):
    """The value of webhook-signature for one secret, "whsec_…"."""
    key = base64.b64decode(secret.removeprefix("whsec_"), validate=True)
    signed = f"{message_id}.{timestamp}.".encode() + body
    return "v1," + base64.b64encode(hmac.new(key, signed, hashlib.sha256).digest()).decode()


def verify(secret, headers, body, now=None):
    """headers: anything with get(name). Raises BadSignature, with the reason."""
    message_id = headers.get("webhook-id")
    timestamp = headers.get("webhook-timestamp")
    signatures = headers.get("webhook-signature")
    if not message_id or not timestamp or not signatures:
        raise BadSignature("a header is missing")
    if "." in message_id:
        raise BadSignature("webhook-id has a '.' in it: the signed text could be read in two ways")
    if not re.fullmatch("[0-9]+", timestamp):
        raise BadSignature(f"webhook-timestamp is not a number of seconds: {timestamp}")
    if abs((time.time() if now is None else now) - int(timestamp)) > TOLERANCE:
        raise BadSignature(f"webhook-timestamp is not of these minutes: {timestamp}")
    expected = sign(secret, message_id, timestamp, body)
    if not any(hmac.compare_digest(expected, given) for given in signatures.split(" ")):
        raise BadSignature("no signature matches")
