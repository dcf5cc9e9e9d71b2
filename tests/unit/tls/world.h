/*
 * world: a client and a server of TLS with a wire between them that the test pulls, and a stand-in for keys.
 */
#ifndef POSTERN_TEST_TLS_WORLD_H
#define POSTERN_TEST_TLS_WORLD_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdbool.h>

#include "common/base/buf.h"
#include "common/ipc/ipc.h"
#include "common/net/stream.h"
#include "common/tls/keys_inside.h"
#include "common/tls/session.h"
#include "tests/unit/tls/certificates.h"

struct event_base;

enum { ASKS_MAX = 512, KEYS_MAX = 32 };

/* One end. wire: the descriptor on the other side of its stream. */
struct end {
	struct world *world;
	struct stream *stream;
	struct tls_context *context;
	int wire;
	bool finished, ok;
	char reason[200];
	struct buf got;
	struct buf ticket;
	unsigned tickets;
	unsigned events[5];
	bool close_in_done, close_in_ticket, pause_after_input, echo;
	size_t consume_at_most;
	size_t passed; /* octets that came from this end and went to the other */
	struct buf seen; /* all of them, where the test wants them */
};

/* What keys does with a question. */
enum signer { SIGNER_AT_ONCE, SIGNER_LATER, SIGNER_REFUSES, SIGNER_LIES };

struct world {
	struct event_base *base;
	struct end client, server;
	struct tls_keys *keys; /* of the server; keys of the client are beside */
	struct ipc_channel *asker, *signer_channel;
	enum signer signer;
	unsigned asked;
	uint32_t waiting[ASKS_MAX];
	struct buf texts[ASKS_MAX]; /* what they wanted signed */
	uint32_t schemes[ASKS_MAX];
	unsigned char numbers[ASKS_MAX][32];
	unsigned waiting_count;
	struct party known[KEYS_MAX]; /* borrowed */
	size_t known_count;
	size_t step; /* octets that the wire takes at a time; 0: as many as there are */
	bool cut_client, cut_server; /* the wire passes nothing more from there, and closes */
};

void world_open(struct world *w);
void world_close(struct world *w);

/* Gives keys a certificate, and tells asker of it with IDENTITY. chain: may be NULL. End with IDENTITIES_END. */
void world_identity(struct world *w, const char *section, const char *name, unsigned use,
    const struct party *party, const struct party *const *chain, size_t chain_len);
void world_identities_end(struct world *w);
void world_ticket_keys(struct world *w, char current, char previous);

/* Both ends with new streams. input_max as in stream_new(). */
void world_connect(struct world *w);
void world_disconnect(struct world *w);

/* Settings that serve most tests: section "smtp", sha256, all protocols. */
struct tls_settings world_settings(enum tls_side side);
void world_start(struct end *end, const struct tls_plan *plan);

/* Some turns of the loop and of the wire, until nothing moves. */
void world_run(struct world *w);

/* One turn. Returns whether anything moved on the wire. */
bool world_step(struct world *w);

/* Contexts by the settings, connection, handshake on both sides, run to the end. */
void world_shake(struct world *w, const struct tls_settings *server, const struct tls_settings *client,
    const struct tls_plan *client_plan);

/* Answers all questions that wait. */
void world_sign_all(struct world *w);

/* Answers none of them. */
void world_forget(struct world *w);

#endif
