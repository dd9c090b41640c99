"""What a writer may do to a watched table, and what comes of it: the catalogue.

A row is a name, what it says to people, the schema, the watches, the SQL that a writer with nothing loaded runs, and
the events. Unless a row says otherwise the table is item(id INTEGER PRIMARY KEY, name) and insert, update and delete
are watched as i, u and d. An event is [letter, payload]. Where a setting of the writer's connection decides, `events`
is a function of the settings. What the writer itself sees is compared with the same SQL on a database without hooks;
`refused` is the one error that only hooks cause.
"""

KINDS = {"i": "insert", "u": "update", "d": "delete"}

ITEM = "CREATE TABLE item(id INTEGER PRIMARY KEY, name);"
WATCHES = [("item", "insert", "i", {}), ("item", "update", "u", {}), ("item", "delete", "d", {})]


def row(name, says, write, events, schema=ITEM, watches=WATCHES, **more):
    return dict(name=name, says=says, write=write, events=events, schema=schema, watches=watches, **more)


def i(id, name):
    return ["i", {"id": id, "name": name}]


def u(id, name):
    return ["u", {"id": id, "name": name}]


def d(id, name):
    return ["d", {"id": id, "name": name}]


COLUMNS_300 = ", ".join(f"c{n}" for n in range(300))
ODD = 'we"ird \'col]` — é 🎓'

PITFALLS = [
    row("insert update delete", "ordinary writes", """
        INSERT INTO item VALUES (1, 'a'), (2, 'b'); UPDATE item SET name = 'c' WHERE id = 1; DELETE FROM item WHERE id = 2;
    """, [i(1, "a"), i(2, "b"), u(1, "c"), d(2, "b")]),
    row("rollback", "ROLLBACK: no event", "BEGIN; INSERT INTO item VALUES (1, 'a'); ROLLBACK; INSERT INTO item VALUES (2, 'b');",
        [i(2, "b")]),
    row("savepoint", "ROLLBACK TO: only what stayed", """
        BEGIN; INSERT INTO item VALUES (1, 'a'); SAVEPOINT s; INSERT INTO item VALUES (2, 'b'); ROLLBACK TO s;
        INSERT INTO item VALUES (3, 'c'); COMMIT;
    """, [i(1, "a"), i(3, "c")]),
    row("failed statement", "a statement that fails half-way: nothing of it", """
        INSERT INTO item VALUES (5, 'a'); INSERT INTO item VALUES (6, 'b'), (5, 'c'), (7, 'd'); SELECT count(*) FROM item;
    """, [i(5, "a")]),
    row("or fail", "OR FAIL: the rows before the failing one stay, and are events", """
        INSERT INTO item VALUES (5, 'a'); INSERT OR FAIL INTO item VALUES (6, 'b'), (5, 'c'), (7, 'd');
    """, [i(5, "a"), i(6, "b")]),
    row("or ignore", "OR IGNORE: a row that is left out is no event", """
        INSERT INTO item VALUES (5, 'a'); INSERT OR IGNORE INTO item VALUES (5, 'b'), (6, 'c');
    """, [i(5, "a"), i(6, "c")]),
    row("or rollback", "OR ROLLBACK takes its transaction and the events with it", """
        BEGIN; INSERT INTO item VALUES (5, 'a'); INSERT OR ROLLBACK INTO item VALUES (5, 'b');
        INSERT INTO item VALUES (6, 'c');
    """, [i(6, "c")]),
    row("upsert", "UPSERT: an update where the row was there", """
        INSERT INTO item VALUES (1, 'a') ON CONFLICT(id) DO UPDATE SET name = excluded.name;
        INSERT INTO item VALUES (1, 'b') ON CONFLICT(id) DO UPDATE SET name = excluded.name;
        INSERT INTO item VALUES (1, 'c') ON CONFLICT DO NOTHING;
    """, [i(1, "a"), u(1, "b")]),
    row("upsert with the old row", "UPSERT: OLD is the row that was there", """
        INSERT INTO item VALUES (1, 'a'), (2, 'b');
        INSERT INTO item VALUES (2, 'c'), (1, 'd') ON CONFLICT(id) DO UPDATE SET name = excluded.name || name;
    """, [["u", {"id": 2, "was": "b", "is": "cb"}], ["u", {"id": 1, "was": "a", "is": "da"}]],
        watches=[("item", "update", "u", {"fields": {"id": "OLD.id", "was": "OLD.name", "is": "NEW.name"}})]),
    row("replace", "REPLACE of an existing key: an insert; the implied delete is an event with recursive_triggers only", """
        INSERT INTO item VALUES (1, 'a'); REPLACE INTO item VALUES (1, 'b'); SELECT * FROM item;
    """, lambda s: [i(1, "a"), d(1, "a"), i(1, "b")] if s["recursive_triggers"] else [i(1, "a"), i(1, "b")]),
    row("update or replace", "UPDATE OR REPLACE: the update; the row in its way goes silently without recursive_triggers", """
        INSERT INTO item VALUES (1, 'a'), (2, 'b'); UPDATE OR REPLACE item SET id = 2 WHERE id = 1; SELECT * FROM item;
    """, lambda s: [i(1, "a"), i(2, "b")] + ([d(2, "b")] if s["recursive_triggers"] else []) + [u(2, "a")]),
    row("update without change", "an update that changes nothing is an update", """
        INSERT INTO item VALUES (1, 'a'); UPDATE item SET name = name; UPDATE item SET name = 'b' WHERE id = 9;
    """, [i(1, "a"), u(1, "a")]),
    row("changed", "option changed: compared byte by byte and type by type, whatever the collation", """
        INSERT INTO item VALUES (1, 'a', 1);
        UPDATE item SET name = 'a'; UPDATE item SET name = 'A'; UPDATE item SET number = 1.0; UPDATE item SET number = '1';
        UPDATE item SET number = '1'; UPDATE item SET number = x'31'; UPDATE item SET number = NULL; UPDATE item SET number = NULL;
    """, [["u", {"id": 1, "name": "A", "number": 1}], ["u", {"id": 1, "name": "A", "number": 1.0}],
          ["u", {"id": 1, "name": "A", "number": "1"}], ["u", {"id": 1, "name": "A", "number": "MQ=="}],
          ["u", {"id": 1, "name": "A", "number": None}]],
        schema="CREATE TABLE item(id INTEGER PRIMARY KEY, name COLLATE NOCASE, number);",
        watches=[("item", "update", "u", {"changed": ["name", "number"]})]),
    row("update of", "update of a column: only when it is assigned", """
        INSERT INTO item VALUES (1, 'a'); UPDATE item SET id = 2; UPDATE item SET name = 'a';
    """, [u(2, "a")], watches=[("item", "update of name", "u", {})]),
    row("delete all", "DELETE without WHERE: each row", "INSERT INTO item VALUES (1, 'a'), (2, 'b'); DELETE FROM item;",
        [i(1, "a"), i(2, "b"), d(1, "a"), d(2, "b")]),
    row("insert select", "INSERT … SELECT, CREATE TABLE … AS", """
        INSERT INTO item WITH RECURSIVE n(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM n WHERE x < 3) SELECT x, 'n' || x FROM n;
        CREATE TABLE copy AS SELECT * FROM item;
    """, [i(1, "n1"), i(2, "n2"), i(3, "n3")]),
    row("default values", "DEFAULT VALUES, defaults and automatic keys", """
        INSERT INTO item DEFAULT VALUES; INSERT INTO item(name) VALUES ('x'); SELECT last_insert_rowid();
    """, [i(1, "none"), i(2, "x")],
        schema="CREATE TABLE item(id INTEGER PRIMARY KEY AUTOINCREMENT, name DEFAULT 'none');"),
    row("last_insert_rowid", "changes() and last_insert_rowid() are the writer's own", """
        INSERT INTO item VALUES (77, 'a'); SELECT changes(), last_insert_rowid(); UPDATE item SET name = 'b'; SELECT changes();
        INSERT INTO item(name) VALUES ('c'); SELECT last_insert_rowid(); DELETE FROM item; SELECT changes();
    """, [i(77, "a"), u(77, "b"), i(78, "c"), d(77, "b"), d(78, "c")]),
    row("returning", "RETURNING gives what it gave", """
        INSERT INTO item VALUES (1, 'a'), (2, 'b') RETURNING id, name; UPDATE item SET name = name || '!' RETURNING *;
        DELETE FROM item WHERE id = 1 RETURNING name;
    """, [i(1, "a"), i(2, "b"), u(1, "a!"), u(2, "b!"), d(1, "a!")], since=3035000),
    row("integers", "64-bit integers are exact", """
        INSERT INTO item VALUES (9223372036854775807, -9223372036854775808), (1, 9007199254740993);
    """, [i(9223372036854775807, -9223372036854775808), i(1, 9007199254740993)]),
    row("reals", "reals are exact; infinities are null", """
        INSERT INTO item VALUES (1, 0.1 + 0.2), (2, 3.0), (3, 1e999), (4, -1e999), (5, 5e-324), (6, 1.7976931348623157e308);
    """, [i(1, 0.30000000000000004), i(2, 3.0), i(3, None), i(4, None), i(5, 5e-324), i(6, 1.7976931348623157e308)]),
    row("text", "quotes, control characters, emoji", """
        INSERT INTO item VALUES (1, 'a"b\\c''d'), (2, char(1, 9, 10, 13, 31, 127)), (3, '🎓 é 漢'), (4, '');
    """, [i(1, "a\"b\\c'd"), i(2, "\x01\t\n\r\x1f\x7f"), i(3, "🎓 é 漢"), i(4, "")]),
    row("nul in text", "a NUL in text is kept", "INSERT INTO item VALUES (1, 'a' || char(0) || 'b');", [i(1, "a\x00b")]),
    row("invalid utf-8", "text that is not UTF-8: U+FFFD", "INSERT INTO item VALUES (1, CAST(x'61ff62' AS TEXT));",
        [i(1, "a\ufffdb")]),
    row("blob", "BLOBs are base64, also those that look like SQLite's JSONB", """
        INSERT INTO item VALUES (1, x'00ff'), (2, x'c30e312c2261646d696e223a74727565'), (3, x''), (4, zeroblob(3));
    """, [i(1, "AP8="), i(2, "ww4xLCJhZG1pbiI6dHJ1ZQ=="), i(3, ""), i(4, "AAAA")]),
    row("json text", "text that is JSON stays text", """INSERT INTO item VALUES (1, '{"a":1}'), (2, '{"a":');""",
        [i(1, '{"a":1}'), i(2, '{"a":')]),
    row("large row", "a row above capture_max: its key and a mark", "INSERT INTO item VALUES (7, zeroblob(2000000));",
        [["i", {"id": 7, "truncated": True}]]),
    row("300 columns", "300 columns", f"INSERT INTO item(c0, c299) VALUES (1, 2);",
        [["i", {f"c{n}": {0: 1, 299: 2}.get(n) for n in range(300)}]], schema=f"CREATE TABLE item({COLUMNS_300});",
        watches=[("item", "insert", "i", {})]),
    row("odd names", "any name of a table or a column", f"""
        INSERT INTO "or""der [x]" VALUES (1, 'a', 'b'); UPDATE "or""der [x]" SET "select" = 'c';
    """, [["i", {ODD: 1, "select": "a", "": "b"}], ["u", {ODD: 1, "select": "c", "": "b"}]],
        schema=f'CREATE TABLE "or""der [x]"("{ODD.replace(chr(34), chr(34) * 2)}" INTEGER PRIMARY KEY, "select", "");',
        watches=[('or"der [x]', "insert", "i", {}), ('or"der [x]', "update", "u", {})]),
    row("columns called like ours", "columns named NEW, OLD, id, v0, event, rowid", """
        INSERT INTO item VALUES (1, 2, 3, 4, 5, 6);
    """, [["i", {"new": 1, "old": 2, "v0": 3, "event": 4, "rowid": 5, "payload": 6}]],
        schema='CREATE TABLE item(new, old, v0, event, "rowid", payload);', watches=[("item", "insert", "i", {})]),
    # Before 3.36 SQLite counts no changes when all of a WITHOUT ROWID table is deleted that has no trigger.
    row("without rowid", "WITHOUT ROWID, composite key", """
        INSERT INTO pair VALUES (1, 'x', 'n'); UPDATE pair SET name = 'm'; DELETE FROM pair WHERE a = 1;
    """, [["i", {"a": 1, "b": "x", "name": "n"}], ["u", {"a": 1, "b": "x", "name": "m"}], ["d", {"a": 1, "b": "x", "name": "m"}]],
        schema="CREATE TABLE pair(a, b, name, PRIMARY KEY(a, b)) WITHOUT ROWID;",
        watches=[("pair", "insert", "i", {}), ("pair", "update", "u", {}), ("pair", "delete", "d", {})]),
    row("no key", "a table without a key", "INSERT INTO log VALUES ('x'); DELETE FROM log;",
        [["i", {"line": "x"}], ["d", {"line": "x"}]], schema="CREATE TABLE log(line);",
        watches=[("log", "insert", "i", {}), ("log", "delete", "d", {})]),
    row("generated columns", "generated columns, VIRTUAL ones too, although their expression fails", """
        INSERT INTO item(id, a) VALUES (1, 2); INSERT INTO item(id, a) VALUES (2, -9223372036854775808);
    """, [["i", {"id": 1, "a": 2, "s": 4, "v": 2}], ["i", {"id": 2, "a": -9223372036854775808, "s": -1.8446744073709552e19, "v": None}]],
        schema="CREATE TABLE item(id INTEGER PRIMARY KEY, a, s AS (a * 2) STORED, v AS (CASE WHEN a > 0 THEN a END) VIRTUAL);",
        watches=[("item", "insert", "i", {})], since=3031000),
    row("strict", "STRICT tables", "INSERT INTO item VALUES (1, 'a'); INSERT INTO item VALUES ('x', 'a');", [i(1, "a")],
        schema="CREATE TABLE item(id INTEGER PRIMARY KEY, name TEXT) STRICT;", since=3037000),
    row("constraints", "CHECK, NOT NULL and UNIQUE of the table's own", """
        INSERT INTO item VALUES (1, 'a'); INSERT INTO item VALUES (2, NULL); INSERT INTO item VALUES (3, 'a');
        INSERT OR IGNORE INTO item VALUES (4, NULL), (5, 'a'), (6, 'b'); UPDATE OR IGNORE item SET name = 'b' WHERE id = 1;
    """, [i(1, "a"), i(6, "b")],
        schema="CREATE TABLE item(id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE CHECK(name <> 'z'));"),
    row("foreign keys", "cascades are events of the rows they touch, where foreign_keys is on", """
        INSERT INTO parent VALUES (1), (2); INSERT INTO item VALUES (10, 1), (11, 2), (12, 1);
        DELETE FROM parent WHERE id = 1; UPDATE parent SET id = 3;
    """, lambda s: [i(10, 1), i(11, 2), i(12, 1)] + ([d(10, 1), d(12, 1), u(11, 3)] if s["foreign_keys"] else []),
        schema="CREATE TABLE parent(id INTEGER PRIMARY KEY);"
               " CREATE TABLE item(id INTEGER PRIMARY KEY, name REFERENCES parent(id) ON DELETE CASCADE ON UPDATE CASCADE);"),
    row("triggers of the user's own", "triggers that write to a watched table", """
        INSERT INTO source VALUES (1); INSERT INTO source VALUES (2);
    """, [i(1, "from trigger"), i(2, "from trigger")],
        schema=ITEM + "CREATE TABLE source(id); CREATE TRIGGER mine AFTER INSERT ON source BEGIN"
                      " INSERT INTO item VALUES (NEW.id, 'from trigger'); END;"),
    row("a trigger that changes the row", "a trigger of the user's own that updates the row just inserted", """
        INSERT INTO item VALUES (1, 'a'); SELECT * FROM item;
    """, lambda s: sorted([i(1, "a"), u(1, "A")], key=str), unordered=True,
        schema=ITEM + "CREATE TRIGGER mine AFTER INSERT ON item BEGIN UPDATE item SET name = upper(NEW.name) WHERE id = NEW.id; END;"),
    row("raise ignore", "a BEFORE trigger that says RAISE(IGNORE): no row, no event", """
        INSERT INTO item VALUES (1, 'no'), (2, 'yes');
    """, [i(2, "yes")],
        schema=ITEM + "CREATE TRIGGER mine BEFORE INSERT ON item WHEN NEW.name = 'no' BEGIN SELECT RAISE(IGNORE); END;"),
    row("instead of", "a view with INSTEAD OF triggers over a watched table", "INSERT INTO v VALUES (1, 'a'); DELETE FROM v;",
        [i(1, "a"), d(1, "a")],
        schema=ITEM + "CREATE VIEW v AS SELECT * FROM item;"
                      " CREATE TRIGGER vi INSTEAD OF INSERT ON v BEGIN INSERT INTO item VALUES (NEW.id, NEW.name); END;"
                      " CREATE TRIGGER vd INSTEAD OF DELETE ON v BEGIN DELETE FROM item WHERE id = OLD.id; END;"),
    row("temp shadows", "TEMP tables that have our names, or the watched table's", """
        CREATE TEMP TABLE resthook_outbox(id); CREATE TEMP TABLE resthook_interest(watch); CREATE TEMP TABLE item(id, name);
        INSERT INTO main.item VALUES (1, 'a'); INSERT INTO item VALUES (2, 'temp'); SELECT count(*) FROM temp.resthook_outbox;
    """, [i(1, "a")]),
    row("temp trigger", "a TEMP trigger that writes to a watched table", """
        CREATE TEMP TABLE t(x); CREATE TEMP TRIGGER mine AFTER INSERT ON t BEGIN INSERT INTO item VALUES (NEW.x, 'temp'); END;
        INSERT INTO t VALUES (5);
    """, [i(5, "temp")]),
    row("attached", "a writer that has attached the file under another name", """
        INSERT INTO app.item VALUES (1, 'a'); UPDATE app.item SET name = 'b'; CREATE TABLE item(id); INSERT INTO item VALUES (9);
    """, [i(1, "a"), u(1, "b")], attached=True),
    row("add column", "ALTER TABLE ADD COLUMN: writes go on; the column is captured after the repair", """
        ALTER TABLE item ADD COLUMN more; INSERT INTO item VALUES (1, 'a', 'x');
    """, [i(1, "a")]),
    row("drop column", "ALTER TABLE DROP COLUMN: the migration passes, writes go on", """
        ALTER TABLE item DROP COLUMN name; INSERT INTO item VALUES (1);
    """, [["i", {"id": 1, "name": None}]], since=3035000),
    row("rename column", "ALTER TABLE RENAME COLUMN: the migration passes, writes go on", """
        ALTER TABLE item RENAME COLUMN name TO title; INSERT INTO item VALUES (1, 'a');
    """, [i(1, "a")]),
    row("rename what is compared", "RENAME COLUMN of a column that `changed` and `update of` name: they follow", """
        INSERT INTO item VALUES (1, 'a'); ALTER TABLE item RENAME COLUMN name TO title;
        UPDATE item SET id = 2; UPDATE item SET title = 'a'; UPDATE item SET title = 'b';
    """, [u(2, "b")], watches=[("item", "update of name", "u", {"changed": ["name"]})]),
    row("drop what is compared", "DROP COLUMN of a column that `changed` and `update of` name: it never changes", """
        INSERT INTO item VALUES (1, 'a', 1); ALTER TABLE item DROP COLUMN name;
        UPDATE item SET id = 2; UPDATE item SET more = 1; UPDATE item SET more = 2;
    """, [["u", {"id": 2, "name": None, "more": 2}]], schema="CREATE TABLE item(id INTEGER PRIMARY KEY, name, more);",
        watches=[("item", "update of name, more", "u", {"changed": ["name", "more"]})], since=3035000),
    row("rename and drop", "RENAME COLUMN, then DROP of the same one without `resthook_repair()` in between: SQLite refuses"
        " the DROP, `error in trigger … after drop column`, and nothing else", """
        ALTER TABLE item RENAME COLUMN name TO title; ALTER TABLE item DROP COLUMN title;
        INSERT INTO item(id) VALUES (1);
    """, [i(1, None)], watches=WATCHES[:1], since=3035000,
        refused="error in trigger resthook_watch_1"),
    row("rebuild", "a table made anew under its name: the migration passes, its writes are events after the repair", """
        INSERT INTO item VALUES (1, 'a'); BEGIN; CREATE TABLE n(id INTEGER PRIMARY KEY, name NOT NULL);
        INSERT INTO n SELECT * FROM item; DROP TABLE item; ALTER TABLE n RENAME TO item; COMMIT;
        INSERT INTO item VALUES (2, 'b');
    """, [i(1, "a")]),
    row("rename table", "ALTER TABLE RENAME: the hooks go along", """
        ALTER TABLE item RENAME TO thing; INSERT INTO thing VALUES (1, 'a');
    """, [i(1, "a")]),
    row("drop table", "DROP TABLE: no event, no failure", "INSERT INTO item VALUES (1, 'a'); DROP TABLE item;", [i(1, "a")]),
    row("vacuum and reindex", "VACUUM, REINDEX, ANALYZE, integrity_check", """
        INSERT INTO item VALUES (1, 'a'); VACUUM; REINDEX; ANALYZE; PRAGMA integrity_check; PRAGMA foreign_key_check;
    """, [i(1, "a")], loose=True),  # VACUUM's and REINDEX's own counts are those of the schema
    row("update from", "UPDATE … FROM", """
        INSERT INTO item VALUES (1, 'a'), (2, 'b'); UPDATE item SET name = n.name FROM (SELECT 2 AS id, 'z' AS name) AS n WHERE n.id = item.id;
    """, [i(1, "a"), i(2, "b"), u(2, "z")], since=3033000),
    row("many in one transaction", "ten thousand rows in one statement", """
        INSERT INTO item WITH RECURSIVE n(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM n WHERE x < 10000) SELECT x, x FROM n;
    """, [i(n, n) for n in range(1, 10001)]),
]


def summary(events):
    letters = [letter for letter, _ in events]
    return ", ".join(f"{letters.count(letter)} {KINDS[letter]}" for letter in KINDS if letter in letters) or "none"


def table():
    """The catalogue for README.md, where a test looks for it: a line for each row."""
    lines = ["| case | what your writer does, and what comes of it | events in its test |", "|---|---|---|"]
    for row in PITFALLS:
        events = row["events"]
        if callable(events):
            off, on = (summary(events(dict.fromkeys(("recursive_triggers", "foreign_keys"), value))) for value in (0, 1))
            events = off if off == on else f"{off}; with the setting {on}"
        else:
            events = summary(events)
        lines.append(f"| {row['name']} | {row['says']} | {events} |")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    print(table(), end="")
