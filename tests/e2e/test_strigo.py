"""The reference application, sql/strigo.sql: the plain sqlite3 shell writes rows; what subscribers get are Strigo's
resources as its API reference shows them, field by field."""

import json
import os
import re
import shutil

import pytest

from conftest import EXTENSION, LOOPBACK, ROOT, Database, resthookd

SCHEMA = (ROOT / "sql/strigo.sql").read_text()
TABLES = ["partner", "member", "class", "ondemand", "enrollment", "event", "learner"]
EVENTS = ["enrollment.create", "enrollment.finished", "ondemand.create", "class.create", "member.create",
          "event.create", "event.update", "event.delete", "event.finish", "partner.create", "learner.join"]

OWNER = {"email": "me@strigo.io", "id": "rMWNrMT2pCySh2PGo"}
HOST = "INSERT INTO member(id, email, role) VALUES ('rMWNrMT2pCySh2PGo', 'me@strigo.io', 'owner');"

# The examples of Strigo's API reference, and the writes that cause them.

ENROLLED = {"id": "yvTSaihvDRs7Kukeq", "course_id": "NFdFJBSwwA8BrSpxk", "email": "me@strigo.io",
            "enrolled_at": "2018-10-28T08:14:55.743Z", "status": "enrolled"}
EXERCISES = [{"id": "pB6H3XaTS2Tf53z3p", "title": "Introduction", "status": "DONE",
              "finished_at": "2018-09-20T10:39:35.425Z"},
             {"id": "BSY4hBSTGYfpXzN5G", "title": "Databases Overview", "status": "OPEN"}]
EXPIRED = {**ENROLLED, "started_at": "2018-10-28T08:20:27.929Z", "end_date": "2018-11-07T08:20:27.929Z",
           "status": "expired", "exercises": EXERCISES, "active_time_left": 627, "enrollment_time_left": 155705}
ENROLL = """INSERT INTO enrollment(id, course_id, email, enrolled_at)
            VALUES ('yvTSaihvDRs7Kukeq', 'NFdFJBSwwA8BrSpxk', 'me@strigo.io', '2018-10-28T08:14:55.743Z');"""
EXPIRE = f"""UPDATE enrollment SET status = 'expired', started_at = '2018-10-28T08:20:27.929Z',
                    end_date = '2018-11-07T08:20:27.929Z', exercises = '{json.dumps(EXERCISES)}',
                    active_time_left = 627, enrollment_time_left = 155705
              WHERE id = 'yvTSaihvDRs7Kukeq';"""

EVENT = {"id": "p3bdnrweEystFToCq", "name": "My Event", "owner": OWNER,
         "event_link": "https://app.strigo.io/event/p3bQnrweEystFToCq", "token": "9NX4",
         "class_id": "hd3ALTaLAbhfzmBbf", "availability": "public", "date_start": "2018-09-20T11:00:00.000Z",
         "date_end": "2018-10-30T13:00:00.000Z", "include_chat": False, "include_video": False, "tas": [],
         "trainees": [], "status": "live", "is_recorded": False}
SCHEDULE = HOST + """
    INSERT INTO event(id, name, owner_id, event_link, token, class_id, date_start, date_end, status)
    VALUES ('p3bdnrweEystFToCq', 'My Event', 'rMWNrMT2pCySh2PGo', 'https://app.strigo.io/event/p3bQnrweEystFToCq',
            '9NX4', 'hd3ALTaLAbhfzmBbf', '2018-09-20T11:00:00.000Z', '2018-10-30T13:00:00.000Z', 'live');"""

# name, writes before anybody subscribes, the write, the payload
EXAMPLES = [
    ("enrollment.create", "", ENROLL, ENROLLED),
    ("enrollment.finished", ENROLL, EXPIRE, EXPIRED),
    ("event.create", HOST, SCHEDULE.removeprefix(HOST), EVENT),
    ("event.update", SCHEDULE, "UPDATE event SET include_chat = TRUE;", {**EVENT, "include_chat": True}),
    ("event.finish", SCHEDULE, "UPDATE event SET status = 'finished';", {**EVENT, "status": "finished"}),
    ("event.delete", SCHEDULE, "DELETE FROM event;", EVENT),
    ("ondemand.create", "", """
        INSERT INTO ondemand(id, name, class_id, course_link, external_id, duration, duration_unit,
                             activity_hours_limit, status, features_video, features_slides, features_lab_manual_pause)
        VALUES ('i7gHDXnDzpRFQqFZP', 'ooo', 'hd3ALTaLAbhfzmBbf',
                'https://app.strigo.io/training/ondemand/i7gHDXnDzpRFQqFZP', 'course1', 5, 'days', 10, 'online',
                TRUE, TRUE, TRUE);""",
     {"id": "i7gHDXnDzpRFQqFZP", "name": "ooo", "class_id": "hd3ALTaLAbhfzmBbf",
      "course_link": "https://app.strigo.io/training/ondemand/i7gHDXnDzpRFQqFZP", "external_id": "course1",
      "duration": 5, "duration_unit": "days", "activity_hours_limit": 10, "status": "online",
      "features": {"video": True, "slides": True, "lab_manual_pause": True}}),
    ("class.create", HOST, """
        INSERT INTO class(id, name, owner_id) VALUES ('K6inELDjusK76rwGw', 'Intro to Docker', 'rMWNrMT2pCySh2PGo');""",
     {"id": "K6inELDjusK76rwGw", "name": "Intro to Docker", "owner": OWNER, "presentation_notes": [],
      "resources": []}),
    ("member.create", "", "INSERT INTO member(id, email) VALUES ('AsEM3RtnbuudJBZD5', 'me2@strigo.io');",
     {"id": "AsEM3RtnbuudJBZD5", "email": "me2@strigo.io", "role": "member"}),
    ("member.create", "", """
        INSERT INTO member(id, email, partner_id, status, link, created_at)
        VALUES ('8unc2Gt4sGcqJgBqX', 'trainer@partner-company.com', 'Z3XKk7Swzr3MuaTGJ', 'pending',
                'https://app.strigo.io/team/invite/LKOO', '2019-01-07T15:42:21.932Z');""",
     {"created_at": "2019-01-07T15:42:21.932Z", "email": "trainer@partner-company.com", "id": "8unc2Gt4sGcqJgBqX",
      "link": "https://app.strigo.io/team/invite/LKOO", "partner_id": "Z3XKk7Swzr3MuaTGJ", "status": "pending"}),
    ("partner.create", "", "INSERT INTO partner(id, name) VALUES ('Z3XKk7Swzr3MuaTGJ', 'My New Partner');",
     {"id": "Z3XKk7Swzr3MuaTGJ", "name": "My New Partner"}),
    ("learner.join", "", """
        INSERT INTO learner(id, event_id, owner_id, owner_email, created_at, online_status, last_seen)
        VALUES ('ECANkhaMraTFjFBSk', 'K6inELDjusK76rwGw', 'rMWNrMT2pCySh2PGo', 'me@strigo.io',
                '2018-09-20T10:38:18.656Z', 'online', '2018-09-20T10:40:11.013Z');""",
     {"id": "ECANkhaMraTFjFBSk", "event_id": "K6inELDjusK76rwGw", "type": "learner", "owner": OWNER,
      "created_at": "2018-09-20T10:38:18.656Z", "online_status": "online", "last_seen": "2018-09-20T10:40:11.013Z",
      "need_assistance": False}),
]

# A row of nothing but what is required, and one of everything.

LEAST = [
    ("partner.create", "partner(id, name) VALUES ('p', 'P')", {"id": "p", "name": "P"}),
    ("member.create", "member(id, email) VALUES ('m', 'm@x')", {"id": "m", "email": "m@x", "role": "member"}),
    ("class.create", "class(id, name) VALUES ('c', 'C')",
     {"id": "c", "name": "C", "resources": [], "presentation_notes": []}),
    ("ondemand.create", "ondemand(id, name) VALUES ('o', 'O')", {"id": "o", "name": "O"}),
    ("enrollment.create", "enrollment(id, course_id, email) VALUES ('e', 'o', 'l@x')",
     {"id": "e", "course_id": "o", "email": "l@x", "status": "enrolled"}),
    ("event.create", "event(id, name) VALUES ('v', 'V')",
     {"id": "v", "name": "V", "availability": "public", "include_chat": False, "include_video": False, "tas": [],
      "trainees": [], "status": "ready", "is_recorded": False}),
    ("learner.join", "learner(id, event_id) VALUES ('l', 'v')",
     {"id": "l", "event_id": "v", "type": "learner", "need_assistance": False}),
]

TIME = "2018-09-20T11:00:00.000Z"
MOST = [
    ("partner.create", "partner", {"id": "p", "name": "Ü\"\\"}, {}),
    ("member.create", "member",
     {"id": "m", "email": "m@x", "role": "partner", "partner_id": "p", "status": "active", "link": "https://x/",
      "created_at": TIME}, {}),
    ("class.create", "class",
     {"id": "c", "name": "C", "owner": OWNER, "description": "D", "resources": [{"id": "r", "is_custom_image": True}],
      "presentation_notes": [{"content": "yo", "page": 1}], "presentation_filename": "f.pdf", "created_at": TIME,
      "updated_at": TIME, "labels": ["a", "b"]}, {}),
    ("ondemand.create", "ondemand",
     {"id": "o", "name": "O", "class_id": "c", "course_link": "https://x/", "external_id": "x", "duration": 2.5,
      "duration_unit": "hours", "activity_hours_limit": 0.5, "status": "offline", "labels": [],
      "features": {"video": False, "slides": True, "lab_manual_pause": False}}, {}),
    ("enrollment.create", "enrollment",
     {"id": "e", "course_id": "o", "email": "l@x", "status": "finished", "enrolled_at": TIME, "started_at": TIME,
      "first_activity": TIME, "paused_at": TIME, "inactivated_at": TIME, "stopped_at": TIME, "expired_at": TIME,
      "finished_at": TIME, "end_date": TIME, "exercises": [], "expiration_date": TIME, "timezone": "Europe/Paris",
      "active_time_left": 0, "enrollment_time_left": 0.5}, {}),
    ("event.create", "event",
     {**EVENT, "availability": "private", "description": "D", "include_chat": True, "include_video": True,
      "tas": ["t@x"], "trainees": ["l@x", "k@x"], "status": "finished", "partner_id": "p",
      "include_lab_exercises": True, "labels": ["l"], "is_recorded": True},
     {"timezone": "Europe/Paris", "captions_language": "de-DE"}),
    ("learner.join", "learner",
     {"id": "l", "event_id": "v", "type": "learner", "owner": {"email": "l@x", "id": "u"}, "created_at": TIME,
      "viewstate": "lab", "online_status": "offline", "last_seen": TIME, "need_assistance": True}, {}),
]


def exactly(value):
    """JSON text or a value of python, so that equal means equal: true is not 1, 5 is not 5.0."""
    return json.dumps(json.loads(value) if isinstance(value, (str, bytes)) else value, sort_keys=True, indent=1)


def insert(table, payload, more):
    """The INSERT of the row that a payload shows, and of columns that it does not show."""
    values = dict(more)
    for name, value in payload.items():
        if name == "owner" and table != "learner":
            values["owner_id"] = value["id"]
        elif isinstance(value, dict):
            values.update({f"{name}_{inner}": each for inner, each in value.items()})
        else:
            values[name] = json.dumps(value) if isinstance(value, list) else value
    texts = ["'" + value.replace("'", "''") + "'" if isinstance(value, str) else str(value).upper()
             for value in values.values()]
    return values, f"INSERT INTO {table}({', '.join(values)}) VALUES ({', '.join(texts)});"


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A database with strigo.sql in it, read by `resthookd sql`, as the file says."""
    path = tmp_path_factory.mktemp("made") / "app.db"
    done = resthookd("sql", path, stdin=SCHEMA)
    assert (done.returncode, done.stderr) == (0, ""), done.stderr
    return path


@pytest.fixture
def strigo(made, tmp_path):
    return Database(shutil.copy(made, tmp_path / "app.db"))


@pytest.fixture
def sent(strigo, receiver):
    """sent(sql, before=""): what a subscriber to everything gets of these writes: (event, payload), in order of the
    events. Complete: --once ends when all is delivered."""

    def of(sql, before=""):
        strigo.shell(before)
        strigo.subscribe("*", receiver.url("/"))
        strigo.shell(sql)
        done = resthookd("--once", *LOOPBACK, strigo.path)
        assert done.returncode == 0, done.stderr
        got = sorted(receiver.received(), key=lambda request: int(request.id.split("_")[-2]))
        assert all(request.headers["content-type"] == "application/json" for request in got)
        return [(request.headers["x-event-type"], exactly(request.body)) for request in got]

    return of


def test_all_eleven_events_have_an_example():
    assert sorted({name for name, *_ in EXAMPLES}) == sorted(EVENTS)


@pytest.mark.parametrize("name, before, write, payload", EXAMPLES,
                         ids=[f"{i} {example[0]}" for i, example in enumerate(EXAMPLES)])
def test_an_example_of_the_reference(strigo, sent, name, before, write, payload):
    assert sent(write, before) == [(name, exactly(payload))]
    ((event,),) = strigo.ext("SELECT event_id FROM resthook_deliveries WHERE event = ?", name)
    assert exactly(strigo.one("SELECT resthook_payload(?)", event)) == exactly(payload)


@pytest.mark.parametrize("name, row, payload", LEAST, ids=[least[0] for least in LEAST])
def test_a_row_of_what_is_required(sent, name, row, payload):
    assert sent(f"INSERT INTO {row};") == [(name, exactly(payload))]


@pytest.mark.parametrize("name, table, payload, more", MOST, ids=[most[0] for most in MOST])
def test_a_row_of_everything(strigo, sent, name, table, payload, more):
    values, sql = insert(table, payload, more)
    columns = strigo.shell(f"SELECT name FROM pragma_table_info('{table}');").split("\n")
    assert sorted(values) == sorted(columns), "a column that this test knows nothing of"
    assert sent(sql, HOST) == [(name, exactly(payload))]


@pytest.mark.parametrize("table", TABLES)
def test_explicit_nulls_are_as_good_as_nothing(strigo, sent, table):
    """What programs write that name every column: NULL is left out, and nothing fails."""
    rows = strigo.shell(f"SELECT name, \"notnull\" FROM pragma_table_info('{table}');").split("\n")
    columns = dict(row.split("|") for row in rows)
    values = ["'x'" if required == "1" else "NULL" for required in columns.values()]
    ((_, payload),) = sent(f"INSERT INTO {table}({', '.join(columns)}) VALUES ({', '.join(values)});")
    expected = {column: "x" for column, required in columns.items() if required == "1"}
    if table == "member":
        expected["role"] = "member"
    assert payload == exactly(expected)


def test_a_live_dispatcher_sends_all_eleven(strigo, receiver, dispatcher):
    strigo.subscribe("*", receiver.url("/"))
    dispatcher(strigo)
    writes = [ENROLL, EXPIRE, SCHEDULE, "UPDATE event SET name = 'Renamed';", "UPDATE event SET status = 'finished';",
              "DELETE FROM event;"]
    strigo.shell("\n".join(writes + [write for name, _, write, _ in EXAMPLES
                                     if name.split(".")[0] in ("ondemand", "class", "partner", "learner")]))
    got = receiver.wait_for(len(EVENTS))
    assert sorted(request.headers["x-event-type"] for request in got) == sorted(EVENTS)


# What is an event and what is not.

def names(pairs):
    return [name for name, _ in pairs]


@pytest.mark.parametrize("status", ["finished", "expired"])
def test_an_enrollment_that_is_inserted_ended_is_only_created(sent, status):
    assert names(sent(f"INSERT INTO enrollment(id, course_id, email, status) VALUES ('e', 'o', 'l@x', '{status}');"
                      )) == ["enrollment.create"]


def test_an_enrollment_ends_once(sent):
    steps = ["started", "paused", "finished", "expired", "finished", "started", "expired"]
    got = sent("".join(f"UPDATE enrollment SET status = '{status}';" for status in steps), ENROLL)
    assert names(got) == ["enrollment.finished"] * 2
    assert [json.loads(payload)["status"] for _, payload in got] == ["finished", "expired"]


def test_other_changes_of_an_enrollment_are_no_event(sent):
    assert sent("UPDATE enrollment SET email = 'x'; UPDATE enrollment SET status = 'enrolled'; DELETE FROM enrollment;",
                ENROLL) == []


def test_a_status_that_is_null_hides_nothing(sent):
    got = sent("""UPDATE enrollment SET status = NULL; UPDATE enrollment SET status = 'finished';
                  UPDATE enrollment SET status = NULL;
                  UPDATE event SET status = NULL; UPDATE event SET status = 'finished';
                  UPDATE event SET status = NULL;""", ENROLL + SCHEDULE)
    assert names(got) == ["enrollment.finished", "event.update", "event.finish", "event.update"]


def test_the_end_of_an_event_is_not_also_an_update(sent):
    got = sent("UPDATE event SET status = 'finished', name = 'Over'; UPDATE event SET name = 'Long over';", SCHEDULE)
    assert got == [("event.finish", exactly({**EVENT, "status": "finished", "name": "Over"})),
                   ("event.update", exactly({**EVENT, "status": "finished", "name": "Long over"}))]


def test_an_update_that_changes_nothing_sends_nothing(sent):
    assert sent("UPDATE event SET name = name, status = 'live', tas = '[]', owner_id = owner_id;", SCHEDULE) == []


def test_an_update_of_any_column_is_one(strigo, sent):
    columns = strigo.shell("SELECT name FROM pragma_table_info('event') WHERE name NOT IN ('id', 'status');").split()
    values = {"availability": "'private'", "tas": "'[1]'", "trainees": "'[1]'", "labels": "'[1]'"}
    got = sent("".join(f"UPDATE event SET {column} = {values.get(column, 1)};" for column in columns)
               + "UPDATE event SET id = 'new';", SCHEDULE)
    assert names(got) == ["event.update"] * (len(columns) + 1)
    assert json.loads(got[-1][1])["id"] == "new"


@pytest.mark.parametrize("kind", ["host", "ta"])
def test_who_is_no_learner_does_not_join(sent, kind):
    assert sent(f"INSERT INTO learner(id, event_id, type) VALUES ('l', 'v', '{kind}');") == []


def test_a_batch_is_an_event_a_row(sent):
    got = sent("INSERT INTO enrollment(id, course_id, email) VALUES ('a', 'o', 'a@x'), ('b', 'o', 'b@x');"
               "UPDATE enrollment SET status = 'finished'; BEGIN; DELETE FROM enrollment; ROLLBACK;")
    assert names(got) == ["enrollment.create"] * 2 + ["enrollment.finished"] * 2


def test_the_owner_is_looked_up_and_may_be_unknown(sent):
    got = sent("UPDATE event SET owner_id = 'nobody'; UPDATE event SET owner_id = NULL;", SCHEDULE)
    without = {name: value for name, value in EVENT.items() if name != "owner"}
    assert got == [("event.update", exactly({**EVENT, "owner": {"id": "nobody"}})),
                   ("event.update", exactly(without))]


def test_a_time_zone_belongs_to_an_expiration_date(sent):
    got = sent("""INSERT INTO enrollment(id, course_id, email, expiration_date, timezone) VALUES
                    ('a', 'o', 'x', NULL, NULL), ('b', 'o', 'x', '2024', NULL), ('c', 'o', 'x', '2024', 'Asia/Tokyo'),
                    ('d', 'o', 'x', NULL, 'Asia/Tokyo');""")
    assert [json.loads(payload).get("timezone") for _, payload in got] == [None, "Etc/UTC", "Asia/Tokyo", "Asia/Tokyo"]


# The file itself.

def test_it_can_be_read_twice(strigo, sent):
    done = resthookd("sql", strigo.path, stdin=SCHEMA)
    assert (done.returncode, done.stderr) == (0, ""), done.stderr
    watches = strigo.ext("SELECT event FROM resthook_watches WHERE table_name <> 'item' ORDER BY event")
    assert [event for (event,) in watches] == sorted(EVENTS)
    assert names(sent(ENROLL)) == ["enrollment.create"]


def test_the_shell_can_read_it(tmp_path):
    training = Database(tmp_path / "training.db")
    training.shell(f".load {EXTENSION.with_suffix('')}\n.read {ROOT / 'sql/strigo.sql'}\n", env=os.environ)
    assert training.shell("SELECT count(*) FROM resthook_watches;") == "11"


@pytest.mark.parametrize("table", TABLES)
def test_every_column_is_explained(strigo, table):
    comment = re.search(rf"((?:^--.*\n)+)CREATE TABLE IF NOT EXISTS {table}\(", SCHEMA, re.MULTILINE)[1]
    for column in strigo.shell(f"SELECT name FROM pragma_table_info('{table}');").split():
        assert re.search(rf"^--   (\w+, )*{column}\b", comment, re.MULTILINE), column
