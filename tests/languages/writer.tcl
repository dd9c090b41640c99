# Writes as tests/languages/run says: writer.tcl FILE EXTENSION URL, with the package sqlite3. In eval a $name is a
# bound variable, an @name one bound as a BLOB, and one that is not set is NULL.

package require sqlite3
lassign $argv file extension url

sqlite3 db $file; db timeout 5000

# Tcl 8.6 would bind a NUL and what is beyond U+FFFF in a way of its own, which is no UTF-8: any text goes as bytes.
proc add {name price stock args} {
    set name [encoding convertto utf-8 $name]
    if {[llength $args]} { set photo [lindex $args 0] }
    db eval {
        INSERT INTO item(name, price, stock, photo, note) VALUES (CAST(@name AS TEXT), $price, $stock, @photo, $note)
    }
}
proc emit {event payload} {
    db eval {INSERT INTO resthook_outbox(event, payload) VALUES ($event, $payload)}
}

db transaction {
    add tea 2.5 9007199254740993 [binary format H* 00017f80ff]
    set id [db last_insert_rowid]
    add "it's \"\u00e9\" \ud83c\udf93\0 end" 0.1 -9223372036854775808 ""
    add lost 1.0 0
    set third [expr {1.0 / 3}]
    set most [expr {2 ** 63 - 1}]
    db eval {UPDATE item SET price = $third, stock = $most WHERE id = $id}
    set changed [db changes]
    db eval {DELETE FROM item WHERE name = 'lost'}
    emit item.counted {{"by":"hand"}}
}

db eval BEGIN
add never 0.0 0
emit item.counted {{}}
db eval ROLLBACK
puts "id $id, changed $changed, rows [db onecolumn {SELECT count(*) FROM item}]"
db close

sqlite3 db $file; db timeout 5000
db enable_load_extension 1; db eval {SELECT load_extension($extension)}
set payload {{"notes":1}}
db transaction {
    db eval {SELECT resthook_watch('note', 'insert', 'note.create')}
    db eval {SELECT resthook_subscribe('note.*', $url)}
    db eval {INSERT INTO note(text) VALUES ('loaded')}
    db eval {SELECT resthook_emit('note.counted', $payload)}
}
db eval BEGIN
db eval {SELECT resthook_emit('note.counted', '{}')}
db eval {SELECT resthook_unwatch('note')}
db eval ROLLBACK
puts "Tcl [info patchlevel], SQLite [db version]"
