/*
 * Defaults that depend on the host: its name, its domain, its cores, and whether it has a file of aliases; and one that
 * depends on parameters with older names.
 */
#include <sched.h>
#include <string.h>
#include <unistd.h>

#include "common/conf/expand.h"

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

/* The host's name without its first part. */
static void
compute_domain(struct expander *x, struct buf *out)
{
	struct error ignored;
	struct buf name;
	ptrdiff_t dot;

	buf_init(&name, CONF_VALUE_MAX);
	if (expand_name(x, SPAN_LIT("myhostname"), &name, &ignored) < 0)
		buf_clear(&name);
	dot = span_find(buf_span(&name), '.');
	if (dot < 0 || (size_t)dot + 1 == name.len)
		buf_append_text(out, fallback_domain);
	else
		buf_append_span(out, span_from(buf_span(&name), (size_t)dot + 1));
	buf_free(&name);
}

static unsigned
worker_count(void)
{
	cpu_set_t cores;
	int n = sched_getaffinity(0, sizeof(cores), &cores) < 0 ? 1 : CPU_COUNT(&cores);

	return n < 1 ? 1 : n > 8 ? 8 : (unsigned)n;
}

/*
 * Nobody has asked for aliases where the default file was never there, neither text nor table: mail to users must not
 * wait for it. A text that was not built, or a table that alias_maps names in so many words, is another matter.
 */
static bool
has_alias_file(void)
{
	return access(POSTERN_SYSCONFDIR "/aliases", F_OK) == 0 ||
	       access(POSTERN_SYSCONFDIR "/aliases.db", F_OK) == 0;
}

static bool
is_set(struct expander *x, const char *name)
{
	struct error ignored;
	struct buf text;
	bool yes;

	buf_init(&text, CONF_VALUE_MAX);
	yes = expand_name(x, span_of(name), &text, &ignored) >= 0 && span_is_nocase(buf_span(&text), "yes");
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

bool
computed_value(struct expander *x, struct span name, struct buf *out)
{
	if (span_is(name, "myhostname"))
		compute_hostname(x, out);
	else if (span_is(name, "mydomain"))
		compute_domain(x, out);
	else if (span_is(name, "smtp_tls_security_level"))
		compute_tls_level(x, out);
	else if (span_is(name, "smtpd_workers") || span_is(name, "delivery_workers"))
		buf_printf(out, "%u", worker_count());
	else
		return span_is(name, "alias_maps") && !has_alias_file();
	return true;
}
