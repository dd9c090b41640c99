/*
** test_log.c: what stands on standard error, byte by byte but for the time.
** SPDX-License-Identifier: MIT
*/
#include <ctype.h>
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>
#include <cmocka.h>
#include <cjson/cJSON.h>

#include "log.h"

static int ends[2]; /* a socket that keeps what is written at once together */
static int real_error;
static char said[65536];

/* From here on standard error is ours. */
static void listen_to_it(void) {
    assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, ends), 0);
    real_error = dup(STDERR_FILENO);
    dup2(ends[1], STDERR_FILENO);
}

/* What was written, each write before a '|'. */
static const char *heard(void) {
    size_t length = 0;

    dup2(real_error, STDERR_FILENO);
    close(real_error);
    close(ends[1]);
    for (;;) {
        ssize_t came = recv(ends[0], said + length, sizeof said - 2 - length, 0);

        if (came <= 0) {
            break;
        }
        length += (size_t)came;
        said[length++] = '|';
    }
    said[length] = '\0';
    close(ends[0]);
    return said;
}

/* The line without its time; which is now, UTC, in milliseconds. */
static const char *behind_time(const char *line) {
    static const char shape[] = "dddd-dd-ddTdd:dd:dd.dddZ";
    time_t now = time(NULL);
    struct tm parts = {0};

    for (size_t i = 0; i < sizeof shape - 1; i++) {
        assert_true(shape[i] == 'd' ? isdigit((unsigned char)line[i]) : line[i] == shape[i]);
    }
    assert_non_null(strptime(line, "%Y-%m-%dT%H:%M:%S", &parts));
    assert_in_range(timegm(&parts), now - 600, now);
    return line + sizeof shape - 1;
}

static void is_one_line_of_pairs(void **state) {
    (void)state;
    log_open(LOG_INFO, false);
    listen_to_it();
    log_line(LOG_WARN, "a thing happened", "plain", "http://a:80/b", "n#", -42LL, "none",
             (char *)NULL, "zero#", 0LL, "empty", "", "least#", (long long)INT64_MIN, NULL);
    assert_string_equal(behind_time(heard()),
                        " warn a thing happened plain=http://a:80/b n=-42 zero=0 empty=\"\" "
                        "least=-9223372036854775808\n|");
    listen_to_it();
    log_line(LOG_INFO, "alone", NULL);
    assert_string_equal(behind_time(heard()), " info alone\n|");
}

static void forges_no_line(void **state) {
    static const struct {
        const char *value;
        const char *written;
    } values[] = {
        {"a b", "\"a b\""},
        {"a=b", "\"a=b\""},
        {"a\"b\\c", "\"a\\\"b\\\\c\""},
        {"\n2026 error x=y", "\"\\x0a2026 error x=y\""},
        {"\x01\t\r\x1b[31m\x7f", "\"\\x01\\x09\\x0d\\x1b[31m\\x7f\""},
        {"gr\xc3\xbc\xc3\x9f", "gr\xc3\xbc\xc3\x9f"},
        {"\xc2\x9b"
         "31m",
         "\"\\xc2\\x9b31m\""}, /* C1's way of saying ESC [ */
        {"\xc2\x80\xc2\x9f\xc2\xa0", "\"\\xc2\\x80\\xc2\\x9f\xc2\xa0\""},
        {"\x9b"
         "31m",
         "\xef\xbf\xbd"
         "31m"}, /* not UTF-8 */
        {"a\xc3", "a\xef\xbf\xbd"},
        {"\xc2", "\xef\xbf\xbd"},
    };
    char wanted[128];

    (void)state;
    log_open(LOG_INFO, false);
    for (size_t i = 0; i < sizeof values / sizeof *values; i++) {
        snprintf(wanted, sizeof wanted, " info x v=%s w=1\n|", values[i].written);
        listen_to_it();
        log_line(LOG_INFO, "x", "v", values[i].value, "w#", 1LL, NULL);
        assert_string_equal(behind_time(heard()), wanted);
    }
}

static void shows_a_part_of_a_line(void **state) {
    static const struct {
        const char *value, *quoted, *shown;
    } values[] = {
        {"a b=\"c\"", NULL, "a b=\"c\""},
        {"a b=\"c\"", " \"", "\"a b=\\\"c\\\"\""},
        {"a=b", " \"", "a=b"},
        {"\n  a: b\x1b[31m", NULL, "\\x0a  a: b\\x1b[31m"},
        {"\n\x1b[31m", " \"", "\"\\x0a\\x1b[31m\""},
        {"\\x0a", NULL, "\\\\x0a"},
        {"\\x0a", " \"", "\\\\x0a"},
        {"\xc2\x9b\xff", NULL, "\\xc2\\x9b\xef\xbf\xbd"},
        {"", NULL, ""},
        {"", " ", "\"\""},
    };

    (void)state;
    for (size_t i = 0; i < sizeof values / sizeof *values; i++) {
        char *text = NULL;
        size_t length = 0;
        FILE *out = open_memstream(&text, &length);

        assert_non_null(out);
        log_show(out, values[i].value, values[i].quoted);
        fclose(out);
        assert_string_equal(text, values[i].shown);
        free(text);
    }
}

static void is_json_when_told(void **state) {
    const char *line;

    (void)state;
    log_open(LOG_INFO, true);
    listen_to_it();
    log_line(LOG_ERROR, "a thing happened", "path", "/a \"b\"\n\x01\\", "n#", (long long)INT64_MAX,
             "none", (char *)NULL, "empty", "", "bad", "a\xff\xc3", "c1",
             "\xc2\x80\xc2\x9b"
             "31m\xc2\x9f\xc2\xa0\x7f",
             NULL);
    line = heard();
    assert_memory_equal(line, "{\"time\":\"", 9);
    assert_string_equal(behind_time(line + 9),
                        "\",\"level\":\"error\",\"message\":\"a thing happened\","
                        "\"path\":\"/a \\\"b\\\"\\n\\u0001\\\\\",\"n\":9223372036854775807,"
                        "\"empty\":\"\",\"bad\":\"a\xef\xbf\xbd\xef\xbf\xbd\","
                        "\"c1\":\"\\u0080\\u009b31m\\u009f\xc2\xa0\\u007f\"}\n|");
}

/* Every byte in a value, in both forms: it is one write, one line, and in JSON comes back. */
static void is_written_at_once(void **state) {
    static char value[20001];
    size_t length = strlen("0123456789");

    (void)state;
    for (size_t i = 0; i < sizeof value - 1; i++) {
        value[i] = (char)(i % 123 + 1); /* up to '{' */
    }
    for (int json = 0; json < 2; json++) {
        const char *line;

        log_open(LOG_INFO, json);
        listen_to_it();
        log_line(LOG_INFO, "x", "v", value, "last", "0123456789", NULL);
        line = heard();
        assert_string_equal(strchr(line, '\n'), "\n|");
        assert_string_equal(strchr(line, '|'), "|");
        assert_memory_equal(strchr(line, '\n') - length - 2 * json, "0123456789", length);
        if (json) {
            cJSON *object = cJSON_Parse(line);

            assert_string_equal(cJSON_GetStringValue(cJSON_GetObjectItem(object, "v")), value);
            cJSON_Delete(object);
        }
    }
}

static void says_what_is_wanted(void **state) {
    (void)state;
    for (int threshold = LOG_ERROR; threshold <= LOG_DEBUG; threshold++) {
        int lines = 0;

        log_open((enum log_level)threshold, false);
        listen_to_it();
        for (int level = LOG_ERROR; level <= LOG_DEBUG; level++) {
            log_line((enum log_level)level, "x", NULL);
            assert_int_equal(log_enabled((enum log_level)level), level <= threshold);
        }
        for (const char *at = heard(); *at != '\0'; at++) {
            lines += *at == '\n';
        }
        assert_int_equal(lines, threshold + 1);
    }
}

static void knows_its_levels(void **state) {
    static const char *const names[] = {"error", "warn", "info", "debug"};
    enum log_level level = LOG_ERROR;

    (void)state;
    for (int i = 0; i < 4; i++) {
        assert_true(log_level_named(names[i], &level));
        assert_int_equal(level, i);
    }
    assert_false(log_level_named("warning", &level));
    assert_false(log_level_named("", &level));
    assert_int_equal(level, LOG_DEBUG);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(is_one_line_of_pairs),   cmocka_unit_test(forges_no_line),
        cmocka_unit_test(shows_a_part_of_a_line), cmocka_unit_test(is_json_when_told),
        cmocka_unit_test(is_written_at_once),     cmocka_unit_test(says_what_is_wanted),
        cmocka_unit_test(knows_its_levels),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
