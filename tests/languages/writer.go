// Writes as tests/languages/run says: writer FILE EXTENSION URL, with mattn/go-sqlite3.
package main

import (
	"database/sql"
	"fmt"
	"log"
	"math"
	"os"
	"runtime"

	"github.com/mattn/go-sqlite3"
)

func must[T any](value T, err error) T {
	if err != nil {
		log.Fatal(err)
	}
	return value
}

func write(file string) {
	db := must(sql.Open("sqlite3", file))
	defer db.Close()
	const add = "INSERT INTO item(name, price, stock, photo, note) VALUES (?, ?, ?, ?, ?)"
	const emit = "INSERT INTO resthook_outbox(event, payload) VALUES (?, ?)"

	tx := must(db.Begin())
	insert := must(tx.Prepare(add))
	id := must(must(insert.Exec("tea", 2.5, int64(9007199254740993), []byte{0, 1, 0x7f, 0x80, 0xff}, nil)).LastInsertId())
	must(insert.Exec("it's \"é\" 🎓\x00 end", 0.1, int64(math.MinInt64), []byte{}, nil))
	must(insert.Exec("lost", 1.0, 0, nil, nil))
	update := must(tx.Prepare("UPDATE item SET price = ?, stock = ? WHERE id = ?"))
	changed := must(must(update.Exec(1.0/3, int64(math.MaxInt64), id)).RowsAffected())
	must(tx.Exec("DELETE FROM item WHERE name = ?", "lost"))
	must(tx.Exec(emit, "item.counted", `{"by":"hand"}`))
	must(0, tx.Commit())

	tx = must(db.Begin())
	must(tx.Exec(add, "never", 0.0, 0, nil, nil))
	must(tx.Exec(emit, "item.counted", "{}"))
	must(0, tx.Rollback())
	var rows int
	must(0, db.QueryRow("SELECT count(*) FROM item").Scan(&rows))
	fmt.Printf("id %d, changed %d, rows %d\n", id, changed, rows)
}

func load(file, extension, url string) {
	sql.Register("sqlite3-resthook", &sqlite3.SQLiteDriver{Extensions: []string{extension}})
	db, err := sql.Open("sqlite3-resthook", file)
	must(db, err)
	defer db.Close()
	tx := must(db.Begin())
	must(tx.Exec("SELECT resthook_watch('note', 'insert', 'note.create')"))
	must(tx.Exec("SELECT resthook_subscribe('note.*', ?)", url))
	must(tx.Exec("INSERT INTO note(text) VALUES (?)", "loaded"))
	_, err = tx.Exec("SELECT resthook_emit('note.counted', ?)", `{"notes":1}`)
	must(0, err)
	must(0, tx.Commit())
	tx = must(db.Begin())
	must(tx.Exec("SELECT resthook_emit('note.counted', '{}')"))
	must(tx.Exec("SELECT resthook_unwatch('note')"))
	must(0, tx.Rollback())
}

func main() {
	write(os.Args[1])
	load(os.Args[1], os.Args[2], os.Args[3])
	version, _, _ := sqlite3.Version()
	fmt.Printf("%s, SQLite %s\n", runtime.Version(), version)
}
