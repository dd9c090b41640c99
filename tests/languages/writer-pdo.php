<?php
// Writes as tests/languages/run says: writer-pdo.php FILE EXTENSION, with PDO. It loads no extension before PHP 8.4.

[, $file, $extension] = $argv;

$db = new PDO("sqlite:$file", options: [PDO::ATTR_TIMEOUT => 5]);
$add = $db->prepare("INSERT INTO item(name, price, stock, photo, note) VALUES (?, ?, ?, ?, ?)");
$emit = $db->prepare("INSERT INTO resthook_outbox(event, payload) VALUES (?, ?)");

// PDO has no type for a real: it goes as text, and a REAL column makes it a real again, to the last bit.
function run(PDOStatement $statement, array $values, array $types = []): int
{
    foreach ($values as $at => $value) {
        $own = ["integer" => PDO::PARAM_INT, "NULL" => PDO::PARAM_NULL][gettype($value)] ?? PDO::PARAM_STR;
        $statement->bindValue($at + 1, is_float($value) ? var_export($value, true) : $value, $types[$at] ?? $own);
    }
    $statement->execute();
    return $statement->rowCount();
}

$blob = [3 => PDO::PARAM_LOB];
$db->beginTransaction();
run($add, ["tea", 2.5, 9007199254740993, "\x00\x01\x7f\x80\xff", null], $blob);
$id = $db->lastInsertId();
run($add, ["it's \"é\" 🎓\0 end", 0.1, PHP_INT_MIN, "", null], $blob);
run($add, ["lost", 1.0, 0, null, null]);
$changed = run($db->prepare("UPDATE item SET price = ?, stock = ? WHERE id = ?"), [1 / 3, PHP_INT_MAX, (int) $id]);
run($db->prepare("DELETE FROM item WHERE name = ?"), ["lost"]);
$emit->execute(["item.counted", json_encode(["by" => "hand"])]);
$db->commit();

$db->beginTransaction();
run($add, ["never", 0.0, 0, null, null]);
run($emit, ["item.counted", "{}"]);
$db->rollBack();
echo "id $id, changed $changed, rows ", $db->query("SELECT count(*) FROM item")->fetchColumn(), "\n";

try {
    $db->query("SELECT load_extension(" . $db->quote($extension) . ")");
    exit("it loads extensions");
} catch (PDOException) {
}
echo "PHP ", PHP_VERSION, ", SQLite ", $db->getAttribute(PDO::ATTR_CLIENT_VERSION), "\n";
