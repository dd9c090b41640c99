<?php
// Writes as tests/languages/run says: writer-sqlite3.php FILE EXTENSION URL, with the class SQLite3. Extensions load
// from the folder that the setting sqlite3.extension_dir names, and from no other.

[, $file, , $url] = $argv;

$db = new SQLite3($file); $db->busyTimeout(5000);
$db->enableExceptions(true);

$add = $db->prepare("INSERT INTO item(name, price, stock, photo, note) VALUES (?, ?, ?, ?, ?)");
$emit = $db->prepare("INSERT INTO resthook_outbox(event, payload) VALUES (?, ?)");

function run(SQLite3Stmt $statement, array $values, array $types = []): void
{
    foreach ($values as $at => $value) {
        $own = match (gettype($value)) {
            "integer" => SQLITE3_INTEGER,
            "double" => SQLITE3_FLOAT,
            "NULL" => SQLITE3_NULL,
            default => SQLITE3_TEXT,
        };
        $statement->bindValue($at + 1, $value, $types[$at] ?? $own);
    }
    $statement->execute()->finalize();
}

$blob = [3 => SQLITE3_BLOB];
$db->exec("BEGIN");
run($add, ["tea", 2.5, 9007199254740993, "\x00\x01\x7f\x80\xff", null], $blob);
$id = $db->lastInsertRowID();
run($add, ["it's \"é\" 🎓\0 end", 0.1, PHP_INT_MIN, "", null], $blob);
run($add, ["lost", 1.0, 0, null, null]);
run($db->prepare("UPDATE item SET price = ?, stock = ? WHERE id = ?"), [1 / 3, PHP_INT_MAX, $id]);
$changed = $db->changes();
run($db->prepare("DELETE FROM item WHERE name = ?"), ["lost"]);
run($emit, ["item.counted", json_encode(["by" => "hand"])]);
$db->exec("COMMIT");

$db->exec("BEGIN");
run($add, ["never", 0.0, 0, null, null]);
run($emit, ["item.counted", "{}"]);
$db->exec("ROLLBACK");
echo "id $id, changed $changed, rows {$db->querySingle("SELECT count(*) FROM item")}\n";
$db->close();

$db = new SQLite3($file); $db->busyTimeout(5000);
$db->enableExceptions(true);
$db->loadExtension("resthook.so"); // with php -d sqlite3.extension_dir=DIRECTORY
$db->exec("BEGIN");
$db->querySingle("SELECT resthook_watch('note', 'insert', 'note.create')");
run($db->prepare("SELECT resthook_subscribe('note.*', ?)"), [$url]);
run($db->prepare("INSERT INTO note(text) VALUES (?)"), ["loaded"]);
$db->querySingle("SELECT resthook_emit('note.counted', json_object('notes', 1))");
$db->exec("COMMIT");
$db->exec("BEGIN");
$db->querySingle("SELECT resthook_emit('note.counted', '{}')");
$db->querySingle("SELECT resthook_unwatch('note')");
$db->exec("ROLLBACK");
echo "PHP ", PHP_VERSION, ", SQLite ", SQLite3::version()["versionString"], "\n";
