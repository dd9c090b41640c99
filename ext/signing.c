/*
** signing.c: what a subscription's requests are signed with: resthook_secret, _rotate_secret,
** _public_key, and the options `secret` and `signing`.
**
** A secret says by its beginning what it is for: whsec_ signs v1, whsk_ signs v1a, file: names a
** file of the operator's that holds such. The extension has no cryptography: that a public key
** belongs to a private one it learns from who links it (public_key_of), or from what the dispatcher
** has recorded. No error ever shows a secret.
** SPDX-License-Identifier: MIT
*/
#include "signing.h"

#include <string.h>

#include "side.h"
#include "sql.h"

#define EXPECTED                                                                                   \
    "expected whsec_ and the base64 of 24 to 64 bytes, whsk_ and the base64 of 32 or 64, or "      \
    "file: and a name"

void (*public_key_of)(const unsigned char *private_key, unsigned char *public_key) = NULL;

/* ---- the options ---- */

static const char *check_secret(const char *text) {
    unsigned char key[SECRET_BYTES_MAX], public_key[KEY_BYTES];
    enum secret_kind kind;
    const char *wrong = NULL;
    size_t length;

    if (secret_file(text) != NULL) {
        return secret_file_check(secret_file(text));
    }
    length = secret_parse(text, strlen(text), &kind, key, &wrong);
    if (length == SECRET_KEY_BYTES && kind == SECRET_KEY_PAIR && public_key_of != NULL) {
        public_key_of(key, public_key);
        if (memcmp(public_key, key + KEY_BYTES, KEY_BYTES) != 0) {
            wrong = "has a public key that is not its private key's";
        }
    }
    explicit_bzero(key, sizeof key);
    return wrong;
}

void signing_check(struct call *call, const struct option *secret, const struct option *signing) {
    const char *wrong;

    if (secret->given && secret->null) {
        call_fail(call, "option secret can't be null; resthook_rotate_secret() makes a new one");
    } else if (secret->given && signing->given) {
        call_fail(call, "options secret and signing are both given, expected one: a secret says by "
                        "itself how it signs");
    } else if (secret->text != NULL && (wrong = check_secret(secret->text)) != NULL) {
        call_fail(call, "option secret %s, " EXPECTED, wrong);
    }
    if (signing->text != NULL && strcmp(signing->text, "v1") != 0 &&
        strcmp(signing->text, "v1a") != 0) {
        call_fail(call, "option signing is %z, expected one of v1, v1a", shown_text(signing->text));
    }
}

static void make(enum secret_kind kind, char secret[SECRET_TEXT_MAX]) {
    unsigned char random[KEY_BYTES];

    sqlite3_randomness((int)sizeof random, random);
    secret_format(kind, random, secret);
    explicit_bzero(random, sizeof random);
}

static enum secret_kind kind_said(const struct option *signing) {
    return signing->text != NULL && strcmp(signing->text, "v1a") == 0 ? SECRET_KEY_PAIR
                                                                      : SECRET_SYMMETRIC;
}

void signing_make(const struct option *signing, char secret[SECRET_TEXT_MAX]) {
    make(kind_said(signing), secret);
}

/* ---- the secret there is ---- */

/* sqlite3_malloc'ed. */
static char *secret_of(struct call *call, const char *id) {
    return call_text(call, "SELECT secret FROM main.resthook_subscription WHERE id = ?1", "t", id);
}

static enum secret_kind kind_of(const char *secret) {
    return strncmp(secret, "whsk_", 5) == 0 ? SECRET_KEY_PAIR : SECRET_SYMMETRIC;
}

/* The new secret is the row's; what was there signs too for `overlap` seconds. A file is not ours to
** change. */
static void replace(struct call *call, const char *id, const char *old, enum secret_kind kind,
                    sqlite3_int64 overlap, char secret[SECRET_TEXT_MAX]) {
    if (call->rc == SQLITE_OK && old != NULL && secret_file(old) != NULL) {
        call_fail(call,
                  "the secret of this subscription is in the file %z: put the new one into it, as "
                  "its first line; all that are in it sign",
                  shown_text(secret_file(old)));
    }
    make(kind, secret);
    call_exec(call, sql_subscription_rotate, "tti", id, secret, call_now(call) + overlap * 1000);
}

void signing_write(struct call *call, const char *id, const struct option *signing) {
    char *old = signing->given ? secret_of(call, id) : NULL;
    char secret[SECRET_TEXT_MAX];

    if (old != NULL && (secret_file(old) != NULL || kind_of(old) != kind_said(signing))) {
        replace(call, id, old, kind_said(signing), setting_int(call, "rotation_overlap"), secret);
        explicit_bzero(secret, sizeof secret);
    }
    call_forget(old);
}

/* ---- the functions ---- */

static void secret(sqlite3_context *context, int argc, sqlite3_value **argv) {
    struct call call;

    (void)argc;
    call_open(&call, context, "resthook_secret");
    const char *id = subscription_argument(&call, argv, true);

    sqlite3_result_text(context, secret_of(&call, id), -1, sqlite3_free);
    call_end(&call);
}

static void rotate_secret(sqlite3_context *context, int argc, sqlite3_value **argv) {
    char new_secret[SECRET_TEXT_MAX];
    struct call call;

    call_begin(&call, context, "resthook_rotate_secret", SCHEMA_CURRENT);
    const char *id = subscription_argument(&call, argv, false);
    char *old = secret_of(&call, id);
    sqlite3_int64 overlap = setting_int(&call, "rotation_overlap");

    if (argc > 1 && sqlite3_value_type(argv[1]) != SQLITE_NULL) {
        overlap = sqlite3_value_type(argv[1]) == SQLITE_INTEGER ? sqlite3_value_int64(argv[1]) : -1;
        if (overlap < 0 || overlap > 604800) {
            call_fail(&call, "overlap is %z, expected seconds from 0 to 604800", shown(argv[1]));
        }
    }
    replace(&call, id, old, old != NULL ? kind_of(old) : SECRET_SYMMETRIC, overlap, new_secret);
    call_exec(&call, sql_subscription_touch, "t", id);
    sqlite3_result_text(context, new_secret, -1, SQLITE_TRANSIENT);
    explicit_bzero(new_secret, sizeof new_secret);
    call_forget(old);
    call_end(&call);
}

/* Into *key (sqlite3_malloc'ed, NULL: there is none) what the side file has for a row as it is now.
** Returns SQLITE_ROW when it knows that row; SQLITE_DONE; or an error. */
static int read_recorded(sqlite3 *side, const char *id, sqlite3_int64 revision,
                         sqlite3_int64 updated_at, char **key) {
    sqlite3_stmt *read = NULL;
    int rc = sqlite3_prepare_v2(side,
                                "SELECT public_key FROM subscription"
                                " WHERE id = ?1 AND key_revision = ?2 AND key_updated_at = ?3",
                                -1, &read, NULL);

    if (rc == SQLITE_OK) {
        (void)sqlite3_bind_int64(read, 2, revision);
        (void)sqlite3_bind_int64(read, 3, updated_at);
        rc = sqlite3_bind_text(read, 1, id, -1, SQLITE_STATIC);
    }
    if (rc == SQLITE_OK) {
        rc = sqlite3_step(read);
    }
    if (rc == SQLITE_ROW && sqlite3_column_type(read, 0) != SQLITE_NULL) {
        *key = sqlite3_mprintf("%s", sqlite3_column_text(read, 0));
        rc = *key != NULL ? SQLITE_ROW : SQLITE_NOMEM;
    }
    (void)sqlite3_finalize(read);
    return rc;
}

/* The same, of a subscription. *known: the dispatcher has looked at it as it is now. A side file that
** can't be read is one that doesn't know it. */
static char *recorded_key(struct call *call, const char *id, bool *known) {
    static const char revision_of[] =
        "SELECT revision FROM main.resthook_subscription WHERE id = ?1";
    static const char updated_at_of[] =
        "SELECT updated_at FROM main.resthook_subscription WHERE id = ?1";
    sqlite3_int64 revision = call_int(call, 0, revision_of, "t", id);
    sqlite3_int64 updated_at = call_int(call, 0, updated_at_of, "t", id);
    sqlite3_int64 cursor;
    sqlite3 *side = NULL;
    char *why = NULL, *key = NULL;
    int rc = call->rc;

    if (rc == SQLITE_OK) {
        rc = side_open(call->db, &side, &cursor, &why);
    }
    if (rc == SQLITE_OK) {
        rc = read_recorded(side, id, revision, updated_at, &key);
    }
    *known = rc == SQLITE_ROW;
    if (rc == SQLITE_NOMEM) {
        call_check(call, rc);
    }
    (void)sqlite3_close(side); /* NULL is fine */
    sqlite3_free(why);
    return key;
}

/* "whpk_…" of a secret that is here; false: it is not in it, and can't be worked out. */
static bool worked_out(const char *text, char out[PUBLIC_TEXT_MAX]) {
    unsigned char key[SECRET_BYTES_MAX], public_key[KEY_BYTES];
    enum secret_kind kind;
    const char *wrong;
    size_t length = secret_parse(text, strlen(text), &kind, key, &wrong);

    if (length == SECRET_KEY_BYTES) {
        memcpy(public_key, key + KEY_BYTES, KEY_BYTES);
    } else if (length > 0 && public_key_of != NULL) {
        public_key_of(key, public_key);
    } else {
        length = 0;
    }
    explicit_bzero(key, sizeof key);
    if (length > 0) {
        public_key_format(public_key, out);
    }
    return length > 0;
}

static void public_key(sqlite3_context *context, int argc, sqlite3_value **argv) {
    char text[PUBLIC_TEXT_MAX];
    char *recorded = NULL;
    struct call call;
    bool known = false;

    (void)argc;
    call_open(&call, context, "resthook_public_key");
    const char *id = subscription_argument(&call, argv, true);
    char *secret_text = secret_of(&call, id);
    bool in_file = secret_text != NULL && secret_file(secret_text) != NULL;

    if (secret_text != NULL && !in_file && kind_of(secret_text) == SECRET_SYMMETRIC) {
        call_fail(
            &call,
            "subscription %z signs by v1, whose secret both sides have: it has no public key; "
            "resthook_update(id, '{\"signing\":\"v1a\"}') makes it sign by v1a",
            shown(argv[0]));
    } else if (secret_text != NULL && !in_file && worked_out(secret_text, text)) {
        sqlite3_result_text(context, text, -1, SQLITE_TRANSIENT);
    } else if (secret_text != NULL) {
        recorded = recorded_key(&call, id, &known);
        if (recorded != NULL) {
            sqlite3_result_text(context, recorded, -1, SQLITE_TRANSIENT);
        } else if (known) {
            call_fail(&call,
                      "subscription %z has no public key: the first secret in its file is not a "
                      "whsk_ one, or the file can't be used: resthookd's log says why",
                      shown(argv[0]));
        } else {
            call_fail(&call,
                      "the public key of subscription %z is not known here yet: it will be when a "
                      "running resthookd has read the subscription as it is now",
                      shown(argv[0]));
        }
    }
    sqlite3_free(recorded);
    call_forget(secret_text);
    call_end(&call);
}

int signing_register(sqlite3 *db) {
    static const struct function functions[] = {
        {"resthook_secret", 1, FUNCTION_DIRECT_ONLY, secret},
        {"resthook_rotate_secret", 1, FUNCTION_DIRECT_ONLY, rotate_secret},
        {"resthook_rotate_secret", 2, FUNCTION_DIRECT_ONLY, rotate_secret},
        {"resthook_public_key", 1, FUNCTION_DIRECT_ONLY, public_key},
    };

    return register_functions(db, functions, sizeof functions / sizeof *functions);
}
