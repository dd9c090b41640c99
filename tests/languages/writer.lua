-- Writes as tests/languages/run says: writer.lua FILE EXTENSION, with LuaSQL. LuaSQL 2.6 prepares no statement, binds
-- no value and loads no extension: text goes through escape(), which ends at a NUL, anything else in hexadecimal.

local file, extension = ...

local db = require("luasql.sqlite3").sqlite3():connect(file)
db:execute("PRAGMA busy_timeout = 5000"):close()

local function run(sql)
    return assert(db:execute(sql))
end

local function blob(value)
    return "x'" .. value:gsub(".", function(byte) return ("%02x"):format(byte:byte()) end) .. "'"
end

local function text(value)
    return value:find("\0") and "CAST(" .. blob(value) .. " AS TEXT)" or "'" .. db:escape(value) .. "'"
end

local function one(sql)
    local cursor = run(sql)
    local value = cursor:fetch()
    cursor:close()
    return value
end

local function add(name, price, stock, photo)
    local values = ("%s, %.17g, %d, %s, NULL"):format(text(name), price, stock, photo and blob(photo) or "NULL")
    return run("INSERT INTO item(name, price, stock, photo, note) VALUES (" .. values .. ")")
end

local function emit(event, payload)
    db:execute("INSERT INTO resthook_outbox(event, payload) VALUES ('" .. event .. "', '" .. db:escape(payload) .. "')")
end

db:setautocommit(false)
add("tea", 2.5, 9007199254740993, "\x00\x01\x7f\x80\xff")
local id = db:getlastautoid()
add("it's \"é\" 🎓\0 end", 0.1, math.mininteger, "")
add("lost", 1.0, 0)
local changed = run(("UPDATE item SET price = %.17g, stock = %d WHERE id = %d"):format(1 / 3, math.maxinteger, id))
run("DELETE FROM item WHERE name = 'lost'")
emit("item.counted", '{"by":"hand"}')
assert(db:commit())

add("never", 0.0, 0)
emit("item.counted", "{}")
assert(db:rollback())
assert(not db:execute("SELECT load_extension('" .. extension .. "')"), "it loads extensions")
print(("id %d, changed %d, rows %d"):format(id, changed, one("SELECT count(*) FROM item")))
print(_VERSION .. ", " .. require("luasql.sqlite3")._VERSION .. ", SQLite " .. one("SELECT sqlite_version()"))
