/*
 * password: passwords as tables and files keep them: crypt(3) of libxcrypt, argon2, SCRAM's keys, salted digests.
 *
 * Prefixes are Dovecot's ({CRYPT}, {SHA512-CRYPT}, {BLF-CRYPT}, {ARGON2ID}, {SCRAM-SHA-256}, {SSHA} ...); without one a
 * text must begin with '$', so that a password in plain is noticed and not compared. What it costs to try a password is
 * bounded, for in a directory users may choose their own strings: beyond the bound the text is a mistake.
 *
 * A password that was tried is overwritten here; the caller's copy is the caller's.
 */
#ifndef POSTERN_PASSWORD_PASSWORD_H
#define POSTERN_PASSWORD_PASSWORD_H

#include <stdbool.h>
#include <stdint.h>

#include "common/base/buf.h"
#include "common/base/error.h"
#include "common/base/span.h"
#include "common/ipc/protocol.h"
#include "common/sasl/scram.h"

enum {
	PASSWORD_MAX = 1024, /* octets of a password */
	PASSWORD_STORED_MAX = 1000,
	PASSWORD_MEMORY_MAX = 256 << 20 /* that one try may take */
};

struct password_scram {
	enum scram_hash hash;
	uint32_t iterations;
	size_t salt_len;
	uint8_t salt[SCRAM_SALT_MAX];
	uint8_t stored_key[SCRAM_HASH_MAX];
	uint8_t server_key[SCRAM_HASH_MAX];
};

struct password_stored;

/* Takes the text behind the prefix apart, and tries a password. */
struct password_kind {
	int (*parse)(struct password_stored *s, struct error *err);
	enum auth_status (*verify)(
	    const struct password_stored *s, const char *password, size_t len, struct error *err);
};

struct password_stored {
	const struct password_kind *kind;
	const char *prefix; /* "SSHA", "" where there is none */
	struct span text; /* behind the prefix, in the caller's memory */
	const char *weakness; /* what "postern check" says of it, or NULL */
	uint64_t memory; /* that a try takes */
	struct password_scram scram; /* of SCRAM */
	bool locked; /* "*" or "!": there is no such password */
};

/* What is stored. -1 with err: an unknown scheme, a malformed text, one that is not built in or costs too much. */
int password_parse(struct span text, struct password_stored *out, struct error *err);

bool password_is_scram(const struct password_stored *s);

/*
 * password: prepared (SASLprep), as the server's side of a mechanism has it. AUTH_TEMPORARY with err where it cannot be told
 * (no memory). An empty password is refused.
 */
enum auth_status password_verify(const struct password_stored *s, struct span password, struct error *err);

/*
 * Appends the stored form of a password, which is prepared here as every login's is. scheme: any case; NULL: the best one. -1
 * with err, also where the scheme is not built in or rules forbid the password (bcrypt: more than 72 octets; SASLprep).
 */
int password_make(const char *scheme, struct span password, struct buf *out, struct error *err);

/* password_make() would know it. */
bool password_scheme_known(const char *scheme);

/* The names that password_make() knows, those that are not built in left out. NULL behind the last. */
const char *password_scheme_name(size_t i);

/* ---- the kinds ---- */

extern const struct password_kind password_crypt, password_argon2, password_scram, password_digest;

int password_make_crypt(
    const char *setting, unsigned long cost, struct span password, struct buf *out, struct error *err);
int password_make_argon2(struct span password, struct buf *out, struct error *err);
int password_make_scram(struct span password, struct buf *out, struct error *err);

#endif
