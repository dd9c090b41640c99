"""What a host that loads the extension may do: SQL, and what it answers, in the words of writer.c (types and values).

The same with every SQLite: the kinds of functions, the triggers, the virtual tables, and an end that leaves nothing.
"""

SUBSCRIBE = "SELECT substr(resthook_subscribe('item.*', 'https://example.com/', '{\"timeout\":5}'), 1, 4);"

HOST = [
    ("CREATE TABLE item(id INTEGER PRIMARY KEY, name);", []),
    ("SELECT resthook_init();", ["integer 2"]),
    (SUBSCRIBE, ["text sub_"]),
    ("SELECT resthook_watch('item', 'insert', 'item.create', '{\"fields\":{\"id\":\"NEW.id\",\"name.big\":\"upper(NEW.name)\"}}');",
     ["text resthook_watch_1"]),
    ("SELECT resthook_watch('item', 'update', 'item.update', '{\"changed\":[\"name\"],\"old\":true}');",
     ["text resthook_watch_2"]),
    ("INSERT INTO item VALUES (1, 'a'), (2, 'it''s');", []),
    ("UPDATE item SET name = 0.1 + 0.2 WHERE id = 1;", []),
    ("UPDATE item SET name = name;", []),
    ("SELECT resthook_emit('item.counted', '{\"items\":2}', '{\"deliver_at\":\"2030-01-01T00:00:00Z\"}');", ["integer 4"]),
    ("ALTER TABLE item ADD COLUMN price;", []),
    ("SELECT resthook_repair();", ["integer 2"]),
    ("UPDATE item SET name = 'b', price = 9007199254740993 WHERE id = 2;", []),
    ("SELECT event, resthook_payload(id) FROM resthook_events;",
     ['text item.create | text {"id":1,"name":{"big":"A"}}',
      'text item.create | text {"id":2,"name":{"big":"IT\'S"}}',
      'text item.update | text {"id":1,"name":0.30000000000000004}',
      'text item.counted | text {"items":2}',
      'text item.update | text {"id":2,"name":"b","price":9007199254740993}']),
    ("SELECT e.event, d.state, d.attempts FROM resthook_events AS e JOIN resthook_deliveries AS d ON d.event_id = e.id;",
     [f"text item.{what} | text pending | integer 0" for what in ("create", "create", "update", "counted", "update")]),
    ("SELECT count(*) FROM resthook_attempts;", ["integer 0"]),
    ("SELECT value FROM resthook_status WHERE name = 'pending';", ["integer 5"]),
    ("SELECT resthook_set('timeout', '20s'), resthook_get('timeout');", ["integer 20 | integer 20"]),
    ("SELECT resthook_pause(id), resthook_resume(id), length(resthook_secret(id)) FROM resthook_subscriptions;",
     ["integer 1 | integer 1 | integer 38"]),
    ("SELECT resthook_unsubscribe(id) FROM resthook_subscriptions;", ["integer 1"]),
    ("SELECT table_name, operation, event, recording FROM resthook_watches;",
     ["text item | text insert | text item.create | integer 0", "text item | text update | text item.update | integer 0"]),
    # Disarmed until somebody subscribes again, and renamed meanwhile.
    ("INSERT INTO item VALUES (3, 'c', 1); ALTER TABLE item RENAME COLUMN name TO label;", []),
    (SUBSCRIBE, ["text sub_"]),
    ("INSERT INTO item VALUES (4, 'd', 2); UPDATE item SET label = 'e' WHERE id > 3;", []),
    ("SELECT id, resthook_payload(id) FROM resthook_events WHERE id > 5;",
     ['integer 6 | text {"id":4,"name":{"big":"D"}}', 'integer 7 | text {"id":4,"name":"e","price":2}']),
    ("SELECT resthook_unwatch('item', 'update');", ["integer 1"]),
    ("SELECT resthook_uninstall();", ["integer 1"]),
    ("SELECT name FROM sqlite_master;", ["text item", "text sqlite_sequence"]),
    ("SELECT count(*) FROM item; PRAGMA integrity_check;", ["integer 4", "text ok"]),
    ("CREATE VIEW bait AS SELECT resthook_uninstall() AS u; SELECT u FROM bait;",
     ["error 1: unsafe use of resthook_uninstall()"]),
]
