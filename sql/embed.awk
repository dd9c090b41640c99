# embed.awk: SQL files as C constants. A file is sql_<its name>; where it has lines "-- name: x", each part
# is sql_x, from that line to the next. Comments are left out; a statement's text is otherwise as written.
function open_constant(name) {
    if (name in seen) { print "embed.awk: " name " is there twice" > "/dev/stderr"; exit 1 }
    seen[name] = 1
    printf "extern const char sql_%s[];\nconst char sql_%s[] =\n", name, name
    is_open = 1
}
function close_constant() { if (is_open) print "    \"\";"; is_open = 0 }
BEGIN { print "/* Made by sql/embed.awk from sql/. */" }
FNR == 1 {
    close_constant()
    file = FILENAME; sub(/.*\//, "", file); sub(/\.sql$/, "", file)
    parts = 0
    while ((getline line < FILENAME) > 0) if (line ~ /^-- name: /) parts = 1
    close(FILENAME)
    if (!parts) open_constant(file)
}
parts && /^-- name: / { close_constant(); open_constant($3); next }
!is_open || /^[ \t]*--/ { next }
{ gsub(/\\/, "\\\\"); gsub(/"/, "\\\""); print "    \"" $0 "\\n\"" }
END { close_constant() }
