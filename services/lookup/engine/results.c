#include "services/lookup/engine/results.h"

#include "common/mail/address.h"

enum { RESULT_ADDRESSES_MAX = 100000, SHOWN_MAX = 200 };

/* The extension that the key lacked is copied over. */
static struct span
result_complete(struct results *r, struct span address)
{
	struct arena *a = r->q->arena;
	struct span local, domain;

	address = rewrite_address(r->q, address);
	if (r->extension.len == 0)
		return address;
	address_split(address, &local, &domain);
	struct span bare = address_unquote_local(a, local);
	char *longer = arena_printf(a, "%.*s%.*s", SPAN_ARG(bare), SPAN_ARG(r->extension));
	if (longer == NULL)
		return (struct span){0};
	return address_join(a, span_of(longer), domain);
}

static bool
results_add(struct results *r, struct span address)
{
	address = result_complete(r, address);
	if (address.len == 0 || r->count >= RESULT_ADDRESSES_MAX) {
		question_fail(r->q, "an expansion is too large");
		return false;
	}
	if ((int64_t)address.len > r->q->engine->values->virtual_alias_address_length_limit) {
		question_fail(
		    r->q, "an expansion made an address longer than virtual_alias_address_length_limit");
		return false;
	}
	if (r->count == r->room) {
		size_t room = r->room == 0 ? 4 : r->room * 2;
		struct span *list = arena_alloc(r->q->arena, room * sizeof(list[0]));
		if (list == NULL) {
			question_fail(r->q, "an expansion is too large");
			return false;
		}
		if (r->count > 0)
			memcpy(list, r->list, r->count * sizeof(list[0]));
		r->list = list;
		r->room = room;
	}
	r->list[r->count++] = address;
	return true;
}

static bool
on_address(struct span address, void *context)
{
	struct results *r = context;
	struct span copy = arena_copy_span(r->q->arena, address);
	return results_add(r, copy);
}

/* "@domain" keeps the local part, save the extension that the key lacked. */
static struct span
with_local_part(struct results *r, struct span value, struct span unmatched)
{
	struct arena *a = r->q->arena;
	struct span local, domain;

	address_split(r->from, &local, &domain);
	local = address_unquote_local(a, local);
	local.len -= unmatched.len <= local.len ? unmatched.len : 0;
	struct span quoted = address_join(a, local, (struct span){0});
	return span_of(arena_printf(a, "%.*s%.*s", SPAN_ARG(quoted), SPAN_ARG(value)));
}

/* Whoever looks after the table learns which entry it is. */
static void
fail_value(struct results *r, struct span value, const char *why)
{
	const struct map_found *f = &r->q->engine->found;
	struct span shown = span_sub(value, 0, value.len < SHOWN_MAX ? value.len : SHOWN_MAX);
	const char *text = arena_printf(r->q->arena, "%s, line %u, key %.*s: \"%.*s\": %s", f->table, f->line,
	    SPAN_ARG(buf_span(&f->key)), SPAN_ARG(shown), why[0] != '\0' ? why : "no address in it");

	question_fail(r->q, text != NULL ? text : f->table);
}

/* Reads a table's value. */
static void
results_read(struct results *r, struct span value, struct span unmatched)
{
	struct error err = {0};
	struct span copy = arena_copy_span(r->q->arena, span_trim(value));

	if (copy.len == 0) {
		fail_value(r, copy, "empty result");
		return;
	}
	if (r->q->may_be_empty && span_is(copy, "<>"))
		return;
	if (copy.ptr[0] == '@')
		copy = with_local_part(r, copy, unmatched);
	if (address_words_parse(r->q->arena, copy, on_address, r, &err) < 0 ||
	    (r->count == 0 && !r->q->failed))
		fail_value(r, value, err.text);
}

bool
results_find(struct results *r, struct question *q, struct maplist *list, struct span address, bool extension)
{
	struct route_engine *e = q->engine;
	struct span unmatched;

	*r = (struct results){.q = q, .from = address};
	if (maplist_empty(list))
		return false;
	enum lookup_status status =
	    map_find(list, LOOKUP_MAIL, address, &e->mail_keys, &e->found, &unmatched);
	if (status == LOOKUP_TEMPORARY)
		question_fail(q, e->found.err.text);
	if (status != LOOKUP_FOUND)
		return false;
	if (extension)
		r->extension = unmatched;
	question_trace(q, "%.*s: becomes %.*s (%s)", SPAN_ARG(address), SPAN_ARG(buf_span(&e->found.value)),
	    question_place(q));
	results_read(r, buf_span(&e->found.value), unmatched);
	return !q->failed;
}
