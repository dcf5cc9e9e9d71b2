/*
 * What is no command: some of it shows that nobody speaks SMTP there (smtpd_forbidden_commands), and ends the session.
 */
#include "common/base/mem.h"
#include "common/base/text.h"
#include "smtpd/command.h"
#include "smtpd/reply.h"
#include "smtpd/session.h"

enum { SHOWN_MAX = 100, TABLES_MAX = 8000 };

struct unknown {
	struct session *session;
	struct span line;
};

/* RFC 5321, 4.2.4: 502 is for commands that are known and not had here. */
static void
not_recognized(struct session *s)
{
	if (s->denied)
		command_denied(s);
	else
		reply(s, 500, "5.5.2", "Error: command not recognized");
}

static void
end_for_forbidden(struct session *s, struct span line)
{
	char label[CLIENT_LABEL_SIZE];
	struct log log = session_own_log(s);

	line = span_sub(line, 0, SHOWN_MAX);
	log_warning(&log, "non-SMTP command from %s: %.*s", session_label(s, label), SPAN_ARG(line));
	reply_goodbye(s, NULL, 221, "2.7.0", "Error: I can break rules, too. Goodbye.");
}

/* "Subject:": mail that somebody sends without its envelope, or HTTP (RFC 5322, 2.2). */
static bool
is_header(struct span verb)
{
	ptrdiff_t colon = span_find(verb, ':');

	for (ptrdiff_t i = 0; i < colon; i++)
		if ((unsigned char)verb.ptr[i] <= ' ' || (unsigned char)verb.ptr[i] >= 127)
			return false;
	return colon > 0;
}

static int
on_answer(void *context, const struct ipc_frame *frame, struct error *err)
{
	struct unknown *u = context;
	struct session *s = u->session;

	(void)err;
	session_answered(s);
	if (frame && frame->map_answer.status == LOOKUP_FOUND)
		end_for_forbidden(s, u->line);
	else
		not_recognized(s);
	session_continue(s);
	return 0;
}

/* Words here; tables ("type:name") are lookup's. */
static void
ask_tables(struct session *s, struct span tables, struct span verb, struct span line)
{
	struct arena *a = session_request(s);
	struct msg_map_ask ask = {.tables = tables, .form = LOOKUP_EXACT, .key = verb};
	struct unknown *u = arena_alloc(a, sizeof(*u));

	if (u == NULL)
		panic("no memory for a question");
	u->session = s;
	u->line = arena_copy_span(a, span_sub(line, 0, SHOWN_MAX));
	if (session_ask(s, ROLE_LOOKUP, IPC_MAP_ASK, &ask, on_answer, u) < 0)
		not_recognized(s);
}

void
cmd_unknown(struct session *s, struct span verb, struct span line)
{
	struct span rest = span_of(s->settings->values->smtpd_forbidden_commands), word;
	struct buf tables;
	bool forbidden = is_header(verb);

	buf_init(&tables, TABLES_MAX);
	while (!forbidden && conf_list_next(&rest, &word)) {
		if (span_find(word, ':') < 0)
			forbidden = span_equal_nocase(word, verb);
		else
			(void)buf_printf(&tables, "%s%.*s", tables.len ? ", " : "", SPAN_ARG(word));
	}
	if (forbidden)
		end_for_forbidden(s, line);
	else if (tables.len)
		ask_tables(s, buf_span(&tables), verb, line);
	else
		not_recognized(s);
	buf_free(&tables);
}
