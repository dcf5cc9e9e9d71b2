/*
 * peer: a mail server of the tests that behaves, or does not, as a script says. It runs in a thread of its own with
 * blocking sockets and serves one connection after the other.
 */
#ifndef POSTERN_TESTS_UNIT_DELIVERY_PEER_H
#define POSTERN_TESTS_UNIT_DELIVERY_PEER_H

#include <openssl/ssl.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*
 * What is said to a command instead of the usual. verb: "GREETING", "EHLO", "MAIL", "RCPT", "DATA", "DOT", "RSET",
 * "QUIT", or part of a command line. nth: only the nth time this row fits (from 1), 0: always. say: text to send
 * (CRLF is added); "!close" and "!reset" end the connection, "!silent" says nothing, "!endless" says too much,
 * "!last TEXT" says the text and closes, "!mute TEXT" says it and then nothing, "!wait TEXT" says it after 300 ms.
 */
struct peer_row {
	const char *verb;
	unsigned nth;
	const char *say;
};

enum { PEER_ROWS = 8, PEER_COMMANDS = 16 * 1024, PEER_CONTENT = 512 * 1024 };

struct peer;

/* address: "127.0.0.1"; port 0 chooses one. rows end with a NULL verb; they must live as long as the peer. */
struct peer *peer_new(const char *address, uint16_t port, const struct peer_row *rows);

/* With STARTTLS, or TLS from the first octet on. Both structs must live as long as the peer. */
struct peer_tls {
	SSL_CTX *context;
	bool wrapper;
};
struct peer *peer_new_tls(
    const char *address, uint16_t port, const struct peer_row *rows, const struct peer_tls *tls);
uint16_t peer_port(const struct peer *p);

/* "[127.0.0.1]:port" in a static buffer. */
const char *peer_nexthop(const struct peer *p);

/* Rows of one that says yes to all. */
extern const struct peer_row peer_obedient[];

/* Parameters of a client that waits a second for each reply. */
extern const char peer_patience[];

/* Ends it; afterwards what it saw may be read. */
void peer_stop(struct peer *p);

/* Command lines joined by '|', a '#' for each connection, "(tls)" for each handshake ("(tls again)": a resumed one). */
const char *peer_commands(const struct peer *p);

/* Contents as they came, dots not undone, the final one left out. */
const char *peer_content(const struct peer *p, size_t *len);
unsigned peer_connections(const struct peer *p);
void peer_free(struct peer **p);

#endif
