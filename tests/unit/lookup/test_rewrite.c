/*
 * Unit tests of rewriting a single address: of a header field, and of mail on its way out.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

#include "services/lookup/engine/route.h"
#include "tests/unit/lookup/base.h"

struct rewrite_row {
	const char *name, *config;
	enum rewrite_kind kind;
	const char *address, *want;
};

static void
headers(void **state)
{
	static const struct rewrite_row rows[] = {
	    {"ours: completed", "", REWRITE_LOCAL_SENDER, "joe", "joe@mx.example.com"},
	    {"ours: short domain", "append_dot_mydomain = yes\n", REWRITE_LOCAL_RECIPIENT, "joe@x",
		"joe@x.example.com"},
	    {"ours: canonical", "canonical_maps = inline:{joe@example.com=Joe.Doe@example.com}\n",
		REWRITE_LOCAL_SENDER, "joe@example.com", "Joe.Doe@example.com"},
	    {"sender's table for senders", "sender_canonical_maps = inline:{joe@example.com=j@x.test}\n",
		REWRITE_LOCAL_SENDER, "joe@example.com", "j@x.test"},
	    {"the empty sender is nobody's address", "sender_canonical_maps = static:j@x.test\n",
		REWRITE_LOCAL_SENDER, "", ""},
	    {"...on its way out, too", "smtp_generic_maps = static:j@x.test\n", REWRITE_GENERIC_SMTP, "", ""},
	    {"nothing stands for the empty sender", "sender_canonical_maps = inline:{joe@example.com=<>}\n",
		REWRITE_LOCAL_SENDER, "joe@example.com", "joe@example.com"},
	    {"sender's table not for recipients",
		"sender_canonical_maps = inline:{joe@example.com=j@x.test}\n", REWRITE_LOCAL_RECIPIENT,
		"joe@example.com", "joe@example.com"},
	    {"not in the header",
		"sender_canonical_classes = envelope_sender\nsender_canonical_maps = "
		"inline:{joe@example.com=j@x.test}\n",
		REWRITE_LOCAL_SENDER, "joe@example.com", "joe@example.com"},
	    {"masqueraded", "masquerade_domains = example.com\n", REWRITE_LOCAL_RECIPIENT, "a@x.example.com",
		"a@example.com"},
	    {"another's: completed", "remote_header_rewrite_domain = invalid\n", REWRITE_REMOTE_SENDER, "joe",
		"joe@invalid"},
	    {"another's: short domain",
		"append_dot_mydomain = yes\nremote_header_rewrite_domain = domain.invalid\n",
		REWRITE_REMOTE_SENDER, "joe@x", "joe@x.domain.invalid"},
	    {"another's: canonical", "canonical_maps = inline:{joe@x.test=j@y.test}\n",
		REWRITE_REMOTE_RECIPIENT, "joe@x.test", "j@y.test"},
	    {"generic", "smtp_generic_maps = inline:{joe@mx.example.com=j@isp.test}\n", REWRITE_GENERIC_SMTP,
		"joe@mx.example.com", "j@isp.test"},
	    {"generic by domain", "smtp_generic_maps = inline:{@mx.example.com=@isp.test}\n",
		REWRITE_GENERIC_SMTP, "joe@mx.example.com", "joe@isp.test"},
	    {"generic, bare name of ours", "smtp_generic_maps = inline:{joe=j@isp.test}\n",
		REWRITE_GENERIC_SMTP, "joe@example.com", "j@isp.test"},
	    {"generic, no extension by default", "smtp_generic_maps = inline:{joe@example.com=j@isp.test}\n",
		REWRITE_GENERIC_SMTP, "joe+x@example.com", "j@isp.test"},
	    {"generic, with extension",
		"propagate_unmatched_extensions = generic\nsmtp_generic_maps = "
		"inline:{joe@example.com=j@isp.test}\n",
		REWRITE_GENERIC_SMTP, "joe+x@example.com", "j+x@isp.test"},
	    {"generic, the empty address", "smtp_generic_maps = inline:{joe@example.com=<>}\n",
		REWRITE_GENERIC_SMTP, "joe@example.com", ""},
	    {"generic of LMTP is another", "smtp_generic_maps = inline:{joe@example.com=j@isp.test}\n",
		REWRITE_GENERIC_LMTP, "joe@example.com", "joe@example.com"},
	};
	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		char config[8192];
		struct error err = {0};
		struct route_answer answer;
		(void)snprintf(config, sizeof(config), "%s%s", BASE, rows[i].config);
		struct conf *conf = conf_from_text(config, &err);
		struct map_set *maps = map_set_new(NULL);
		struct route_engine *e = route_new(conf, maps, NULL);
		struct arena *a = arena_new(ROUTE_ARENA_BYTES);
		(void)route_rewrite(e, a, rows[i].kind, span_of(rows[i].address), NULL, &answer);
		if (!span_is(answer.address, rows[i].want))
			fail_msg(
			    "%s: want %s, got %.*s", rows[i].name, rows[i].want, SPAN_ARG(answer.address));
		arena_free(&a);
		route_free(&e);
		map_set_free(&maps);
		conf_unref(&conf);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(headers)};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
