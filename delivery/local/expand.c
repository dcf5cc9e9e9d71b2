#include "delivery/local/expand.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>

#include "common/base/log.h"
#include "common/base/mem.h"
#include "common/base/text.h"
#include "common/mail/address.h"
#include "delivery/local/expansion.h"

static void
forward_begin(struct expansion *x, struct span extension)
{
	struct members *s = members_new(x, NULL, EXPAND_IN_FORWARD);
	char reason[200] = "";

	s->name = mem_strndup(x->name.ptr, x->name.len);
	s->own = true;
	s->sender = mem_strndup(x->sender.ptr, x->sender.len);
	if (extension.len > 0 && conf_list_has(x->conf->values->propagate_unmatched_extensions, "forward"))
		s->extension = mem_strndup(extension.ptr, extension.len);
	if (target_helper(x->finder, x->conf->values, x->user, &s->rights, reason) == TARGET_FOUND)
		members_read_file(s, LIST_FORWARD, x->forward_paths, x->user);
	else
		expansion_fail(x, OUTCOME_DEFERRED, "4.3.5", "%s", reason);
	members_release(s);
}

void
expand_start(const struct expand_request *request, const struct expand_listener *listener, void *context)
{
	struct expansion *x = mem_alloc(sizeof(*x));
	const struct timeval now = {0};

	x->arena = arena_new(EXPANSION_ARENA);
	x->server = request->server;
	x->pool = request->pool;
	x->finder = request->finder;
	x->generation = request->generation;
	x->conf = conf_ref(request->conf);
	x->name = arena_copy_span(x->arena, request->name);
	x->spelled = arena_copy_span(x->arena, request->spelled);
	x->domain = arena_copy_span(x->arena, request->domain);
	x->sender = arena_copy_span(x->arena, request->sender);
	x->forward_paths = arena_copy_span(x->arena, request->forward_paths);
	x->forward_extended = request->forward_extended;
	x->digest = arena_copy_span(x->arena, request->digest);
	if (request->user) {
		x->user_copy = *request->user;
		x->user = &x->user_copy;
	}
	x->seen = table_new(EXPAND_ADDRESSES_MAX, NULL);
	x->told = table_new(EXPANSION_TOLD, NULL);
	x->result.status = EXPAND_NONE;
	x->listener = listener;
	x->context = context;
	TAILQ_INIT(&x->sources);
	x->turn = evtimer_new(pool_base(request->pool), expansion_on_turn, x);
	event_add(x->turn, &now);
	if (x->user)
		forward_begin(x, request->extension);
	else
		expansion_ask_name(x, NULL, x->name);
}

void
expand_go_on(struct expansion *x)
{
	x->stopped = false;
	expansion_pump_soon(x);
}

void
expand_refuse(struct expansion *x, enum outcome_class class, const char *code, struct span text)
{
	expansion_fail(x, class, code, "%.*s", SPAN_ARG(text));
	x->stopped = false;
	expansion_pump_soon(x);
}

/* ---- the engine ---- */

void
expansion_fail(struct expansion *x, enum outcome_class class, const char *code, const char *format, ...)
{
	va_list args;

	if (x->result.status == EXPAND_FAILED || x->result.status == EXPAND_MEMBER)
		return;
	x->result.status = EXPAND_FAILED;
	x->result.class = class;
	x->result.code = code;
	va_start(args, format);
	vsnprintf(x->text, sizeof(x->text), format, args);
	va_end(args);
	x->result.text = span_of(x->text);
}

void
expansion_found(struct expansion *x)
{
	if (x->result.status != EXPAND_NONE)
		return;
	x->result.status = EXPAND_DONE;
	if (x->digest.len > 0)
		return;
	x->stopped = true;
	x->listener->found(x->context, x);
}

void
expansion_complain(struct expansion *x, const char *format, ...)
{
	va_list args;

	if (x->complaint[0] != '\0')
		return;
	va_start(args, format);
	vsnprintf(x->complaint, sizeof(x->complaint), format, args);
	va_end(args);
	log_warning(NULL, "%s", x->complaint);
}

static void
end(struct expansion *x)
{
	if (x->result.status == EXPAND_DONE && x->complaint[0] != '\0')
		expansion_fail(x, OUTCOME_DEFERRED, "4.3.5", "%s", x->complaint);
	else if (x->result.status == EXPAND_DONE && x->digest.len > 0)
		expansion_fail(
		    x, OUTCOME_BOUNCED, "5.1.1", "the list has changed: it has no such member now");
	else if (x->result.status == EXPAND_DONE && x->result.count == 0 && x->looped)
		expansion_fail(
		    x, OUTCOME_BOUNCED, "5.4.6", "mail forwarding loop for %.*s", SPAN_ARG(x->name));
	else if (x->result.status == EXPAND_DONE && x->result.count == 0)
		expansion_fail(x, OUTCOME_DEFERRED, "4.3.5", "the alias is empty");
	if (x->result.status == EXPAND_MEMBER)
		x->result.member.rights = &x->member_rights;
	x->listener->done(x->context, &x->result);
	table_free(&x->seen);
	table_free(&x->told);
	event_free(x->turn);
	conf_unref(&x->conf);
	arena_free(&x->arena);
	free(x);
}

void
expansion_pump_soon(struct expansion *x)
{
	event_active(x->turn, EV_TIMEOUT, 0);
}

static bool
over(const struct expansion *x)
{
	return x->result.status == EXPAND_FAILED || x->result.status == EXPAND_MEMBER;
}

/* Older lists wait while many are open. */
static bool
may_take(const struct expansion *x, const struct members *s)
{
	return !over(x) && !x->stopped && x->asked < EXPANSION_WINDOW &&
	       (x->open_sources <= EXPANSION_OPEN || s == TAILQ_FIRST(&x->sources));
}

/* Asks what may be asked, the newest list first, which keeps the open ones few; ends when nothing is left. */
void
expansion_on_turn(evutil_socket_t fd, short what, void *context)
{
	struct expansion *x = context;
	struct members *s, *next;

	(void)fd;
	(void)what;
	if (x->stopped)
		return;
	for (s = TAILQ_FIRST(&x->sources); s; s = next) {
		s->holds++;
		while (may_take(x, s) && members_take(s))
			;
		next = TAILQ_NEXT(s, link);
		if (over(x) || members_are_over(s))
			members_close(s);
		members_release(s);
		if (x->stopped)
			return;
	}
	if (x->asked == 0 && TAILQ_EMPTY(&x->sources))
		end(x);
}
