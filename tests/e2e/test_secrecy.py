"""No secret is where it is not wanted: in no view, table, log, error, process list or environment, and not in the side file.

Every kind of secret that there is is in use at once, each a text that is found nowhere else; whatever somebody may read
is searched for each of them, as it is, without its prefix, in base64 and as bytes.
"""

import base64
import json
import re
import sqlite3
import subprocess
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from conftest import LOOPBACK, RESTHOOKD, resthookd


def made(letter, count=24):
    return base64.b64encode((letter * count).encode()).decode()


PRIVATE = base64.b64encode(bytes(range(7, 39))).decode()
SECRETS = {
    "secret": "whsec_" + made("s"), "old secret": "whsec_" + made("o"), "key pair": "whsk_" + PRIVATE,
    "in a file": "whsec_" + made("f"), "header": "Bearer h3ader-of-a-subscription", "event header": "Bearer ev3nt-header",
    "path": "p4th-of-a-target", "query": "qu3ry-of-a-target", "proxy": "pr0xy-password", "proxy user": "pr0xy-user",
}
# A target's path and query may hold a credential: they are in the subscriptions, and nowhere outside the database's files.
PLACES = {"path", "query"}


def spellings(secret):
    bare = re.sub("^(whsec_|whsk_|Bearer )", "", secret)
    found = {secret, bare, bare.rstrip("="), base64.b64encode(secret.encode()).decode()}
    if secret.startswith("whs"):
        found.add(base64.b64decode(bare).decode("latin-1"))
        found.add(base64.b64decode(bare).hex())
    return found


def leaks(text, but=()):
    """Which secrets are in a text, or bytes."""
    if isinstance(text, bytes):
        text = text.decode("latin-1")
    return {name for name, secret in SECRETS.items() if name not in but for each in spellings(secret) if each in text}


def test_a_leak_is_found():
    for name, secret in SECRETS.items():
        for each in spellings(secret):
            assert name in leaks(f"a {each} b".encode("latin-1")), name


@pytest.fixture
def world(db, receiver, tmp_path):
    """Every kind of secret is in use."""
    place = f"/{SECRETS['path']}?q={SECRETS['query']}"
    receiver.script(place.partition("?")[0] + "?" + place.partition("?")[2], 500)
    headers = {"Authorization": SECRETS["header"]}
    sub, _ = db.subscribe("item.*", receiver.url(place), secret=SECRETS["old secret"], headers=headers, retry_schedule="0")
    db.ext("SELECT resthook_update(?, ?)", sub, json.dumps({"secret": SECRETS["secret"]}))
    rotated, _ = db.subscribe("item.*", receiver.url("/rotated"), secret=SECRETS["old secret"])
    db.ext("SELECT resthook_rotate_secret(?)", rotated)
    db.subscribe("item.*", receiver.url("/pair"), secret=SECRETS["key pair"])
    keys = tmp_path / "keys"
    keys.mkdir()
    (keys / "billing").write_text(SECRETS["in a file"])
    (keys / "billing").chmod(0o600)
    db.subscribe("item.*", receiver.url("/file"), secret="file:billing")
    receiver.script("/gone", 410)
    db.subscribe("item.*", receiver.url("/gone"), secret=SECRETS["secret"], headers=headers)
    db.subscribe("item.*", receiver.url("/asked"), verify="x-hook-secret", secret=SECRETS["secret"])
    SECRETS["handshake"] = db.shell("SELECT verify_secret FROM resthook_subscription WHERE verify_secret IS NOT NULL")
    SECRETS["rotated"] = db.shell(f"SELECT secret FROM resthook_subscription WHERE id = '{rotated}'")
    # Rows that can't be obeyed, written by other means than the functions.
    for number, (column, value) in enumerate([
            ("secret", SECRETS["secret"][:-4]), ("secret", SECRETS["secret"][6:]), ("secret", "file:" + SECRETS["secret"]),
            ("headers", json.dumps({"Authorization": SECRETS["header"] + "\n"})), ("headers", f'"{SECRETS["header"]}'),
            ("headers", json.dumps({SECRETS["header"]: "x"}))]):
        bad, _ = db.subscribe("item.*", receiver.url(f"/bad{number}"))
        db.shell(f"UPDATE resthook_subscription SET {column} = '{value}' WHERE id = '{bad}'")
    yield keys
    del SECRETS["handshake"], SECRETS["rotated"]


def write(db):
    db.shell("INSERT INTO item(name) VALUES ('a')")
    db.ext("SELECT resthook_emit('item.own', '{}', ?)", json.dumps({"headers": {"Authorization": SECRETS["event header"]}}))


def readable(db):
    """All that views and virtual tables show, by plain SQL and with the extension."""
    views = db.shell("SELECT name FROM sqlite_master WHERE type = 'view' AND name LIKE 'resthook%'").split()
    tables = [name for (name,) in db.ext("SELECT name FROM pragma_module_list WHERE name LIKE 'resthook%'")]
    assert len(views) >= 4 and len(tables) >= 3
    shown = {view: db.shell(f"SELECT * FROM {view}") for view in views}
    shown |= {table: repr(db.ext(f"SELECT * FROM {table}")) for table in tables}
    shown |= {f"side file's {view}": repr(db.journal(f"SELECT * FROM {view}"))
              for view, in db.journal("SELECT name FROM sqlite_master WHERE type = 'view'")}
    assert all(shown.values()), shown
    return shown


def process_list(running):
    return {name: Path(f"/proc/{running.process.pid}/{name}").read_bytes() for name in ("cmdline", "environ")}


@pytest.mark.parametrize("level", ["error", "warn", "info", "debug"])
@pytest.mark.parametrize("form", ["text", "json"])
def test_no_secret_is_read_where_it_is_not_meant_to_be(db, receiver, dispatcher, world, eventually, level, form):
    write(db)
    running = dispatcher(db, "--core", "--secrets", world, "--log-level", level, "--log-format", form, ready=False)
    eventually(lambda: db.one("SELECT count(*) FROM resthook_deliveries WHERE state IN ('delivered', 'dead')") >= 10, timeout=20)
    for name, shown in readable(db).items():
        assert leaks(shown, but=PLACES) == set(), name
    for name, shown in process_list(running).items():
        assert leaks(shown) == set(), name
    assert running.stop() == 0
    assert leaks(running.text()) == set(), running.text()
    if level != "error":
        assert "subscription ended" in running.text()
    for file in db.path.parent.glob("app.db-resthook*"):
        assert leaks(file.read_bytes(), but=PLACES) == set(), file
    # They were in use.
    sent = " ".join(f"{name}: {value}" for request in receiver.received() for name, value in request.headers.pairs)
    assert {"header", "event header", "handshake"} <= leaks(sent)


def test_what_once_check_and_sql_say(db, receiver, world):
    write(db)
    once = resthookd("--once", *LOOPBACK, "--secrets", world, "--log-level", "debug", db.path)
    assert once.returncode == 1 and leaks(once.stdout + once.stderr) == set()
    checked = resthookd("check", *LOOPBACK, "--secrets", world, db.path)
    assert checked.returncode == 0 and "can't sign" in checked.stdout
    assert leaks(checked.stdout + checked.stderr, but=PLACES) == set()


@pytest.mark.parametrize("options", [
    {"secret": SECRETS["secret"][:-1]}, {"secret": SECRETS["secret"][6:]}, {"secret": " " + SECRETS["secret"]},
    {"secret": "file:" + SECRETS["secret"]}, {"secret": "file:/" + SECRETS["secret"]}, {"secret": [SECRETS["secret"]]},
    {"secret": {"a": SECRETS["secret"]}}, {"secret": SECRETS["secret"], "signing": "v1"},
    {"secret": SECRETS["secret"], "timeout": "never"},
    {"headers": {"Authorization": SECRETS["header"] + "\n"}}, {"headers": {"Authorization": [SECRETS["header"]]}},
    {"headers": {"Host": SECRETS["header"]}}, {"headers": {"a b": SECRETS["header"]}}, {"headers": SECRETS["header"]},
    {"headers": [SECRETS["header"]]}, {"headers": {"a": SECRETS["header"], "A": SECRETS["header"]}},
], ids=str)
def test_what_functions_complain_of(db, options):
    for sql, values in (("SELECT resthook_subscribe('a.b', 'https://example.com/', ?)", (json.dumps(options),)),
                        ("SELECT resthook_subscribe('a.b', 'https://example.com/', ?)", (json.dumps(options)[:-1],)),
                        ("SELECT resthook_emit('a.b', '{}', ?)", (json.dumps(options),))):
        with pytest.raises(sqlite3.Error) as error:
            db.ext(sql, *values)
        assert leaks(str(error.value)) == set(), str(error.value)


def test_what_is_confirmed_with_another_secret(db, receiver):
    sub, _ = db.subscribe("a.b", receiver.url("/"), verify="x-hook-secret")
    wanted = db.shell("SELECT verify_secret FROM resthook_subscription")
    for given in (wanted[:-1], wanted + "x", SECRETS["secret"]):
        with pytest.raises(sqlite3.Error) as error:
            db.ext("SELECT resthook_confirm(?, ?)", sub, given)
        assert wanted[:-1] not in str(error.value) and leaks(str(error.value)) == set()


# The proxy's password.

class Proxy(BaseHTTPRequestHandler):
    """Wants a password, and answers for everybody."""

    def do_POST(self):
        self.server.seen.append((self.path, self.headers["proxy-authorization"], self.headers["authorization"]))
        self.rfile.read(int(self.headers["content-length"]))
        self.send_response(200)
        self.send_header("content-length", "0")
        self.end_headers()

    def log_message(self, *_):
        pass


@pytest.fixture
def proxy():
    server = ThreadingHTTPServer(("127.0.0.1", 0), Proxy)
    server.seen = []
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield server
    server.shutdown()
    server.server_close()


@pytest.mark.parametrize("how", ["--proxy URL", "--proxy=URL", "--proxy-file"])
def test_a_proxys_password(db, dispatcher, proxy, eventually, tmp_path, how):
    url = f"http://{SECRETS['proxy user']}:{SECRETS['proxy']}@127.0.0.1:{proxy.server_port}"
    file = tmp_path / "proxy"
    file.write_text(url + "\nwhat follows is a comment\n")
    file.chmod(0o640)
    options = {"--proxy URL": ["--proxy", url], "--proxy=URL": [f"--proxy={url}"], "--proxy-file": ["--proxy-file", file]}[how]
    db.subscribe("*", "http://example.com/hook")
    db.shell("INSERT INTO item(name) VALUES ('a')")
    running = dispatcher(db, "--core", "--allow-http", "--log-level", "debug", *options)
    eventually(lambda: proxy.seen != [])
    credentials = base64.b64encode(f"{SECRETS['proxy user']}:{SECRETS['proxy']}".encode()).decode()
    assert proxy.seen == [("http://example.com/hook", f"Basic {credentials}", None)]
    for name, shown in process_list(running).items():
        assert leaks(shown) == set() and credentials.encode() not in shown, name
    assert running.stop() == 0
    assert leaks(running.text()) == set() and leaks(repr(readable(db))) == set()


@pytest.mark.parametrize("url", ["sock5://{0}:{1}@127.0.0.1", "htp://{1}@127.0.0.1", "ftp://{0}:a@b{1}@127.0.0.1",
                                 "http://{0}:{1}@127.0.0.1:99999", "http://{0}:{1}@[127.0.0.1", "127.0.0.1:{1}"])
def test_a_proxy_that_can_not_be_used(db, tmp_path, url):
    url = url.format(SECRETS["proxy user"], SECRETS["proxy"])
    done = resthookd("--proxy", url, db.path)
    assert done.returncode == 64 and "127.0.0.1" in done.stderr and leaks(done.stderr) == set()
    file = tmp_path / "proxy"
    file.write_text(url)
    file.chmod(0o600)
    done = resthookd("--proxy-file", file, db.path)
    assert done.returncode == 64 and str(file) in done.stderr and leaks(done.stderr) == set()


@pytest.mark.parametrize("bad", ["missing", "folder", "open to all", "empty"])
def test_a_proxys_file_that_can_not_be_used(db, tmp_path, bad):
    file = tmp_path / "proxy"
    if bad == "folder":
        file.mkdir(mode=0o700)
    elif bad != "missing":
        file.write_text("" if bad == "empty" else f"http://a:{SECRETS['proxy']}@127.0.0.1")
        file.chmod(0o644 if bad == "open to all" else 0o600)
    done = resthookd("--proxy-file", file, db.path)
    said = {"missing": "No such file", "folder": "not a file", "open to all": "chmod o=", "empty": "first line"}[bad]
    assert done.returncode == 64 and said in done.stderr and str(file) in done.stderr and leaks(done.stderr) == set()
    assert not db.side.exists()


def test_an_option_that_is_none(db):
    done = resthookd(f"--proxi=http://a:{SECRETS['proxy']}@127.0.0.1", db.path)
    assert done.returncode == 64 and "--proxi is not an option" in done.stderr and leaks(done.stderr) == set()


def test_the_sql_of_a_command_line(db):
    """It may have a secret in it: it is out of the process list when it runs."""
    # The statement waits for a lock that we hold.
    holder = sqlite3.connect(db.path, isolation_level=None)
    holder.execute("BEGIN IMMEDIATE")
    options = json.dumps({"secret": SECRETS["secret"]})
    running = subprocess.Popen([RESTHOOKD, "sql", db.path,
                                f"SELECT 1; SELECT resthook_subscribe('a.b', 'https://example.com/', '{options}')"],
                               stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    shown = b""
    while running.poll() is None and (b"sql" not in shown or leaks(shown)):
        shown = Path(f"/proc/{running.pid}/cmdline").read_bytes()
    holder.execute("ROLLBACK")
    holder.close()
    out, error = running.communicate(timeout=30)
    assert running.returncode == 0, error
    assert b"sql" in shown and leaks(shown) == set()
    assert out.startswith("1\nsub_")
