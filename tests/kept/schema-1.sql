PRAGMA foreign_keys=OFF;
BEGIN TRANSACTION;
CREATE TABLE item(id INTEGER PRIMARY KEY, name TEXT, done INT);
INSERT INTO item VALUES(1,'one',1);
INSERT INTO item VALUES(2,'two',1);
INSERT INTO item VALUES(3,'three',NULL);
CREATE TABLE resthook_meta(
  name TEXT PRIMARY KEY,
  value
) WITHOUT ROWID;
INSERT INTO resthook_meta VALUES('revision',23);
INSERT INTO resthook_meta VALUES('schema',1);
INSERT INTO resthook_meta VALUES('token','4d999c097fd2243bc385483e');
CREATE TABLE resthook_outbox(
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  event,
  payload,
  key,
  deliver_at,
  only,
  created_at DEFAULT (CAST((julianday('now') - 2440587.5) * 86400000 AS INTEGER)),
  watch
, v0, v1, v2, v3, v4, v5, v6);
INSERT INTO resthook_outbox VALUES(1,NULL,NULL,NULL,NULL,NULL,1795704509401,1,1,'one',NULL,NULL,NULL,NULL,NULL);
INSERT INTO resthook_outbox VALUES(2,NULL,NULL,NULL,NULL,NULL,1795704509401,1,2,'two',NULL,NULL,NULL,NULL,NULL);
INSERT INTO resthook_outbox VALUES(3,NULL,NULL,NULL,NULL,NULL,1795704509427,2,1,'one',1,1,'one',NULL,NULL);
INSERT INTO resthook_outbox VALUES(4,NULL,NULL,NULL,NULL,NULL,1795704510961,1,3,'three',NULL,NULL,NULL,NULL,NULL);
INSERT INTO resthook_outbox VALUES(5,NULL,NULL,NULL,NULL,NULL,1795704510962,2,2,'two',1,2,'two',NULL,NULL);
INSERT INTO resthook_outbox VALUES(6,'order.paid','{"n":1}',NULL,NULL,NULL,1795704510963,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL);
CREATE TABLE resthook_subscription(
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
  description TEXT,
  from_id INTEGER NOT NULL,
  to_id INTEGER,
  revision INTEGER NOT NULL DEFAULT 1,
  created_at INTEGER NOT NULL,
  updated_at INTEGER NOT NULL
);
INSERT INTO resthook_subscription VALUES('sub_xvqb4tedmkvpeojptpj6kcwq','item.create','TARGET/ok','active',NULL,'whsec_EV7A59g5xMJZ3M2n9ALHpgo3fvpsbYrj','whsec_ellrLqu7XDCZPD3YFfIpZ7EXVMGQqRsu',1795708109384,'{"x-a":"b"}','bare',NULL,NULL,NULL,'takes all',0,NULL,2,1795704509377,1795704509384);
INSERT INTO resthook_subscription VALUES('sub_m066ni4wsiw1coqztoqvtcmk','item.create','TARGET/dead','active',NULL,'whsec_DlW9cUsRKVuPLOt4cf0V4AZMJ4xY0UKL',NULL,NULL,NULL,'bare',NULL,NULL,'0',NULL,0,NULL,1,1795704509379,1795704509379);
INSERT INTO resthook_subscription VALUES('sub_fgwi9s8rn1djlqzsvb0j441f','item.create','TARGET/retry','active',NULL,'whsec_dggW2AsJ9nzNZFTi9debszqr36gaWVcL',NULL,NULL,NULL,'bare',NULL,NULL,'0,24h',NULL,0,NULL,1,1795704509381,1795704509381);
INSERT INTO resthook_subscription VALUES('sub_fghk9bi74ixcjbdiegsfn8k3','item.*','TARGET/paused','inactive',NULL,'whsec_YnF6OLyzx4zzeaiyBIhPDYHmDjoOLnXb',NULL,NULL,NULL,'bare',NULL,NULL,NULL,NULL,0,NULL,1,1795704509382,1795704509382);
INSERT INTO resthook_subscription VALUES('sub_ldn2m5vvs60ndd145ov9ttpq','item.create','TARGET/gone','ended','unsubscribed','whsec_DeXXBRX8QAgppdxoTOKJ116ta4rD0UDT',NULL,NULL,NULL,'bare',NULL,NULL,NULL,NULL,0,2,2,1795704509383,1795704509423);
CREATE TABLE resthook_watch(
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
INSERT INTO resthook_watch VALUES(1,'item','insert',NULL,'item.create','{}','[{"row":"new","column":"id"},{"row":"new","column":"name"},{"row":"new","column":"done"}]',NULL,NULL,'[{"name":"id","value":0}]','subscribed',1795704509360,NULL,NULL);
INSERT INTO resthook_watch VALUES(2,'item','update','["done"]','item.done','{"fields":{"id":"NEW.id","name":"NEW.name","was:bool":"OLD.done"},"when":"NEW.done","old":true,"key":"NEW.id"}','[{"row":"new","column":"id"},{"row":"new","column":"name"},{"row":"new","column":"done"},{"row":"old","column":"id"},{"row":"old","column":"name"},{"row":"old","column":"done"}]',NULL,NULL,'[{"name":"id","value":0}]','subscribed',1795704509363,NULL,NULL);
CREATE TABLE resthook_interest(
  watch INTEGER PRIMARY KEY
);
INSERT INTO resthook_interest VALUES(1);
INSERT INTO resthook_interest VALUES(2);
CREATE TABLE resthook_setting(
  name TEXT PRIMARY KEY,
  value,
  type TEXT NOT NULL,
  unit TEXT NOT NULL,
  standard,
  least,
  most,
  help TEXT NOT NULL
) WITHOUT ROWID;
INSERT INTO resthook_setting VALUES('capture_max',NULL,'integer','bytes',1048576,1024,268435456,'a row larger than this is captured as its primary key; takes effect when a watch is made or repaired');
INSERT INTO resthook_setting VALUES('connect_timeout',NULL,'duration','seconds',5,0.10000000000000000555,300,'for name, connection and TLS handshake');
INSERT INTO resthook_setting VALUES('keep_attempts',315360000,'duration','seconds',604800,0,315360000,'attempts before a delivery''s last one stay in the history');
INSERT INTO resthook_setting VALUES('keep_dead',315360000,'duration','seconds',7776000,0,315360000,'dead deliveries stay in the history');
INSERT INTO resthook_setting VALUES('keep_deliveries',315360000,'duration','seconds',2592000,0,315360000,'delivered and cancelled deliveries stay in the history');
INSERT INTO resthook_setting VALUES('keep_events',31536000,'duration','seconds',604800,0,31536000,'settled events stay in the outbox this long, for replay');
INSERT INTO resthook_setting VALUES('keep_pending',315360000,'duration','seconds',2592000,60,315360000,'what is kept for a paused or failing target ends as dead: expired after this');
INSERT INTO resthook_setting VALUES('keep_pending_rows',NULL,'integer','deliveries',1000000,1,1000000000,'and beyond so many of one subscription that is paused or failing, the oldest first');
INSERT INTO resthook_setting VALUES('max_in_flight',NULL,'integer','requests',64,1,1000,'requests at once of one subscription');
INSERT INTO resthook_setting VALUES('response_max',NULL,'integer','bytes',4096,0,65536,'of a response''s body that are kept');
INSERT INTO resthook_setting VALUES('retry_after_max',NULL,'duration','seconds',86400,0,2592000,'how far a target''s Retry-After may put an attempt off');
INSERT INTO resthook_setting VALUES('retry_schedule',NULL,'schedule','delays','0, 5s, 5m, 30m, 2h, 5h, 10h, 14h, 20h, 24h',NULL,NULL,'delay before each attempt, of subscriptions that have none of their own');
INSERT INTO resthook_setting VALUES('rotation_overlap',NULL,'duration','seconds',86400,0,604800,'how long the old secret signs too after resthook_rotate_secret()');
INSERT INTO resthook_setting VALUES('sync_every',NULL,'duration','seconds',1,0,1,'how long outcomes may wait to reach the disk; 0: each group of them at once');
INSERT INTO resthook_setting VALUES('timeout',7,'duration','seconds',15,0.10000000000000000555,300,'for a whole request');
CREATE TABLE resthook_request(
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  kind TEXT NOT NULL,
  subscription TEXT,
  event INTEGER,
  created_at INTEGER NOT NULL
);
INSERT INTO resthook_request VALUES(1,'replay','sub_m066ni4wsiw1coqztoqvtcmk',1,1795704510964);
DELETE FROM sqlite_sequence;
INSERT INTO sqlite_sequence VALUES('resthook_watch',2);
INSERT INTO sqlite_sequence VALUES('resthook_outbox',6);
INSERT INTO sqlite_sequence VALUES('resthook_request',1);
CREATE UNIQUE INDEX resthook_subscription_live
  ON resthook_subscription(event, target) WHERE to_id IS NULL;
CREATE INDEX resthook_subscription_pattern
  ON resthook_subscription(event) WHERE to_id IS NULL AND substr(event, -1) = '*';
CREATE TRIGGER resthook_interest_subscribed AFTER INSERT ON resthook_subscription
BEGIN
  INSERT OR IGNORE INTO resthook_interest(watch)
    SELECT id FROM resthook_watch
     WHERE retired_at IS NULL AND NEW.to_id IS NULL
       AND (NEW.event = event OR NEW.event = '*'
            OR (substr(NEW.event, -2) = '.*'
                AND substr(event, 1, length(NEW.event) - 1) = substr(NEW.event, 1, length(NEW.event) - 1)));
  UPDATE resthook_meta SET value = value + 1 WHERE name = 'revision';
END;
CREATE TRIGGER resthook_interest_ended AFTER UPDATE OF to_id ON resthook_subscription
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
CREATE TRIGGER resthook_interest_watched AFTER INSERT ON resthook_watch
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
CREATE TRIGGER resthook_interest_retired AFTER UPDATE OF retired_at ON resthook_watch
WHEN NEW.retired_at IS NOT NULL
BEGIN
  DELETE FROM resthook_interest WHERE watch = NEW.id;
  UPDATE resthook_meta SET value = value + 1 WHERE name = 'revision';
END;
CREATE TRIGGER resthook_subscription_changed AFTER UPDATE ON resthook_subscription
BEGIN
  UPDATE resthook_meta SET value = value + 1 WHERE name = 'revision';
END;
CREATE TRIGGER resthook_setting_changed AFTER UPDATE OF value ON resthook_setting
BEGIN
  UPDATE resthook_meta SET value = value + 1 WHERE name = 'revision';
END;
CREATE TRIGGER resthook_request_filed AFTER INSERT ON resthook_request
BEGIN
  UPDATE resthook_meta SET value = value + 1 WHERE name = 'revision';
END;
CREATE VIEW resthook_subscriptions AS
  SELECT id, event, target, status, reason,
         strftime('%Y-%m-%dT%H:%M:%fZ', created_at / 86400000.0 + 2440587.5) AS created_at,
         strftime('%Y-%m-%dT%H:%M:%fZ', updated_at / 86400000.0 + 2440587.5) AS updated_at,
         format, max_in_flight, timeout / 1000.0 AS timeout, retry_schedule, description,
         from_id, to_id
    FROM resthook_subscription;
CREATE VIEW resthook_events AS
  SELECT o.id, coalesce(o.event, w.event) AS event, o.payload, o.key,
         strftime('%Y-%m-%dT%H:%M:%fZ', o.deliver_at / 86400000.0 + 2440587.5) AS deliver_at,
         strftime('%Y-%m-%dT%H:%M:%fZ', o.created_at / 86400000.0 + 2440587.5) AS created_at,
         o.only, o.watch, w.table_name, w.operation
    FROM resthook_outbox AS o LEFT JOIN resthook_watch AS w ON w.id = o.watch;
CREATE VIEW resthook_watches AS
  SELECT w.id, w.table_name, w.operation, w.of, w.event, w.options,
         'resthook_watch_' || w.id AS trigger_name,
         EXISTS (SELECT 1 FROM resthook_interest AS i WHERE i.watch = w.id) AS recording,
         strftime('%Y-%m-%dT%H:%M:%fZ', w.created_at / 86400000.0 + 2440587.5) AS created_at
    FROM resthook_watch AS w WHERE w.retired_at IS NULL;
CREATE VIEW resthook_settings AS
  SELECT name, coalesce(value, standard) AS value, type, unit, standard AS "default", least, most, help
    FROM resthook_setting;
CREATE TRIGGER "resthook_watch_1" AFTER INSERT ON "item" WHEN EXISTS(SELECT 1 FROM resthook_interest WHERE watch=1) BEGIN INSERT INTO resthook_outbox(watch,v0,v1,v2)SELECT 1,* FROM(SELECT(SELECT NEW."id")v0,(SELECT NEW."name")v1,(SELECT NEW."done")v2 FROM(SELECT NULL "name",NULL "done")new LIMIT 1)WHERE (ifnull(length(CAST(v0 AS BLOB)),0)+(ifnull(length(CAST(v1 AS BLOB)),0)+ifnull(length(CAST(v2 AS BLOB)),0)))<=1048576;INSERT INTO resthook_outbox(watch,v0,v3)SELECT 1,NEW."id",1 WHERE changes()=0;END;
CREATE TRIGGER "resthook_watch_2" AFTER UPDATE OF "done" ON "item" WHEN EXISTS(SELECT 1 FROM resthook_interest WHERE watch=2) BEGIN INSERT INTO resthook_outbox(watch,v0,v1,v2,v3,v4,v5)SELECT 2,* FROM(SELECT(SELECT NEW."id")v0,(SELECT NEW."name")v1,(SELECT NEW."done")v2,(SELECT OLD."id")v3,(SELECT OLD."name")v4,(SELECT OLD."done")v5 FROM(SELECT NULL "name",NULL "done")new,(SELECT NULL "id",NULL "name",NULL "done")old LIMIT 1)WHERE ((ifnull(length(CAST(v0 AS BLOB)),0)+(ifnull(length(CAST(v1 AS BLOB)),0)+ifnull(length(CAST(v2 AS BLOB)),0)))+(ifnull(length(CAST(v3 AS BLOB)),0)+(ifnull(length(CAST(v4 AS BLOB)),0)+ifnull(length(CAST(v5 AS BLOB)),0))))<=1048576;INSERT INTO resthook_outbox(watch,v0,v6)SELECT 2,NEW."id",1 WHERE changes()=0;END;
COMMIT;
