#include "delivery/smtp/transport_conf.h"

#include <stdlib.h>

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
	struct conf *c;

	if (service->kind == TRANSPORT_UNKNOWN) {
		error_set(
		    err, "no transport %.*s in transport_services", SPAN_ARG(span_sub(service->name, 0, 64)));
		return NULL;
	}
	if (service->arguments.len == 0)
		return conf_ref(common);
	if (t->generation != common->generation || table_count(t->by_name) == TRANSPORTS_MAX) {
		table_free(&t->by_name);
		t->by_name = table_new(TRANSPORTS_MAX, drop_conf);
		t->generation = common->generation;
	}
	c = table_get(t->by_name, service->name);
	if (!c) {
		c = make_conf(common, service, err);
		if (!c)
			return NULL;
		table_put(t->by_name, service->name, c);
	}
	return conf_ref(c);
}
