#include "delivery/smtp/login.h"

#include <event2/event.h>
#include <openssl/crypto.h>
#include <stdio.h>
#include <stdlib.h>

#include "common/base/mem.h"
#include "common/base/text.h"
#include "common/ipc/ipc.h"

enum { ASK_TIMEOUT_MS = 60000, KEYS = 3 };

#define BEARER "{BEARER}"

struct login_search {
	struct agent *agent;
	char *tables;
	char *keys[KEYS]; /* NULL: none */
	uint64_t refused;
	size_t at;
	uint32_t call;
	struct event *soon; /* there is nobody to ask */
	login_found *found;
	void *context;
};

static void
search_free(struct login_search *s)
{
	if (s->soon)
		event_free(s->soon);
	for (size_t i = 0; i < KEYS; i++)
		free(s->keys[i]);
	free(s->tables);
	free(s);
}

static void
end(struct login_search *s, enum login_status status, const struct login *login, const char *why)
{
	login_found *found = s->found;
	void *context = s->context;

	search_free(s);
	found(context, status, login, why);
}

/* "name:password"; a name without one has the empty password, as in Postfix. */
static const char *
take_value(struct span value, struct login *login)
{
	ptrdiff_t colon = span_find(value, ':');
	struct span name = colon < 0 ? value : span_sub(value, 0, (size_t)colon);
	struct span password = colon < 0 ? span_make("", 0) : span_from(value, (size_t)colon + 1);

	login->bearer = span_starts(password, BEARER);
	if (login->bearer)
		password = span_trim(span_from(password, sizeof(BEARER) - 1));
	if (!span_copy(name, login->name, sizeof(login->name)) ||
	    !span_copy(password, login->password, sizeof(login->password)))
		return "name or password are too long";
	return login->name[0] ? NULL : "an entry without a name";
}

static void ask(struct login_search *s);

static int
on_answer(void *context, const struct ipc_frame *frame, struct error *err)
{
	struct login_search *s = context;
	struct login login;
	const char *fault;
	char why[600];

	(void)err;
	s->call = 0;
	if (!frame) {
		end(s, LOGIN_TROUBLE, NULL, "no answer from lookup");
		return 0;
	}
	if (frame->map_answer.status == LOOKUP_TEMPORARY) {
		(void)snprintf(why, sizeof(why), "%.*s", SPAN_ARG(frame->map_answer.reason));
		end(s, LOGIN_TROUBLE, NULL, why);
		return 0;
	}
	if (frame->map_answer.status == LOOKUP_NOT_FOUND) {
		s->at++;
		ask(s);
		return 0;
	}
	login.of_sender = s->at == 0;
	fault = take_value(frame->map_answer.value, &login);
	end(s, fault ? LOGIN_TROUBLE : LOGIN_FOUND, &login, fault);
	OPENSSL_cleanse(&login, sizeof(login));
	return 0;
}

static void
on_soon(evutil_socket_t fd, short what, void *context)
{
	struct login_search *s = context;

	(void)fd;
	(void)what;
	if (s->at == KEYS)
		end(s, LOGIN_NONE, NULL, NULL);
	else
		end(s, LOGIN_TROUBLE, NULL, "lookup is not available");
}

/* The next key that there is. */
static void
ask(struct login_search *s)
{
	struct msg_map_ask m = {.tables = span_of(s->tables), .refused = s->refused};

	while (s->at < KEYS && !s->keys[s->at])
		s->at++;
	if (s->at < KEYS) {
		m.form = s->at == 0 ? LOOKUP_MAIL : LOOKUP_EXACT;
		m.key = span_of(s->keys[s->at]);
		if (s->agent->lookup)
			s->call = ipc_ask(s->agent->lookup, IPC_MAP_ASK, &m, ASK_TIMEOUT_MS, on_answer, s);
	}
	if (s->call)
		return;
	s->soon = event_new(s->agent->base, -1, 0, on_soon, s);
	event_active(s->soon, EV_TIMEOUT, 0);
}

static char *
copy_key(struct span key)
{
	return key.len ? mem_strndup(key.ptr, key.len) : NULL;
}

struct login_search *
login_find(
    struct agent *agent, const char *tables, const struct login_keys *keys, login_found *found, void *context)
{
	struct login_search *s = mem_alloc(sizeof(*s));

	*s = (struct login_search){.agent = agent,
	    .tables = mem_strdup(tables),
	    .keys = {copy_key(keys->sender), copy_key(keys->host), copy_key(keys->nexthop)},
	    .refused = keys->refused,
	    .found = found,
	    .context = context};
	ask(s);
	return s;
}

void
login_cancel(struct login_search **search)
{
	struct login_search *s = *search;

	*search = NULL;
	if (!s)
		return;
	if (s->call && s->agent->lookup)
		ipc_cancel(s->agent->lookup, s->call);
	search_free(s);
}
