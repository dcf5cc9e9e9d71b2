#include "delivery/smtp/transport_conf.h"

#include <stdlib.h>
#include <string.h>

#include "common/base/mem.h"
#include "common/base/table.h"
#include "common/conf/derive.h"

enum { TRANSPORTS_MAX = 200 };

struct transport_confs {
	struct table *by_name;
	uint64_t generation; /* of those in the table */
};

static void
drop_conf(void *value)
{
	struct conf *c = value;

	conf_unref(&c);
}

struct transport_confs *
transport_confs_new(void)
{
	struct transport_confs *t = mem_alloc(sizeof(*t));

	t->by_name = table_new(TRANSPORTS_MAX, drop_conf);
	return t;
}

void
transport_confs_free(struct transport_confs **t)
{
	if (!*t)
		return;
	table_free(&(*t)->by_name);
	free(*t);
	*t = NULL;
}

/* Read under the second name by all that serves both protocols. */
static const struct {
	const char *lmtp, *smtp;
} pairs[] = {
    {"lmtp_address_preference", "smtp_address_preference"},
    {"lmtp_balance_inet_protocols", "smtp_balance_inet_protocols"},
    {"lmtp_bind_address", "smtp_bind_address"},
    {"lmtp_bind_address6", "smtp_bind_address6"},
    {"lmtp_bind_address_enforce", "smtp_bind_address_enforce"},
    {"lmtp_connection_cache_destinations", "smtp_connection_cache_destinations"},
    {"lmtp_connection_cache_on_demand", "smtp_connection_cache_on_demand"},
    {"lmtp_connection_cache_time_limit", "smtp_connection_cache_time_limit"},
    {"lmtp_connection_reuse_count_limit", "smtp_connection_reuse_count_limit"},
    {"lmtp_connection_reuse_time_limit", "smtp_connection_reuse_time_limit"},
    {"lmtp_host_lookup", "smtp_host_lookup"},
    {"lmtp_line_length_limit", "smtp_line_length_limit"},
    {"lmtp_mx_address_limit", "smtp_mx_address_limit"},
    {"lmtp_mx_session_limit", "smtp_mx_session_limit"},
    {"lmtp_cname_overrides_servername", "smtp_cname_overrides_servername"},
    {"lmtp_reply_filter", "smtp_reply_filter"},
    {"lmtp_per_request_deadline", "smtp_per_request_deadline"},
    {"lmtp_min_data_rate", "smtp_min_data_rate"},
    {"lmtp_quote_rfc821_envelope", "smtp_quote_rfc821_envelope"},
    {"lmtp_randomize_addresses", "smtp_randomize_addresses"},
    {"lmtp_sender_dependent_authentication", "smtp_sender_dependent_authentication"},
    {"lmtp_skip_5xx_greeting", "smtp_skip_5xx_greeting"},
    {"lmtp_discard_lhlo_keywords", "smtp_discard_ehlo_keywords"},
    {"lmtp_discard_lhlo_keyword_address_maps", "smtp_discard_ehlo_keyword_address_maps"},
};

enum { PAIRS = sizeof(pairs) / sizeof(pairs[0]) };

/* What lmtp_... says takes the place of smtp_..., for a transport that speaks LMTP. */
static struct conf *
with_lmtp_values(struct conf *c, struct error *err)
{
	struct conf_change changes[PAIRS];
	struct conf *made;
	size_t count = 0;

	for (size_t i = 0; c && i < PAIRS; i++) {
		const char *value = conf_lookup(c->values, pairs[i].lmtp);

		if (strcmp(value, conf_lookup(c->values, pairs[i].smtp)) != 0)
			changes[count++] = (struct conf_change){span_of(pairs[i].smtp), span_of(value)};
	}
	if (count == 0)
		return c;
	made = conf_derive(c, changes, count, err);
	conf_unref(&c);
	return made;
}

static struct conf *
make_conf(const struct conf *common, const struct transport_service *service, struct error *err)
{
	struct conf_change changes[TRANSPORT_OPTIONS_MAX];
	struct span rest = service->arguments;
	struct conf *made = NULL;
	struct buf values;
	size_t count = 0;
	int got;

	/* Expanded values: they are copied by conf_derive(). */
	buf_init(&values, CONF_VALUE_MAX);
	if (buf_reserve(&values, CONF_VALUE_MAX) == NULL)
		panic("no room for the options of a transport");
	while ((got = transport_option_next(&rest, &changes[count].name, &changes[count].value, err)) > 0) {
		if (transport_option_missing(changes[count].name))
			continue;
		got = transport_option_expand(service, common->values, &changes[count].value, &values, err);
		if (got < 0 || ++count == TRANSPORT_OPTIONS_MAX)
			break;
	}
	if (got < 0 || count == TRANSPORT_OPTIONS_MAX)
		error_while(err, "transport %.*s", SPAN_ARG(service->name));
	else
		made = conf_derive(common, changes, count, err);
	buf_free(&values);
	return made;
}

struct conf *
transport_conf(struct transport_confs *t, const struct conf *common, const struct transport_service *service,
    struct error *err)
{
	bool lmtp = service->kind == TRANSPORT_LMTP;
	struct conf *c;

	if (service->kind == TRANSPORT_UNKNOWN) {
		error_set(
		    err, "no transport %.*s in transport_services", SPAN_ARG(span_sub(service->name, 0, 64)));
		return NULL;
	}
	if (service->arguments.len == 0 && !lmtp)
		return conf_ref(common);
	if (t->generation != common->generation || table_count(t->by_name) == TRANSPORTS_MAX) {
		table_free(&t->by_name);
		t->by_name = table_new(TRANSPORTS_MAX, drop_conf);
		t->generation = common->generation;
	}
	c = table_get(t->by_name, service->name);
	if (!c) {
		c = service->arguments.len > 0 ? make_conf(common, service, err) : conf_ref(common);
		c = lmtp ? with_lmtp_values(c, err) : c;
		if (!c)
			return NULL;
		table_put(t->by_name, service->name, c);
	}
	return conf_ref(c);
}
