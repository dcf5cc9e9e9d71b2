/*
 * Where members come from, and what each of them is.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/log.h"
#include "common/base/mem.h"
#include "common/mail/address.h"
#include "common/mail/member_name.h"
#include "delivery/local/expansion.h"

enum { MEMBER_ARENA = 256 << 10 };

struct members *
members_new(struct expansion *x, const struct members *parent, enum expand_place place)
{
	struct members *s = mem_alloc(sizeof(*s));

	s->expansion = x;
	s->place = place;
	s->holds = 1;
	s->depth = parent ? parent->depth + 1 : 0;
	s->owned = place == EXPAND_IN_FORWARD || place == EXPAND_IN_INCLUDE || (parent && parent->owned);
	s->listed = parent && parent->listed;
	s->renamed = place == EXPAND_IN_ALIAS && parent && parent->renamed;
	TAILQ_INIT(&s->pending);
	s->open = true;
	TAILQ_INSERT_HEAD(&x->sources, s, link);
	x->open_sources++;
	if (s->depth > EXPAND_DEPTH_MAX)
		expansion_fail(
		    x, OUTCOME_BOUNCED, "5.4.6", "possible alias database loop for %.*s", SPAN_ARG(x->name));
	return s;
}

void
members_release(struct members *s)
{
	if (--s->holds > 0 || s->open)
		return;
	free(s->name);
	free(s->sender);
	free(s->extension);
	free(s->address);
	free(s->value);
	arena_free(&s->arena);
	free(s);
}

void
members_close(struct members *s)
{
	struct pending *p;

	if (!s->open)
		return;
	s->open = false;
	s->expansion->open_sources--;
	TAILQ_REMOVE(&s->expansion->sources, s, link);
	if (s->list)
		list_read_cancel(s->list);
	s->list = NULL;
	while ((p = TAILQ_FIRST(&s->pending)) != NULL) {
		TAILQ_REMOVE(&s->pending, p, link);
		free(p);
	}
}

void
members_read_value(struct members *s, struct span value)
{
	s->value = mem_strndup(value.ptr, value.len);
	s->rest = span_of(s->value);
}

/* ---- files ---- */

/* A .forward+ext says itself where mail for it goes. */
static bool
forward_is_for_extension(const struct expansion *x, unsigned place)
{
	return place >= EXPAND_FORWARDS_MAX || (x->forward_extended >> place & 1) != 0;
}

static void
on_member(void *context, unsigned place, enum alias_member kind, struct span text)
{
	struct members *s = context;
	struct pending *p = mem_alloc(sizeof(*p) + text.len + 1);

	p->kind = kind;
	if (text.len > 0)
		memcpy(p->text, text.ptr, text.len);
	TAILQ_INSERT_TAIL(&s->pending, p, link);
	if (s->place == EXPAND_IN_FORWARD && forward_is_for_extension(s->expansion, place)) {
		free(s->extension);
		s->extension = NULL;
	}
	if (s->place == EXPAND_IN_FORWARD)
		expansion_found(s->expansion);
	expansion_pump_soon(s->expansion);
}

static void
on_done(void *context, enum member_list_status status, struct span path, struct span text)
{
	struct members *s = context;
	struct expansion *x = s->expansion;

	s->list = NULL;
	/* A .forward that is not to be believed is none; a list that cannot be read keeps its mail waiting. */
	if (status == LIST_REFUSED && s->place == EXPAND_IN_FORWARD)
		log_warning(NULL, "%s: %.*s: not used", s->name, SPAN_ARG(text));
	else if (status == LIST_ABSENT && s->place == EXPAND_IN_FORWARD)
		(void)path;
	else if (status != LIST_READ && s->place == EXPAND_IN_FORWARD)
		expansion_fail(x, OUTCOME_DEFERRED, "4.2.0", "%.*s", SPAN_ARG(text));
	else if (status != LIST_READ)
		expansion_complain(x, "cannot open include file: %.*s", SPAN_ARG(text));
	expansion_pump_soon(x);
}

static const struct list_reader reader = {.member = on_member, .done = on_done};

/* Some accounts are made without one on purpose. */
static bool
has_home(const struct target *user)
{
	return !user->system && strcmp(user->home, "/nonexistent") != 0;
}

void
members_read_file(struct members *s, enum member_list_kind kind, struct span paths, const struct target *user)
{
	struct expansion *x = s->expansion;
	struct list_source source = {
	    .kind = kind,
	    .user = &s->rights,
	    .paths = paths,
	    .home = user && has_home(user) ? user->home : "",
	    .owner = user ? user->account_uid : 0,
	};

	s->list = list_read_start(x->pool, x->conf->values, &source, &reader, s);
}

/* ---- members ---- */

/* An include file has the rights, the owner and the name of the list that it is a part of. */
static void
open_include(struct members *s, struct span path)
{
	struct expansion *x = s->expansion;
	char key[1100];
	struct members *file;

	snprintf(key, sizeof(key), ":include:%.*s", (int)(path.len < 1000 ? path.len : 1000), path.ptr);
	if (table_get(x->seen, span_of(key)) || table_put(x->seen, span_of(key), x) < 0) {
		x->looped = true;
		return;
	}
	file = members_new(x, s, EXPAND_IN_INCLUDE);
	file->name = mem_strdup(s->name);
	file->own = s->own;
	file->sender = mem_strdup(s->sender);
	file->address = s->address ? mem_strdup(s->address) : NULL;
	if (s->extension && conf_list_has(x->conf->values->propagate_unmatched_extensions, "include"))
		file->extension = mem_strdup(s->extension);
	file->rights = s->rights;
	members_read_file(file, LIST_INCLUDE, path, NULL);
	members_release(file);
}

/* A command or file: the name that stands for it; or the one that is looked for. */
static void
take_deed(struct members *s, enum alias_member kind, struct span text)
{
	struct expansion *x = s->expansion;
	char digest[MEMBER_DIGEST_LEN + 1], local[700];
	struct span address;

	member_digest(kind, text, digest);
	if (x->digest.len == 0) {
		struct span name = s->own ? x->spelled : span_of(s->name);

		snprintf(local, sizeof(local), "\\%.*s%c%s", SPAN_ARG(name), x->user ? '~' : '|', digest);
		address = address_join(s->arena, span_of(local), x->domain);
		expansion_ask_address(s, address, true);
	} else if (span_is(x->digest, digest)) {
		x->result.status = EXPAND_MEMBER;
		x->result.member = (struct expand_member){
		    .kind = kind,
		    .place = s->place,
		    .text = arena_copy_span(x->arena, text),
		    .sender = arena_copy_span(x->arena, span_of(s->sender)),
		};
		x->member_rights = s->rights;
	}
}

/* A file: "~/" is the home of whose list it is; a list that root wrote has none. */
static void
take_file(struct members *s, struct span text)
{
	struct expansion *x = s->expansion;
	const char *home = x->user ? x->user->home : s->rights.home;

	if (text.ptr[0] != '~')
		take_deed(s, ALIAS_FILE, text);
	else if (home[0] != '/')
		expansion_complain(x, "%s: there is no home for %.*s", s->name,
		    (int)(text.len < 200 ? text.len : 200), text.ptr);
	else
		take_deed(s, ALIAS_FILE,
		    span_of(arena_printf(s->arena, "%s%.*s", home, SPAN_ARG(span_from(text, 1)))));
}

static void
take_member(struct members *s, enum alias_member kind, struct span text)
{
	struct expansion *x = s->expansion;

	switch (kind) {
	case ALIAS_ADDRESS:
		if (x->digest.len == 0)
			expansion_ask_address(s, text, false);
		break;
	case ALIAS_COMMAND:
		take_deed(s, kind, text);
		break;
	case ALIAS_FILE:
		take_file(s, text);
		break;
	case ALIAS_INCLUDE:
		open_include(s, text);
		break;
	case ALIAS_MALFORMED:
		if (s->value)
			expansion_complain(x, "alias %s: malformed address in the alias database: %.*s",
			    s->name, (int)(text.len < 200 ? text.len : 200), text.ptr);
		else
			expansion_complain(x, "%.*s", SPAN_ARG(text));
		break;
	}
}

bool
members_take(struct members *s)
{
	enum alias_member kind;
	struct pending *p;
	struct span text;

	if (!s->open)
		return false;
	arena_free(&s->arena);
	s->arena = arena_new(MEMBER_ARENA);
	if (s->value) {
		if (!alias_next_member(s->arena, &s->rest, &kind, &text)) {
			s->exhausted = true;
			return false;
		}
		take_member(s, kind, text);
		return true;
	}
	p = TAILQ_FIRST(&s->pending);
	if (!p)
		return false;
	TAILQ_REMOVE(&s->pending, p, link);
	if (s->list)
		list_read_taken(s->list, 1);
	take_member(s, p->kind, span_of(p->text));
	free(p);
	return true;
}

bool
members_are_over(const struct members *s)
{
	return !s->open || s->exhausted || (!s->value && !s->list && TAILQ_EMPTY(&s->pending));
}
