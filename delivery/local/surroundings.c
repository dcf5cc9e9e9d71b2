#include "delivery/local/surroundings.h"

#include <paths.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/mail/address.h"

static void
put(struct buf *out, const char *name, struct span value, const char *allowed)
{
	if (value.len == 0)
		return;
	buf_append_text(out, name);
	buf_append_text(out, "=");
	for (size_t i = 0; i < value.len; i++) {
		const char *byte = value.ptr + i;

		buf_append(out, *byte != '\0' && (!allowed || strchr(allowed, *byte)) ? byte : "_", 1);
	}
	buf_append(out, "", 1);
}

/* As in Postfix without quotes, which commands do not expect and the filter would make "_". */
static void
put_address(struct buf *out, const char *name, struct span address, const struct job_recipient *r)
{
	struct arena *a = arena_new(4 * ADDRESS_MAX);
	struct span local, domain, bare;
	const char *text;

	address_split(address, &local, &domain);
	bare = address_unquote_local(a, local);
	text = arena_printf(a, "%.*s%s%.*s", SPAN_ARG(bare), domain.len > 0 ? "@" : "", SPAN_ARG(domain));
	put(out, name, span_of(text ? text : ""), job_values(r->job)->command_expansion_filter);
	arena_free(&a);
}

void
surroundings_export(const struct conf_values *v, struct buf *out)
{
	struct span rest = span_of(v->export_environment), word;
	char name[200];

	put(out, "PATH", SPAN_LIT("/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin"), NULL);
	while (conf_list_next(&rest, &word)) {
		ptrdiff_t equals;

		if (word.len > 1 && word.ptr[0] == '{')
			word = span_trim(span_sub(word, 1, word.len - 2));
		equals = span_find(word, '=');
		if (!span_copy(span_sub(word, 0, equals < 0 ? word.len : (size_t)equals), name, sizeof(name)))
			continue;
		if (equals >= 0)
			put(out, name, span_from(word, (size_t)equals + 1), NULL);
		else if (getenv(name))
			put(out, name, span_of(getenv(name)), NULL);
	}
}

void
surroundings_of_recipient(const struct job_recipient *r, const struct target *rights, struct buf *out)
{
	const struct conf_values *v = job_values(r->job);
	const struct job_origin *o = job_origin(r->job);
	const char *allowed = v->command_expansion_filter;
	struct span original = r->orig_to.len > 0 ? r->orig_to : r->recipient;
	const struct target *owner = r->user ? r->user : rights;

	surroundings_export(v, out);
	put(out, "HOME", span_of(owner->home), NULL);
	put(out, "LOGNAME", r->name, allowed);
	put(out, "USER", r->name, allowed);
	put(out, "SHELL", span_of(owner->shell), NULL);
	put(out, "LOCAL", r->full_name, allowed);
	put(out, "DOMAIN", r->domain, allowed);
	put(out, "EXTENSION", r->extension, allowed);
	put_address(out, "RECIPIENT", r->recipient, r);
	put_address(out, "ORIGINAL_RECIPIENT", original, r);
	put_address(out, "SENDER", job_sender(r->job), r);
	put(out, "ENVID", o->envid, allowed);
	put(out, "CLIENT_HOSTNAME", o->client_name, allowed);
	put(out, "CLIENT_ADDRESS", o->client_address, allowed);
	put(out, "CLIENT_HELO", o->helo, allowed);
	put(out, "CLIENT_PROTOCOL", o->protocol, allowed);
	put(out, "SASL_METHOD", o->sasl_method, allowed);
	put(out, "SASL_SENDER", o->sasl_sender, allowed);
	put(out, "SASL_USERNAME", o->sasl_username, allowed);
	/* The null sender is an empty text, not a missing one. */
	if (job_sender(r->job).len == 0)
		buf_append(out, "SENDER=", sizeof("SENDER="));
}
