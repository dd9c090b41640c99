PRAGMA foreign_keys=OFF;
BEGIN TRANSACTION;
CREATE TABLE meta(
  name TEXT PRIMARY KEY,
  value
) WITHOUT ROWID;
INSERT INTO meta VALUES('asleep_since',0);
INSERT INTO meta VALUES('boot','545e64ad-e1f3-4bc4-94ba-d37037bfaf17');
INSERT INTO meta VALUES('cursor',3);
INSERT INTO meta VALUES('filtered',0);
INSERT INTO meta VALUES('heartbeat_at',1795704510398);
INSERT INTO meta VALUES('held','');
INSERT INTO meta VALUES('in_flight',0);
INSERT INTO meta VALUES('intact_at',1795704510398);
INSERT INTO meta VALUES('intact_schema',30);
INSERT INTO meta VALUES('journal_mode','wal');
INSERT INTO meta VALUES('path','DATABASE');
INSERT INTO meta VALUES('request_cursor',0);
INSERT INTO meta VALUES('request_filed',0);
INSERT INTO meta VALUES('schema',1);
INSERT INTO meta VALUES('started_at',1795704509392);
INSERT INTO meta VALUES('stopped_at',1795704510928);
INSERT INTO meta VALUES('token','4d999c097fd2243bc385483e');
INSERT INTO meta VALUES('version','0.1.0');
INSERT INTO meta VALUES('wakes_hint',0);
INSERT INTO meta VALUES('wakes_poll',0);
INSERT INTO meta VALUES('wakes_recheck',2);
CREATE TABLE event_name(
  n INTEGER PRIMARY KEY,
  text TEXT NOT NULL UNIQUE
);
INSERT INTO event_name VALUES(1,'item.create');
INSERT INTO event_name VALUES(2,'item.done');
CREATE TABLE subscription(
  n INTEGER PRIMARY KEY,
  id TEXT NOT NULL UNIQUE,
  target TEXT NOT NULL
);
INSERT INTO subscription VALUES(1,'sub_xvqb4tedmkvpeojptpj6kcwq','TARGET/ok');
INSERT INTO subscription VALUES(2,'sub_m066ni4wsiw1coqztoqvtcmk','TARGET/dead');
INSERT INTO subscription VALUES(3,'sub_fgwi9s8rn1djlqzsvb0j441f','TARGET/retry');
INSERT INTO subscription VALUES(4,'sub_fghk9bi74ixcjbdiegsfn8k3','TARGET/paused');
INSERT INTO subscription VALUES(5,'sub_ldn2m5vvs60ndd145ov9ttpq','TARGET/gone');
CREATE TABLE delivery(
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
  PRIMARY KEY(sub, event)
) WITHOUT ROWID;
INSERT INTO delivery VALUES(1,1,3,1,1795704509401,1,0,NULL,NULL,1795704509402,0,200,NULL,NULL,1795704509403);
INSERT INTO delivery VALUES(1,2,3,1,1795704509401,1,0,NULL,NULL,1795704509402,1,200,NULL,NULL,1795704509404);
INSERT INTO delivery VALUES(2,1,4,1,1795704509401,1,0,NULL,'no success in 1 attempt; last: 500',1795704509402,1,500,NULL,NULL,1795704509404);
INSERT INTO delivery VALUES(2,2,4,1,1795704509401,1,0,NULL,'no success in 1 attempt; last: 500',1795704509402,1,500,NULL,NULL,1795704509404);
INSERT INTO delivery VALUES(3,1,1,1,1795704509401,1,0,1795797668284,NULL,1795704509402,0,500,NULL,NULL,NULL);
INSERT INTO delivery VALUES(3,2,1,1,1795704509401,1,0,1795791733383,NULL,1795704509402,1,500,NULL,NULL,NULL);
INSERT INTO delivery VALUES(4,1,0,1,1795704509401,0,0,1795704509402,NULL,NULL,NULL,NULL,NULL,NULL,NULL);
INSERT INTO delivery VALUES(4,2,0,1,1795704509401,0,0,1795704509402,NULL,NULL,NULL,NULL,NULL,NULL,NULL);
INSERT INTO delivery VALUES(4,3,0,2,1795704509427,0,0,1795704509427,NULL,NULL,NULL,NULL,NULL,NULL,NULL);
INSERT INTO delivery VALUES(5,1,3,1,1795704509401,1,0,NULL,NULL,1795704509402,1,200,NULL,NULL,1795704509404);
INSERT INTO delivery VALUES(5,2,3,1,1795704509401,1,0,NULL,NULL,1795704509402,1,200,NULL,NULL,1795704509404);
CREATE TABLE attempt(
  sub INTEGER NOT NULL,
  event INTEGER NOT NULL,
  attempt INTEGER NOT NULL,
  started_at INTEGER,
  duration INTEGER,
  status INTEGER,
  error TEXT,
  response TEXT,
  PRIMARY KEY(sub, event, attempt)
) WITHOUT ROWID;
CREATE TABLE anchor(
  id INTEGER PRIMARY KEY,
  created_at INTEGER
);
INSERT INTO anchor VALUES(2,1795704509401);
INSERT INTO anchor VALUES(3,1795704509427);
CREATE TABLE gap(
  n INTEGER PRIMARY KEY,
  event TEXT NOT NULL,
  table_name TEXT NOT NULL,
  from_at INTEGER NOT NULL,
  to_at INTEGER NOT NULL,
  UNIQUE(event, table_name, from_at)
);
CREATE TABLE effect(
  subscription TEXT PRIMARY KEY,
  status TEXT NOT NULL,
  reason TEXT,
  revision INTEGER NOT NULL,
  updated_at INTEGER NOT NULL
) WITHOUT ROWID;
CREATE INDEX delivery_due ON delivery(sub, next_at) WHERE state < 3;
CREATE INDEX delivery_open ON delivery(event, state) WHERE state < 3;
CREATE INDEX delivery_dead ON delivery(finished_at) WHERE state = 4;
CREATE VIEW resthook_deliveries AS
  SELECT s.id || '-' || d.event AS id, d.event AS event_id, e.text AS event, s.id AS subscription_id, s.target,
         CASE d.state WHEN 0 THEN 'pending' WHEN 1 THEN 'retrying' WHEN 2 THEN 'held'
                      WHEN 3 THEN 'delivered' WHEN 4 THEN 'dead' ELSE 'cancelled' END AS state,
         d.reason, d.attempts,
         strftime('%Y-%m-%dT%H:%M:%fZ', d.next_at / 86400000.0 + 2440587.5) AS next_attempt_at,
         d.status AS last_status, d.error AS last_error,
         CASE WHEN d.state = 3
              THEN strftime('%Y-%m-%dT%H:%M:%fZ', d.finished_at / 86400000.0 + 2440587.5) END AS delivered_at
    FROM delivery AS d JOIN subscription AS s ON s.n = d.sub JOIN event_name AS e ON e.n = d.name;
CREATE VIEW resthook_attempts AS
  SELECT s.id || '-' || a.event AS delivery_id, a.attempt,
         strftime('%Y-%m-%dT%H:%M:%fZ', a.started_at / 86400000.0 + 2440587.5) AS started_at,
         a.duration AS duration_ms, a.status, a.error, a.response
    FROM attempt AS a JOIN subscription AS s ON s.n = a.sub
  UNION ALL
  SELECT s.id || '-' || d.event, d.attempts,
         strftime('%Y-%m-%dT%H:%M:%fZ', d.started_at / 86400000.0 + 2440587.5),
         d.duration, d.status, d.error, d.response
    FROM delivery AS d JOIN subscription AS s ON s.n = d.sub WHERE d.started_at IS NOT NULL;
CREATE VIEW resthook_status AS
  SELECT name, value FROM meta WHERE name <> 'token';
COMMIT;
