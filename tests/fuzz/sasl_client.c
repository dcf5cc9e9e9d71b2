/*
 * Fuzz target of the client's side of SASL: an octet for the mechanism, then challenges, a line each. The number of steps
 * is bounded, and no server is believed that did not know the password.
 */
#include <stdint.h>
#include <stdlib.h>

#include "common/sasl/client.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { STEPS_MAX = 4 };

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct sasl_client_plan plan = {.user = SPAN_LIT("us=er"),
	    .password = SPAN_LIT("pencil"),
	    .host = SPAN_LIT("mx.test"),
	    .port = 587,
	    .binding = SPAN_LIT("0123"),
	    .nonce = SPAN_LIT("nonce")};
	enum sasl_client_step step = SASL_CLIENT_SEND;
	struct span rest, line;
	struct sasl_client *c;
	unsigned steps = 0, work = 0;

	if (size < 1)
		return 0;
	plan.mechanism = (enum sasl_mechanism)(data[0] % SASL_MECHANISM_COUNT);
	plan.binding_name = data[0] & 64 ? "tls-exporter" : NULL;
	plan.plus_missing = data[0] & 128;
	rest = span_make(data + 1, size - 1);
	c = sasl_client_new(&plan);
	if (!sasl_client_waits(c))
		step = sasl_client_begin(c);
	while (step == SASL_CLIENT_SEND && span_next_line(&rest, &line)) {
		step = sasl_client_challenge(c, line);
		/* A server may ask for some seconds of work; here it gets a slice. */
		while (step == SASL_CLIENT_WORK && work++ < 8)
			step = sasl_client_work(c);
		if (step == SASL_CLIENT_SEND && ++steps > STEPS_MAX)
			abort();
	}
	if (plan.mechanism >= SASL_SCRAM_SHA_1 && plan.mechanism <= SASL_SCRAM_SHA_256_PLUS &&
	    sasl_client_believes(c))
		abort();
	sasl_client_free(&c);
	return 0;
}
