/* What endpoints of OAuth 2 say: tokens, refusals, whose a token is. */
#include <stdint.h>
#include <stdlib.h>

#include "common/map/oauth2_answer.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const struct oauth2_rules rules = {
	    "username, sub, email", "mail read", "postern", "https://id.test"};
	static const struct oauth2_rules none = {"sub", "", "", ""};
	static struct oauth2_grant grant;
	static struct oauth2_verdict verdict;
	const struct span secrets[] = {SPAN_LIT("secret"), {NULL, 0}}, json = span_make(data, size);
	struct error err;
	struct buf text;

	if (oauth2_json_load(&err) < 0)
		abort();
	if (oauth2_grant_parse(json, &grant, &err) == 0 &&
	    !oauth2_token_valid(span_of(grant.access), OAUTH2_TOKEN_MAX))
		abort();
	if (oauth2_verdict_parse(json, &rules, 1000000, &verdict, &err) == 0 &&
	    verdict.active != (verdict.user[0] != '\0' && verdict.why_not == NULL))
		abort();
	(void)oauth2_verdict_parse(json, &none, 1000000, &verdict, &err);
	buf_init(&text, 4 * OAUTH2_REASON_MAX);
	oauth2_refusal_parse(json, secrets, 2, &text);
	if (span_find_span(buf_span(&text), SPAN_LIT("secret")) >= 0)
		abort();
	buf_free(&text);
	return 0;
}
