"""What the extension does by itself with idempotency keys, cancel and forget; the dispatcher's part is in tests/e2e."""

import json
import sqlite3

import pytest

from test_functions import db, one, path, subscribe  # noqa: F401  (db and path are fixtures)


def emit(db, event="order.paid", payload="{}", **options):
    return one(db, "SELECT resthook_emit(?, ?, ?)", event, payload, json.dumps(options))


def count(db):
    return one(db, "SELECT count(*) FROM resthook_outbox")


def test_the_same_idempotency_key_is_the_same_event(db):
    first = emit(db, idempotency_key="7")
    assert emit(db, payload='{"again":1}', idempotency_key="7") == first and count(db) == 1
    assert emit(db, event="order.sent", idempotency_key="7") != first, "of another event it is another key"
    assert emit(db, idempotency_key="8") != first
    assert emit(db) != emit(db)
    db.execute("BEGIN")
    undone = emit(db, idempotency_key="9")
    db.execute("ROLLBACK")
    assert emit(db, idempotency_key="9") == undone and count(db) == 6, "what was rolled back was not"


def test_after_its_window_a_key_is_another_event(db):
    first = emit(db, idempotency_key="7")
    db.execute("SELECT resthook_set('idempotency_window', 60)")
    db.execute("UPDATE resthook_extra SET created_at = created_at - 59000")
    assert emit(db, idempotency_key="7") == first
    db.execute("UPDATE resthook_extra SET created_at = created_at - 2000")
    second = emit(db, idempotency_key="7")
    assert second != first and emit(db, idempotency_key="7") == second


def test_a_key_outlives_its_event(db):
    first = emit(db, idempotency_key="7")
    db.execute("DELETE FROM resthook_outbox")
    assert emit(db, idempotency_key="7") == first and count(db) == 1  # what keeps its id


def test_a_key_leaves_what_the_host_sees_alone(db):
    db.execute("INSERT INTO item(name) VALUES ('x')")
    emit(db, idempotency_key="7")
    emit(db, idempotency_key="7")
    assert db.execute("SELECT last_insert_rowid()").fetchone() == (1,)


@pytest.mark.parametrize("key", ["", "x" * 501, 7, {}])
def test_bad_keys(db, key):
    with pytest.raises(sqlite3.OperationalError, match="resthook_emit: option idempotency_key"):
        emit(db, idempotency_key=key)
    assert count(db) == 0


def test_forget_leaves_nothing_of_an_event(db):
    db.execute("SELECT resthook_watch('item', 'insert', 'item.create')")
    subscribe(db, event="*")
    db.execute("INSERT INTO item(name) VALUES ('secret name')")
    emitted = emit(db, payload='{"who":"secret name"}', key="secret name", idempotency_key="secret name")
    kept = emit(db, payload='{"who":"other"}')
    assert db.execute("SELECT sum(resthook_forget(id)) FROM resthook_events WHERE id <> ?", (kept,)).fetchone() == (2,)
    assert db.execute("SELECT resthook_forget(?)", (emitted,)).fetchone() == (0,), "it was forgotten before"
    for table in ("resthook_outbox", "resthook_extra", "resthook_events", "resthook_request"):
        assert "secret name" not in str(db.execute(f"SELECT * FROM {table}").fetchall())
    for event in (1, emitted):
        with pytest.raises(sqlite3.OperationalError, match=f"no event has the id {event}"):
            db.execute("SELECT resthook_payload(?)", (event,))
    assert one(db, "SELECT resthook_payload(?)", kept) == '{"who":"other"}'
    assert one(db, "SELECT count(*) FROM resthook_deliveries") == 1, "what was to be sent of the others is not"
    assert count(db) == 3, "ids do not come back"


def test_forget_of_what_is_not_there(db):
    emit(db)
    assert one(db, "SELECT resthook_forget(7)") == 0
    assert one(db, "SELECT count(*) FROM resthook_request") == 0
    for wrong in (None, "1", 1.5, 0, -1):
        with pytest.raises(sqlite3.OperationalError, match="resthook_forget: event is .*, expected the id of an event"):
            db.execute("SELECT resthook_forget(?)", (wrong,))


def test_cancel_files_a_request(db):
    sub = subscribe(db, event="*")
    emit(db)
    assert one(db, "SELECT resthook_cancel(?)", f"{sub}-1") == f"{sub}-1"
    assert db.execute("SELECT kind, subscription, event FROM resthook_request").fetchall() == [("cancel", sub, 1)]
    for wrong in ("1", f"{sub}-2", "sub_x-1", None):
        with pytest.raises(sqlite3.OperationalError, match="resthook_cancel: delivery"):
            db.execute("SELECT resthook_cancel(?)", (wrong,))
