#!/bin/sh
# Writes as tests/languages/run says: writer.sh FILE EXTENSION URL, with the sqlite3 shell. It binds what .parameter
# sets: SQL expressions, so any value that SQL can say.
set -eu
file=$1 extension=$2 url=$3

sqlite3 -bail "$file" <<'SQL'
.timeout 5000
.parameter init
.parameter set $name "'it''s \"é\" 🎓' || char(0) || ' end'"
.parameter set $photo "x'00017f80ff'"
BEGIN;
INSERT INTO item(name, price, stock, photo, note) VALUES ('tea', 2.5, 9007199254740993, $photo, NULL);
CREATE TEMP TABLE seen AS SELECT last_insert_rowid() AS id, 0 AS changed;
INSERT INTO item(name, price, stock, photo, note) VALUES ($name, 0.1, -9223372036854775808, x'', NULL);
INSERT INTO item(name, price, stock, photo, note) VALUES ('lost', 1.0, 0, NULL, NULL);
UPDATE item SET price = 1.0 / 3, stock = 9223372036854775807 WHERE id = (SELECT id FROM seen);
UPDATE seen SET changed = changes();
DELETE FROM item WHERE name = 'lost';
INSERT INTO resthook_outbox(event, payload) VALUES ('item.counted', json_object('by', 'hand'));
COMMIT;
BEGIN;
INSERT INTO item(name, price, stock, photo, note) VALUES ('never', 0.0, 0, NULL, NULL);
INSERT INTO resthook_outbox(event, payload) VALUES ('item.counted', '{}');
ROLLBACK;
SELECT format('id %d, changed %d, rows %d', id, changed, (SELECT count(*) FROM item)) FROM seen;
SQL

sqlite3 -bail -cmd ".load '$extension'" "$file" <<SQL >&2
.timeout 5000
BEGIN;
SELECT resthook_watch('note', 'insert', 'note.create');
SELECT resthook_subscribe('note.*', '$url');
INSERT INTO note(text) VALUES ('loaded');
SELECT resthook_emit('note.counted', json_object('notes', 1));
COMMIT;
BEGIN;
SELECT resthook_emit('note.counted', '{}');
SELECT resthook_unwatch('note');
ROLLBACK;
SQL
echo "SQLite $(sqlite3 --version | cut -d' ' -f1)"
