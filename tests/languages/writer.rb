# Writes as tests/languages/run says: writer.rb FILE EXTENSION URL, with the sqlite3 gem.

require "json"
require "sqlite3"

file, extension, url = ARGV

db = SQLite3::Database.new(file); db.busy_timeout = 5000
add = db.prepare("INSERT INTO item(name, price, stock, photo, note) VALUES (?, ?, ?, ?, ?)")
emit = db.prepare("INSERT INTO resthook_outbox(event, payload) VALUES (?, ?)")
id = changed = nil
db.transaction do
  add.execute("tea", 2.5, 2**53 + 1, SQLite3::Blob.new([0, 1, 0x7f, 0x80, 0xff].pack("C*")), nil)
  id = db.last_insert_row_id
  add.execute("it's \"é\" 🎓\0 end", 0.1, -(2**63), SQLite3::Blob.new(""), nil)
  add.execute("lost", 1.0, 0, nil, nil)
  db.execute("UPDATE item SET price = ?, stock = ? WHERE id = ?", [1.0 / 3, 2**63 - 1, id])
  changed = db.changes
  db.execute("DELETE FROM item WHERE name = ?", ["lost"])
  emit.execute("item.counted", JSON.generate({ by: "hand" }))
end

db.transaction
add.execute("never", 0.0, 0, nil, nil)
emit.execute("item.counted", "{}")
db.rollback
puts "id #{id}, changed #{changed}, rows #{db.get_first_value("SELECT count(*) FROM item")}"
[add, emit, db].each(&:close)

db = SQLite3::Database.new(file); db.busy_timeout = 5000
db.enable_load_extension(true); db.load_extension(extension)
db.transaction do
  db.execute("SELECT resthook_watch('note', 'insert', 'note.create')")
  db.execute("SELECT resthook_subscribe('note.*', ?)", [url])
  db.execute("INSERT INTO note(text) VALUES (?)", ["loaded"])
  db.execute("SELECT resthook_emit('note.counted', ?)", [JSON.generate({ notes: 1 })])
end
db.transaction
db.execute("SELECT resthook_emit('note.counted', '{}')")
db.execute("SELECT resthook_unwatch('note')")
db.rollback
puts "Ruby #{RUBY_VERSION}, sqlite3 #{SQLite3::VERSION}, SQLite #{db.get_first_value("SELECT sqlite_version()")}"
