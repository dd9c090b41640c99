"""Verifies a request by Standard Webhooks 1.0.0, from the specification and with nothing of ours: what a subscriber's
own library does with it."""

import base64
import hashlib
import hmac
import re
import subprocess
import tempfile
import time
from pathlib import Path

TOLERANCE = 300  # seconds, too old and too new alike, as the reference libraries have it


class BadSignature(Exception):
    pass


def sign(secret, message_id, timestamp, body):
    """The value of webhook-signature for one secret, "whsec_…"."""
    key = base64.b64decode(secret.removeprefix("whsec_"), validate=True)
    signed = f"{message_id}.{timestamp}.".encode() + body
    return "v1," + base64.b64encode(hmac.new(key, signed, hashlib.sha256).digest()).decode()


def ed25519_fits(public_key, signature, signed):
    """Is it a signature, "v1a,…", that the key "whpk_…" verifies? Asks the openssl program."""
    der = bytes.fromhex("302a300506032b6570032100") + base64.b64decode(public_key.removeprefix("whpk_"), validate=True)
    with tempfile.TemporaryDirectory() as place:
        key, text, sig = (Path(place) / name for name in ("key", "text", "sig"))
        key.write_bytes(der)
        text.write_bytes(signed)
        sig.write_bytes(base64.b64decode(signature.removeprefix("v1a,"), validate=True))
        done = subprocess.run(["openssl", "pkeyutl", "-verify", "-pubin", "-keyform", "DER", "-inkey", key, "-rawin", "-in",
                               text, "-sigfile", sig], capture_output=True, text=True, timeout=60)
    if "Verified Successfully" in done.stdout:
        return True
    assert "Signature Verification Failure" in done.stdout + done.stderr, done
    return False


def fits(secret, given, message_id, timestamp, body):
    """Is one signature of the header made with this secret, or with that of this public key?"""
    if secret.startswith("whpk_"):
        return given.startswith("v1a,") and ed25519_fits(secret, given, f"{message_id}.{timestamp}.".encode() + body)
    return hmac.compare_digest(sign(secret, message_id, timestamp, body), given)


def verify(secret, headers, body, now=None):
    """secret: "whsec_…", or the public key, "whpk_…". headers: anything with get(name). Raises BadSignature, with the
    reason."""
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
    if not any(fits(secret, given, message_id, timestamp, body) for given in signatures.split(" ")):
        raise BadSignature("no signature matches")
