"""The main thing: a row written by a program that knows nothing of resthook reaches a subscriber, signed."""

import re
import sqlite3
import time

from receiver import answer
from verify import verify


def test_a_row_of_the_plain_shell_arrives_signed(db, receiver, dispatcher):
    _, secret = db.subscribe("item.create", receiver.url("/hook"))
    dispatcher(db)
    before = time.time()
    db.shell("INSERT INTO item(name) VALUES ('Ada');")
    (request,) = receiver.wait_for(1, "/hook")

    assert request.method == "POST"
    assert request.body == b'{"id":1,"name":"Ada"}'
    assert sorted(request.headers.names()) == sorted([
        "host", "content-length", "content-type", "user-agent", "x-event-type",
        "webhook-id", "webhook-sequence", "webhook-timestamp", "webhook-signature"])
    assert request.headers["host"] == f"127.0.0.1:{receiver.port}"
    assert request.headers["content-type"] == "application/json"
    assert request.headers["user-agent"] == "resthookd/" + db.one("SELECT resthook_version()")
    assert request.headers["x-event-type"] == "item.create"
    assert re.fullmatch(r"v1,[A-Za-z0-9+/]{43}=", request.headers["webhook-signature"])
    assert int(before) <= int(request.headers["webhook-timestamp"]) <= time.time()
    verify(secret, request.headers, request.body)

    ((token, event, created),) = db.ext(
        "SELECT m.value, o.id, o.created_at FROM resthook_meta AS m, resthook_outbox AS o WHERE m.name = 'token'")
    assert request.id == f"{token}_{event}_{created}"
    assert request.headers["webhook-sequence"] == str(event)


def test_what_was_committed_before_the_start_arrives_and_what_was_rolled_back_does_not(db, receiver, dispatcher):
    db.subscribe("item.*", receiver.url("/hook"))
    db.shell("INSERT INTO item VALUES (1, 'kept'); BEGIN; INSERT INTO item VALUES (2, 'undone'); ROLLBACK;"
             "BEGIN; INSERT INTO item VALUES (3, 'kept'); SAVEPOINT s; INSERT INTO item VALUES (4, 'undone');"
             "ROLLBACK TO s; COMMIT;")
    running = dispatcher(db)
    assert sorted(request.json()["id"] for request in receiver.wait_for(2, "/hook")) == [1, 3]
    db.shell("INSERT INTO item VALUES (5, 'later');")
    assert sorted(request.json()["id"] for request in receiver.wait_for(3, "/hook")) == [1, 3, 5]
    assert running.stop() == 0
    assert len(receiver.received()) == 3
    assert db.journal("SELECT state, count(*) FROM resthook_deliveries GROUP BY 1") == [("delivered", 3)]


def test_what_arrives_can_be_read_back(db, receiver, dispatcher):
    """Each request is about a row that is there, for who opens the database now."""

    def reads_back(exchange):
        body = exchange.request.json()
        there = db.shell(f"SELECT name FROM item WHERE id = {body['id']};", "-cmd", ".timeout 10000")
        return answer(200 if there == body["name"] else 404)(exchange)

    receiver.script("/", reads_back)
    db.subscribe("*", receiver.url("/"))
    running = dispatcher(db)
    writer = sqlite3.connect(db.path, isolation_level=None, timeout=10)
    for i in range(1, 21):
        writer.execute("BEGIN")
        writer.execute("INSERT INTO item VALUES (?, 'first')", (i,))
        writer.execute("INSERT INTO item VALUES (?, 'second')", (100 + i,))
        writer.execute("COMMIT")
    writer.close()
    receiver.wait_for(40)
    assert running.stop() == 0
    assert db.journal("SELECT DISTINCT state, attempts, last_status FROM resthook_deliveries") == [("delivered", 1, 200)]


def test_each_subscriber_gets_its_own_and_signed_with_its_own_secret(db, receiver, dispatcher):
    secrets = {path: db.subscribe(event, receiver.url(path))[1]
               for path, event in [("/exact", "item.create"), ("/prefix", "item.*"), ("/all", "*"), ("/other", "x.*")]}
    assert len(set(secrets.values())) == 4
    dispatcher(db)
    db.shell("INSERT INTO item(name) VALUES ('Ada');")
    receiver.wait_for(3)
    for path in ("/exact", "/prefix", "/all"):
        (request,) = receiver.received(path)
        verify(secrets[path], request.headers, request.body)
    assert receiver.received("/other") == []


def test_a_second_run_sends_nothing_again(db, receiver, dispatcher):
    db.subscribe("item.create", receiver.url("/hook"))
    db.shell("INSERT INTO item(name) VALUES ('a'), ('b'), ('c');")
    first = dispatcher(db)
    receiver.wait_for(3, "/hook")
    assert first.stop() == 0
    second = dispatcher(db)
    db.shell("INSERT INTO item(name) VALUES ('d');")
    assert [request.json()["name"] for request in receiver.wait_for(4, "/hook")][3] == "d"
    assert second.stop() == 0
    assert len(receiver.received()) == 4


def test_an_event_from_plain_sql_keeps_its_bytes(db, receiver, dispatcher):
    payload = '{ "n" : 9223372036854775807, "x":1.10, "text":"Grüße \\u0000" }'
    db.subscribe("order.paid", receiver.url("/hook"))
    dispatcher(db)
    db.shell(f"INSERT INTO resthook_outbox(event, payload) VALUES ('order.paid', '{payload}');")
    (request,) = receiver.wait_for(1, "/hook")
    assert request.body == payload.encode()
    assert request.headers["x-event-type"] == "order.paid"
