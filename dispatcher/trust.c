/*
** trust.c: see trust.h. It is read by the call that libcurl reads it by, which also takes a list of
** revocations for something to read.
** SPDX-License-Identifier: MIT
*/
#include "trust.h"

#include <openssl/err.h>
#include <openssl/x509.h>
#include <openssl/x509_vfy.h>

static bool has_certificate(X509_STORE *store) {
    STACK_OF(X509_OBJECT) *objects = X509_STORE_get0_objects(store);

    for (int i = 0; i < sk_X509_OBJECT_num(objects); i++) {
        if (X509_OBJECT_get_type(sk_X509_OBJECT_value(objects, i)) == X509_LU_X509) {
            return true;
        }
    }
    return false;
}

bool trust_check(const char *file) {
    X509_STORE *store = X509_STORE_new();
    bool good = store != NULL && X509_STORE_load_locations(store, file, NULL) == 1 &&
                has_certificate(store);

    X509_STORE_free(store);
    ERR_clear_error();
    return good;
}
