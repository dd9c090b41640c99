# Writes as tests/languages/run says: writer.pl FILE EXTENSION URL, with DBD::SQLite.

use strict;
use warnings;
use utf8;
use DBI qw(:sql_types);

my ($file, $extension, $url) = @ARGV;

my $db = DBI->connect("dbi:SQLite:dbname=$file", "", "", { RaiseError => 1, sqlite_unicode => 1 });
my $add = $db->prepare("INSERT INTO item(name, price, stock, photo, note) VALUES (?, ?, ?, ?, ?)");
my $emit = $db->prepare("INSERT INTO resthook_outbox(event, payload) VALUES (?, ?)");

sub add {
    my @types = (SQL_VARCHAR, SQL_DOUBLE, SQL_BIGINT, SQL_BLOB, SQL_VARCHAR);
    $add->bind_param($_ + 1, $_[$_], $types[$_]) for 0 .. 4;
    $add->execute;
}

$db->begin_work;
add("tea", 2.5, 9007199254740993, "\x00\x01\x7f\x80\xff", undef);
my $id = $db->sqlite_last_insert_rowid;
add("it's \"é\" 🎓\0 end", 0.1, -9223372036854775807 - 1, "", undef);
add("lost", 1.0, 0, undef, undef);
my $update = $db->prepare("UPDATE item SET price = ?, stock = ? WHERE id = ?");
$update->bind_param(1, sprintf("%.17g", 1 / 3), SQL_DOUBLE); # DBD::SQLite takes a real as Perl prints it: 15 digits
$update->bind_param(2, 9223372036854775807, SQL_BIGINT);
$update->bind_param(3, $id, SQL_BIGINT);
my $changed = $update->execute;
$db->do("DELETE FROM item WHERE name = ?", {}, "lost");
$emit->execute("item.counted", '{"by":"hand"}');
$db->commit;

$db->begin_work;
add("never", 0.0, 0, undef, undef);
$emit->execute("item.counted", "{}");
$db->rollback;
my ($rows) = $db->selectrow_array("SELECT count(*) FROM item");
print "id $id, changed $changed, rows $rows\n";
$db->disconnect;

$db = DBI->connect("dbi:SQLite:dbname=$file", "", "", { RaiseError => 1, sqlite_unicode => 1 });
$db->sqlite_enable_load_extension(1); $db->sqlite_load_extension($extension);
$db->begin_work;
$db->do("SELECT resthook_watch('note', 'insert', 'note.create')");
$db->selectrow_array("SELECT resthook_subscribe('note.*', ?)", {}, $url);
$db->do("INSERT INTO note(text) VALUES (?)", {}, "loaded");
$db->selectrow_array("SELECT resthook_emit('note.counted', ?)", {}, '{"notes":1}');
$db->commit;
$db->begin_work;
$db->selectrow_array("SELECT resthook_emit('note.counted', '{}')");
$db->selectrow_array("SELECT resthook_unwatch('note')");
$db->rollback;
printf "Perl %vd, DBD::SQLite %s, SQLite %s\n", $^V, $DBD::SQLite::VERSION, $db->{sqlite_version};
