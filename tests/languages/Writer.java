import java.sql.Connection;
import java.sql.DriverManager;
import java.sql.PreparedStatement;
import java.sql.ResultSet;
import java.sql.SQLException;
import java.sql.Statement;
import java.sql.Types;

/** Writes as tests/languages/run says: Writer FILE EXTENSION URL, with xerial's sqlite-jdbc. */
class Writer {
    static final String EMIT = "INSERT INTO resthook_outbox(event, payload) VALUES (?, ?)";

    static int add(Connection db, String name, double price, long stock, byte[] photo) throws SQLException {
        String sql = "INSERT INTO item(name, price, stock, photo, note) VALUES (?, ?, ?, ?, ?)";
        try (PreparedStatement insert = db.prepareStatement(sql)) {
            insert.setString(1, name);
            insert.setDouble(2, price);
            insert.setLong(3, stock);
            insert.setBytes(4, photo);
            insert.setNull(5, Types.VARCHAR);
            insert.executeUpdate();
            try (ResultSet keys = insert.getGeneratedKeys()) {
                keys.next();
                return keys.getInt(1);
            }
        }
    }

    static int run(Connection db, String sql, Object... values) throws SQLException {
        try (PreparedStatement statement = db.prepareStatement(sql)) {
            for (int i = 0; i < values.length; i++) {
                statement.setObject(i + 1, values[i]);
            }
            return statement.execute() ? 0 : statement.getUpdateCount();
        }
    }

    static String one(Connection db, String sql) throws SQLException {
        try (Statement statement = db.createStatement(); ResultSet rows = statement.executeQuery(sql)) {
            rows.next();
            return rows.getString(1);
        }
    }

    static void write(String file) throws SQLException {
        try (Connection db = DriverManager.getConnection("jdbc:sqlite:" + file)) {
            db.setAutoCommit(false);
            int id = add(db, "tea", 2.5, 9007199254740993L, new byte[] {0, 1, 0x7f, (byte) 0x80, (byte) 0xff});
            add(db, "it's \"\u00e9\" \ud83c\udf93\0 end", 0.1, Long.MIN_VALUE, new byte[0]);
            add(db, "lost", 1.0, 0, null);
            int changed = run(db, "UPDATE item SET price = ?, stock = ? WHERE id = ?", 1.0 / 3, Long.MAX_VALUE, id);
            run(db, "DELETE FROM item WHERE name = ?", "lost");
            run(db, EMIT, "item.counted", "{\"by\":\"hand\"}");
            db.commit();

            add(db, "never", 0.0, 0, null);
            run(db, EMIT, "item.counted", "{}");
            db.rollback();
            System.out.printf("id %d, changed %d, rows %s%n", id, changed, one(db, "SELECT count(*) FROM item"));
        }
    }

    static void load(String file, String extension, String url) throws SQLException {
        Connection db = DriverManager.getConnection("jdbc:sqlite:" + file + "?enable_load_extension=true");
        Statement sql = db.createStatement(); sql.execute("SELECT load_extension('" + extension + "')");
        try (sql; db) {
            db.setAutoCommit(false);
            run(db, "SELECT resthook_watch('note', 'insert', 'note.create')");
            run(db, "SELECT resthook_subscribe('note.*', ?)", url);
            run(db, "INSERT INTO note(text) VALUES (?)", "loaded");
            sql.execute("SELECT resthook_emit('note.counted', json_object('notes', 1))");
            db.commit();
            run(db, "SELECT resthook_emit('note.counted', '{}')");
            run(db, "SELECT resthook_unwatch('note')");
            db.rollback();
            System.out.printf("Java %s, sqlite-jdbc %s, SQLite %s%n", System.getProperty("java.version"),
                    db.getMetaData().getDriverVersion(), one(db, "SELECT sqlite_version()"));
        }
    }

    public static void main(String[] arguments) throws SQLException {
        write(arguments[0]);
        load(arguments[0], arguments[1], arguments[2]);
    }
}
