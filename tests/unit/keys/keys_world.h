/*
 * keys_world: the keys process, with a test in the parts of master, of smtpd and of delivery.
 */
#ifndef POSTERN_TESTS_KEYS_WORLD_H
#define POSTERN_TESTS_KEYS_WORLD_H

#include <event2/event.h>
#include <openssl/evp.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "common/base/clock.h"
#include "common/ipc/ipc.h"
#include "services/keys/identity.h"

enum { PEM_MAX = 8000, IDENTITIES = 16, NOBODY = 65534, WAIT_SECONDS = 20 };

/* A key with its certificate, in PEM, and the number of the key. */
struct pair {
	const char *path;
	EVP_PKEY *key;
	char pem[PEM_MAX];
	unsigned char id[KEY_ID_LEN];
};

/* Made by pairs_make; 'second' is of RSA, the others are of P-256. 'renewed' takes the place of 'first'. */
extern struct pair first, second, client, renewed;
void pairs_make(void);

/* What a peer was told since the last IDENTITIES_END, and how its questions went. */
struct peer {
	struct ipc_channel *channel;
	char told[IDENTITIES][200]; /* "section name use number" and the number of the key */
	size_t told_count;
	unsigned ends, tickets, downs;
	unsigned char ticket[80];
	int status; /* of the last answer; -1: none came */
	size_t answers, good;
	char reason[201];
	unsigned char signature[1024];
	size_t signature_len;
};

struct keys_world {
	struct event_base *base;
	struct ipc_channel *master;
	pid_t pid;
	bool ready;
	char failed[1001];
	char notice[601];
	struct peer smtpd, delivery;
};
extern struct keys_world w;

/* Starts keys with this configuration and all files (of_first NULL: without the first). */
void start(const char *conf, const struct pair *of_first, uint32_t incarnation);

/* For cmocka: started with 'usual' and ready; ended. */
extern const char usual[];
int begin(void **state);
int end(void **state);

/* What master sends. */
void send_conf(const char *text, uint64_t generation);
void send_files(const struct pair *of_first);
void connect_peer(struct peer *p, enum role role);

/* The answer to a question of a peer, which is the context. */
int on_answer(void *context, const struct ipc_frame *frame, struct error *err);

/* Fails unless the peer was told just that. */
void told(const struct peer *p, const char *const expected[]);

/* Until the condition holds. */
#define WAIT(condition)                                                                                      \
	do {                                                                                                 \
		int64_t until_us = clock_mono_us() + WAIT_SECONDS * US_PER_SECOND;                           \
		while (!(condition)) {                                                                       \
			const struct timeval moment = {.tv_usec = 10000};                                    \
			ipc_flush_all();                                                                     \
			event_base_loopexit(w.base, &moment);                                                \
			event_base_loop(w.base, EVLOOP_ONCE);                                                \
			if (clock_mono_us() > until_us)                                                      \
				fail_msg("%s: did not happen", #condition);                                  \
		}                                                                                            \
	} while (0)

/* Time for what is not to come. */
void settle(void);

/* May nobody, who is to start it, reach the program? */
bool is_out_of_reach(void);

#endif
