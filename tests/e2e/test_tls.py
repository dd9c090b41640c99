"""https: a certificate that the operator's --ca vouches for is good, and no other."""

import subprocess

import pytest

from conftest import resthookd
from receiver import Receiver
from verify import verify


def certificate(folder, name):
    """A self-signed certificate for an address or a host name, and its key."""
    chain, key = folder / f"{name}.pem", folder / f"{name}.key"
    alternative = ("IP:" if name[0].isdigit() or ":" in name else "DNS:") + name
    subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes",
                    "-days", "1", "-subj", "/CN=" + name, "-addext", "subjectAltName=" + alternative,
                    "-keyout", key, "-out", chain], check=True, capture_output=True)
    return chain, key


def test_a_trusted_certificate(db, dispatcher, tmp_path):
    pair = certificate(tmp_path, "127.0.0.1")
    with Receiver(certificate=pair) as receiver:
        _, secret = db.subscribe("*", receiver.url("/"))
        dispatcher(db, "--ca", pair[0])
        for i in (1, 2, 3):
            db.shell("INSERT INTO item(name) VALUES ('Ada');")
            receiver.wait_for(i)
        for request in receiver.received():
            verify(secret, request.headers, request.body)
        assert receiver.connections == 1


@pytest.mark.parametrize("name, trusted", [("127.0.0.1", False), ("example.com", True)],
                         ids=["nobody vouches for it", "it is another's"])
def test_a_certificate_that_is_not_good(db, dispatcher, eventually, tmp_path, name, trusted):
    pair = certificate(tmp_path, name)
    with Receiver(certificate=pair) as receiver:
        db.subscribe("*", receiver.url("/"), retry_schedule="0,1ms")
        dispatcher(db, *(["--ca", pair[0]] if trusted else []))
        db.shell("INSERT INTO item(name) VALUES ('Ada');")
        eventually(lambda: db.journal("SELECT state FROM resthook_deliveries") == [("dead",)])
        assert receiver.received() == []
        ((error,),) = db.journal("SELECT last_error FROM resthook_deliveries")
        assert "certificate" in error.lower()


@pytest.mark.parametrize("holds", ["garbage", "nothing", "a key", "half a certificate", "a certificate and half of one"])
def test_a_file_of_no_certificates(db, tmp_path, holds):
    """It would be read when the first delivery connects, and fail each."""
    chain, key = (path.read_text() for path in certificate(tmp_path, "127.0.0.1"))
    half = chain[:200] + chain[chain.index("-----END"):]
    file = tmp_path / "trusted.pem"
    file.write_text({"garbage": "garbage\n", "nothing": "", "a key": key, "half a certificate": half,
                     "a certificate and half of one": chain + half}[holds])
    done = resthookd("--ca", file, db.path)
    assert done.returncode == 64 and len(done.stderr.splitlines()) == 1
    assert "--ca" in done.stderr and str(file) in done.stderr
    assert not db.side.exists()


def test_a_file_of_two_certificates(db, tmp_path):
    both = tmp_path / "both.pem"
    both.write_text("Mine:\n" + "\n".join(certificate(tmp_path, name)[0].read_text() for name in ("a.example", "b.example")))
    assert resthookd("--ca", both, "--once", db.path).returncode == 0
