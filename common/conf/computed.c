/*
 * Defaults that depend on the host: its name, its domain, its networks, its cores, and whether it has a file of aliases; and one that
 * depends on parameters with older names.
 */
#include <sched.h>
#include <string.h>
#include <unistd.h>

#include "common/conf/expand.h"
#include "common/conf/own_networks.h"
#include "common/conf/schema.h"

static const char fallback_domain[] = "localdomain";

/* The system's name, completed to a full one with mydomain if that is set, for mydomain's default depends on us. */
static void
compute_hostname(struct expander *x, struct buf *out)
{
	char name[256] = "";
	struct error ignored;
	size_t before;

	if (gethostname(name, sizeof(name) - 1) < 0 || name[0] == '\0')
		memcpy(name, "localhost", sizeof("localhost"));
	buf_append_text(out, name);
	if (strchr(name, '.'))
		return;
	buf_append_text(out, ".");
	before = out->len;
	if (scope_find(x->own, SPAN_LIT("mydomain")) || scope_find(x->global, SPAN_LIT("mydomain")))
		expand_name(x, SPAN_LIT("mydomain"), out, &ignored);
	if (out->len == before)
		buf_append_text(out, fallback_domain);
}

/* Another parameter's value; empty if it makes no sense. */
static void
value_of(struct expander *x, const char *name, struct buf *value)
{
	struct error ignored;

	buf_init(value, CONF_VALUE_MAX);
	if (expand_name(x, span_of(name), value, &ignored) < 0)
		buf_clear(value);
}

/* The host's name without its first part. */
static void
compute_domain(struct expander *x, struct buf *out)
{
	struct buf name;
	ptrdiff_t dot;

	value_of(x, "myhostname", &name);
	dot = span_find(buf_span(&name), '.');
	if (dot < 0 || (size_t)dot + 1 == name.len)
		buf_append_text(out, fallback_domain);
	else
		buf_append_span(out, span_from(buf_span(&name), (size_t)dot + 1));
	buf_free(&name);
}

static void
compute_workers(struct expander *x, struct buf *out)
{
	cpu_set_t cores;
	int n = sched_getaffinity(0, sizeof(cores), &cores) < 0 ? 1 : CPU_COUNT(&cores);

	(void)x;
	buf_printf(out, "%d", n < 1 ? 1 : n > 8 ? 8 : n);
}

/*
 * Nobody has asked for aliases where the default file was never there, neither text nor table: mail to users must not
 * wait for it. A text that was not built, or a table that alias_maps names in so many words, is another matter.
 */
static void
compute_aliases(struct expander *x, struct buf *out)
{
	(void)x;
	if (access(POSTERN_SYSCONFDIR "/aliases", F_OK) == 0 ||
	    access(POSTERN_SYSCONFDIR "/aliases.db", F_OK) == 0)
		buf_append_text(out, param_find(SPAN_LIT("alias_maps"))->fallback);
}

static void
compute_networks(struct expander *x, struct buf *out)
{
	enum networks_style style;
	struct buf text, interfaces;

	value_of(x, "mynetworks_style", &text);
	value_of(x, "inet_interfaces", &interfaces);
	style = span_is(buf_span(&text), "subnet")  ? NETWORKS_SUBNET
		: span_is(buf_span(&text), "class") ? NETWORKS_CLASS
						    : NETWORKS_HOST;
	own_networks_append(style, buf_span(&interfaces), out);
	buf_free(&text);
	buf_free(&interfaces);
}

static bool
is_set(struct expander *x, const char *name)
{
	struct buf text;
	bool yes;

	value_of(x, name, &text);
	yes = span_is_nocase(buf_span(&text), "yes");
	buf_free(&text);
	return yes;
}

/* What the old smtp_enforce_tls demanded is not less now; without it, TLS where it may be. */
static void
compute_tls_level(struct expander *x, struct buf *out)
{
	buf_append_text(out, !is_set(x, "smtp_enforce_tls")           ? "may"
			     : is_set(x, "smtp_tls_enforce_peername") ? "verify"
								      : "encrypt");
}

static const struct computed {
	const char *name;
	bool from_host;
	void (*compute)(struct expander *x, struct buf *out);
} rows[] = {
    {"alias_maps", true, compute_aliases},
    {"delivery_workers", true, compute_workers},
    {"mydomain", true, compute_domain},
    {"myhostname", true, compute_hostname},
    {"mynetworks", true, compute_networks},
    {"smtp_tls_security_level", false, compute_tls_level},
    {"smtpd_workers", true, compute_workers},
};

static const struct computed *
find(struct span name)
{
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		if (span_is(name, rows[i].name))
			return &rows[i];
	return NULL;
}

bool
computed_value(struct expander *x, struct span name, struct buf *out)
{
	const struct computed *row = find(name);

	if (row)
		row->compute(x, out);
	return row != NULL;
}

bool
computed_from_host(struct span name)
{
	const struct computed *row = find(name);

	return row != NULL && row->from_host;
}
