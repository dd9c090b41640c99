-- functions.sql: what every SQL function of resthook needs (ext/call.c).

-- The version of resthook's schema in this file; an error "no such table" when there is none.
-- name: schema_version
SELECT value FROM main.resthook_meta WHERE name = 'schema';

-- Takes the write lock and changes nothing: a statement that may write takes it when it starts, and only a
-- transaction that has read nothing yet waits for it (the busy handler is not asked for one that has).
-- name: schema_lock
UPDATE main.resthook_meta SET value = value WHERE 0;

-- Milliseconds since 1970-01-01, constant within one statement of the host's.
-- name: now
SELECT CAST((julianday('now') - 2440587.5) * 86400000 AS INTEGER);

-- The newest event's id: what AUTOINCREMENT remembers may be missing (DELETE FROM sqlite_sequence) or behind (the
-- count of a nested INSERT is overwritten by the outer one's), and max(id) is behind when rows were removed.
-- name: newest_event
SELECT max(ifnull((SELECT max(id) FROM main.resthook_outbox), 0),
           ifnull((SELECT max(seq) FROM main.sqlite_sequence WHERE name = 'resthook_outbox'), 0));
