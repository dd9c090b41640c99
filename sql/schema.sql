-- schema.sql: what resthook adds to the application's own file (app.db).
--
-- Everything here is written in the application's own transactions, so it commits and rolls back with
-- the rows that caused it. What the dispatcher learns lives beside it, in app.db-resthook (journal.sql).
-- The DDL is read by every program that opens the file, so it uses nothing newer than SQLite 3.24
-- (an object in newer syntax would make the whole schema unreadable to an older library).
-- Times are integers: milliseconds since 1970-01-01 UTC. The views show them as ISO 8601.
-- Run by resthook_init(), after upgrade.sql where there is an older version; every statement can be run again. "main." keeps a TEMP table of the same name out of the
-- way; it does not become part of what is stored.

-- Facts about this installation.
--   schema    version of this schema, an integer; a program refuses a newer one
--   token     identity of this database, written by the dispatcher once (and again by --adopt)
--   revision  counts changes to subscriptions, watches, settings and requests: the dispatcher reads
--             those tables again only when it has moved
CREATE TABLE IF NOT EXISTS main.resthook_meta(
  name TEXT PRIMARY KEY,
  value
) WITHOUT ROWID;
INSERT OR IGNORE INTO main.resthook_meta(name, value) VALUES ('schema', 2), ('revision', 1);

-- The outbox: one row an event. No type and no constraint but the key: a constraint could fail (or,
-- under OR IGNORE, silently drop) an application's write, and a type would convert what was written.
--   id          order of capture: one more than the greatest there is. A deleted row's id does not come back, since a
--               row always stays that has the greatest (retention, and the triggers below; who changes ids by UPDATE has
--               them given out again). AUTOINCREMENT would keep it too, in a page of its own: a third page for each commit
--               of one row, which made it half as dear again. An outbox of version 1 of the schema still has it.
--   event       name of an emitted event; NULL in a row that a watch captured (the watch has it)
--   payload     JSON text of an emitted event; NULL in a captured row
--   key         ordering key of an emitted event
--   deliver_at  not before this time; NULL: at once
--   only        id of the one subscription that may receive it; NULL: all that match; 'forgotten': none, and nothing
--               is left here of what it said (resthook_forget, or the triggers below)
--   created_at  when it was captured (constant within one statement)
--   watch       version of the watch that captured it (resthook_watch.id); NULL: emitted
--   v0, v1 …    the captured values as they were written; added by ALTER TABLE to the widest watch
CREATE TABLE IF NOT EXISTS main.resthook_outbox(
  id INTEGER PRIMARY KEY,
  event,
  payload,
  key,
  deliver_at,
  only,
  created_at DEFAULT (CAST((julianday('now') - 2440587.5) * 86400000 AS INTEGER)),
  watch
);

-- Whoever deletes the newest rows leaves the last one as if it were forgotten. Else its id would be that of another event,
-- which the dispatcher takes for one that it knows. (Not the greatest id there is: no event can follow that.) So who
-- writes that row again has to UPDATE it.
CREATE TRIGGER IF NOT EXISTS main.resthook_outbox_last AFTER DELETE ON resthook_outbox
WHEN OLD.id < 9223372036854775807 AND NOT EXISTS (SELECT 1 FROM resthook_outbox WHERE id > OLD.id)
BEGIN
  INSERT INTO resthook_outbox(id, event, only, created_at, watch)
    VALUES (OLD.id, OLD.event, 'forgotten', OLD.created_at, OLD.watch);
END;

-- And what was left stays. It could be made anew like any other, but for a trigger of the application's that deletes what
-- comes into the outbox: with recursive_triggers each would call the other.
CREATE TRIGGER IF NOT EXISTS main.resthook_outbox_stays BEFORE DELETE ON resthook_outbox
WHEN OLD.only = 'forgotten' AND OLD.id < 9223372036854775807
     AND NOT EXISTS (SELECT 1 FROM resthook_outbox WHERE id > OLD.id)
BEGIN
  SELECT RAISE(IGNORE);
END;

-- What some emitted events have besides. Not in the outbox, whose columns after these are the captured values'.
--   event            resthook_outbox.id
--   headers          JSON object of request headers of this event alone, traceparent among them; NULL: none
--   idempotency_key  the event's name, a space and the key: the same again within the setting idempotency_window is
--                    the same event; NULL: none
--   created_at       the event's, so that a reused id can't inherit anything
CREATE TABLE IF NOT EXISTS main.resthook_extra(
  event INTEGER PRIMARY KEY,
  headers TEXT,
  idempotency_key TEXT,
  created_at INTEGER NOT NULL
);
CREATE UNIQUE INDEX IF NOT EXISTS main.resthook_extra_key
  ON resthook_extra(idempotency_key) WHERE idempotency_key IS NOT NULL;

-- Who wants what. An ended subscription stays as a tombstone: its history refers to it.
--   id              'sub_' and 24 random characters
--   event           'a.b' exactly, 'a.*' everything below a, '*' everything but resthook's own events
--   target          URL
--   status          active; inactive (paused: events are kept); failing (set by the dispatcher: kept);
--                   pending (not yet verified: kept); ended
--   reason          why it is failing or ended
--   secret          'whsec_' + base64, 'whsk_' + base64 (Ed25519), or 'file:' + a name below --secrets;
--                   old_secret signs too until old_secret_until (rotation)
--   headers         JSON object of extra request headers; NULL: none
--   format          bare, standard, cloudevents, change
--   max_in_flight   requests at once, NULL: the setting
--   timeout         milliseconds a request may take, NULL: the setting
--   retry_schedule  '0,5s,5m,…', NULL: the setting
--   retry_statuses  which HTTP statuses are tried again, '429,5xx'; NULL: all that are no success
--   filter          SQL condition; NULL: none
--   rate            requests a second at most, NULL: no bound
--   ordered         skip, stop (what a dead delivery does to its key); NULL: not ordered
--   verify          none, x-hook-secret; verify_secret is what the target has to give back (NULL: it has, or need
--                   not), verify_event the event that asks it to
--   from_id, to_id  it receives events with from_id < id <= to_id. from_id is the newest id when it was
--                   made, to_id when it ended (NULL: not ended). Neither is ever overwritten.
--   revision        counts changes of this row: the dispatcher's own updates say WHERE revision = ?
CREATE TABLE IF NOT EXISTS main.resthook_subscription(
  id TEXT PRIMARY KEY NOT NULL,
  event TEXT NOT NULL,
  target TEXT NOT NULL,
  status TEXT NOT NULL DEFAULT 'active',
  reason TEXT,
  secret TEXT NOT NULL,
  old_secret TEXT,
  old_secret_until INTEGER,
  headers TEXT,
  format TEXT NOT NULL DEFAULT 'bare',
  max_in_flight INTEGER,
  timeout INTEGER,
  retry_schedule TEXT,
  retry_statuses TEXT,
  filter TEXT,
  rate REAL,
  ordered TEXT,
  verify TEXT NOT NULL DEFAULT 'none',
  verify_secret TEXT,
  verify_event INTEGER,
  description TEXT,
  from_id INTEGER NOT NULL,
  to_id INTEGER,
  revision INTEGER NOT NULL DEFAULT 1,
  created_at INTEGER NOT NULL,
  updated_at INTEGER NOT NULL
);
-- One live subscription for an event and a target; found again by resthook_subscribe().
CREATE UNIQUE INDEX IF NOT EXISTS main.resthook_subscription_live
  ON resthook_subscription(event, target) WHERE to_id IS NULL;
-- The few live patterns, so that the interest of a watch is decided without reading every subscription.
CREATE INDEX IF NOT EXISTS main.resthook_subscription_pattern
  ON resthook_subscription(event) WHERE to_id IS NULL AND substr(event, -1) = '*';

-- Watches: which writes to which table are which event. A row is one version and never changes but for
-- retired_at: the outbox row that a version captured is always read by that version's definition.
-- A version is deleted when it is retired and no outbox row carries it.
--   id           the version; its trigger is named resthook_watch_<id>
--   table_name   as the schema spells it
--   operation    insert, update, delete
--   of           JSON array of column names of 'update of …', NULL otherwise
--   event        event name
--   options      JSON object as given to resthook_watch(): fields, when, changed, key, old, record
--   captured     JSON array, one object a value in the order v0, v1, …: {"row":"new"|"old","column":"name"}; with
--                "kept":true: v<i> holds it in a row too large to capture too, if it and all such are small
--   virtual      JSON array of the VIRTUAL generated columns, computed at fan-out; NULL: none
--   table_sql    the table's CREATE TABLE when it has any of those, NULL otherwise
--   primary_key  JSON array of {"name":column,"value":index into captured} that stands for a row too large
--                to capture; v<index> holds it in such a row too
--   record       subscribed, always
--   retired_at   when a newer version or resthook_unwatch() replaced it; NULL: current
--   retired_id   newest event at that time: no later one is its
CREATE TABLE IF NOT EXISTS main.resthook_watch(
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  table_name TEXT NOT NULL,
  operation TEXT NOT NULL,
  of TEXT,
  event TEXT NOT NULL,
  options TEXT NOT NULL,
  captured TEXT NOT NULL,
  virtual TEXT,
  table_sql TEXT,
  primary_key TEXT NOT NULL,
  record TEXT NOT NULL,
  created_at INTEGER NOT NULL,
  retired_at INTEGER,
  retired_id INTEGER
);

-- The watches somebody listens to. A watch's trigger looks its own row up by rowid before it writes:
-- 0.4 µs for a row nobody wants, against 2 µs for a look-up in the subscriptions themselves.
-- Kept by the triggers below.
CREATE TABLE IF NOT EXISTS main.resthook_interest(
  watch INTEGER PRIMARY KEY
);

CREATE TRIGGER IF NOT EXISTS main.resthook_interest_subscribed AFTER INSERT ON resthook_subscription
BEGIN
  INSERT OR IGNORE INTO resthook_interest(watch)
    SELECT id FROM resthook_watch
     WHERE retired_at IS NULL AND NEW.to_id IS NULL
       AND (NEW.event = event OR NEW.event = '*'
            OR (substr(NEW.event, -2) = '.*'
                AND substr(event, 1, length(NEW.event) - 1) = substr(NEW.event, 1, length(NEW.event) - 1)));
  UPDATE resthook_meta SET value = value + 1 WHERE name = 'revision';
END;

CREATE TRIGGER IF NOT EXISTS main.resthook_interest_ended AFTER UPDATE OF to_id ON resthook_subscription
WHEN OLD.to_id IS NULL AND NEW.to_id IS NOT NULL
BEGIN
  DELETE FROM resthook_interest
   WHERE watch IN (
     SELECT w.id FROM resthook_watch AS w
      WHERE w.record <> 'always'
        AND (NEW.event = w.event OR NEW.event = '*'
             OR (substr(NEW.event, -2) = '.*'
                 AND substr(w.event, 1, length(NEW.event) - 1) = substr(NEW.event, 1, length(NEW.event) - 1)))
        AND NOT EXISTS (SELECT 1 FROM resthook_subscription AS s WHERE s.to_id IS NULL AND s.event = w.event)
        AND NOT EXISTS (
          SELECT 1 FROM resthook_subscription AS s
           WHERE s.to_id IS NULL AND substr(s.event, -1) = '*'
             AND (s.event = '*'
                  OR substr(w.event, 1, length(s.event) - 1) = substr(s.event, 1, length(s.event) - 1))));
END;

CREATE TRIGGER IF NOT EXISTS main.resthook_interest_watched AFTER INSERT ON resthook_watch
WHEN NEW.retired_at IS NULL
BEGIN
  INSERT OR IGNORE INTO resthook_interest(watch)
    SELECT NEW.id
     WHERE NEW.record = 'always'
        OR EXISTS (SELECT 1 FROM resthook_subscription AS s WHERE s.to_id IS NULL AND s.event = NEW.event)
        OR EXISTS (
          SELECT 1 FROM resthook_subscription AS s
           WHERE s.to_id IS NULL AND substr(s.event, -1) = '*'
             AND (s.event = '*'
                  OR substr(NEW.event, 1, length(s.event) - 1) = substr(s.event, 1, length(s.event) - 1)));
  UPDATE resthook_meta SET value = value + 1 WHERE name = 'revision';
END;

CREATE TRIGGER IF NOT EXISTS main.resthook_interest_retired AFTER UPDATE OF retired_at ON resthook_watch
WHEN NEW.retired_at IS NOT NULL
BEGIN
  DELETE FROM resthook_interest WHERE watch = NEW.id;
  UPDATE resthook_meta SET value = value + 1 WHERE name = 'revision';
END;

CREATE TRIGGER IF NOT EXISTS main.resthook_subscription_changed AFTER UPDATE ON resthook_subscription
BEGIN
  UPDATE resthook_meta SET value = value + 1 WHERE name = 'revision';
END;

-- Settings: resthook_set(), resthook_get(). The rows come from the table in ext/settings.c, so that plain
-- SQL can read them; value NULL means the default.
CREATE TABLE IF NOT EXISTS main.resthook_setting(
  name TEXT PRIMARY KEY,
  value,
  type TEXT NOT NULL,
  unit TEXT NOT NULL,
  standard,
  least,
  most,
  help TEXT NOT NULL
) WITHOUT ROWID;

CREATE TRIGGER IF NOT EXISTS main.resthook_setting_changed AFTER UPDATE OF value ON resthook_setting
BEGIN
  UPDATE resthook_meta SET value = value + 1 WHERE name = 'revision';
END;

-- Existing rows sent as if they had just been written: resthook_backfill() put them into the outbox as the events
-- first_id to last_id, for one subscription alone.
CREATE TABLE IF NOT EXISTS main.resthook_backfill_run(
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  subscription TEXT NOT NULL,
  table_name TEXT NOT NULL,
  first_id INTEGER NOT NULL,
  last_id INTEGER NOT NULL,
  created_at INTEGER NOT NULL
);

-- What the dispatcher is asked to do with what it has recorded. It consumes them in order, by a cursor of
-- its own in the side file, and deletes them later. A request only files a row here, so a query over
-- resthook_deliveries that replays can not chase its own tail.
--   kind          replay, cancel, forget
--   subscription  id, with event: the delivery meant; forget: NULL, every delivery of the event
CREATE TABLE IF NOT EXISTS main.resthook_request(
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  kind TEXT NOT NULL,
  subscription TEXT,
  event INTEGER,
  created_at INTEGER NOT NULL
);

CREATE TRIGGER IF NOT EXISTS main.resthook_request_filed AFTER INSERT ON resthook_request
BEGIN
  UPDATE resthook_meta SET value = value + 1 WHERE name = 'revision';
END;

-- What anybody may read with plain SQL; no secret in any of it.

CREATE VIEW IF NOT EXISTS main.resthook_subscriptions AS
  SELECT id, event, target, status, reason,
         strftime('%Y-%m-%dT%H:%M:%fZ', created_at / 86400000.0 + 2440587.5) AS created_at,
         strftime('%Y-%m-%dT%H:%M:%fZ', updated_at / 86400000.0 + 2440587.5) AS updated_at,
         format, filter, max_in_flight, timeout / 1000.0 AS timeout, retry_schedule, retry_statuses, rate, description,
         from_id, to_id, ordered
    FROM resthook_subscription;

-- payload is the text of an emitted event; a captured event's is rendered by resthook_payload(id).
CREATE VIEW IF NOT EXISTS main.resthook_events AS
  SELECT o.id, coalesce(o.event, w.event) AS event, o.payload, o.key,
         strftime('%Y-%m-%dT%H:%M:%fZ', o.deliver_at / 86400000.0 + 2440587.5) AS deliver_at,
         strftime('%Y-%m-%dT%H:%M:%fZ', o.created_at / 86400000.0 + 2440587.5) AS created_at,
         o.only, o.watch, w.table_name, w.operation
    FROM resthook_outbox AS o LEFT JOIN resthook_watch AS w ON w.id = o.watch;

-- table_name is the table that the trigger stands on now, which may have been renamed since.
CREATE VIEW IF NOT EXISTS main.resthook_watches AS
  SELECT w.id,
         coalesce((SELECT m.tbl_name FROM sqlite_master AS m WHERE m.type = 'trigger' AND m.name = 'resthook_watch_' || w.id),
                  w.table_name) AS table_name,
         w.operation, w.of, w.event, w.options,
         'resthook_watch_' || w.id AS trigger_name,
         EXISTS (SELECT 1 FROM resthook_interest AS i WHERE i.watch = w.id) AS recording,
         strftime('%Y-%m-%dT%H:%M:%fZ', w.created_at / 86400000.0 + 2440587.5) AS created_at
    FROM resthook_watch AS w WHERE w.retired_at IS NULL;

CREATE VIEW IF NOT EXISTS main.resthook_settings AS
  SELECT name, coalesce(value, standard) AS value, type, unit, standard AS "default", least, most, help
    FROM resthook_setting;
