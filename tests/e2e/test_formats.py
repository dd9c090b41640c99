"""The four formats, byte by byte, of each kind of event; and README.md's examples of them. What independent libraries
make of them: make formats."""

import re

import pytest

from conftest import LOOPBACK, ROOT, resthookd

TEA = '{"id":1,"name":"tea","price":2.5}'
DEARER = '{"id":1,"name":"tea","price":3.0}'
OWN = '{"pieces":[1, 2.50],"note":null}'
TIME = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z"

PAYLOADS = {"item.create": TEA, "item.update": DEARER, "item.repriced": '{"by":0.5}', "item.delete": DEARER, "item.sold": OWN}
CHANGES = {
    "item.create": '{"type":"INSERT","table":"item","schema":"main","record":%s,"old_record":null}' % TEA,
    "item.update": '{"type":"UPDATE","table":"item","schema":"main","record":%s,"old_record":null}' % DEARER,
    "item.repriced": '{"type":"UPDATE","table":"item","schema":"main","record":%s,"old_record":%s,"changed":["price"]}' % (DEARER, TEA),
    "item.delete": '{"type":"DELETE","table":"item","schema":"main","record":null,"old_record":%s}' % DEARER,
    "item.sold": '{"type":"EMIT","table":null,"schema":null,"record":%s,"old_record":null}' % OWN,
}
README = (ROOT / "README.md").read_text()


@pytest.fixture
def sent(tmp_path, db, receiver):
    """The requests of a format, by event."""
    db.shell("ALTER TABLE item ADD COLUMN price REAL;")
    db.ext("SELECT resthook_repair()")
    db.ext("SELECT resthook_watch('item', 'update', 'item.update')")
    db.ext("SELECT resthook_watch('item', 'update', 'item.repriced', '{\"fields\": {\"by\": \"NEW.price - OLD.price\"}}')")
    db.ext("SELECT resthook_watch('item', 'delete', 'item.delete')")

    def of(format):
        db.subscribe("item.*", receiver.url("/" + format), format=format)
        db.shell("INSERT INTO item VALUES (1, 'tea', 2.5); UPDATE item SET price = 3.0; DELETE FROM item;")
        db.ext("SELECT resthook_emit('item.sold', ?)", OWN)
        assert resthookd("--once", *LOOPBACK, db.path).returncode == 0
        requests = {request.headers["x-event-type"]: request for request in receiver.received("/" + format)}
        assert sorted(requests) == sorted(PAYLOADS)
        for request in requests.values():
            assert request.headers.all("content-type") == ["application/json"]
        return requests

    return of


def bodies(requests):
    return {event: request.body.decode() for event, request in requests.items()}


def test_bare(sent):
    requests = sent("bare")
    assert bodies(requests) == PAYLOADS
    assert not any(name.startswith("ce-") for name in requests["item.create"].headers.names())


def test_standard(sent):
    for event, body in bodies(sent("standard")).items():
        assert re.fullmatch(re.escape(f'{{"type":"{event}","timestamp":"TIME","data":{PAYLOADS[event]}}}').replace("TIME", TIME), body)


def test_cloudevents(sent):
    requests = sent("cloudevents")
    assert bodies(requests) == PAYLOADS
    for event, request in requests.items():
        headers = request.headers
        assert [name for name in headers.names() if name.startswith("ce-")] == ["ce-specversion", "ce-id", "ce-source",
                                                                              "ce-type", "ce-time"]
        assert (headers["ce-specversion"], headers["ce-id"], headers["ce-type"]) == ("1.0", headers["webhook-id"], event)
        assert headers["ce-source"] == "/resthook/" + headers["webhook-id"].split("_")[0]
        assert re.fullmatch(TIME, headers["ce-time"])


def test_change(sent):
    assert bodies(sent("change")) == CHANGES


def test_a_row_too_large_as_a_change(db, receiver):
    db.ext("SELECT resthook_set('capture_max', 1024)")
    db.ext("SELECT resthook_watch('item', 'update', 'item.update', '{\"old\": true}')")
    db.subscribe("item.update", receiver.url("/"), format="change")
    db.shell("INSERT INTO item VALUES (1, 'tea'); UPDATE item SET name = printf('%.2000c', 'x');")
    assert resthookd("--once", *LOOPBACK, db.path).returncode == 0
    assert receiver.received("/")[0].body.decode() == (
        '{"type":"UPDATE","table":"item","schema":"main","record":{"id":1,"truncated":true},"old_record":null}')


def test_subscriptions_of_one_event_have_each_its_own(db, receiver):
    for format in ("change", "bare", "standard", "cloudevents"):
        db.subscribe("item.create", receiver.url("/" + format), format=format)
    db.shell("INSERT INTO item VALUES (1, 'tea');")
    assert resthookd("--once", *LOOPBACK, db.path).returncode == 0
    for format, begin in (("bare", b'{"id":1'), ("cloudevents", b'{"id":1'), ("standard", b'{"type":"item.create"'),
                          ("change", b'{"type":"INSERT"')):
        (request,) = receiver.received("/" + format)
        assert request.body.startswith(begin)
        assert ("ce-id" in request.headers) == (format == "cloudevents")


def test_the_readmes_examples_are_these():
    (standard,) = re.findall(r'^\| `standard` \|.*`(\{.*\})` \|$', README, re.MULTILINE)
    assert re.sub(TIME, "TIME", standard) == f'{{"type":"item.create","timestamp":"TIME","data":{TEA}}}'
    assert f"| `bare` | the payload (default): `{TEA}` |" in README
    assert f"| `cloudevents` | the payload, `{TEA}`, with the headers `ce-specversion: 1.0`, `ce-id`" in README
    assert f"`{CHANGES['item.create']}` |" in README
    assert f"`{CHANGES['item.repriced']}`" in README
