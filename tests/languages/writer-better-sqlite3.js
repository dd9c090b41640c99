// Writes as tests/languages/run says: writer-better-sqlite3.js FILE EXTENSION URL. An integer above 2^53 is a BigInt.

const Database = require("better-sqlite3");

const [file, extension, url] = process.argv.slice(2);

function write() {
  const db = new Database(file);
  const add = db.prepare("INSERT INTO item(name, price, stock, photo, note) VALUES (?, ?, ?, ?, ?)");
  const emit = db.prepare("INSERT INTO resthook_outbox(event, payload) VALUES (?, ?)");
  let id, changed;
  db.transaction(() => {
    id = add.run("tea", 2.5, 2n ** 53n + 1n, Buffer.from([0, 1, 0x7f, 0x80, 0xff]), null).lastInsertRowid;
    add.run("it's \"é\" 🎓\0 end", 0.1, -(2n ** 63n), Buffer.alloc(0), null);
    add.run("lost", 1.0, 0n, null, null);
    changed = db.prepare("UPDATE item SET price = ?, stock = ? WHERE id = ?").run(1 / 3, 2n ** 63n - 1n, id).changes;
    db.prepare("DELETE FROM item WHERE name = ?").run("lost");
    emit.run("item.counted", JSON.stringify({ by: "hand" }));
  })();

  db.exec("BEGIN");
  add.run("never", 0.0, 0n, null, null);
  emit.run("item.counted", "{}");
  db.exec("ROLLBACK");
  console.log(`id ${id}, changed ${changed}, rows ${db.prepare("SELECT count(*) FROM item").pluck().get()}`);
  db.close();
}

function load() {
  const db = new Database(file);
  db.loadExtension(extension);
  db.transaction(() => {
    db.prepare("SELECT resthook_watch('note', 'insert', 'note.create')").get();
    db.prepare("SELECT resthook_subscribe('note.*', ?)").get(url);
    db.prepare("INSERT INTO note(text) VALUES (?)").run("loaded");
    db.prepare("SELECT resthook_emit('note.counted', ?)").get(JSON.stringify({ notes: 1 }));
  })();
  db.exec("BEGIN");
  db.prepare("SELECT resthook_emit('note.counted', '{}')").get();
  db.prepare("SELECT resthook_unwatch('note')").get();
  db.exec("ROLLBACK");
  const { version } = require("better-sqlite3/package.json");
  const sqlite = db.prepare("SELECT sqlite_version()").pluck().get();
  console.log(`Node ${process.version}, better-sqlite3 ${version}, SQLite ${sqlite}`);
}

write();
load();
