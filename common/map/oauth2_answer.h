/*
 * oauth2_answer: what token endpoints (RFC 6749, 5) and introspection endpoints (RFC 7662, 2.2) say, in JSON.
 *
 * It comes from another host: whatever is not as the RFCs have it is an error, and nothing is guessed.
 */
#ifndef POSTERN_MAP_OAUTH2_ANSWER_H
#define POSTERN_MAP_OAUTH2_ANSWER_H

#include <stdbool.h>
#include <stdint.h>

#include "common/base/buf.h"
#include "common/base/error.h"
#include "common/base/span.h"

enum {
	OAUTH2_ANSWER_MAX = 65536, /* octets of JSON */
	OAUTH2_TOKEN_MAX = 6000, /* of an access token; what AUTH takes */
	OAUTH2_SECRET_MAX = 8000, /* of a refresh token, of a client's secret */
	OAUTH2_USER_MAX = 512,
	OAUTH2_REASON_MAX = 200
};

/* Loads the library: once, before a sandbox closes. -1 with err. */
int oauth2_json_load(struct error *err);

/* A successful answer of a token endpoint. */
struct oauth2_grant {
	char access[OAUTH2_TOKEN_MAX + 1];
	char refresh[OAUTH2_SECRET_MAX + 1]; /* the new one; "": the old one goes on */
	int64_t lifetime_s; /* 0: it is not said */
};

/* -1 with err. The caller overwrites *grant in either case. */
int oauth2_grant_parse(struct span json, struct oauth2_grant *grant, struct error *err);

/*
 * Why an endpoint refused (RFC 6749, 5.2): "code: description", printable, or "" if it does not say. A description that
 * repeats one of the count secrets is left out.
 */
void oauth2_refusal_parse(struct span json, const struct span *secrets, size_t count, struct buf *text);

/* What a token must have. Empty: anything. */
struct oauth2_rules {
	const char *user_members; /* names in order: the first that is there is the user */
	const char *scope; /* words, all of which must be there */
	const char *audience;
	const char *issuer;
};

struct oauth2_verdict {
	bool active; /* and as the rules want it */
	const char *why_not; /* for the log */
	char user[OAUTH2_USER_MAX + 1];
	int64_t expires_s; /* of the wall clock; 0: it is not said */
};

/* now_s: of the wall clock. -1 with err where it is no answer. */
int oauth2_verdict_parse(struct span json, const struct oauth2_rules *rules, int64_t now_s,
    struct oauth2_verdict *verdict, struct error *err);

/* 1 to max octets that may stand in a header field: visible ASCII (RFC 6749, A.12; RFC 6750, 2.1). */
bool oauth2_token_valid(struct span token, size_t max);

#endif
