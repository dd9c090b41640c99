-- journal.sql: the dispatcher's own file, app.db-resthook: what was sent, when, with what result.
--
-- Only the dispatcher writes it; so its outcomes never lock the application's file. It is always in WAL
-- mode. Times are milliseconds since 1970-01-01 UTC; the views show them as ISO 8601.
-- Nothing here may name a table of app.db: a view that did would make this file unreadable alone.
--
-- The rule that everything rests on: every pair (event, subscription) of an event <= cursor has a row in
-- delivery, or was filtered out and counted. Nothing is promised above the cursor: after a crash it is
-- read again from there, and pairs that already have a row are skipped.

-- One value a name:
--   schema           version of this schema
--   token            the database this file belongs to (resthook_meta.token in app.db)
--   path             real path of app.db when the token was written
--   former           app.db's token before an adoption that has not come to it yet, '' for none
--   boot             the machine's boot id when the cursor last moved: tells a power loss from a restore
--   cursor           see above
--   request_cursor, request_filed   id and created_at of the last resthook_request carried out
--   version, started_at, heartbeat_at, stopped_at, journal_mode, in_flight, circuit_open, held
--                    what the running dispatcher says of itself, each second
--   intact_schema, intact_at   app.db's schema_version when every watch had its trigger, and when that was last seen
--   filtered         pairs that a watch's `when` left out
--   counted_to       up to which event that, and what filters left out, is counted: it may be above the cursor
--   wakes_hint, wakes_recheck, wakes_poll
--                    reads that found new events, by what caused the read: the file system's notice, the
--                    re-check after it, or the slow safety poll (which should find nothing)
CREATE TABLE IF NOT EXISTS meta(
  name TEXT PRIMARY KEY,
  value
) WITHOUT ROWID;

-- Names of events, and subscriptions as they were known, so that history outlives app.db's rows and a
-- delivery row is a few integers.
--   failing_since  when the first attempt failed of those that have all failed since the last success; NULL: it answers
--   filtered       events that its filter left out, counted in the commit that moves the cursor past them
--   public_key     'whpk_' + base64, of one that signs with Ed25519, as its row in app.db was at key_revision and
--                  key_updated_at; NULL: it does not, or is not known
--   probe_at, probe_pause   of one that was failing when its database fell asleep: its next probe, the pause before it
CREATE TABLE IF NOT EXISTS event_name(
  n INTEGER PRIMARY KEY,
  text TEXT NOT NULL UNIQUE
);
CREATE TABLE IF NOT EXISTS subscription(
  n INTEGER PRIMARY KEY,
  id TEXT NOT NULL UNIQUE,
  target TEXT NOT NULL,
  failing_since INTEGER,
  filtered INTEGER NOT NULL DEFAULT 0,
  public_key TEXT,
  key_revision INTEGER,
  key_updated_at INTEGER,
  probe_at INTEGER,
  probe_pause INTEGER
);

-- One row a (subscription, event) pair that is finished, or that had to make way for the cursor.
--   sub, event   subscription.n and the outbox row's id
--   state        0 pending, 1 retrying, 2 held; final: 3 delivered, 4 dead, 5 cancelled
--   name         event_name.n
--   created_at   the outbox row's (part of the webhook-id)
--   attempts     made so far; base: how many of them don't count in the schedule, which a replay begins again, and
--                that the target is well again after it was failing (then it is negative: its age still counts)
--   next_at      when it is due; NULL in a row that waits for something else than time
--   key          what it is ordered by, of an ordered subscription; NULL otherwise
--   reason       why it is held, dead or cancelled; 'replayed' until the first attempt, if there was none before;
--                'fetched' until then, if its event is sent before those that stand before it are read. Such a row, or
--                one that is held, was not yet judged by the subscription's filter
--   started_at, duration, status, error, response   the last attempt: ms, ms, HTTP status, error text,
--                first bytes of the response; NULL where there was none
--   class        of what was no success: dns, connect, tls, timeout, protocol, status …; NULL: it was one
--   dns, connect, tls, first_byte
--                when these were done, microseconds from the attempt's start; NULL: it did not come to that
--   headers      of a response that was no success, as they came, the first bytes; NULL otherwise
--   finished_at  when the state became final; of a held one, since when it is held for this reason
CREATE TABLE IF NOT EXISTS delivery(
  sub INTEGER NOT NULL,
  event INTEGER NOT NULL,
  state INTEGER NOT NULL,
  name INTEGER NOT NULL,
  created_at INTEGER,
  attempts INTEGER NOT NULL DEFAULT 0,
  base INTEGER NOT NULL DEFAULT 0,
  next_at INTEGER,
  reason TEXT,
  started_at INTEGER,
  duration INTEGER,
  status INTEGER,
  error TEXT,
  response TEXT,
  finished_at INTEGER,
  key TEXT,
  class TEXT,
  dns INTEGER,
  connect INTEGER,
  tls INTEGER,
  first_byte INTEGER,
  headers TEXT,
  PRIMARY KEY(sub, event)
) WITHOUT ROWID;
-- The due rows of a subscription, earliest first.
CREATE INDEX IF NOT EXISTS delivery_due ON delivery(sub, next_at) WHERE state < 3;
-- Which events are still needed (retention in app.db), and how many deliveries of each state there are.
CREATE INDEX IF NOT EXISTS delivery_open ON delivery(event, state) WHERE state < 3;
-- Who is next of a key, in an ordered subscription.
CREATE INDEX IF NOT EXISTS delivery_key ON delivery(sub, key, event) WHERE state < 3 AND key IS NOT NULL;
-- The dead, newest first.
CREATE INDEX IF NOT EXISTS delivery_dead ON delivery(finished_at) WHERE state = 4;

-- Attempts before the last one, which is in delivery itself: a delivery that succeeds at once is one row.
CREATE TABLE IF NOT EXISTS attempt(
  sub INTEGER NOT NULL,
  event INTEGER NOT NULL,
  attempt INTEGER NOT NULL,
  started_at INTEGER,
  duration INTEGER,
  status INTEGER,
  error TEXT,
  response TEXT,
  class TEXT,
  dns INTEGER,
  connect INTEGER,
  tls INTEGER,
  first_byte INTEGER,
  headers TEXT,
  PRIMARY KEY(sub, event, attempt)
) WITHOUT ROWID;

-- Rows of the outbox that were the last one read when the cursor moved: the newest 64. The outbox must
-- still have them, unchanged; if it has not, app.db was restored or lost its last commits.
CREATE TABLE IF NOT EXISTS anchor(
  id INTEGER PRIMARY KEY,
  created_at INTEGER
);

-- When a watch had no trigger: a migration took it, and the dispatcher made it again. What was written to the table in
-- between was not captured. The newest 100.
CREATE TABLE IF NOT EXISTS gap(
  n INTEGER PRIMARY KEY,
  event TEXT NOT NULL,
  table_name TEXT NOT NULL,
  from_at INTEGER NOT NULL,
  to_at INTEGER NOT NULL,
  UNIQUE(event, table_name, from_at)
);

-- Changes to a subscription in app.db that wait for a quiet moment there.
--   status, reason        to write: 'failing', 'active' (it has recovered), 'ended' (the target said 410), which also
--                         sets to_id, to the newest event of that moment, or 'confirmed' (it gave the secret back),
--                         which makes what is pending active
--   revision, updated_at  the row's when the request was sent: it is written only if nobody changed the row since.
--                         Both, because after app.db lost its last commits another change can have the same revision.
--                         Of 'confirmed' revision is verify_event: other changes don't undo what the target said.
CREATE TABLE IF NOT EXISTS effect(
  subscription TEXT PRIMARY KEY,
  status TEXT NOT NULL,
  reason TEXT,
  revision INTEGER NOT NULL,
  updated_at INTEGER NOT NULL
) WITHOUT ROWID;

-- Events about deliveries (resthook.*) that wait for a quiet moment to become rows of the outbox.
CREATE TABLE IF NOT EXISTS notice(
  n INTEGER PRIMARY KEY,
  event TEXT NOT NULL,
  payload TEXT NOT NULL
);

-- For hosts without the extension: what is recorded here. Pairs above the cursor are not in it.
CREATE VIEW IF NOT EXISTS resthook_deliveries AS
  SELECT s.id || '-' || d.event AS id, d.event AS event_id, e.text AS event, s.id AS subscription_id, s.target,
         CASE d.state WHEN 0 THEN 'pending' WHEN 1 THEN 'retrying' WHEN 2 THEN 'held'
                      WHEN 3 THEN 'delivered' WHEN 4 THEN 'dead' ELSE 'cancelled' END AS state,
         d.reason, d.attempts,
         strftime('%Y-%m-%dT%H:%M:%fZ', d.next_at / 86400000.0 + 2440587.5) AS next_attempt_at,
         d.status AS last_status, d.error AS last_error,
         CASE WHEN d.state = 3
              THEN strftime('%Y-%m-%dT%H:%M:%fZ', d.finished_at / 86400000.0 + 2440587.5) END AS delivered_at
    FROM delivery AS d JOIN subscription AS s ON s.n = d.sub JOIN event_name AS e ON e.n = d.name;

CREATE VIEW IF NOT EXISTS resthook_attempts AS
  SELECT s.id || '-' || a.event AS delivery_id, a.attempt,
         strftime('%Y-%m-%dT%H:%M:%fZ', a.started_at / 86400000.0 + 2440587.5) AS started_at,
         a.duration AS duration_ms, a.status, a.error, a.response, a.class, a.dns / 1000.0 AS dns_ms,
         a.connect / 1000.0 AS connect_ms, a.tls / 1000.0 AS tls_ms, a.first_byte / 1000.0 AS first_byte_ms,
         a.headers AS response_headers
    FROM attempt AS a JOIN subscription AS s ON s.n = a.sub
  UNION ALL
  SELECT s.id || '-' || d.event, d.attempts,
         strftime('%Y-%m-%dT%H:%M:%fZ', d.started_at / 86400000.0 + 2440587.5),
         d.duration, d.status, d.error, d.response, d.class, d.dns / 1000.0, d.connect / 1000.0, d.tls / 1000.0,
         d.first_byte / 1000.0, d.headers
    FROM delivery AS d JOIN subscription AS s ON s.n = d.sub WHERE d.started_at IS NOT NULL;

CREATE VIEW IF NOT EXISTS resthook_status AS
  SELECT name, value FROM meta WHERE name NOT IN ('token', 'former')
  UNION ALL SELECT 'filtered ' || id, filtered FROM subscription WHERE filtered > 0;
