/*
 * Whether the caller may send at all, and with this sender, asked by sendmail itself where nobody else would tell him: the
 * daemon is away and the message is to wait. It is a courtesy and no lock, for this runs with the caller's rights: pickup
 * asks again.
 */
#include <string.h>
#include <sysexits.h>
#include <unistd.h>

#include "common/map/map.h"
#include "common/map/settings.h"
#include "services/lookup/engine/route.h"
#include "tools/sendmail.h"

enum { ARENA_BYTES = 1 << 20 };

static bool
all_may(const struct conf_values *v)
{
	return strcmp(v->authorized_submit_users, "static:anyone") == 0 &&
	       strcmp(v->local_login_sender_maps, "static:*") == 0;
}

int
sendmail_may_submit(const struct sendmail *s, const struct drop_envelope *e, struct error *err)
{
	struct route_interfaces *interfaces;
	struct route_engine *engine;
	struct route_answer answer;
	struct map_set *maps;
	struct arena *a;
	int status = EX_OK;

	if (all_may(s->conf->values))
		return EX_OK;
	maps = map_set_new(NULL);
	interfaces = route_interfaces_read();
	map_settings_use(s->conf);
	engine = route_new(s->conf, maps, interfaces);
	a = arena_new(ARENA_BYTES);
	/* A table that the caller may not read, or that is in trouble, says nothing. */
	if (route_permit(engine, a, getuid(), e->sender, &answer) == LOOKUP_NOT_FOUND) {
		error_set(err, "%.*s", SPAN_ARG(answer.reason));
		status = EX_NOPERM;
	}
	arena_free(&a);
	route_free(&engine);
	route_interfaces_free(&interfaces);
	map_set_free(&maps);
	return status;
}
