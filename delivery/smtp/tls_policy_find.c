#include "delivery/smtp/tls_policy_find.h"

#include <stdlib.h>

#include "common/base/mem.h"
#include "common/conf/conf.h"
#include "common/ipc/ipc.h"
#include "delivery/smtp/tls_family.h"

enum { ASK_TIMEOUT_MS = 60000, SITE_MAX = 512 };

struct tls_policy_search {
	struct agent *agent;
	struct conf *conf;
	bool lmtp;
	char site[SITE_MAX];
	uint32_t call;
	tls_policy_found *found;
	void *context;
};

static void
search_free(struct tls_policy_search *s)
{
	conf_unref(&s->conf);
	free(s);
}

static int
on_answer(void *context, const struct ipc_frame *frame, struct error *err)
{
	struct tls_policy_search *s = context;
	const struct conf_values *v = s->conf->values;
	struct span site = span_of(s->site), nothing = {NULL, 0};
	tls_policy_found *found = s->found;
	struct tls_policy *p;

	(void)err;
	if (!frame)
		p = tls_policy_new_unknown(v, s->lmtp, site, SPAN_LIT("no answer from lookup"));
	else if (frame->map_answer.status == LOOKUP_TEMPORARY)
		p = tls_policy_new_unknown(v, s->lmtp, site, frame->map_answer.reason);
	else if (frame->map_answer.status == LOOKUP_NOT_FOUND)
		p = tls_policy_new(v, s->lmtp, site, nothing, nothing);
	else
		p = tls_policy_new(v, s->lmtp, site, frame->map_answer.found_key,
		    frame->map_answer.value.ptr ? frame->map_answer.value : SPAN_LIT(""));
	context = s->context;
	search_free(s);
	found(context, p);
	return 0;
}

struct tls_policy_search *
tls_policy_find(struct agent *agent, const struct conf *conf, bool lmtp, struct span site,
    tls_policy_found *found, void *context)
{
	struct msg_map_ask ask = {.form = LOOKUP_NEXTHOP, .key = site};
	struct tls_policy_search *s;
	struct tls_family f;

	tls_family_of(conf->values, lmtp, &f);
	ask.tables = span_of(f.policy_maps);
	if (ask.tables.len == 0) {
		found(context, tls_policy_new(conf->values, lmtp, site, (struct span){0}, (struct span){0}));
		return NULL;
	}
	s = mem_alloc(sizeof(*s));
	*s = (struct tls_policy_search){.agent = agent, .lmtp = lmtp, .found = found, .context = context};
	if (agent->lookup && span_copy(site, s->site, sizeof(s->site)))
		s->call = ipc_ask(agent->lookup, IPC_MAP_ASK, &ask, ASK_TIMEOUT_MS, on_answer, s);
	if (s->call == 0) {
		free(s);
		found(context,
		    tls_policy_new_unknown(conf->values, lmtp, site, SPAN_LIT("lookup is not available")));
		return NULL;
	}
	s->conf = conf_ref(conf);
	return s;
}

void
tls_policy_cancel(struct tls_policy_search **search)
{
	struct tls_policy_search *s = *search;

	*search = NULL;
	if (!s)
		return;
	if (s->agent->lookup)
		ipc_cancel(s->agent->lookup, s->call);
	search_free(s);
}
