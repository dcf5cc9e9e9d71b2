/*
 * Who of this host's users may send mail (authorized_submit_users), and with which envelope senders
 * (local_login_sender_maps): the user's login leads to patterns.
 *   *          any sender
 *   <>         the empty one (empty_address_local_login_sender_maps_lookup_key)
 *   @domain    any address there
 *   address    that one; an extension of its local part does not count
 */
#include <errno.h>
#include <pwd.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/mem.h"
#include "common/base/text.h"
#include "common/mail/address.h"
#include "services/lookup/engine/engine.h"

enum { PASSWD_MAX = 65536, SENDER_SHOWN_MAX = 200 };

/* NULL: nobody has that uid. *trouble: nobody could tell. The arena's. */
static const char *
login_of(struct arena *a, uint32_t uid, bool *trouble)
{
	char *buffer = mem_alloc(PASSWD_MAX);
	struct passwd pw, *got = NULL;
	int number = getpwuid_r(uid, &pw, buffer, PASSWD_MAX, &got);
	const char *login = got ? arena_printf(a, "%s", pw.pw_name) : NULL;

	*trouble = !got && number != 0 && number != ENOENT && number != ESRCH;
	free(buffer);
	return login;
}

/* sender: without its extension. */
static bool
pattern_allows(struct question *q, struct span pattern, struct span sender)
{
	const char *empty = q->engine->values->empty_address_local_login_sender_maps_lookup_key;
	struct span local, domain;

	if (span_is(pattern, "*"))
		return true;
	if (sender.len == 0)
		return span_is(pattern, empty);
	address_split(sender, &local, &domain);
	if (pattern.len > 1 && pattern.ptr[0] == '@')
		return span_equal_nocase(span_from(pattern, 1), domain);
	return span_equal_nocase(pattern, sender);
}

static struct span
without_extension(struct question *q, struct span sender)
{
	const struct conf_values *v = q->engine->values;
	struct span local, domain, user, extension;

	address_split(sender, &local, &domain);
	address_split_extension(local, v->recipient_delimiter, !v->owner_request_special, &user, &extension);
	if (user.len == local.len)
		return sender;
	return domain.len > 0 ? span_of(arena_printf(q->arena, "%.*s@%.*s", SPAN_ARG(user), SPAN_ARG(domain)))
			      : user;
}

/* LOOKUP_FOUND: it may. */
static enum lookup_status
may_submit(struct question *q, const char *login)
{
	char *name = arena_strdup(q->arena, login);

	text_lower(name, strlen(name));
	return domains_match(&q->engine->submitters, span_of(name), &q->engine->found);
}

static enum lookup_status
may_be(struct question *q, const char *login, struct span sender)
{
	struct map_found *found = &q->engine->found;
	enum lookup_status status = maplist_lookup(q->engine->login_senders, span_of(login), false, found);
	struct span rest, pattern;

	if (status != LOOKUP_FOUND)
		return status;
	sender = without_extension(q, sender);
	rest = buf_span(&found->value);
	while (span_next_word(&rest, ", \t\r\n", &pattern))
		if (pattern_allows(q, pattern, sender))
			return LOOKUP_FOUND;
	return LOOKUP_NOT_FOUND;
}

static void
judge(struct question *q, uint32_t uid, struct span sender)
{
	bool trouble;
	const char *login = login_of(q->arena, uid, &trouble);
	enum lookup_status status;

	if (trouble) {
		question_fail(q, "the user database cannot be asked");
		return;
	}
	status = may_submit(q, login ? login : "unknown");
	if (status == LOOKUP_NOT_FOUND)
		q->answer->reason =
		    span_of(arena_printf(q->arena, "5.7.1 User %s(%lu) is not allowed to submit mail",
			login ? login : "unknown", (unsigned long)uid));
	if (status == LOOKUP_FOUND) {
		status =
		    may_be(q, login ? login : arena_printf(q->arena, "uid:%lu", (unsigned long)uid), sender);
		if (status == LOOKUP_NOT_FOUND)
			q->answer->reason =
			    span_of(arena_printf(q->arena, "5.7.1 not authorized to use sender='%.*s'",
				SPAN_ARG(span_sub(sender, 0, SENDER_SHOWN_MAX))));
	}
	q->answer->status = status;
	if (status == LOOKUP_TEMPORARY)
		question_fail(q, q->engine->found.err.text);
}

enum lookup_status
route_permit(
    struct route_engine *e, struct arena *a, uint32_t uid, struct span sender, struct route_answer *answer)
{
	struct question q = {.engine = e, .arena = a, .answer = answer};

	*answer = (struct route_answer){.status = LOOKUP_FOUND};
	judge(&q, uid, sender);
	return answer->status;
}
