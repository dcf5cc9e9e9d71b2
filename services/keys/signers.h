/*
 * signers: threads that make signatures which take long (RSA), so that those that do not need not wait for them, and a host
 * with many cores is not bound to one.
 *
 * The loop gives jobs and gets them back; a thread touches nothing but its job, whose key it holds a reference to.
 */
#ifndef POSTERN_KEYS_SIGNERS_H
#define POSTERN_KEYS_SIGNERS_H

#include <openssl/evp.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/queue.h>

#include "common/base/error.h"
#include "common/base/span.h"
#include "services/keys/signing.h"

struct event_base;
struct signers;

struct signing_job {
	STAILQ_ENTRY(signing_job) link;
	EVP_PKEY *key;
	uint32_t scheme;
	char *text;
	size_t text_len;
	uint8_t signature[SIGNATURE_MAX];
	size_t signature_len; /* 0: err says why */
	struct error err;
	void *asker; /* the caller's, as call is */
	uint32_t call;
};

/* In the loop's thread; the job is freed when it returns. */
typedef void signers_done(const struct signing_job *job, void *context);

/* How many threads this host is good for; 0: all is signed where it is asked for. Before the sandbox closes. */
unsigned signers_wanted(void);

/* NULL with err. count is not 0. They live as long as the process. */
struct signers *signers_new(
    struct event_base *base, unsigned count, signers_done *done, void *context, struct error *err);

/* Does a signature by that key take so long? */
bool signers_want(const EVP_PKEY *key);

/* text is copied. */
void signers_submit(
    struct signers *s, EVP_PKEY *key, uint32_t scheme, struct span text, void *asker, uint32_t call);

#endif
