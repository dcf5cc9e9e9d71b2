/* What users write: lists of members, names in texts, lines of transports and their arguments. */
#include <stdint.h>
#include <stdlib.h>

#include "common/conf/macro.h"
#include "common/conf/transports.h"
#include "delivery/local/alias_value.h"
#include "delivery/local/pipe_argv.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static bool
no_value(void *context, struct span name, struct span *value)
{
	(void)context;
	*value = name;
	return true;
}

static void
transports(struct span text)
{
	static const struct pipe_recipient recipient = {{"a+b@x", 5}, {"c@x", 3}};
	const struct pipe_message message = {.delimiters = "+"};
	struct transport_service service;
	struct pipe_settings settings;
	struct error err;
	struct buf argv;
	int got;

	while ((got = transport_service_next(&text, &service, &err)) != 0) {
		if (got < 0 || pipe_settings_parse(service.arguments, &settings, &err) < 0)
			continue;
		buf_init(&argv, 2000);
		(void)pipe_argv(&argv, &settings, &message, &recipient, 1, &err);
		buf_free(&argv);
	}
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const struct macro_names names = {.value = no_value, .allowed = "abc"};
	struct span text = {(const char *)data, size}, rest = text, member;
	struct arena *a = arena_new(1 << 20);
	enum alias_member kind;
	struct buf out;

	while (alias_next_member(a, &rest, &kind, &member))
		if (kind != ALIAS_MALFORMED && member.len == 0)
			abort();
	buf_init(&out, 4000);
	(void)macro_expand(&out, text, &names);
	buf_free(&out);
	transports(text);
	arena_free(&a);
	return 0;
}
