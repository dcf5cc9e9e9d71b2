#include "services/pickup/intake.h"

#include <stdlib.h>
#include <sysexits.h>
#include <time.h>

#include "common/base/clock.h"
#include "common/base/log.h"
#include "common/base/mem.h"
#include "common/mail/address.h"
#include "common/mail/date.h"
#include "common/mail/verp.h"
#include "services/pickup/checking.h"
#include "services/pickup/content.h"
#include "services/pickup/permission.h"
#include "services/pickup/rewriting.h"
#include "services/pickup/submission.h"

enum { ARENA_BYTES = 16384, CHUNK_BYTES = 32768 };

struct intake {
	struct pickup *p;
	struct conf *conf; /* what the message began under */
	struct arena *arena;
	const struct drop_envelope *envelope;
	struct intake_callbacks callbacks;
	struct permission *permission; /* while it is asked for: no content is taken */
	struct submission *submission;
	struct content content;
	struct buf out; /* converted, and not yet checked or sent */
	struct header_rewrite_rules rules;
	struct rewriting *rewriting;
	bool rewrites; /* by 'rules' */
	bool header_done; /* it came whole, and was rewritten: content may go */
	int64_t header_grown; /* by that */
	uint64_t id;
	char id_text[QUEUE_ID_SIZE];
	struct checking *checking; /* NULL: no checks are configured */
	uint64_t shown; /* octets that checks were given */
	bool checked; /* to the end */
	bool message_id_logged;
	const char *returned; /* to its sender, and why */
	bool cut; /* what else comes is too much, and not taken */
	bool changed; /* what checks said of the envelope was done */
	bool changing; /* and is being done */
	uint64_t received; /* octets of the source */
	bool closing; /* the source has ended */
	bool closed; /* told to queue */
};

static void
intake_free(struct intake *i)
{
	permission_abort(&i->permission);
	rewriting_abort(&i->rewriting);
	checking_free(&i->checking);
	submission_abort(&i->submission);
	content_free(&i->content);
	buf_free(&i->out);
	conf_unref(&i->conf);
	arena_free(&i->arena);
	free(i);
}

static void
finish(struct intake *i, int status, struct span text)
{
	struct intake_callbacks callbacks = i->callbacks;
	uint64_t id = i->id;
	char copy[512];

	span_copy(text, copy, sizeof(copy));
	intake_free(i);
	callbacks.done(callbacks.context, status, id, span_of(copy));
}

/* ---- what queue says ---- */

static void
on_done(void *context, enum submit_status status, struct span text)
{
	struct intake *i = context;

	i->submission = NULL;
	switch (status) {
	case SUBMIT_OK:
		finish(i, EX_OK, text);
		return;
	case SUBMIT_TOO_LARGE:
	case SUBMIT_REFUSED:
		finish(i, EX_DATAERR, text);
		return;
	default:
		finish(i, EX_TEMPFAIL, text);
	}
}

static void
log_message_id(struct intake *i)
{
	struct log log = {.ident = "cleanup", .queue_id = i->id_text};

	if (!i->message_id_logged)
		id_lines_log(&i->content.id_lines, &log);
	i->message_id_logged = true;
}

static void
on_field(void *context, struct span field)
{
	struct intake *i = context;

	content_note_field(&i->content, field);
}

static void
on_header_end(void *context, struct buf *out)
{
	struct intake *i = context;

	content_complete(&i->content, out);
	log_message_id(i);
}

/* What checks said of the whole message. True if it can be closed; otherwise it waits or has ended. */
static bool
change_envelope(struct intake *i)
{
	const struct submission_change returned = {.reject = span_of(i->returned ? i->returned : "")};
	const struct submission_change *change = i->returned ? &returned : checking_change(i->checking);

	if (i->changed)
		return !i->changing;
	if (!i->returned && checking_discards(i->checking)) {
		log_message_id(i);
		finish(i, EX_OK, SPAN_LIT(""));
		return false;
	}
	/* The recipients may still be in work: room() follows. */
	if (submission_room(i->submission) == 0)
		return false;
	i->changed = true;
	i->changing = true;
	if (change != NULL && submission_change(i->submission, change))
		return false;
	i->changing = false;
	return true;
}

/* All but the fields that were added is looked at. */
static void
put_to_checks(struct intake *i)
{
	const struct content *c = &i->content;
	struct span bytes = buf_span(&i->out);
	uint64_t from = c->added_from > i->shown ? c->added_from - i->shown : 0;
	uint64_t to = c->added_to > i->shown ? c->added_to - i->shown : 0;
	struct span before = span_sub(bytes, 0, to > 0 ? from : 0),
		    added = span_sub(bytes, before.len, to - before.len);

	checking_put(i->checking, before);
	checking_put_added(i->checking, added);
	checking_put(i->checking, span_from(bytes, before.len + added.len));
	i->shown += bytes.len;
	buf_consume(&i->out, i->out.len);
}

/* Content passes through the checks. True if something may be sent; otherwise the intake waits or has ended. */
static bool
check(struct intake *i)
{
	if (i->checking == NULL)
		return !i->closing || !i->returned || change_envelope(i);
	if (checking_waits(i->checking))
		return false;
	put_to_checks(i);
	if (i->closing && !i->checked) {
		i->checked = true;
		checking_finish(i->checking);
	}
	switch (checking_ask(i->checking)) {
	case CHECKING_WAITS:
		return false;
	case CHECKING_IMPOSSIBLE:
		finish(i, EX_TEMPFAIL, SPAN_LIT("4.3.0 lookup is not available"));
		return false;
	default:
		return !i->closing || change_envelope(i);
	}
}

/* ---- the header's addresses ---- */

static struct buf *
ready(struct intake *i)
{
	return i->checking ? checking_out(i->checking) : &i->out;
}

static uint64_t
header_length(const struct intake *i)
{
	return i->checking ? checking_header_len(i->checking) : i->content.header_len;
}

/* The header as rewritten stands in for what came. */
static void
replace_header(struct intake *i, struct span header)
{
	struct buf *out = ready(i), was = *out;
	size_t len = (size_t)header_length(i);
	struct line_facts facts = {0};

	i->header_grown = (int64_t)header.len - (int64_t)len;
	buf_init(out, was.max + header.len);
	buf_append_span(out, header);
	buf_append_span(out, span_from(buf_span(&was), len));
	buf_free(&was);
	line_facts_add(&facts, header);
	i->content.facts.flags |= facts.flags;
}

static void go_on(struct intake *i);

static void
on_rewritten(void *context, struct span header, struct span reason)
{
	struct intake *i = context;

	i->rewriting = NULL;
	if (header.ptr == NULL) {
		finish(i, EX_TEMPFAIL, reason);
		return;
	}
	replace_header(i, header);
	i->header_done = true;
	go_on(i);
}

/* Once the header is whole. False if the intake waits or has ended. */
static bool
rewrite(struct intake *i)
{
	struct span out = buf_span(ready(i)), header = span_sub(out, 0, (size_t)header_length(i));

	if (i->header_done)
		return true;
	if (i->rewriting)
		return false;
	if (i->content.state == CONTENT_HEADER || (header.len == out.len && !i->closing))
		return true;
	switch (i->rewrites ? rewriting_start(&i->rewriting, i->p, &i->rules, header, on_rewritten, i)
			    : REWRITING_NOT_NEEDED) {
	case REWRITING_IMPOSSIBLE:
		finish(i, EX_TEMPFAIL, SPAN_LIT("4.3.0 lookup is not available"));
		return false;
	case REWRITING_NOT_NEEDED:
		i->header_done = true;
		return true;
	default:
		return false;
	}
}

/* ---- to queue ---- */

static void
close_submission(struct intake *i)
{
	uint64_t header_len = header_length(i) + (uint64_t)i->header_grown;
	uint32_t flags = i->content.facts.flags | (i->checking ? checking_flags(i->checking) : 0);

	i->closed = true;
	submission_close(
	    i->submission, span_make(NULL, 0), header_len, flags, span_of(i->content.message_id));
}

/* Sends what queue takes. May end the intake: then it returns false. */
static bool
flush(struct intake *i)
{
	struct buf *out = ready(i);

	if (i->closed)
		return true;
	if (i->permission)
		return false;
	if (!check(i) || !rewrite(i))
		return false;
	if (!i->header_done)
		return true;
	struct span part = span_sub(buf_span(out), 0, submission_room(i->submission));
	submission_write(i->submission, part);
	buf_consume(out, part.len);
	if (i->closing && out->len == 0 && submission_room(i->submission) > 0)
		close_submission(i);
	return true;
}

static void
go_on(struct intake *i)
{
	if (flush(i) && !i->closing)
		i->callbacks.room(i->callbacks.context);
}

static void
on_room(void *context)
{
	struct intake *i = context;

	i->changing = false;
	go_on(i);
}

static void
on_checked(void *context, struct span reason)
{
	struct intake *i = context;

	if (reason.len > 0)
		finish(i, EX_TEMPFAIL, reason);
	else
		go_on(i);
}

static void
on_permission(void *context, int status, struct span text)
{
	struct intake *i = context;
	struct log log = {.ident = "pickup", .queue_id = i->id_text};

	i->permission = NULL;
	if (status == EX_OK) {
		go_on(i);
		return;
	}
	if (status == EX_NOPERM)
		log_warning(&log, "%.*s", SPAN_ARG(text));
	finish(i, status, text);
}

/* ---- begin ---- */

/* Postfix's form: the minute of arrival and the queue id, which is never given twice. */
static const char *
make_message_id(struct intake *i, int64_t now_us)
{
	time_t seconds = (time_t)(now_us / US_PER_SECOND);
	char stamp[32];
	struct tm tm;

	gmtime_r(&seconds, &tm);
	strftime(stamp, sizeof(stamp), "%Y%m%d%H%M%S", &tm);
	return arena_printf(i->arena, "<%s.%s@%s>", stamp, i->id_text, i->conf->values->myhostname);
}

static struct span
complete_sender(struct intake *i)
{
	struct span sender = i->envelope->sender, local, domain;

	if (sender.len == 0)
		sender = SPAN_LIT("MAILER-DAEMON");
	address_split(sender, &local, &domain);
	if (domain.len > 0)
		return sender;
	return span_of(arena_printf(i->arena, "%.*s@%s", SPAN_ARG(sender), i->conf->values->myorigin));
}

/* Only root is believed how mail came here, and from which host (-p). */
static void
put_received(struct intake *i, unsigned uid, const char *date)
{
	const struct conf_values *v = i->conf->values;
	struct span protocol = uid == 0 ? i->envelope->protocol : span_make(NULL, 0);
	ptrdiff_t colon = span_find(protocol, ':');

	buf_append_text(&i->out, "Received: ");
	if (colon > 0 && span_from(protocol, (size_t)colon + 1).len > 0)
		buf_printf(&i->out, "from %.*s\r\n\t", SPAN_ARG(span_from(protocol, (size_t)colon + 1)));
	buf_printf(&i->out, "by %s (%s, from userid %u)\r\n\t", v->myhostname, v->mail_name, uid);
	protocol = colon > 0 ? span_sub(protocol, 0, (size_t)colon) : protocol;
	if (protocol.len > 0)
		buf_printf(&i->out, "with %.*s ", SPAN_ARG(protocol));
	buf_printf(&i->out, "id %s; %s\r\n", i->id_text, date);
}

static void
begin_content(struct intake *i, unsigned uid)
{
	const struct conf_values *v = i->conf->values;
	int64_t now = clock_wall_us();
	struct content_setup setup = {
	    .field_limit = (size_t)v->header_size_limit,
	    .drop_headers = i->checking ? "" : v->message_drop_headers, /* tables see them */
	    .from = complete_sender(i),
	    .full_name = i->envelope->full_name,
	    .obsolete_from = v->header_from_format == CONF_HEADER_FROM_FORMAT_OBSOLETE,
	    .message_id = make_message_id(i, now),
	    .undisclosed = v->undisclosed_recipients_header,
	    .later = checking_tells_fields(v),
	};
	char date[MAIL_DATE_SIZE];

	setup.date = arena_strdup(i->arena, mail_date_format(now, date));
	content_init(&i->content, &setup);
	i->rewrites = header_rewrite_rules(v, !(i->envelope->flags & DROP_GATEWAY), &i->rules);
	buf_init(&i->out,
	    content_room(&i->content, CHUNK_BYTES) * 2 + (size_t)v->header_total_limit + SUBMIT_WINDOW);
	put_received(i, uid, date);
	i->content.header_len = i->out.len;
	i->content.received = i->envelope->hops;
}

/* The tag stands where a listener's own name would. */
static void
log_arrival(const struct intake *i, unsigned uid)
{
	struct log log = {.ident = "pickup", .queue_id = i->id_text};
	struct span tag = i->envelope->tag;

	if (tag.len > 0)
		log.ident =
		    arena_printf(i->arena, "%s/%.*s/pickup", i->conf->values->syslog_name, SPAN_ARG(tag));
	log_info(&log, "uid=%u from=<%.*s>", uid, SPAN_ARG(i->envelope->sender));
}

struct intake *
intake_new(struct pickup *p, const struct drop_envelope *envelope, unsigned uid,
    const struct intake_callbacks *callbacks)
{
	const struct submission_callbacks submission = {on_room, on_done, NULL};
	struct submission_callbacks own = submission;
	struct submission_head head = {
	    .flags =
		(envelope->flags & (MAIL_BODY_8BITMIME | MAIL_SMTPUTF8 | MAIL_RET_FULL | MAIL_RET_HDRS)) |
		MAIL_LOCAL | (envelope->flags & DROP_WAIT ? MAIL_TRACE : 0) |
		(envelope->flags & DROP_NO_ATTEMPT ? MAIL_LATER : 0),
	    .notify = envelope->notify,
	    .sender = envelope->sender,
	    .envid = envelope->envid,
	    .recipients = envelope->first,
	};
	struct intake *i = mem_alloc(sizeof(*i));

	i->p = p;
	i->callbacks = *callbacks;
	i->envelope = envelope;
	i->conf = conf_ref(server_conf(p->server));
	/* sendmail(1) has looked at them; who knows who speaks here. */
	if (verp_delimiters_valid(envelope->verp, i->conf->values->verp_delimiter_filter))
		head.verp = envelope->verp;
	i->arena = arena_new(ARENA_BYTES);
	i->id = head.id = queue_id_next(&p->ids);
	queue_id_format(i->id, i->id_text);
	buf_init(&i->out, 0);
	own.context = i;
	if (permission_ask(&i->permission, p, uid, envelope->sender, on_permission, i) !=
	    PERMISSION_IMPOSSIBLE)
		i->submission = submission_new(p, &head, &own);
	if (i->submission == NULL) {
		intake_free(i);
		return NULL;
	}
	log_arrival(i, uid);
	i->checking = checking_new(p, &(struct checking_about){.conf = i->conf,
					  .queue_id = i->id_text,
					  .sender = envelope->sender,
					  .recipients = envelope->first,
					  .answered = on_checked,
					  .field = on_field,
					  .header_end = on_header_end,
					  .context = i});
	begin_content(i, uid);
	return i;
}

/* ---- how much, and what not ---- */

size_t
intake_room(const struct intake *i)
{
	size_t held = i->checking ? checking_out(i->checking)->len : i->out.len;

	if (i->permission || i->rewriting || (i->checking && checking_waits(i->checking)))
		return 0;
	return !i->header_done || submission_room(i->submission) > held ? CHUNK_BYTES : 0;
}

/* Who waits for an answer hears it; else the message goes back, with as much of it as was taken. */
static bool
give_back(struct intake *i, const char *why)
{
	if (i->callbacks.unattended && !i->returned)
		i->returned = why;
	return i->callbacks.unattended;
}

/* True if the intake has ended. */
static bool
refuse(struct intake *i)
{
	const struct conf_values *v = i->conf->values;
	struct log log = {.ident = "pickup", .queue_id = i->id_text};
	const char *text = NULL;
	bool goes_on = false;

	if (i->cut)
		return false;
	if (v->message_size_limit > 0 && i->received > (uint64_t)v->message_size_limit) {
		text = "5.3.4 message is larger than message_size_limit";
		goes_on = i->cut = give_back(i, text);
	} else if (i->content.header_len > (uint64_t)v->header_total_limit) {
		text = "5.3.4 message header is too long";
		goes_on = i->cut = give_back(i, text);
	} else if (i->out.full)
		text = "5.6.0 a header field is too long";
	else if (!i->returned && i->content.received > (uint64_t)v->hopcount_limit) {
		text = "5.4.0 Error: too many hops";
		goes_on = give_back(i, text);
	}
	if (text == NULL)
		return false;
	log_warning(&log, "%s", text);
	if (!goes_on)
		finish(i, EX_DATAERR, span_of(text));
	return !goes_on;
}

/* ---- content ---- */

void
intake_write(struct intake *i, struct span bytes)
{
	while (bytes.len > 0 && !i->cut) {
		struct span part = span_sub(bytes, 0, CHUNK_BYTES);
		enum content_state before = i->content.state;
		bytes = span_from(bytes, part.len);
		i->received += part.len;
		content_write(&i->content, part, &i->out);
		if (refuse(i))
			return;
		if (before == CONTENT_HEADER && i->content.state == CONTENT_BODY && !i->content.setup.later)
			log_message_id(i);
	}
	flush(i);
}

void
intake_close(struct intake *i)
{
	enum content_state before = i->content.state;

	content_finish(&i->content, &i->out);
	if (refuse(i))
		return;
	if (before == CONTENT_HEADER && !i->content.setup.later)
		log_message_id(i);
	i->closing = true;
	flush(i);
}

void
intake_abort(struct intake **i)
{
	struct intake *aborted = *i;

	*i = NULL;
	if (aborted != NULL)
		intake_free(aborted);
}
