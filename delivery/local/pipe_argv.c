#include "delivery/local/pipe_argv.h"

#include <errno.h>
#include <string.h>

#include "common/base/arena.h"
#include "common/base/text.h"
#include "common/conf/macro.h"
#include "common/conf/transports.h"
#include "common/mail/address.h"
#include "common/mail/casefold.h"

enum { ARENA = 64 << 10 };

/* What names mean for one recipient. */
struct values {
	const struct pipe_settings *settings;
	const struct pipe_message *message;
	const struct pipe_recipient *recipient;
	struct arena *arena;
};

/* An address as the flags q, u and h want it. */
static struct span
address_for(const struct values *x, struct span address, bool fold_user)
{
	unsigned flags = x->settings->flags;
	struct span local, domain;

	address_split(address, &local, &domain);
	if (!(flags & PIPE_QUOTE))
		local = address_unquote_local(x->arena, local);
	if (fold_user && (flags & PIPE_FOLD_USER))
		local = casefold_copy(x->arena, local);
	if (flags & PIPE_FOLD_HOST)
		domain = casefold_copy(x->arena, domain);
	if (domain.len == 0)
		return local;
	return span_of(arena_printf(x->arena, "%.*s@%.*s", SPAN_ARG(local), SPAN_ARG(domain)));
}

static struct span
domain_for(const struct values *x, struct span domain)
{
	return x->settings->flags & PIPE_FOLD_HOST ? casefold_copy(x->arena, domain) : domain;
}

static void
split(const struct values *x, struct span *mailbox, struct span *user, struct span *extension,
    struct span *domain)
{
	struct span local;

	address_split(x->recipient->recipient, &local, domain);
	*mailbox = address_unquote_local(x->arena, local);
	if (x->settings->flags & PIPE_FOLD_USER)
		*mailbox = casefold_copy(x->arena, *mailbox);
	address_split_extension(*mailbox, x->message->delimiters, false, user, extension);
}

static bool
value_of_recipient(const struct values *x, struct span name, struct span *value)
{
	struct span mailbox, user, extension, domain;

	split(x, &mailbox, &user, &extension, &domain);
	if (span_is(name, "recipient"))
		*value = address_for(x, x->recipient->recipient, true);
	else if (span_is(name, "original_recipient"))
		*value = address_for(x, x->recipient->original_recipient, true);
	else if (span_is(name, "user"))
		*value = user;
	else if (span_is(name, "extension"))
		*value = extension;
	else if (span_is(name, "mailbox"))
		*value = mailbox;
	else
		*value = domain_for(x, domain);
	return true;
}

static bool
value_of(void *context, struct span name, struct span *value)
{
	const struct values *x = context;
	const struct pipe_message *m = x->message;
	const struct {
		const char *name;
		struct span value;
	} rows[] = {
	    {"nexthop", domain_for(x, m->nexthop)},
	    {"queue_id", m->queue_id},
	    {"envid", m->envid},
	    {"client_address", m->client_address},
	    {"client_helo", m->client_helo},
	    {"client_hostname", m->client_hostname},
	    {"client_port", m->client_port},
	    {"client_protocol", m->client_protocol},
	    {"sasl_method", m->sasl_method},
	    {"sasl_sender", m->sasl_sender},
	    {"sasl_username", m->sasl_username},
	};

	if (pipe_name_is_of_recipient(name))
		return value_of_recipient(x, name, value);
	if (span_is(name, "sender")) {
		*value = m->sender.len > 0 ? address_for(x, m->sender, false) : x->settings->null_sender;
		return true;
	}
	if (span_is(name, "size")) {
		*value = span_of(arena_printf(x->arena, "%llu", (unsigned long long)m->size));
		return true;
	}
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		if (span_is(name, rows[i].name)) {
			*value = rows[i].value;
			return true;
		}
	}
	return false;
}

/* ---- arguments ---- */

static void
on_name(void *context, struct span name)
{
	bool *of_recipient = context;

	*of_recipient |= pipe_name_is_of_recipient(name);
}

static int
put_one(struct buf *out, struct span word, const struct pipe_settings *s, const struct pipe_message *m,
    const struct pipe_recipient *recipient, struct error *err)
{
	struct values x = {.settings = s, .message = m, .recipient = recipient, .arena = arena_new(ARENA)};
	struct macro_names names = {.value = value_of, .context = &x};
	size_t before = out->len;

	/* A name without a value is an empty text here. */
	(void)macro_expand(out, word, &names);
	arena_free(&x.arena);
	if (word.len > 0 && word.ptr[0] == '$' && !m->allow_min && out->len > before &&
	    buf_ptr(out)[before] == '-') {
		error_set(err, "an address that begins with a hyphen");
		err->number = EINVAL;
		return -1;
	}
	buf_append(out, "", 1);
	return out->full ? error_set(err, "the arguments of the command are too long") : 0;
}

int
pipe_argv(struct buf *out, const struct pipe_settings *s, const struct pipe_message *m,
    const struct pipe_recipient *recipients, size_t count, struct error *err)
{
	struct span rest = s->argv, word;

	while (transport_argument_next(&rest, &word)) {
		bool of_recipient = false;

		macro_each_name(word, on_name, &of_recipient);
		for (size_t i = 0; i < (of_recipient ? count : 1); i++)
			if (put_one(out, word, s, m, &recipients[i], err) < 0)
				return -1;
	}
	return 0;
}
