#include "services/pickup/checking.h"

#include <stdlib.h>

#include "common/base/log.h"
#include "common/base/mem.h"
#include "common/base/text.h"
#include "common/mail/content_checks.h"
#include "common/mail/outcome.h"
#include "services/pickup/line_facts.h"

enum {
	CHECK_TIMEOUT_MS = 100000,
	FIRST_MAX = 45000,
	MORE_MAX = 60000,
	OUT_MAX = 64 << 20,
	ARENA_BYTES = 65536,
	LOGGED_MAX = 200,
	REASON_MAX = 400,
	ADDED_MAX = 65536
};

struct checking {
	struct pickup *p;
	struct checking_about about;
	struct conf *conf;
	struct arena *arena;
	struct content_checks *checks;
	struct buf out;
	struct line_facts facts;
	uint32_t call;
	bool discard, hold, changed;
	struct submission_change change;
	struct drop_recipient *copies; /* of change */
};

/* ---- actions ---- */

static void
log_action(
    const struct checking *c, const struct check_action *action, enum check_class class, struct span text)
{
	const struct log log = {.ident = "cleanup", .queue_id = c->about.queue_id};
	struct buf line;

	buf_init(&line, 8000);
	buf_printf(&line, "%s: %s", check_verb_word(action->verb), check_class_word(class));
	text_append_printable(&line, text, LOGGED_MAX);
	buf_printf(&line, " from local; from=<%.*s>", SPAN_ARG(c->about.sender));
	if (c->about.recipients) {
		struct span first =
		    submission_complete(c->arena, c->conf->values, c->about.recipients->address);
		buf_printf(&line, " to=<%.*s>", SPAN_ARG(first));
	}
	check_action_put_words(action, LOGGED_MAX, &line);
	log_info(&log, "%s", buf_text(&line));
	buf_free(&line);
}

/* The text of a notification: with an enhanced code in front. */
static struct span
reject_text(struct checking *c, struct span text)
{
	struct span rest = text, word;
	bool coded = span_next_word(&rest, " \t", &word) && enhanced_code_valid(word) && word.ptr[0] != '2';

	if (text.len == 0)
		return SPAN_LIT("5.7.1 message content rejected");
	/* The program that could try again later has gone: what a table puts off is returned as well. */
	text = span_sub(text, 0, REASON_MAX);
	return span_of(coded ? arena_printf(c->arena, "5%.*s", (int)text.len - 1, text.ptr + 1)
			     : arena_printf(c->arena, "5.7.1 %.*s", SPAN_ARG(text)));
}

static void
add_copy(struct checking *c, struct span address)
{
	struct drop_recipient *copy = arena_alloc(c->arena, sizeof(*copy));

	if (copy == NULL)
		return;
	copy->address = arena_copy_span(c->arena, address);
	copy->next = c->copies;
	c->change.copies = c->copies = copy;
}

static void
acted(void *context, const struct check_action *action, enum check_class class, struct span text)
{
	struct checking *c = context;

	if (action->verb != CHECK_IGNORE)
		log_action(c, action, class, text);
	switch (action->verb) {
	case CHECK_REJECT:
		c->change.reject = reject_text(c, action->text);
		break;
	case CHECK_DISCARD:
		c->discard = true;
		return;
	case CHECK_HOLD:
		c->hold = true;
		return;
	case CHECK_REDIRECT:
		c->change.redirect = arena_copy_span(c->arena, action->text);
		break;
	case CHECK_FILTER:
		c->change.filter = arena_copy_span(c->arena, action->text);
		break;
	case CHECK_BCC:
		add_copy(c, action->text);
		break;
	default:
		return;
	}
	c->changed = true;
}

static void
complain(void *context, struct span value, const char *why)
{
	const struct checking *c = context;
	const struct log log = {.ident = "cleanup", .queue_id = c->about.queue_id};

	value = span_sub(value, 0, LOGGED_MAX);
	log_warning(&log, "header or body checks: %.*s: %s", SPAN_ARG(value), why);
}

static void
put(void *context, struct span bytes)
{
	struct checking *c = context;

	line_facts_add(&c->facts, bytes);
	buf_append_span(&c->out, bytes);
}

static void
field(void *context, struct span text)
{
	const struct checking *c = context;

	c->about.field(c->about.context, text);
}

static void
header_end(void *context)
{
	struct checking *c = context;
	struct span rest, line;
	struct buf added;

	buf_init(&added, ADDED_MAX);
	c->about.header_end(c->about.context, &added);
	rest = buf_span(&added);
	while (span_next_line(&rest, &line))
		content_checks_add_field(c->checks, line);
	buf_free(&added);
}

/* ---- life ---- */

static unsigned
classes(const struct conf_values *v)
{
	return (v->header_checks[0] ? 1U << CHECK_HEADER : 0) |
	       (v->mime_header_checks[0] ? 1U << CHECK_MIME_HEADER : 0) |
	       (v->nested_header_checks[0] ? 1U << CHECK_NESTED_HEADER : 0) |
	       (v->body_checks[0] ? 1U << CHECK_BODY : 0);
}

bool
checking_tells_fields(const struct conf_values *v)
{
	return v->header_checks[0] != '\0';
}

struct checking *
checking_new(struct pickup *p, const struct checking_about *about)
{
	const struct conf_values *v = about->conf->values;
	struct content_strict_rules strict;
	struct content_checks_rules rules = {
	    .classes = classes(v),
	    .field_limit = (size_t)v->header_size_limit,
	    .line_limit = (size_t)v->line_length_limit,
	    .body_limit = (uint64_t)v->body_checks_size_limit,
	    .mime = {.nesting = (size_t)v->mime_nesting_limit,
		.boundary = (size_t)v->mime_boundary_length_limit,
		.off = v->disable_mime_input_processing},
	    .strict = &strict,
	    .drop_headers = v->message_drop_headers,
	    .rejected_goes_on = true,
	};
	struct checking *c;

	if (!content_strict_rules_of(v, &strict))
		rules.strict = NULL;
	strict.header_7bit = strict.header_7bit && !about->own;
	if (rules.classes == 0 && !rules.strict)
		return NULL;
	c = mem_alloc(sizeof(*c));
	c->p = p;
	c->about = *about;
	c->conf = conf_ref(about->conf);
	c->arena = arena_new(ARENA_BYTES);
	buf_init(&c->out, OUT_MAX);
	c->checks = content_checks_new(&rules, &(struct content_checks_sink){put, acted, complain, c});
	if (checking_tells_fields(v))
		content_checks_watch_header(c->checks, &(struct content_checks_header){field, header_end});
	return c;
}

void
checking_free(struct checking **checking)
{
	struct checking *c = *checking;

	*checking = NULL;
	if (c == NULL)
		return;
	if (c->call != 0)
		ipc_cancel(server_peer(c->p->server, ROLE_LOOKUP, 0), c->call);
	content_checks_free(&c->checks);
	buf_free(&c->out);
	arena_free(&c->arena);
	conf_unref(&c->conf);
	free(c);
}

bool
checking_waits(const struct checking *c)
{
	return c->call != 0;
}

void
checking_put(struct checking *c, struct span bytes)
{
	content_checks_put(c->checks, bytes);
}

void
checking_put_added(struct checking *c, struct span fields)
{
	content_checks_adding(c->checks, true);
	content_checks_put(c->checks, fields);
	content_checks_adding(c->checks, false);
}

void
checking_finish(struct checking *c)
{
	content_checks_finish(c->checks);
}

/* ---- questions ---- */

static int
on_answer(void *context, const struct ipc_frame *frame, struct error *err)
{
	struct checking *c = context;

	(void)err;
	if (frame != NULL && frame->type == IPC_CHECK_HIT) {
		content_checks_found(c->checks, frame->check_hit.line, frame->check_hit.value);
		return 0;
	}
	c->call = 0;
	if (frame == NULL || frame->check_done.status != LOOKUP_FOUND) {
		c->about.answered(c->about.context, SPAN_LIT("4.3.0 temporary lookup failure"));
		return 0;
	}
	content_checks_settle(c->checks);
	c->about.answered(c->about.context, c->out.full ? SPAN_LIT("4.3.0 too much") : SPAN_LIT(""));
	return 0;
}

enum checking_state
checking_ask(struct checking *c)
{
	const struct conf_values *v = c->conf->values;
	struct ipc_channel *lookup = server_peer(c->p->server, ROLE_LOOKUP, 0);
	struct content_checks_packing packing = {0};
	struct msg_check_ask first = {.header = span_of(v->header_checks),
	    .mime_header = span_of(v->mime_header_checks),
	    .nested_header = span_of(v->nested_header_checks),
	    .body = span_of(v->body_checks)};
	struct buf bytes;
	bool more;

	if (c->call != 0)
		return CHECKING_WAITS;
	if (!content_checks_asks(c->checks))
		return CHECKING_SETTLED;
	buf_init(&bytes, MORE_MAX);
	first.more = more = content_checks_pack(c->checks, &packing, FIRST_MAX, &bytes);
	first.lines = buf_span(&bytes);
	c->call = lookup ? ipc_ask(lookup, IPC_CHECK_ASK, &first, CHECK_TIMEOUT_MS, on_answer, c) : 0;
	while (more && c->call != 0) {
		struct msg_check_lines m;
		buf_clear(&bytes);
		m.more = more = content_checks_pack(c->checks, &packing, MORE_MAX, &bytes);
		m.lines = buf_span(&bytes);
		ipc_send(lookup, IPC_CHECK_LINES, c->call, &m);
	}
	buf_free(&bytes);
	return c->call != 0 ? CHECKING_WAITS : CHECKING_IMPOSSIBLE;
}

/* ---- what came of it ---- */

struct buf *
checking_out(struct checking *c)
{
	return &c->out;
}

const struct submission_change *
checking_change(const struct checking *c)
{
	return c->changed ? &c->change : NULL;
}

bool
checking_discards(const struct checking *c)
{
	return c->discard;
}

uint64_t
checking_header_len(const struct checking *c)
{
	return content_checks_header_octets(c->checks);
}

uint32_t
checking_flags(const struct checking *c)
{
	return c->facts.flags | (c->hold ? MAIL_HOLD : 0);
}
