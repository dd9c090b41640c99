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
    {CURLE_COULDNT_RESOLVE_HOST, {FAILURE_DNS, "dns: the name has no address that is allowed"}},
    {CURLE_COULDNT_RESOLVE_PROXY, {FAILURE_DNS, "dns: the proxy's name has no address"}},
    {CURLE_COULDNT_CONNECT, {FAILURE_CONNECT, "connect: no connection"}},
    {CURLE_PROXY, {FAILURE_CONNECT, "connect: not through the proxy"}},
    {CURLE_SSL_CONNECT_ERROR, {FAILURE_TLS, "tls: the handshake failed"}},
    {CURLE_SSL_CIPHER, {FAILURE_TLS, "tls: the handshake failed"}},
    {CURLE_PEER_FAILED_VERIFICATION, {FAILURE_TLS, "tls: the certificate is not trusted"}},
    {CURLE_SSL_ISSUER_ERROR, {FAILURE_TLS, "tls: the certificate is not trusted"}},
    {CURLE_SSL_INVALIDCERTSTATUS, {FAILURE_TLS, "tls: the certificate is not trusted"}},
    {CURLE_SSL_CACERT_BADFILE, {FAILURE_TLS, "tls: the trusted certificates can't be read"}},
    {CURLE_SEND_ERROR, {FAILURE_SEND, "send: the connection broke"}},
    {CURLE_GOT_NOTHING, {FAILURE_RECEIVE, "receive: closed without an answer"}},
    {CURLE_PARTIAL_FILE, {FAILURE_RECEIVE, "receive: the answer broke off"}},
    {CURLE_RECV_ERROR, {FAILURE_RECEIVE, "receive: the answer broke off or is not HTTP"}},
    {CURLE_UNSUPPORTED_PROTOCOL, {FAILURE_PROTOCOL, "protocol: the answer is not HTTP"}},
    {CURLE_WEIRD_SERVER_REPLY, {FAILURE_PROTOCOL, "protocol: the answer is not HTTP"}},
    {CURLE_HTTP2, {FAILURE_PROTOCOL, "protocol: the HTTP/2 connection failed"}},
    {CURLE_HTTP2_STREAM, {FAILURE_PROTOCOL, "protocol: the HTTP/2 stream was reset"}},
    /* libcurl 7.88 says so of a header line above 100 kB; a real lack of memory ends the process */
    {CURLE_OUT_OF_MEMORY, {FAILURE_TOO_LARGE, "too_large: a header is too long"}},
    {CURLE_URL_MALFORMAT, {FAILURE_INTERNAL, "internal: the target is not a URL"}},
};
static const struct failure_name other = {FAILURE_INTERNAL, "internal: it can't be sent"};

const struct failure_name failure_head = {FAILURE_TOO_LARGE, "too_large: the headers have no end"};

static const struct failure_name late_name = {FAILURE_TIMEOUT,
                                              "timeout: the name was not resolved in time"};
static const struct failure_name late_connection = {FAILURE_TIMEOUT,
                                                    "timeout: no connection in time"};
static const struct failure_name late_handshake = {FAILURE_TIMEOUT,
                                                   "timeout: no TLS handshake in time"};
static const struct failure_name late_answer = {FAILURE_TIMEOUT, "timeout: no answer in time"};
static const struct failure_name late_rest = {FAILURE_TIMEOUT, "timeout: no whole answer in time"};

const struct failure_name *failure_named(int code) {
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        if (names[i].code == code) {
            return &names[i].name;
        }
    }
    return &other;
}

const struct failure_name *failure_late(const struct steps *steps, bool handshake, bool sent) {
    if (sent) {
        return steps->first_byte >= 0 ? &late_rest : &late_answer;
    }
    if (handshake) {
        return &late_handshake;
    }
    return steps->dns >= 0 ? &late_connection : &late_name;
}
