"""Filters of subscriptions: who receives what, what is counted, and what happens when one breaks."""

import json

import pytest

from conftest import LOOPBACK, resthookd
from receiver import hang


@pytest.fixture
def shop(db):
    """item has a price, a tenant and a colour; its three operations are watched, and tenants are in a table."""
    db.shell("""ALTER TABLE item ADD COLUMN price REAL;
                ALTER TABLE item ADD COLUMN tenant INTEGER;
                CREATE TABLE tenant(id INTEGER PRIMARY KEY, plan TEXT);
                INSERT INTO tenant VALUES (1, 'free'), (2, 'paid');""")
    db.ext("SELECT resthook_repair()")
    db.ext("SELECT resthook_watch('item', 'update', 'item.update', '{\"old\":true}')")
    db.ext("SELECT resthook_watch('item', 'delete', 'item.delete')")
    return db


def insert(db, *rows):
    values = ", ".join(f"({id}, 'item {id}', {price}, {tenant})" for id, price, tenant in rows)
    db.shell(f"INSERT INTO item(id, name, price, tenant) VALUES {values};")


def got(receiver, path):
    """What came, in order of event and id: deliveries run beside each other."""
    return sorted((request.headers["x-event-type"], request.json().get("id")) for request in receiver.received(path))


def filtered(db, sub):
    return dict(db.ext("SELECT name, value FROM resthook_status")).get(f"filtered {sub}", 0)


def deliveries(db, sub):
    return db.ext("SELECT event_id, state, reason FROM resthook_deliveries WHERE subscription_id = ? ORDER BY event_id", sub)


def once(db, status=0):
    done = resthookd("--once", *LOOPBACK, db.path)
    assert done.returncode == status, done.stderr
    return done


def test_each_receives_what_its_filter_lets_pass(shop, receiver):
    filters = {
        "/new": "NEW.price > 10",
        "/payload": "payload ->> '$.price' > 10",
        "/event": "event = 'item.delete' OR json_extract(payload, '$.id') = 1",
        "/old": "OLD.price < NEW.price",
        "/gone": "OLD.id IS NOT NULL AND NEW.id IS NULL",
        "/table": "(SELECT plan FROM tenant WHERE tenant.id = NEW.tenant) = 'paid'",
        "/null": "NULL",
        "/zero": "0.0",
        "/true": "-0.5",
        "/text": "'yes'",
        "/digits": "'1 of them'",
        "/comment": "NEW.id = 1 -- and nobody else",
    }
    subs = {path: shop.subscribe("item.*", receiver.url(path), filter=text)[0] for path, text in filters.items()}
    shop.subscribe("item.*", receiver.url("/all"))
    insert(shop, (1, 5.0, 1), (2, 20.0, 2))
    shop.shell("UPDATE item SET price = price + 10; DELETE FROM item WHERE id = 1;")
    once(shop)
    made, raised, gone = ("item.create", 1), [("item.update", 1), ("item.update", 2)], ("item.delete", 1)
    assert got(receiver, "/all") == [made, ("item.create", 2), gone, *raised]
    assert got(receiver, "/new") == [("item.create", 2), *raised]
    assert got(receiver, "/payload") == [("item.create", 2), gone, *raised]  # 15.0 when it went
    assert got(receiver, "/event") == [made, gone, raised[0]]
    assert got(receiver, "/old") == raised
    assert got(receiver, "/gone") == [gone]
    assert got(receiver, "/table") == [("item.create", 2), raised[1]]
    for path in ("/null", "/zero", "/text"):
        assert got(receiver, path) == [] and filtered(shop, subs[path]) == 5
        assert deliveries(shop, subs[path]) == []
    assert got(receiver, "/true") == got(receiver, "/digits") == got(receiver, "/all")
    assert filtered(shop, subs["/true"]) == 0
    assert got(receiver, "/comment") == [made, raised[0]]
    assert filtered(shop, subs["/comment"]) == 3
    assert shop.journal("SELECT value FROM resthook_status WHERE name = ?", f"filtered {subs['/comment']}") == [(3,)]


def test_values_are_seen_as_they_were_written(db, receiver):
    db.shell("CREATE TABLE odd(id INTEGER PRIMARY KEY, payload, event, \"a \"\"b\"\"\", big, twice AS (id * 2), blob);")
    db.ext("SELECT resthook_watch('odd', 'insert', 'odd.create', '{\"fields\": {\"id\": \"NEW.id\"}}')")
    filters = {
        "/ours": "payload = '{\"id\":7}' AND event = 'odd.create'",
        "/theirs": "NEW.payload = 'p' AND NEW.event = 'e'",
        "/name": "NEW.\"a \"\"b\"\"\" IS NULL",
        "/big": "typeof(NEW.big) = 'integer' AND NEW.big = 9223372036854775807",
        "/virtual": "NEW.twice = 14 AND OLD.twice IS NULL",
        "/blob": "NEW.blob = x'00ff' AND length(NEW.blob) = 2",
        "/rows": "EXISTS (SELECT * FROM NEW WHERE NEW.id = 7)",
    }
    for path, text in filters.items():
        db.subscribe("odd.*", receiver.url(path), filter=text)
    db.shell("INSERT INTO odd VALUES (7, 'p', 'e', NULL, 9223372036854775807, x'00ff');")
    once(db)
    assert {path for path in filters if receiver.received(path)} == set(filters)


def test_events_of_ones_own_and_pings(db, receiver):
    sub, _ = db.subscribe("*", receiver.url("/"), filter="payload ->> '$.n' >= 2")
    for n in (1, 2, 3):
        db.ext("SELECT resthook_emit('count.er', ?)", json.dumps({"n": n}))
    db.ext("SELECT resthook_ping(?)", sub)
    db.shell("INSERT INTO resthook_outbox(event, payload) VALUES ('count.er', 'no JSON')")
    once(db, status=1)
    came = {(r.headers["x-event-type"], r.json().get("n")) for r in receiver.received("/")}
    assert came == {("count.er", 2), ("count.er", 3), ("resthook.ping", None)} and len(receiver.received("/")) == 3
    assert [row[1:] for row in deliveries(db, sub)][-1] == ("dead", "payload is not JSON")
    assert filtered(db, sub) == 1


def test_rows_that_were_there_before(shop, receiver):
    """A backfill is for one subscription alone, and its filter is asked all the same."""
    insert(shop, (1, 5.0, 1), (2, 20.0, 2), (3, 30.0, 1))
    sub, _ = shop.subscribe("item.create", receiver.url("/"), filter="NEW.price > 10")
    assert shop.one("SELECT resthook_backfill(?, 'item')", sub) == 3
    shop.ext("UPDATE resthook_outbox SET deliver_at = NULL")
    once(shop)
    assert got(receiver, "/") == [("item.create", 2), ("item.create", 3)]
    assert filtered(shop, sub) == 1


def test_one_that_breaks_holds_its_own_events_until_it_is_mended(shop, receiver, dispatcher, eventually):
    broken, _ = shop.subscribe("item.create", receiver.url("/broken"),
                               filter="NEW.tenant IN (SELECT id FROM tenant WHERE plan = 'paid')")
    shop.subscribe("item.create", receiver.url("/fine"), filter="NEW.tenant = 2")
    shop.subscribe("item.create", receiver.url("/plain"))
    dispatcher(shop)
    shop.shell("ALTER TABLE tenant RENAME TO customer;")
    insert(shop, (1, 1.0, 1), (2, 1.0, 2))
    receiver.wait_for(1, "/fine")
    receiver.wait_for(2, "/plain")
    eventually(lambda: [row[1] for row in deliveries(shop, broken)] == ["held", "held"])
    assert all(row[2] == "filter: no such table: main.tenant" or row[2] == "filter: no such table: tenant"
               for row in deliveries(shop, broken))
    status = dict(shop.ext("SELECT name, value FROM resthook_status"))
    assert status["held"] == 2 and status["held_reason"].startswith("filter: ")
    assert receiver.received("/broken") == []
    shop.shell("BEGIN; CREATE TABLE tenant(id INTEGER PRIMARY KEY, plan TEXT);"
               " INSERT INTO tenant SELECT * FROM customer; COMMIT;")
    receiver.wait_for(1, "/broken")
    eventually(lambda: [row[1:] for row in deliveries(shop, broken)] == [("cancelled", "filtered"), ("delivered", None)])
    eventually(lambda: filtered(shop, broken) == 1)
    assert got(receiver, "/broken") == [("item.create", 2)]


def test_another_filter_mends_it(shop, receiver, dispatcher, eventually):
    sub, _ = shop.subscribe("item.create", receiver.url("/"), filter="NEW.price > 10")
    dispatcher(shop)
    shop.shell("ALTER TABLE item DROP COLUMN price;")
    shop.ext("SELECT resthook_repair()")
    shop.shell("INSERT INTO item(id, name, tenant) VALUES (1, 'one', 1), (2, 'two', 2);")
    eventually(lambda: [row[1:] for row in deliveries(shop, sub)] == [("held", "filter: no such column: NEW.price")] * 2)
    shop.ext("SELECT resthook_update(?, ?)", sub, json.dumps({"filter": "NEW.tenant = 2"}))
    receiver.wait_for(1)
    eventually(lambda: [row[1] for row in deliveries(shop, sub)] == ["cancelled", "delivered"])
    shop.ext("SELECT resthook_update(?, ?)", sub, json.dumps({"filter": None}))
    shop.shell("INSERT INTO item(id, name, tenant) VALUES (3, 'three', 1);")
    receiver.wait_for(2)
    assert got(receiver, "/") == [("item.create", 2), ("item.create", 3)]


def test_a_watch_that_does_not_fit_holds_what_it_makes(shop, receiver, dispatcher, eventually):
    """The filter was checked with the watches that there were."""
    sub, _ = shop.subscribe("*", receiver.url("/"), filter="NEW.price > 10")
    shop.ext("SELECT resthook_watch('tenant', 'insert', 'tenant.create')")
    dispatcher(shop)
    shop.shell("INSERT INTO tenant VALUES (3, 'free');")
    insert(shop, (1, 20.0, 1))
    shop.ext("SELECT resthook_emit('item.counted', '{}')")
    receiver.wait_for(1)
    eventually(lambda: [row[1] for row in deliveries(shop, sub)] == ["held", "delivered", "held"])
    assert {row[2] for row in deliveries(shop, sub)} == {None, "filter: no such column: NEW.price"}
    shop.ext("SELECT resthook_update(?, ?)", sub, json.dumps({"filter": "payload ->> '$.id' = 3"}))
    receiver.wait_for(2)
    eventually(lambda: [row[1] for row in deliveries(shop, sub)] == ["delivered", "delivered", "cancelled"])


def test_one_that_takes_too_long_holds_and_hurts_nobody(shop, receiver, dispatcher, eventually):
    slow = "NEW.id > (WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < NEW.price) SELECT max(i) FROM n)"
    sub, _ = shop.subscribe("item.create", receiver.url("/slow"), filter=slow)
    shop.subscribe("item.create", receiver.url("/plain"))
    dispatcher(shop)
    insert(shop, (1, 1e12, 1), (2, 1.0, 1))
    receiver.wait_for(2, "/plain")
    receiver.wait_for(1, "/slow")
    eventually(lambda: [row[1:] for row in deliveries(shop, sub)] == [
        ("held", "filter: it took more than 1,000,000 steps"), ("delivered", None)])


MILLION = "printf('%.1000000c', 'a')"
HALF = "printf('%.500000c', 'a')"


@pytest.mark.parametrize("call, becomes", [
    (f"instr({MILLION}, {HALF} || 'b')", ("cancelled", "filtered")),
    (f"length(replace({MILLION}, {HALF} || 'b', '')) = 1000000", ("delivered", None)),
    (f"length(trim({MILLION}, printf('%.1000000c', 'b'))) = 1000000", ("delivered", None)),
    (f"{MILLION} LIKE '%' || {HALF} || 'b'", ("held", "filter: LIKE or GLOB pattern too complex")),
    (f"{MILLION} GLOB '*' || {HALF} || 'b'", ("held", "filter: LIKE or GLOB pattern too complex")),
    ("length(hex(zeroblob(1000000000)))", ("held", "filter: string or blob too big")),
], ids=["instr", "replace", "trim", "like", "glob", "hex"])
def test_no_single_call_takes_an_hour(shop, receiver, dispatcher, eventually, call, becomes):
    """Which no limit of steps would see. It is hidden from the trial when the filter is set by what only an event has."""
    sub, _ = shop.subscribe("item.create", receiver.url("/slow"), filter=f"CASE WHEN NEW.id > 0 THEN {call} END")
    shop.subscribe("item.create", receiver.url("/plain"))
    dispatcher(shop)
    insert(shop, (1, 1.0, 1))
    receiver.wait_for(1, "/plain")
    if becomes == ("cancelled", "filtered"):
        eventually(lambda: filtered(shop, sub) == 1)
    else:
        eventually(lambda: [row[1:] for row in deliveries(shop, sub)] == [becomes])


def test_a_row_too_large_to_capture_is_not_judged_by_guess(shop, receiver):
    shop.ext("SELECT resthook_set('capture_max', 1024)")
    shop.ext("SELECT resthook_watch('item', 'insert', 'item.create')")
    sub, _ = shop.subscribe("item.create", receiver.url("/"), filter="payload ->> '$.id' = 1")
    shop.subscribe("item.create", receiver.url("/plain"))
    shop.shell("INSERT INTO item(id, name) VALUES (1, printf('%.2000c', 'x'));")
    once(shop, status=1)
    assert receiver.received("/plain")[0].json() == {"id": 1, "truncated": True}
    too_large = "filter: the row is larger than capture_max: there is nothing to judge by"
    assert [row[1:] for row in deliveries(shop, sub)] == [("dead", too_large)]
    shop.ext("SELECT resthook_replay(id) FROM resthook_deliveries WHERE state = 'dead'")
    once(shop, status=1)
    assert [row[1:] for row in deliveries(shop, sub)] == [("dead", too_large)]
    shop.ext("SELECT resthook_update(?, ?)", sub, json.dumps({"filter": None}))
    shop.ext("SELECT resthook_replay(id) FROM resthook_deliveries WHERE state = 'dead'")
    once(shop)
    assert len(receiver.received("/")) == 1


def test_an_event_is_judged_when_it_is_read(shop, receiver, dispatcher, eventually):
    """What was kept by a pause, or failed, is sent by the judgement of its time; later ones by the new filter's."""
    sub, _ = shop.subscribe("item.create", receiver.url("/"), filter="NEW.tenant = (SELECT id FROM tenant WHERE plan = 'paid')",
                            status="inactive")
    dispatcher(shop)
    insert(shop, (1, 1.0, 1), (2, 1.0, 2))
    eventually(lambda: [row[1] for row in deliveries(shop, sub)] == ["pending"])
    shop.shell("DELETE FROM tenant;")
    insert(shop, (3, 1.0, 2))
    eventually(lambda: filtered(shop, sub) == 2)
    shop.ext("SELECT resthook_resume(?)", sub)
    receiver.wait_for(1)
    eventually(lambda: [row[1] for row in deliveries(shop, sub)] == ["delivered"])
    shop.ext("SELECT resthook_replay(id) FROM resthook_deliveries WHERE subscription_id = ?", sub)
    receiver.wait_for(2)
    assert got(receiver, "/") == [("item.create", 2)] * 2


def test_what_was_never_judged_is_not_replayed_unjudged(shop, receiver, dispatcher, eventually):
    shop.ext("SELECT resthook_set('keep_pending', 60)")
    sub, _ = shop.subscribe("item.create", receiver.url("/"), filter="NEW.tenant = 2 AND (SELECT count(*) FROM tenant) > 0")
    insert(shop, (1, 1.0, 1), (2, 1.0, 2))
    shop.shell("ALTER TABLE tenant RENAME TO customer;")
    shop.shell("UPDATE resthook_outbox SET created_at = created_at - 100000;")
    once(shop, status=1)
    assert [row[1:] for row in deliveries(shop, sub)] == [("dead", "expired")] * 2
    shop.shell("ALTER TABLE customer RENAME TO tenant;")
    shop.ext("SELECT resthook_replay(id) FROM resthook_deliveries WHERE state = 'dead'")
    once(shop)
    assert [row[1:] for row in deliveries(shop, sub)] == [("cancelled", "filtered"), ("delivered", None)]
    assert got(receiver, "/") == [("item.create", 2)]


def test_a_crash_counts_nothing_twice(shop, receiver, dispatcher, eventually):
    """Events that are read again, since one in flight holds the cursor, are judged again, and were counted."""
    receiver.script("/hang", hang())
    shop.subscribe("item.create", receiver.url("/hang"), timeout=300)
    none, _ = shop.subscribe("item.create", receiver.url("/none"), filter="NEW.tenant = 9")
    half, _ = shop.subscribe("item.create", receiver.url("/half"), filter="NEW.id % 2 = 0")
    total = 0
    for turn in range(4):
        running = dispatcher(shop)
        insert(shop, *((turn * 100 + i, 1.0, 1) for i in range(100)))
        total += 100
        receiver.wait_for(total // 2, "/half")
        eventually(lambda: filtered(shop, none) == total)
        assert shop.meta("cursor") == 0 and shop.meta("counted_to") == total
        running.kill()
    dispatcher(shop)
    insert(shop, (1000, 1.0, 9))
    receiver.wait_for(1, "/none")
    eventually(lambda: filtered(shop, half) == total // 2)
    assert filtered(shop, none) == total
    assert got(receiver, "/none") == [("item.create", 1000)]
    assert set(got(receiver, "/half")) == {("item.create", i) for i in [*range(0, total, 2), 1000]}


def test_counted_to_goes_back_with_the_file(shop, receiver, tmp_path):
    """In a restored file ids are given out again: what they name is counted anew, and all of it, since the file has
    nothing in common with what the side file knew."""
    sub, _ = shop.subscribe("item.create", receiver.url("/"), filter="0")
    copy = tmp_path / "copy.db"
    shop.shell(f"VACUUM INTO '{copy}';")
    insert(shop, *((i, 1.0, 1) for i in range(20)))
    once(shop)
    assert filtered(shop, sub) == 20
    for suffix in ("-wal", "-shm"):
        shop.path.with_name(shop.path.name + suffix).unlink(missing_ok=True)
    copy.replace(shop.path)
    done = resthookd("--once", "--adopt", *LOOPBACK, shop.path)
    assert done.returncode == 0, done.stderr
    insert(shop, *((i, 1.0, 1) for i in range(5)))
    once(shop)
    assert filtered(shop, sub) == 5


def test_many_filters_of_one_event(shop, receiver):
    """Texts that differ, more of them than are kept ready for long, each judged by its own."""
    connection = shop.connect()
    connection.execute("BEGIN")
    for i in range(2000):
        connection.execute("SELECT resthook_subscribe('item.create', ?, ?)",
                           (receiver.url(f"/{i}"), json.dumps({"filter": f"NEW.tenant = {i}"})))
    connection.execute("COMMIT")
    connection.close()
    insert(shop, (1, 1.0, 7), (2, 1.0, 1999), (3, 1.0, 7))
    once(shop)
    assert len(receiver.received("/7")) == 2 and len(receiver.received("/1999")) == 1
    assert shop.journal("SELECT count(*) FROM delivery") == [(3,)]
    assert shop.journal("SELECT sum(filtered) FROM subscription") == [(2000 * 3 - 3,)]


def test_a_filter_changed_by_hand_into_something_else(shop, receiver, dispatcher, eventually):
    """Whatever stands in the row: it is held to the same rules."""
    sub, _ = shop.subscribe("item.create", receiver.url("/"))
    attempts = {
        "1) OR (1": "filter: a closing parenthesis has no opening one",
        "(SELECT secret FROM resthook_subscription) > ''": "filter: access to resthook_subscription.secret is prohibited",
        "load_extension('x')": "filter: not authorized to use function: load_extension",
        "": "filter: an expression is expected",
    }
    dispatcher(shop)
    for n, (text, reason) in enumerate(attempts.items(), 1):
        shop.shell(f"UPDATE resthook_subscription SET filter = {quoted(text)}, revision = revision + 1;")
        insert(shop, (n, 1.0, 1))
        eventually(lambda: [row[1:] for row in deliveries(shop, sub)][-1:] == [("held", reason)])
    shop.shell("UPDATE resthook_subscription SET filter = 'NEW.id = 1' || char(0) || ' OR 1', revision = revision + 1;")
    insert(shop, (90, 1.0, 1))
    eventually(lambda: [row[1] for row in deliveries(shop, sub)][-1] == "pending")
    assert receiver.received("/") == []


def quoted(text):
    return "'" + text.replace("'", "''") + "'"
