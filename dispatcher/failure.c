/*
** failure.c: one table: libcurl's error codes as classes and short texts for people.
**
** The texts are constants. libcurl's own are never used: they name addresses and ports of the
** inside, which a subscriber who reads his attempts has no business to know.
** SPDX-License-Identifier: MIT
*/
#include "failure.h"

#include <curl/curl.h>

const struct failure_name failure_address = {FAILURE_REFUSED,
                                             "refused: target address is not allowed"};
const struct failure_name failure_plain = {
    FAILURE_REFUSED, "refused: plain http is allowed only to networks given by --allow"};

static const struct {
    int code;
    struct failure_name name;
} names[] = {
    {CURLE_COULDNT_RESOLVE_HOST, {FAILURE_RESOLVE, "resolve: the name has no address"}},
    {CURLE_COULDNT_RESOLVE_PROXY, {FAILURE_RESOLVE, "resolve: the proxy's name has no address"}},
    {CURLE_COULDNT_CONNECT, {FAILURE_CONNECT, "connect: no connection"}},
    {CURLE_PROXY, {FAILURE_CONNECT, "connect: not through the proxy"}},
    {CURLE_SSL_CONNECT_ERROR, {FAILURE_TLS, "tls: the handshake failed"}},
    {CURLE_SSL_CIPHER, {FAILURE_TLS, "tls: the handshake failed"}},
    {CURLE_PEER_FAILED_VERIFICATION, {FAILURE_TLS, "tls: the certificate is not trusted"}},
    {CURLE_SSL_ISSUER_ERROR, {FAILURE_TLS, "tls: the certificate is not trusted"}},
    {CURLE_SSL_INVALIDCERTSTATUS, {FAILURE_TLS, "tls: the certificate is not trusted"}},
    {CURLE_SSL_CACERT_BADFILE, {FAILURE_TLS, "tls: the trusted certificates can't be read"}},
    {CURLE_OPERATION_TIMEDOUT, {FAILURE_TIMEOUT, "timeout: no whole answer in time"}},
    {CURLE_UNSUPPORTED_PROTOCOL, {FAILURE_PROTOCOL, "protocol: the answer is not HTTP"}},
    {CURLE_WEIRD_SERVER_REPLY, {FAILURE_PROTOCOL, "protocol: the answer is not HTTP"}},
    {CURLE_GOT_NOTHING, {FAILURE_PROTOCOL, "protocol: closed without an answer"}},
    {CURLE_PARTIAL_FILE, {FAILURE_PROTOCOL, "protocol: the answer broke off"}},
    {CURLE_RECV_ERROR, {FAILURE_PROTOCOL, "protocol: the answer broke off or is not HTTP"}},
    {CURLE_SEND_ERROR, {FAILURE_PROTOCOL, "protocol: the connection broke"}},
    {CURLE_URL_MALFORMAT, {FAILURE_INTERNAL, "internal: the target is not a URL"}},
    /* libcurl 7.88 says so of a header line above 100 kB, too */
    {CURLE_OUT_OF_MEMORY, {FAILURE_INTERNAL, "internal: out of memory, or a header too long"}},
};
static const struct failure_name other = {FAILURE_INTERNAL, "internal: it can't be sent"};

const struct failure_name *failure_named(int code) {
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        if (names[i].code == code) {
            return &names[i].name;
        }
    }
    return &other;
}
