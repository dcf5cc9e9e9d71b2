#include <stdio.h>
#include <string.h>

#include "common/base/arena.h"
#include "common/base/mem.h"
#include "common/base/text.h"
#include "common/mail/address.h"
#include "common/mail/casefold.h"
#include "common/mail/member_name.h"
#include "common/mail/queue_id.h"
#include "common/mail/way.h"
#include "delivery/local/local.h"

static const struct conf_values *
values_of(const struct job_recipient *r)
{
	return job_values(r->job);
}

void
recipient_fill_letter(struct job_recipient *r, const char *kind)
{
	const struct conf_values *v = values_of(r);

	r->letter.recipient = r->letter.delivered_to = r->recipient;
	if (v->frozen_delivered_to && way_is_open(job_way(r->job)))
		r->letter.delivered_to = way_open_address(job_way(r->job));
	r->letter.way = way_behind(job_way(r->job));
	r->letter.orig_to = r->orig_to;
	if (v->local_header_envelope_to)
		r->letter.header_name = SPAN_LIT("Envelope-To");
	else
		r->letter.header_name =
		    v->enable_original_recipient ? SPAN_LIT("X-Original-To") : SPAN_LIT("");
	r->letter.flags = 0;
	if (kind && !conf_list_has(v->prepend_delivered_header, kind))
		r->letter.flags |= LETTER_NO_DELIVERED;
	job_fill_letter(r->job, &r->letter);
}

/* ---- what an alias or .forward leads to ---- */

struct look {
	struct job_recipient *r;
	struct expansion *expansion;
};

static void
on_looked(void *context, enum outcome_class class, struct span status, struct span text)
{
	struct look *look = context;
	char code[12];

	if (class == OUTCOME_DELIVERED)
		expand_go_on(look->expansion);
	else if (span_copy(status, code, sizeof(code)))
		expand_refuse(look->expansion, class, arena_strdup(job_arena(look->r->job), code), text);
	else
		expand_refuse(look->expansion, OUTCOME_DEFERRED, "4.3.0", text);
}

/* Mail that has this recipient's Delivered-To in its header already would go round for ever. */
static void
on_found(void *context, struct expansion *x)
{
	struct job_recipient *r = context;
	struct local *l = job_local(r->job);
	struct look *look = arena_alloc(job_arena(r->job), sizeof(*look));
	struct writers_request request = {.letter = &r->letter};
	struct target reader;

	if (job_is_orphan(r->job) || !look) {
		expand_refuse(x, OUTCOME_DEFERRED, "4.3.0", SPAN_LIT("the queue is not there"));
		return;
	}
	*look = (struct look){r, x};
	recipient_fill_letter(r, NULL);
	if (r->letter.fd < 0 && r->letter.header_len < r->letter.content.len)
		r->letter.content.len = r->letter.content_len = (size_t)r->letter.header_len;
	target_reader(&l->finder, &reader);
	request.target = &reader;
	writers_deliver(l->pool, values_of(r), &request, on_looked, look);
}

static bool
on_address(void *context, const struct expand_address *a)
{
	return job_add_address(context, a);
}

static void
on_expanded(void *context, const struct expand_result *result)
{
	struct job_recipient *r = context;
	char text[100], id[QUEUE_ID_SIZE];

	switch (result->status) {
	case EXPAND_NONE:
		user_start(r, false);
		break;
	case EXPAND_DONE:
		/* Programs that count deliveries know Postfix's words for this; the id does not change here. */
		snprintf(text, sizeof(text), "forwarded as %s: expanded to %zu address%s",
		    queue_id_format(job_id(r->job), id), result->count, result->count == 1 ? "" : "es");
		job_finish(r, OUTCOME_EXPANDED, SPAN_LIT("2.0.0"), span_of(text),
		    result->has_owner ? OUTCOME_EXPANDED_LIST | OUTCOME_HAS_OWNER : 0);
		break;
	default:
		job_finish(r, result->class, span_of(result->code), result->text, 0);
		break;
	}
}

static const struct expand_listener alias_listener = {
    .found = on_found, .address = on_address, .done = on_expanded};

static void
on_forwarded(void *context, const struct expand_result *result)
{
	if (result->status == EXPAND_NONE)
		user_mailbox(context);
	else
		on_expanded(context, result);
}

const struct expand_listener recipient_listener = {
    .found = on_found, .address = on_address, .done = on_forwarded};

void
recipient_fill_request(const struct job_recipient *r, struct expand_request *request)
{
	struct local *l = job_local(r->job);

	*request = (struct expand_request){
	    .server = l->server,
	    .pool = l->pool,
	    .finder = &l->finder,
	    .conf = server_conf(l->server),
	    .name = r->full_name,
	    .spelled = r->spelled,
	    .domain = r->domain,
	    .sender = job_sender(r->job),
	    .generation = l->generation,
	};
}

/* ---- names ---- */

/* aliases(5) first, then the user. */
static void
start_name(struct job_recipient *r)
{
	struct expand_request request;

	if (span_trim(span_of(values_of(r)->alias_maps)).len == 0) {
		user_start(r, false);
		return;
	}
	recipient_fill_request(r, &request);
	expand_start(&request, &alias_listener, r);
}

/* RFC 5321, 4.5.1: there is always a postmaster. Without an alias it is root. */
static bool
goes_to_root(const struct job_recipient *r)
{
	return span_is(r->name, "postmaster") || span_is(r->name, "mailer-daemon");
}

void
recipient_unknown(struct job_recipient *r)
{
	if (goes_to_root(r)) {
		r->name = r->full_name = r->spelled = SPAN_LIT("root");
		start_name(r);
	} else {
		job_finishf(r, OUTCOME_BOUNCED, "5.1.1", "unknown user: \"%.*s\"", SPAN_ARG(r->name));
	}
}

void
recipient_split(struct job_recipient *r)
{
	const struct conf_values *v = values_of(r);

	address_split_extension(
	    r->full_name, v->recipient_delimiter, !v->owner_request_special, &r->name, &r->extension);
	/* In forward_path it would lead to other folders. Such a one counts for nothing, as in Postfix. */
	if (span_find(r->extension, '/') >= 0)
		r->extension = span_make("", 0);
}

/* luser_relay and the like: a text for this recipient. */
struct values {
	const struct job_recipient *r;
	struct span delimiter;
};

static bool
value_of_name(void *context, struct span name, struct span *value)
{
	const struct values *x = context;
	const struct job_recipient *r = x->r;
	const struct {
		const char *name;
		struct span value;
	} rows[] = {
	    {"user", r->name},
	    {"local", r->full_name},
	    {"extension", r->extension},
	    {"domain", r->domain},
	    {"recipient", r->recipient},
	    {"recipient_delimiter", x->delimiter},
	    {"home", span_of(r->user ? r->user->home : "")},
	    {"shell", span_of(r->user ? r->user->shell : "")},
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		if (span_is(name, rows[i].name)) {
			*value = rows[i].value;
			return true;
		}
	}
	return false;
}

bool
recipient_macro(const struct job_recipient *r, struct span text, const char *allowed, struct buf *out)
{
	struct values x = {.r = r, .delimiter = span_of(values_of(r)->recipient_delimiter)};
	struct macro_names names = {.value = value_of_name, .context = &x, .allowed = allowed};

	/* That which is there, or the first that might be. */
	if (r->extension.len > 0 && r->full_name.len > r->name.len)
		x.delimiter = span_sub(r->full_name, r->name.len, 1);
	else
		x.delimiter = span_sub(x.delimiter, 0, 1);
	return macro_expand(out, text, &names);
}

void
recipient_start(struct job_recipient *r)
{
	struct arena *a = job_arena(r->job);
	struct span local, bare, digest;
	unsigned past = 0;
	bool forward;

	address_split(r->recipient, &local, &r->domain);
	local = address_unquote_local(a, local);
	r->name = r->full_name = casefold_copy(a, local);
	r->spelled = local;
	if (!r->name.ptr)
		panic("a job's arena is too small for its recipients");
	if (span_is_nocase(r->name, values_of(r)->double_bounce_sender)) {
		job_finishf(r, OUTCOME_DELIVERED, "2.0.0", "undeliverable postmaster notification discarded");
		return;
	}
	/* How lists name commands, files and users (expand.h); nobody else needs to see that. */
	if (member_name_split(local, &r->spelled, &digest, &forward) &&
	    member_name_split(r->name, &bare, &digest, &forward)) {
		r->name = r->full_name = bare;
		r->recipient = address_join(a, r->spelled, r->domain);
		member_start(r, digest, forward);
		return;
	}
	while (past < 2 && r->name.len > 1 && r->name.ptr[0] == '\\') {
		r->name = r->full_name = span_from(r->name, 1);
		past++;
	}
	if (past > 0) {
		r->spelled = r->name;
		r->recipient = address_join(a, r->name, r->domain);
	}
	if (past == 0)
		start_name(r);
	else
		user_start(r, past == 1);
}
