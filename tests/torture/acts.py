"""What users do to a store while it is written to and delivered for. Each act is one transaction of the extension's, or
a script for `resthookd sql`, and is told to the oracle once it is committed.
"""

import json

TRANSIENT_MOST = 4
REBUILD = """
CREATE TABLE spare_new(id INTEGER PRIMARY KEY, mark TEXT{more});
INSERT INTO spare_new(id, mark) SELECT id, mark FROM spare;
DROP TABLE spare;
ALTER TABLE spare_new RENAME TO spare;
"""


class Acts:
    def __init__(self, store, story, chance):
        self.store, self.story, self.chance = store, story, chance
        self.transient = []
        self.made = 0
        self.scripts = 0
        self.broken = False  # the table that a watch's expression looks up has another name

    def any(self):
        """One of them by chance."""
        act = self.chance.choice([self.emit, self.emit, self.toggle_pause, self.come_and_go, self.replay, self.cancel,
                                  self.forget, self.backfill, self.rewatch, self.break_or_mend, self.alter,
                                  self.toggle_order])
        act()
        return act.__name__

    def in_transaction(self, *statements):
        """Each is (sql, values…). Returns the rows of the last one."""
        db = self.store.connect()
        db.execute("BEGIN IMMEDIATE")
        try:
            for sql, *values in statements:
                rows = db.execute(sql, values).fetchall()
            db.execute("COMMIT")
        except BaseException:
            db.execute("ROLLBACK")
            raise
        return rows

    # ---- events ----

    def mark(self):
        self.made += 1
        return f"act.{self.store.name}.{self.made}"

    def emit(self):
        mark = self.mark()
        options = self.chance.choice([{"key": "ada"}, {"idempotency_key": mark}, {"headers": {"X-Mark": mark}},
                                      {"deliver_at": self.later()}])
        ((id,),) = self.store.ext("SELECT resthook_emit('emit.act', ?, ?)", json.dumps({"mark": mark}), json.dumps(options))
        self.story.events[id] = "emit.act", mark, None

    def later(self):
        return self.store.ext("SELECT (julianday('now') - 2440587.5) * 86400 + 0.3")[0][0]

    def notes(self, count=5):
        """Events that are held while the table that they look up is gone."""
        for _ in range(count):
            mark = self.mark()
            ((id,),) = self.in_transaction(("INSERT INTO note(owner, mark) VALUES ('ada', ?)", mark),
                                           ("SELECT max(id) FROM resthook_outbox",))
            self.story.events[id] = "note.create", mark, None

    # ---- subscriptions ----

    def toggle_pause(self):
        sub = self.store.sub("paused")
        if self.store.ext("SELECT resthook_pause(?)", sub) == [(0,)]:
            self.store.ext("SELECT resthook_resume(?)", sub)

    def toggle_order(self):
        sub = self.store.sub("stop")
        for ordered in ("skip", "stop"):  # what it has stopped is dead then
            self.store.ext("SELECT resthook_update(?, ?)", sub, json.dumps({"ordered": ordered}))

    def come(self, word=None):
        self.made += 1
        word = word or self.chance.choice(["transient", "gone"])
        self.transient.append(self.store.subscribe("*", f"t{self.made}/{word}"))

    def go(self):
        sub = self.transient.pop(0)
        if self.live(sub):
            self.store.ext("SELECT resthook_unsubscribe(?)", sub)

    def come_and_go(self):
        if len(self.transient) < TRANSIENT_MOST and self.chance.random() < 0.6:
            self.come()
        elif self.transient:
            self.go()

    def live(self, sub):
        return self.store.ext("SELECT to_id IS NULL FROM resthook_subscription WHERE id = ?", sub) == [(1,)]

    # ---- what is asked for ----

    def deliveries(self, condition, most):
        """Some of the side file's rows whose event is still there."""
        there, = self.store.ext("SELECT min(id), max(id) FROM resthook_outbox WHERE only IS NULL")
        rows = self.store.journal(
            f"SELECT s.id, d.event FROM delivery AS d JOIN subscription AS s ON s.n = d.sub WHERE {condition}"
            " AND d.event BETWEEN ? AND ? ORDER BY d.event DESC LIMIT 200", *there) if there[0] else []
        return [(sub, event) for sub, event in self.chance.sample(rows, min(most, len(rows)))
                if event not in self.story.forgotten and not self.story.is_backfill(event) and self.live(sub)
                and self.store.ext("SELECT 1 FROM resthook_outbox WHERE id = ? AND ifnull(event, '') NOT GLOB 'resthook.*'", event)]

    def replay(self, condition="d.state IN (3, 4) OR d.state = 2 AND d.next_at IS NULL", most=3):
        for sub, event in self.deliveries(f"({condition})", most):
            self.story.replayed.add((sub, event))
            self.store.ext("SELECT resthook_replay(?)", f"{sub}-{event}")

    def cancel(self, most=3, word=None):
        of = f"d.state < 3 AND s.id = '{self.store.sub(word)}'" if word else "d.state < 3"
        for sub, event in self.deliveries(of, most):
            self.story.cancelled.add((sub, event))
            self.store.ext("SELECT resthook_cancel(?)", f"{sub}-{event}")

    def forget(self):
        for _, event in self.deliveries("1", 1):
            self.story.forgotten.add(event)
            self.store.ext("SELECT resthook_forget(?)", event)

    def backfill(self):
        subs = [sub for sub in self.transient if self.live(sub)]
        if subs:
            self.in_transaction(("SELECT resthook_repair()",),  # a column may be gone since
                                ("SELECT resthook_backfill(?, 'item', 'NEW.id % 7 = 0')", self.chance.choice(subs)))
            self.story.read_backfills()

    # ---- migrations ----

    def rewatch(self):
        self.store.ext("SELECT resthook_watch('spare', 'insert', 'spare.create', ?)",
                       json.dumps({"when": f"NEW.id > {-self.mark_number()}"}))

    def mark_number(self):
        self.made += 1
        return self.made

    def rebuild(self):
        """The trigger of a table that nobody writes to is gone: the dispatcher makes it again."""
        more = f", c{self.mark_number()}"
        self.in_transaction(*[(sql,) for sql in REBUILD.format(more=more).split(";\n") if sql.strip()])

    def alter(self):
        """Of a table that is written to: its trigger is stale, and made anew meanwhile."""
        have = self.store.ext("SELECT 1 FROM pragma_table_info('item') WHERE name = 'more'")
        self.in_transaction(("ALTER TABLE item " + ("DROP COLUMN more" if have else "ADD COLUMN more"),))

    def break_or_mend(self):
        self.broken = not self.broken
        self.in_transaction(("ALTER TABLE label" + (" RENAME TO label_gone" if self.broken else "_gone RENAME TO label"),))

    def mend(self):
        if self.broken:
            self.break_or_mend()

    # ---- a program that is killed in the middle ----

    def script(self):
        """SQL for `resthookd sql`, and what to call with whether it was committed."""
        self.scripts += 1
        mark = self.mark()
        doomed = self.deliveries("d.state > 2", 1)
        replayed = self.deliveries("d.state = 4", 1)
        subs = [sub for sub in self.transient if self.live(sub)]
        lines = ["BEGIN IMMEDIATE", f"INSERT INTO tx(writer, n) VALUES ('script', {self.scripts})",
                 f"SELECT resthook_emit('emit.act', '{{\"mark\":\"{mark}\"}}')"]
        lines += ["SELECT resthook_repair()"]
        lines += [f"SELECT resthook_backfill('{sub}', 'item', 'NEW.id % 5 = 0')" for sub in subs[:1]]
        lines += [f"SELECT resthook_replay('{sub}-{event}')" for sub, event in replayed]
        lines += [f"SELECT resthook_forget({event})" for _, event in doomed]
        lines += ["COMMIT", "SELECT resthook_init()"]

        def tell():
            if self.store.ext("SELECT 1 FROM tx WHERE writer = 'script' AND n = ?", self.scripts):
                ((id,),) = self.store.ext("SELECT id FROM resthook_outbox WHERE payload LIKE ?", f"%{mark}\"%")
                self.story.events[id] = "emit.act", mark, None
                self.story.replayed.update(replayed)
                self.story.forgotten.update(event for _, event in doomed)
                self.story.read_backfills()

        return ";\n".join(lines) + ";\n", tell

    # ---- the end ----

    def calm(self):
        """Whatever keeps deliveries from coming to an end, ends."""
        self.mend()
        self.store.ext("SELECT resthook_resume(?)", self.store.sub("paused"))

    def unstop(self):
        """What has stopped its key is sent again or cancelled."""
        stopped = self.store.journal("SELECT s.id, d.event FROM delivery AS d JOIN subscription AS s ON s.n = d.sub"
                                     " WHERE d.state = 2 AND d.next_at IS NULL")
        for sub, event in stopped:
            there = self.store.ext("SELECT 1 FROM resthook_outbox WHERE id = ? AND only IS NOT 'forgotten'", event)
            if there and self.chance.random() < 0.5 and (sub, event) not in self.story.replayed:
                self.story.replayed.add((sub, event))
                self.store.ext("SELECT resthook_replay(?)", f"{sub}-{event}")
            elif there:
                self.story.cancelled.add((sub, event))
                self.store.ext("SELECT resthook_cancel(?)", f"{sub}-{event}")
