"""How requests are signed: v1 and v1a, a rotation from one to the other, secrets that stand in files."""

import os
import re
import sqlite3

import pytest

from conftest import LOOPBACK, resthookd
from receiver import answer, held
from verify import BadSignature, ed25519_fits, sign, verify

# The vectors of the standard's own libraries, and of its authors' server.
SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
OTHER = "whsec_AAECAwQFBgcICQoLDA0ODxAREhMUFRYX"
PAIR = "whsk_6Xb/dCcHpPea21PS1N9VY/NZW723CEc77N4rJCubMbfVKIDij2HKpMKkioLlX0dRqSKJp4AJ6p9lMicMFs6Kvg=="
PRIVATE_HALF = "whsk_6Xb/dCcHpPea21PS1N9VY/NZW723CEc77N4rJCubMbc="
PUBLIC_HALF = "whpk_1SiA4o9hyqTCpIqC5V9HUakiiaeACeqfZTInDBbOir4="
MISMATCHED = PAIR.replace("X0dRqSKJp4", "aaaaaaaaaa")
MESSAGE = "msg_p5jXN8AQM9LWM0D4loKWxJek", "1614265330", b'{"test": 2432232314}'
CANT = "subscription can't be obeyed: its events are kept"


def insert(db, name):
    db.shell(f"INSERT INTO item(name) VALUES ('{name}')")


def signatures(request):
    return request.headers["webhook-signature"].split(" ")


def asked(db, sql):
    """What `resthookd sql` answers; sqlite3.Error with what it complains of."""
    done = resthookd("sql", db.path, sql)
    if done.returncode != 0:
        raise sqlite3.Error(done.stderr)
    return done.stdout.rstrip("\n")


def test_the_verifier_agrees_with_the_vectors():
    assert sign(SECRET, *MESSAGE) == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="
    made = "v1a,hnO3f9T8Ytu9HwrXslvumlUpqtNVqkhqw/enGzPCXe5BdqzCInXqYXFymVJaA7AZdpXwVLPo3mNl8EM+m7TBAg=="
    signed = f"{MESSAGE[0]}.{MESSAGE[1]}.".encode() + MESSAGE[2]
    assert ed25519_fits(PUBLIC_HALF, made, signed)
    assert not ed25519_fits(PUBLIC_HALF, made, signed + b" ")


def test_a_key_pair_made_by_itself(db, receiver, dispatcher, eventually):
    """The private key never leaves the sender; the public one is what the receiver gets."""
    sub, secret = db.subscribe("item.*", receiver.url("/"), signing="v1a")
    assert re.fullmatch(r"whsk_[A-Za-z0-9+/]{43}=", secret)
    with pytest.raises(sqlite3.Error, match="resthook_public_key: .* is not known here yet"):
        db.one("SELECT resthook_public_key(?)", sub)
    worked_out = asked(db, f"SELECT resthook_public_key('{sub}')")
    dispatcher(db)
    insert(db, "tea")
    (request,) = receiver.wait_for(1)
    assert db.one("SELECT resthook_public_key(?)", sub) == worked_out
    assert len(signatures(request)) == 1
    verify(worked_out, request.headers, request.body)
    with pytest.raises(BadSignature):
        verify(worked_out, request.headers, request.body + b" ")
    with pytest.raises(BadSignature):
        verify(PUBLIC_HALF, request.headers, request.body)
    # The same again is the same; a new one of the same kind, and its key is not taken for the old one's.
    assert db.subscribe("item.*", receiver.url("/"), signing="v1a") == (sub, secret)
    assert db.one("SELECT resthook_rotate_secret(?, 0)", sub).startswith("whsk_")
    new = asked(db, f"SELECT resthook_public_key('{sub}')")
    assert new != worked_out
    eventually(lambda: db.journal("SELECT public_key FROM subscription") == [(new,)])
    assert db.one("SELECT resthook_public_key(?)", sub) == new


@pytest.mark.parametrize("secret", [PAIR, PRIVATE_HALF])
def test_a_key_pair_of_ones_own(db, receiver, dispatcher, secret):
    sub, kept = db.subscribe("item.*", receiver.url("/"), secret=secret)
    assert kept == secret
    if secret == PAIR:
        assert db.one("SELECT resthook_public_key(?)", sub) == PUBLIC_HALF
    assert asked(db, f"SELECT resthook_public_key('{sub}')") == PUBLIC_HALF
    dispatcher(db)
    insert(db, "tea")
    (request,) = receiver.wait_for(1)
    verify(PUBLIC_HALF, request.headers, request.body)


def test_a_pair_that_is_none(db, receiver, dispatcher, eventually):
    """The extension can't tell; resthookd can, and sends nothing."""
    call = f"SELECT resthook_subscribe('item.*', '{receiver.url('/')}', '{{\"secret\":\"{MISMATCHED}\"}}')"
    with pytest.raises(sqlite3.Error, match="option secret has a public key that is not its private key's") as error:
        asked(db, call)
    assert "aaaaaaaa" not in str(error.value)
    sub = db.one(call)
    running = dispatcher(db)
    running.wait_log(f"{CANT} subscription={sub} reason=\"its secret has a public key that is not its private key's\"")
    insert(db, "tea")
    eventually(lambda: db.journal("SELECT state, reason FROM resthook_deliveries") == [
        ("pending", "its secret has a public key that is not its private key's")])
    assert receiver.received("/") == [] and "whsk_" not in running.text()
    db.ext("SELECT resthook_update(?, ?)", sub, f'{{"secret":"{SECRET}"}}')
    (request,) = receiver.wait_for(1)
    verify(SECRET, request.headers, request.body)


@pytest.mark.parametrize("first, then", [("v1", "v1a"), ("v1a", "v1")])
def test_from_one_kind_to_the_other_both_sign(db, receiver, dispatcher, first, then):
    """{"signing": …} of the other kind is a rotation: the old secret signs too."""
    def known():
        secret = db.one("SELECT resthook_secret(?)", sub)
        return asked(db, f"SELECT resthook_public_key('{sub}')") if secret.startswith("whsk_") else secret

    sub, _ = db.subscribe("item.*", receiver.url("/"), signing=first)
    before = known()
    db.ext("SELECT resthook_update(?, ?)", sub, f'{{"signing":"{then}"}}')
    after = known()
    assert before[:5] != after[:5]
    dispatcher(db)
    insert(db, "tea")
    (request,) = receiver.wait_for(1)
    assert [each.split(",")[0] for each in signatures(request)] == [then, first]
    verify(before, request.headers, request.body)
    verify(after, request.headers, request.body)


def test_a_retry_after_a_rotation_is_signed_by_both(db, receiver, dispatcher):
    receiver.script("/", held(gate := receiver.gate(), answer(500)), 200)
    sub, old = db.subscribe("item.*", receiver.url("/"), retry_schedule="0,100ms")
    dispatcher(db)
    insert(db, "tea")
    receiver.wait_for(1)
    new = db.one("SELECT resthook_rotate_secret(?)", sub)
    insert(db, "coffee")
    (seen,) = [request for request in receiver.wait_for(2) if request.json()["name"] == "coffee"]
    gate.open()
    first, again = [request for request in receiver.wait_for(3) if request.json()["name"] == "tea"]
    assert len(signatures(first)) == 1 and first.id == again.id
    for request in (seen, again):
        assert len(signatures(request)) == 2
        for secret in (old, new):
            verify(secret, request.headers, request.body)


def test_a_symmetric_secret_has_no_public_key(db):
    sub, _ = db.subscribe("item.*", "https://example.com/")
    for ask in (db.one, lambda sql: asked(db, sql)):
        with pytest.raises(sqlite3.Error, match="signs by v1, whose secret both sides have: it has no public key"):
            ask(f"SELECT resthook_public_key('{sub}')")


# ---- files ----

@pytest.fixture
def keys(tmp_path):
    """A directory for --secrets, and a way to put files into it."""
    class Keys:
        path = tmp_path / "keys"

        def put(self, name, *lines, mode=0o600):
            fresh = self.path / (name + ".new")
            fresh.write_text("".join(line + "\n" for line in lines))
            fresh.chmod(mode)
            fresh.rename(self.path / name)
            return self.path / name

    Keys.path.mkdir()
    return Keys()


def test_a_secret_in_a_file(db, receiver, dispatcher, keys):
    keys.put("billing", SECRET)
    sub, shown = db.subscribe("item.*", receiver.url("/"), secret="file:billing")
    assert shown == "file:billing"
    running = dispatcher(db, "--secrets", keys.path)
    insert(db, "tea")
    (request,) = receiver.wait_for(1)
    assert len(signatures(request)) == 1
    verify(SECRET, request.headers, request.body)
    for call in ("resthook_rotate_secret(?)", "resthook_update(?, '{\"signing\":\"v1a\"}')"):
        with pytest.raises(sqlite3.Error, match="is in the file 'billing': put the new one into it"):
            db.ext(f"SELECT {call}", sub)
    assert SECRET[6:] not in running.text()
    for file in (db.path, db.side):
        assert SECRET[6:].encode() not in b"".join(each.read_bytes() for each in file.parent.glob(file.name + "*"))


def test_a_files_secrets_all_sign_and_are_read_again(db, receiver, dispatcher, keys, eventually):
    keys.put("billing", SECRET)
    sub, _ = db.subscribe("item.*", receiver.url("/"), secret="file:billing")
    dispatcher(db, "--secrets", keys.path)
    eventually(lambda: db.journal("SELECT key_revision FROM subscription") == [(1,)])
    with pytest.raises(sqlite3.Error, match="has no public key: the first secret in its file is not a whsk_ one"):
        db.one("SELECT resthook_public_key(?)", sub)
    keys.put("billing", PAIR + " \r", "", SECRET, OTHER)
    eventually(lambda: db.journal("SELECT public_key FROM subscription") == [(PUBLIC_HALF,)])
    assert db.one("SELECT resthook_public_key(?)", sub) == PUBLIC_HALF
    insert(db, "tea")
    (request,) = receiver.wait_for(1)
    assert [each.split(",")[0] for each in signatures(request)] == ["v1a", "v1", "v1"]
    for secret in (PUBLIC_HALF, SECRET, OTHER):
        verify(secret, request.headers, request.body)


def make_bad(kind, keys, tmp_path):
    """The file as it must not be; returns what is said of it."""
    file = keys.path / "billing"
    outside = tmp_path / "outside"
    outside.write_text(SECRET)
    outside.chmod(0o600)
    if kind == "missing":
        return "secret file billing: No such file or directory"
    if kind == "open to all":
        keys.put("billing", SECRET, mode=0o604)
        return "secret file billing: everybody may read or write it; chmod o= mends that"
    if kind == "link":
        file.symlink_to(outside)
        return "secret file billing: it is a symbolic link"
    if kind == "folder":
        file.mkdir(mode=0o700)
        return "secret file billing: it is not a file"
    if kind == "pipe":
        os.mkfifo(file, 0o600)
        return "secret file billing: it is not a file"
    if kind == "empty":
        keys.put("billing", "", " ")
        return "secret file billing: there is no secret in it"
    if kind == "large":
        keys.put("billing", *[SECRET] * 106)
        return "secret file billing: it is larger than 4096 bytes"
    if kind == "many":
        keys.put("billing", *[SECRET] * 5)
        return "secret file billing: a secret in it is one secret too many"
    if kind == "no secret":
        keys.put("billing", SECRET, "hunter2")
        return "secret file billing: a secret in it begins with neither whsec_ nor whsk_"
    keys.put("billing", MISMATCHED)
    return "secret file billing: a secret in it has a public key that is not its private key's"


KINDS = ("missing", "open to all", "link", "folder", "pipe", "empty", "large", "many", "no secret", "no pair")


@pytest.mark.parametrize("kind", KINDS)
def test_a_file_that_cant_be_used_keeps_events_until_it_can(db, receiver, dispatcher, keys, tmp_path, eventually, kind):
    why = make_bad(kind, keys, tmp_path)
    sub, _ = db.subscribe("item.*", receiver.url("/"), secret="file:billing")
    running = dispatcher(db, "--secrets", keys.path)
    running.wait_log(re.escape(f'{CANT} subscription={sub} reason="{why}"'))
    insert(db, "tea")
    eventually(lambda: db.journal("SELECT state, reason FROM resthook_deliveries") == [("pending", why)])
    assert receiver.received("/") == []
    if kind == "folder":
        (keys.path / "billing").rmdir()
    keys.put("billing", SECRET)
    (request,) = receiver.wait_for(1)
    verify(SECRET, request.headers, request.body)
    assert running.text().count(CANT) == 1, "it is said once"
    assert "hunter2" not in running.text() and SECRET[6:] not in running.text()
    eventually(lambda: db.journal("SELECT state, reason FROM resthook_deliveries") == [("delivered", None)])


def test_a_file_that_goes_stops_its_subscription(db, receiver, dispatcher, keys, eventually):
    file = keys.put("billing", SECRET)
    db.subscribe("item.*", receiver.url("/"), secret="file:billing")
    running = dispatcher(db, "--secrets", keys.path)
    insert(db, "tea")
    receiver.wait_for(1)
    file.unlink()
    running.wait_log("can't be obeyed.*No such file")
    insert(db, "coffee")
    eventually(lambda: db.journal("SELECT count(*) FROM resthook_deliveries WHERE state = 'pending'") == [(1,)])
    keys.put("billing", OTHER)
    verify(OTHER, receiver.wait_for(2)[1].headers, receiver.received("/")[1].body)


def test_without_the_operators_directory(db, receiver, keys):
    keys.put("billing", SECRET)
    db.subscribe("item.*", receiver.url("/"), secret="file:billing")
    insert(db, "tea")
    once = resthookd("--once", *LOOPBACK, db.path)
    assert once.returncode == 1 and "its secret is in a file, and --secrets names no directory" in once.stderr
    assert receiver.received("/") == []
    once = resthookd("--once", *LOOPBACK, "--secrets", keys.path, db.path)
    assert once.returncode == 0, once.stderr
    verify(SECRET, receiver.received("/")[0].headers, receiver.received("/")[0].body)


@pytest.mark.parametrize("name", ["../outside", "/etc/passwd", "a/b", "..", ".hidden", "", "a b", "whsec_hunter2"])
def test_what_a_file_may_be_called(db, receiver, dispatcher, keys, name):
    """Refused when it is given, and again when the row was written by other means."""
    with pytest.raises(sqlite3.Error, match="option secret is file: and ") as error:
        db.subscribe("item.*", receiver.url("/"), secret=f"file:{name}")
    assert "hunter2" not in str(error.value)
    (keys.path.parent / "outside").write_text(SECRET)
    (keys.path / ".hidden").write_text(SECRET)
    sub, _ = db.subscribe("item.*", receiver.url("/"))
    db.shell(f"UPDATE resthook_subscription SET secret = 'file:{name}'")
    running = dispatcher(db, "--secrets", keys.path)
    running.wait_log(f'{CANT} subscription={sub} reason="its secret is file: and not the plain name of a file"')
    assert "hunter2" not in running.text()


def test_a_tenants_file_uses_the_tenants_secrets_alone(db, receiver, dispatcher, keys):
    """Where the directory has one with the database's name, that one stands for it."""
    keys.put("billing", SECRET)
    (keys.path / db.path.name).mkdir()
    keys.put(f"{db.path.name}/own", OTHER)
    (keys.path / "other.db").mkdir()
    keys.put("other.db/billing", SECRET)
    db.subscribe("item.*", receiver.url("/own"), secret="file:own")
    foreign, _ = db.subscribe("item.*", receiver.url("/foreign"), secret="file:billing")
    running = dispatcher(db, "--secrets", keys.path)
    running.wait_log(f"{CANT} subscription={foreign} reason=\"secret file billing: No such file or directory\"")
    insert(db, "tea")
    (request,) = receiver.wait_for(1, "/own")
    verify(OTHER, request.headers, request.body)
    assert receiver.received("/foreign") == []


def test_check_reads_the_files_too(db, keys):
    keys.put("billing", SECRET)
    keys.put("open", SECRET, mode=0o644)
    for name in ("billing", "open", "none"):
        db.subscribe("item.*", f"https://example.com/{name}", secret=f"file:{name}")
    db.subscribe("item.*", "https://example.com/own")
    db.subscribe("item.*", "https://example.com/none_pair", secret=MISMATCHED)
    said = resthookd("check", "--secrets", keys.path, db.path).stdout
    assert dict(re.findall(r"/example\.com/(\w+)(.*)$", said, re.MULTILINE)) == {
        "billing": "", "own": "", "none_pair": "; can't sign: its secret has a public key that is not its private key's",
        "none": "; can't sign: secret file none: No such file or directory",
        "open": "; can't sign: secret file open: everybody may read or write it; chmod o= mends that"}
    said = resthookd("check", db.path).stdout
    assert said.count("; can't sign: its secret is in a file, and --secrets names no directory") == 3
    assert SECRET[6:] not in said


def test_secrets_of_no_directory(db, tmp_path):
    done = resthookd("--secrets", tmp_path / "none", db.path)
    assert done.returncode == 64 and "--secrets" in done.stderr and "is not a directory" in done.stderr
