"""What the dispatcher does with resthook_cancel and resthook_forget, wherever a delivery is at that moment."""

import pathlib

from receiver import answer, hang, held

SENT = "SELECT event_id, state, reason FROM resthook_deliveries ORDER BY event_id"


def emit(db, *payloads, **columns):
    db.shell("".join(f"INSERT INTO resthook_outbox(event, payload) VALUES ('a.a', '{{\"n\":\"{p}\"}}');" for p in payloads))


def numbers(receiver, path="/"):
    return [r.json()["n"] for r in receiver.received(path)]


def test_a_paused_one_is_cancelled(db, receiver, dispatcher, eventually):
    sub, _ = db.subscribe("*", receiver.url("/"), status="inactive")
    emit(db, 1, 2, 3)
    dispatcher(db)
    eventually(lambda: len(db.journal(SENT)) == 3)
    db.ext("SELECT resthook_cancel(id) FROM resthook_deliveries WHERE event_id <> 2")
    eventually(lambda: db.journal(SENT) == [(1, "cancelled", "cancelled"), (2, "pending", None),
                                            (3, "cancelled", "cancelled")])
    db.ext("SELECT resthook_resume(?)", sub)
    receiver.wait_for(1)
    emit(db, 4)
    receiver.wait_for(2)
    assert numbers(receiver) == ["2", "4"]


def test_one_that_no_dispatcher_has_read(db, receiver, dispatcher, eventually):
    sub, _ = db.subscribe("*", receiver.url("/"))
    other, _ = db.subscribe("a.a", receiver.url("/other"))
    emit(db, 1, 2)
    assert db.one("SELECT resthook_cancel(?)", f"{sub}-1") == f"{sub}-1"
    dispatcher(db)
    receiver.wait_for(1, "/")
    receiver.wait_for(2, "/other")
    eventually(lambda: db.journal("SELECT state FROM resthook_deliveries WHERE id = ?", f"{sub}-1") == [("cancelled",)])
    assert numbers(receiver) == ["2"]


def test_one_that_waits_for_its_retry(db, receiver, dispatcher, eventually):
    receiver.script("/", 500)
    sub, _ = db.subscribe("*", receiver.url("/"), retry_schedule="0,1h")
    dispatcher(db)
    emit(db, 1)
    eventually(lambda: db.journal(SENT) == [(1, "retrying", None)])
    db.ext("SELECT resthook_cancel(?)", f"{sub}-1")
    eventually(lambda: db.journal(SENT) == [(1, "cancelled", "cancelled")])
    assert db.journal("SELECT attempts, last_status FROM resthook_deliveries") == [(1, 500)], "what was is kept"
    db.ext("SELECT resthook_replay(?)", f"{sub}-1")
    receiver.wait_for(2)


def test_one_in_flight_is_not_sent_again(db, receiver, dispatcher, eventually):
    receiver.script("/", hang())
    sub, _ = db.subscribe("*", receiver.url("/"), retry_schedule="0,0,0", timeout=1)
    running = dispatcher(db)
    emit(db, 1)
    receiver.wait_for(1)
    db.ext("SELECT resthook_cancel(?)", f"{sub}-1")
    eventually(lambda: db.journal(SENT) == [(1, "cancelled", "cancelled")])
    emit(db, 2)
    receiver.wait_for(2)
    assert numbers(receiver) == ["1", "2"]
    assert "nothing to act on" not in running.text()


def test_what_is_final_stays_so(db, receiver, dispatcher, eventually):
    sub, _ = db.subscribe("*", receiver.url("/"))
    running = dispatcher(db)
    emit(db, 1)
    eventually(lambda: db.journal(SENT) == [(1, "delivered", None)])
    db.ext("SELECT resthook_cancel(?)", f"{sub}-1")
    running.wait_log("nothing to act on")
    assert db.journal(SENT) == [(1, "delivered", None)]


def everything(db):
    """The bytes of both files and their WALs."""
    return b"".join(pathlib.Path(f"{path}{tail}").read_bytes() for path in (db.path, db.side) for tail in ("", "-wal")
                    if pathlib.Path(f"{path}{tail}").exists())


def test_what_is_forgotten_is_nowhere(db, receiver, dispatcher, eventually):
    """Sent, waiting for a retry, kept for a paused target, and not yet read."""
    receiver.script("/", lambda exchange: answer(500, b"no such person: " + exchange.request.body)(exchange))
    db.subscribe("*", receiver.url("/"), retry_schedule="0,1h")
    paused, _ = db.subscribe("*", receiver.url("/paused"), status="inactive")
    running = dispatcher(db)
    emit(db, "Zaphod-7", "other")
    eventually(lambda: len(db.journal("SELECT 1 FROM resthook_deliveries WHERE state IN ('retrying', 'pending')")) == 4)
    running.stop()
    emit(db, "Zaphod-7")
    assert b"Zaphod-7" in everything(db)
    assert db.one("SELECT sum(resthook_forget(id)) FROM resthook_events WHERE payload LIKE '%Zaphod%'") == 2
    db.shell("PRAGMA secure_delete=ON; PRAGMA wal_checkpoint(TRUNCATE); VACUUM; PRAGMA wal_checkpoint(TRUNCATE);")
    dispatcher(db)
    eventually(lambda: b"Zaphod-7" not in everything(db))
    eventually(lambda: set(db.journal("SELECT event_id, state, reason FROM resthook_deliveries WHERE event_id <> 2"))
               == {(1, "cancelled", "forgotten")})
    db.ext("SELECT resthook_resume(?)", paused)
    receiver.wait_for(1, "/paused")
    emit(db, "last")
    receiver.wait_for(2, "/paused")
    assert numbers(receiver, "/paused") == ["other", "last"]


def test_one_forgotten_while_it_is_in_flight_leaves_no_answer(db, receiver, dispatcher, eventually):
    gate = receiver.gate()
    receiver.script("/", held(gate, answer(500, b"no such person: Zaphod-7")))
    db.subscribe("*", receiver.url("/"), retry_schedule="0,0")
    running = dispatcher(db)
    emit(db, "Zaphod-7")
    receiver.wait_for(1)
    db.ext("SELECT resthook_forget(1)")
    eventually(lambda: db.meta("request_cursor") == 1)
    gate.open()
    eventually(lambda: db.journal(SENT) == [(1, "cancelled", "forgotten")])
    assert len(receiver.received("/")) == 1
    running.stop()
    assert b"no such person" not in everything(db)
