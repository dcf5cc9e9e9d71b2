#include "smtpd/sender_field.h"

#include "common/base/text.h"
#include "common/mail/address.h"
#include "common/mail/casefold.h"
#include "common/mail/header.h"
#include "common/mail/local_part.h"
#include "smtpd/content_flow.h"
#include "smtpd/session.h"
#include "smtpd/transaction.h"

/* Who writes more authors than that is named, whoever they are. */
enum { FROM_MAX = 10, SCRATCH_MAX = 2 * 1024 * 1024 };

enum step { STEP_TABLES, STEP_CLASS };

struct owned {
	struct span address;
	bool in_sender; /* it stands in Sender, not in From */
};

struct sender_field {
	struct session *session;
	struct span header;
	struct span login; /* as an address */
	struct owned addresses[FROM_MAX + 1];
	size_t count, at; /* the one that is asked about */
	size_t authors;
	enum step step;
	bool has_sender; /* some Sender field, whatever is in it */
	bool resent; /* what follows is about Resent-From */
	bool from_owned, sender_owned;
	bool settled, trouble, checked, writes;
};

/* ---- the login ---- */

static bool
has_domain(struct span login)
{
	struct span local, domain;

	address_split(login, &local, &domain);
	return domain.len > 0;
}

struct span
sender_field_login(const struct session *s, struct arena *a)
{
	struct span login = span_of(s->sasl_username), address, rest;
	char *path;

	if (has_domain(login))
		path = arena_printf(a, "<%s>", s->sasl_username);
	else
		path = arena_printf(a, "<%s@%s>", s->sasl_username, s->settings->values->myorigin);
	if (path == NULL || address_parse_path(a, span_of(path), s->transaction->smtputf8 ? ADDRESS_UTF8 : 0,
				&address, &rest) != ADDRESS_OK)
		return SPAN_LIT("");
	return address.len && rest.len == 0 ? address : SPAN_LIT("");
}

bool
sender_field_wanted(const struct session *s)
{
	return s->sasl_username && s->settings->values->smtpd_add_sender;
}

/* ---- what the header says ---- */

struct field_walk {
	struct sender_field *f;
	bool in_sender;
};

static bool
found(struct span address, size_t start, size_t end, void *context)
{
	const struct field_walk *walk = context;
	struct sender_field *f = walk->f;

	(void)start;
	(void)end;
	if (!walk->in_sender)
		f->authors++;
	if (f->count >= FROM_MAX + (walk->in_sender ? 1 : 0))
		return false;
	f->addresses[f->count++] =
	    (struct owned){.address = arena_copy_span(f->session->transaction->arena, address),
		.in_sender = walk->in_sender};
	return true;
}

static void
take_fields(struct sender_field *f, const char *name, bool in_sender)
{
	struct field_walk walk = {.f = f, .in_sender = in_sender};
	struct span rest = f->header;
	struct header_field field;
	struct error err;

	while (header_next(&rest, &field)) {
		struct arena *scratch;

		if (!span_is_nocase(field.name, name))
			continue;
		f->has_sender |= in_sender;
		scratch = arena_new(field.body.len * 4 + 4096);
		/* What makes no sense names nobody. */
		(void)address_list_walk(scratch, field.body, found, &walk, &err);
		arena_free(&scratch);
	}
}

static void
look_at(struct sender_field *f, bool resent)
{
	f->resent = resent;
	f->count = f->at = f->authors = 0;
	f->has_sender = f->sender_owned = false;
	f->step = STEP_TABLES;
	take_fields(f, resent ? "resent-from" : "from", false);
	/* One Sender is all there may be (RFC 5322, 3.6). */
	take_fields(f, resent ? "resent-sender" : "sender", true);
}

struct sender_field *
sender_field_new(struct session *s, struct span header)
{
	struct arena *a = s->transaction->arena;
	struct sender_field *f = arena_alloc(a, sizeof(*f));

	if (f == NULL)
		return NULL;
	f->session = s;
	f->header = header;
	f->login = sender_field_login(s, a);
	/* Mail that somebody passes on as it is bears the marks of who passes it on (RFC 5322, 3.6.6). */
	look_at(f, true);
	if (f->authors == 0)
		look_at(f, false);
	return f;
}

/* ---- whose is it? ---- */

static const char *
login_tables(const struct sender_field *f)
{
	return f->session->settings->values->smtpd_sender_login_maps;
}

static struct span
without_extension(const struct sender_field *f, struct span address, struct span *domain)
{
	const struct conf_values *v = f->session->settings->values;
	struct span local, user, extension;

	address_split(address, &local, domain);
	address_split_extension(local, v->recipient_delimiter, !v->owner_request_special, &user, &extension);
	return user;
}

static bool
is_login(const struct sender_field *f, struct span address)
{
	struct span domain, own_domain, user = without_extension(f, address, &domain), local;

	if (f->login.len == 0)
		return false;
	address_split(f->login, &local, &own_domain);
	return span_equal_nocase(domain, own_domain) &&
	       (casefold_equal(user, local) ||
		   casefold_equal(span_sub(address, 0, address.len - domain.len - 1), local));
}

/* A list of logins, as smtpd_sender_login_maps has them. */
static bool
names_login(struct span logins, struct span login)
{
	struct span word;

	while (span_next_word(&logins, ", \t\r\n", &word))
		if (casefold_equal(word, login))
			return true;
	return false;
}

static void
verdict(struct sender_field *f, bool is_owned)
{
	const struct owned *o = &f->addresses[f->at];

	if (is_owned)
		*(o->in_sender ? &f->sender_owned : &f->from_owned) = true;
	f->at++;
	f->step = STEP_TABLES;
}

static bool
local_part_is_login(const struct sender_field *f, struct span address)
{
	struct span login = span_of(f->session->sasl_username), domain;

	return !has_domain(login) && casefold_equal(without_extension(f, address, &domain), login);
}

static int
on_class(void *context, const struct ipc_frame *frame, struct error *err)
{
	struct sender_field *f = context;
	const struct msg_resolve_done *done = frame ? &frame->resolve_done : NULL;

	(void)err;
	if (frame && frame->type == IPC_RESOLVE_RCPT) /* where it would go does not matter here */
		return 0;
	session_answered(f->session);
	if (!done || done->status == LOOKUP_TEMPORARY)
		f->trouble = true;
	else if (f->settled) { /* the login itself */
		f->checked = true;
		f->writes = done->status == LOOKUP_FOUND;
	} else
		verdict(f, done->class == CLASS_LOCAL && local_part_is_login(f, done->address));
	flow_resume(f->session);
	return 0;
}

static int
on_logins(void *context, const struct ipc_frame *frame, struct error *err)
{
	struct sender_field *f = context;

	(void)err;
	session_answered(f->session);
	if (!frame || frame->map_answer.status == LOOKUP_TEMPORARY)
		f->trouble = true;
	else if (frame->map_answer.status == LOOKUP_FOUND)
		verdict(f, names_login(frame->map_answer.value, span_of(f->session->sasl_username)));
	else
		f->step = STEP_CLASS;
	flow_resume(f->session);
	return 0;
}

/* ---- questions ---- */

static enum sender_step
asked(struct sender_field *f, int status)
{
	if (status == 0)
		return SENDER_ASKED;
	f->trouble = true;
	return SENDER_TROUBLE;
}

static enum sender_step
ask_class(struct sender_field *f, struct span address, unsigned flags)
{
	struct msg_resolve_ask ask = {.address = address, .flags = flags};

	return asked(f, session_ask(f->session, ROLE_LOOKUP, IPC_RESOLVE_ASK, &ask, on_class, f));
}

static enum sender_step
ask_logins(struct sender_field *f, struct span address)
{
	struct msg_map_ask ask = {.tables = span_of(login_tables(f)), .form = LOOKUP_MAIL, .key = address};

	return asked(f, session_ask(f->session, ROLE_LOOKUP, IPC_MAP_ASK, &ask, on_logins, f));
}

/* An author's address is the user's: then a Sender is needed only where several wrote it (RFC 5322, 3.6.2). */
static bool
needs_sender(const struct sender_field *f)
{
	if (f->from_owned)
		return f->authors > 1 && !f->has_sender && !f->resent;
	return !f->sender_owned;
}

enum sender_step
sender_field_run(struct sender_field *f)
{
	bool tables = login_tables(f)[0] != '\0';

	if (f->trouble)
		return SENDER_TROUBLE;
	while (!f->settled && f->at < f->count) {
		const struct owned *o = &f->addresses[f->at];

		if (f->from_owned || is_login(f, o->address))
			verdict(f, true);
		else if (f->step == STEP_TABLES && tables)
			return ask_logins(f, o->address);
		else if (local_part_is_login(f, o->address))
			return ask_class(f, o->address, 0);
		else
			verdict(f, false);
	}
	if (!f->settled && f->resent && !f->from_owned) {
		look_at(f, false);
		return sender_field_run(f);
	}
	f->settled = true;
	if (f->checked || !needs_sender(f) || f->login.len == 0)
		return SENDER_SETTLED;
	/* "MUST ensure that it is a valid mail address" */
	return ask_class(f, f->login, RESOLVE_VALIDATE);
}

void
sender_field_put(const struct sender_field *f, struct buf *out)
{
	struct span rest = f->header;
	struct header_field field;

	if (!f->writes) {
		(void)buf_append_span(out, f->header);
		return;
	}
	while (header_next(&rest, &field))
		if (!span_is_nocase(field.name, "sender"))
			(void)buf_append_span(out, field.whole);
	(void)buf_append_span(out, rest);
	(void)buf_printf(out, "Sender: %.*s\r\n", SPAN_ARG(f->login));
}
