/*
 * oauth2: what the files of the kind share: oauth2.c (parameters), oauth2_request.c (HTTP), oauth2_refresh.c and
 * oauth2_introspect.c (the two modes), oauth2_shared.c (what all threads know of a table), oauth2_file.c (secrets in files).
 */
#ifndef POSTERN_MAP_OAUTH2_H
#define POSTERN_MAP_OAUTH2_H

#include <pthread.h>

#include "common/map/clients.h"
#include "common/map/oauth2_answer.h"
#include "common/map/tablefile.h"

enum { OAUTH2_KNOWN_MAX = 10000 }; /* tokens whose answers are kept, of a table */

/* One thread's table. */
struct oauth2 {
	struct tablefile *file;
	struct clients *clients; /* its one host is the endpoint */
	struct oauth2_shared *shared;
	map_complain *complain;
	void *context;
	const char *path; /* of its file of parameters */
	bool introspects;
	unsigned timeout_s;
	int64_t asked_us; /* the deadline of the last question: none is sent twice */
	/* the endpoint */
	const char *endpoint;
	bool loopback; /* http: no other address is talked to */
	bool in_form; /* client_auth = post */
	const char *client_id, *client_secret, *client_secret_file;
	const char *ca_file, *ca_dir;
	/* refresh */
	const char *scope, *refresh_token, *refresh_token_file, *username, *keys;
	/* introspection */
	struct oauth2_rules rules;
	int64_t keep_us, keep_refusal_us;
};

/* What all threads know of a table with these parameters. Times are of the monotonic clock. */
struct oauth2_shared {
	struct oauth2_shared *next;
	char *path;
	uint64_t mark; /* of the parameters */
	unsigned references;
	pthread_mutex_t lock;
	/* refresh: under the lock, and while a thread asks the endpoint it waits for none of them */
	pthread_cond_t changed;
	bool busy;
	char *access; /* NULL: there is none yet */
	int64_t renew_us, end_us;
	int64_t refused_us; /* when a token was last dropped for being refused */
	char *refresh,
	    *refresh_seen; /* the latest; what the file or the parameter said when it was last read */
	bool unkept; /* it has been told that the latest cannot be stored */
	/* introspection: by two marks of the token under keys of this process */
	uint8_t mark_keys[2][16];
	struct table *known;
};

struct oauth2_shared *oauth2_shared_take(const char *path, uint64_t mark);
void oauth2_shared_give(struct oauth2_shared **s);

/* Overwrites a secret and frees it. */
void oauth2_wipe(char **secret);

/* ---- oauth2_request.c ---- */

int oauth2_request_load(struct error *err);

/* NULL, or why it cannot be an endpoint. *loopback: http, which is taken for this host alone. */
const char *oauth2_endpoint_fault(const char *url, bool *loopback);

/* Appends "name=value" to a form, with "&" in front of all but the first. */
void oauth2_form_add(struct buf *form, const char *name, struct span value);

/*
 * Posts the form, with the client's name and secret. 0 with the answer's status and body (at most OAUTH2_ANSWER_MAX), -1 with
 * err: also where it redirects.
 */
int oauth2_post(const struct oauth2 *o, struct buf *form, int64_t deadline_us, long *status, struct buf *body,
    struct error *err);

/* What to say of an answer that is none: status, and what the endpoint gives as reason without any of the secrets. */
void oauth2_refused(
    long status, struct span body, const struct span *secrets, size_t count, struct error *err);

/* ---- oauth2_file.c ---- */

/* The secret in a file, without blanks around it: NULL with err. */
char *oauth2_secret_read(const char *path, struct error *err);

/* Puts secret in the file's place: beside it, synced, renamed, with owner and mode of what is there. -1 with err. */
int oauth2_secret_write(const char *path, const char *secret, struct error *err);

/* ---- the modes ---- */

enum lookup_status oauth2_refresh_lookup(
    struct oauth2 *o, struct span key, struct map_hit *hit, struct error *err);
enum lookup_status oauth2_refresh_ask(
    struct oauth2 *o, const struct client_question *q, int64_t deadline_us, bool *lost, struct error *err);
void oauth2_refresh_refused(struct oauth2 *o, uint64_t mark);

enum lookup_status oauth2_introspect_lookup(
    struct oauth2 *o, struct span key, struct map_hit *hit, struct error *err);
enum lookup_status oauth2_introspect_ask(
    struct oauth2 *o, const struct client_question *q, int64_t deadline_us, bool *lost, struct error *err);

#endif
