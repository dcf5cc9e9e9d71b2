/*
 * Fuzz target of the server's side of SASL: an octet for the mechanism, one for what back ends say, then responses, a line
 * each. Nobody gets in whom no back end let in.
 */
#include <stdint.h>
#include <stdlib.h>

#include "common/sasl/server.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static enum sasl_step
answer(struct sasl_server *s, enum sasl_step step, unsigned how)
{
	static const char key[32] = "0123456789abcdef0123456789abcde";
	struct sasl_keys keys = {.status = (enum auth_status)(how % 3), .iterations = 4096};
	size_t size = sasl_server_hash(s) == SCRAM_SHA_1 ? 20 : 32;

	keys.salt = SPAN_LIT("salt");
	keys.stored_key = keys.server_key = span_make(key, how & 4 ? size : 3);
	if (step == SASL_NEED_PASSWORD) {
		if (sasl_server_password(s).len == 0 || sasl_server_user(s).len == 0)
			abort();
		return sasl_server_checked(s, (enum auth_status)(how % 3));
	}
	/* A token may come without a name. */
	if (step == SASL_NEED_TOKEN) {
		if (sasl_server_password(s).len == 0)
			abort();
		return sasl_server_checked(s, (enum auth_status)(how % 3));
	}
	return sasl_server_keys(s, &keys);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct sasl_facts facts = {.external = SPAN_LIT("alice"), .tls_exporter = SPAN_LIT("x")};
	struct span rest = span_make(data, size), line;
	enum sasl_mechanism mechanism;
	struct sasl_server *s;
	enum sasl_step step;
	unsigned how;
	char room[SASL_USER_MAX];

	if (size < 2)
		return 0;
	how = data[1];
	facts.plus_offered = how & 8;
	mechanism = (enum sasl_mechanism)(data[0] % SASL_MECHANISM_COUNT);
	s = sasl_server_new(mechanism, &facts);
	rest = span_from(rest, 2);
	line = rest;
	(void)sasl_user_in(mechanism, true, line, room, sizeof(room));
	if (how & 16)
		line = span_make(NULL, 0);
	else if (!span_next_line(&rest, &line))
		line = SPAN_LIT("");
	step = sasl_server_begin(s, line);
	for (;;) {
		if (step == SASL_NEED_PASSWORD || step == SASL_NEED_TOKEN || step == SASL_NEED_KEYS)
			step = answer(s, step, how);
		else if (step == SASL_CHALLENGE && span_next_line(&rest, &line))
			step = sasl_server_response(s, line);
		else
			break;
	}
	/* Nobody can prove to know keys that are not his. */
	if (step == SASL_DONE && mechanism != SASL_EXTERNAL &&
	    (how % 3 != AUTH_ACCEPTED || (mechanism >= SASL_SCRAM_SHA_1 && mechanism < SASL_EXTERNAL)))
		abort();
	sasl_server_free(&s);
	return 0;
}
