/* Addresses through the whole engine, under a configuration in which every step has something to do. */
#include <stdlib.h>

#include "services/lookup/engine/route.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const char config[] =
    "myhostname = mx.example.com\n"
    "mydestination = example.com, localhost, mx.example.com\n"
    "relay_domains = relay.test\n"
    "inet_interfaces = 192.0.2.1\n"
    "recipient_delimiter = +-\n"
    "append_dot_mydomain = yes\n"
    "resolve_null_domain = yes\n"
    "local_recipient_maps = inline:{joe=1, {\"a b\"=1}}\n"
    "relay_recipient_maps = inline:{joe@relay.test=1}\n"
    "canonical_maps = inline:{old=new@example.com, @c.test=@d.test}\n"
    "virtual_alias_maps = inline:{{list=joe, list+x, @x.test}, {loop=loop2}, {loop2=loop}, @v.test=@w.test}\n"
    "virtual_alias_domains = v.test\n"
    "virtual_alias_expansion_limit = 50\n"
    "virtual_mailbox_domains = box.test\n"
    "virtual_mailbox_maps = inline:{@box.test=1}\n"
    "transport_maps = inline:{.t.test=lmtp:x, {u@t.test=smtp:[y]}, *=:}\n"
    "relocated_maps = inline:{moved=away@x.test}\n"
    "alias_maps =\n";

static struct route_engine *engine;
static struct map_set *maps;

static void
finish(void)
{
	route_free(&engine);
	map_set_free(&maps);
}

static void
start(void)
{
	struct error err;
	struct conf *conf = conf_from_text(config, &err);

	if (conf == NULL || atexit(finish) != 0)
		abort();
	maps = map_set_new(NULL);
	engine = route_new(conf, maps, NULL);
	conf_unref(&conf);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const unsigned flags[] = {RESOLVE_VALIDATE | RESOLVE_EXPAND, RESOLVE_ROUTE,
	    RESOLVE_SENDER | RESOLVE_VALIDATE | RESOLVE_EXPAND};

	if (engine == NULL)
		start();
	/* As messages.def bounds it. */
	if (size > 1000)
		size = 1000;
	struct span address = span_make(data, size);
	for (size_t i = 0; i < sizeof(flags) / sizeof(flags[0]); i++) {
		struct route_answer answer;
		struct arena *a = arena_new(ROUTE_ARENA_BYTES);
		route_resolve(engine, a, address, address, flags[i], NULL, &answer);
		if (answer.status == LOOKUP_TEMPORARY && answer.reason.len == 0)
			abort();
		arena_free(&a);
	}
	return 0;
}
