/*
 * notice_report: a report's text, through the tables that look at such mail, to queue.
 */
#include <stdio.h>
#include <time.h>

#include "common/base/clock.h"
#include "common/base/log.h"
#include "services/pickup/held_notice.h"
#include "services/pickup/line_facts.h"
#include "services/pickup/notice_state.h"
#include "services/pickup/session_notice.h"

enum { CHECKED_AT_ONCE = 16384 };

/* ---- sending ---- */

static const char *
name_in_log(const struct notice *n)
{
	bool to_postmaster = n->report.postmaster_copy;

	switch (n->report.kind) {
	case NOTIFY_HELD:
		return "postmaster hold notification";
	case NOTIFY_SESSION:
		return "postmaster notification of errors";
	case NOTIFY_DELAYED:
		return to_postmaster ? "postmaster delay notification" : "sender delay notification";
	case NOTIFY_SUCCEEDED:
		return "sender delivery status notification";
	default:
		return to_postmaster ? "postmaster non-delivery notification"
				     : "sender non-delivery notification";
	}
}

struct span
notice_double_bounce(struct notice *n)
{
	return span_of(arena_printf(
	    n->arena, "%s@%s", n->conf->values->double_bounce_sender, n->conf->values->myhostname));
}

static void
on_done(void *context, enum submit_status status, struct span text)
{
	struct notice *n = context;

	n->submission = NULL;
	if (status == SUBMIT_OK && n->answer_id == 0)
		n->answer_id = n->own_id;
	if (n->answer_id == 0) {
		notice_finish(n, status, text);
		return;
	}
	/* The report is durable. A copy for postmaster is good manners, no promise. */
	if (status == SUBMIT_OK && n->postmaster.len > 0) {
		struct span to = n->postmaster;
		n->postmaster = span_make(NULL, 0);
		notice_compose(n, to, notice_double_bounce(n), true);
		return;
	}
	notice_finish(n, SUBMIT_OK, span_make(NULL, 0));
}

static void
close_report(struct notice *n)
{
	struct line_facts facts = {.flags = 0};

	for (size_t i = 0; i < (n->whole ? PART_HEAD + 1 : PART_COUNT); i++)
		line_facts_add(&facts, buf_span(&n->parts[i]));
	if (n->checking)
		facts.flags |= checking_flags(n->checking);
	submission_close(
	    n->submission, span_make(NULL, 0), n->header_octets, facts.flags, span_of(n->report.message_id));
	n->at = PART_COUNT + 1;
}

static void
on_room(void *context)
{
	struct notice *n = context;
	const struct submission_change *change = n->change;

	n->change = NULL;
	if (change && submission_change(n->submission, change))
		return;
	while (n->at < PART_COUNT) {
		struct span rest = span_from(buf_span(&n->parts[n->at]), n->sent);
		struct span piece = span_sub(rest, 0, submission_room(n->submission));
		if (rest.len == 0) {
			n->at = n->whole ? PART_COUNT : n->at + 1;
			n->sent = 0;
			continue;
		}
		if (piece.len == 0)
			return;
		submission_write(n->submission, piece);
		n->sent += piece.len;
	}
	if (n->at == PART_COUNT)
		close_report(n);
}

/* ---- composing ---- */

/*
 * Postfix's rule: a whole message comes back only with a failure, unless RET=HDRS or it is too large. What could not be returned
 * to anybody goes to postmaster whole, for it is nowhere else any more.
 */
static bool
returns_header_only(const struct notice *n)
{
	const struct report *r = &n->report;
	bool last = r->kind == NOTIFY_POSTMASTER && r->sender.len == 0;
	bool whole = r->kind == NOTIFY_FAILED && !r->postmaster_copy && !(n->flags & MAIL_RET_HDRS);

	return (!last && !whole) || n->came < n->content_len ||
	       n->content_len > (uint64_t)n->conf->values->bounce_size_limit;
}

/* The octets that came and are the header, cut at a line's end if not all of it came. */
static size_t
header_length(const struct notice *n)
{
	struct span content = buf_span(&n->parts[PART_CONTENT]);

	if (n->header_len <= content.len)
		return (size_t)n->header_len;
	return (size_t)(span_find_last(content, '\n') + 1);
}

static void
compose_parts(struct notice *n)
{
	struct report *r = &n->report;
	struct buf *content = &n->parts[PART_CONTENT];

	buf_clear(&n->parts[PART_HEAD]);
	buf_clear(&n->parts[PART_MIDDLE]);
	buf_clear(&n->parts[PART_BEFORE]);
	buf_clear(&n->parts[PART_END]);
	if (r->kind == NOTIFY_HELD) {
		held_notice_put(r, n->why, &n->parts[PART_HEAD], &n->header_octets);
		return;
	}
	if (r->kind == NOTIFY_SESSION) {
		session_notice_put(r, n->why, buf_span(content), &n->parts[PART_HEAD], &n->header_octets);
		buf_clear(content);
		return;
	}
	report_begin(r, &n->parts[PART_HEAD], &n->header_octets);
	report_status(r, &n->parts[PART_MIDDLE]);
	if (content->len > 0 && returns_header_only(n))
		content->len = header_length(n);
	if (content->len > 0)
		report_content(
		    r, &n->parts[PART_BEFORE], returns_header_only(n), (n->flags & MAIL_8BIT) != 0);
	report_end(r, &n->parts[PART_END]);
}

static bool
submit(struct notice *n)
{
	const struct submission_callbacks callbacks = {on_room, on_done, n};
	struct submission_head head = {
	    .id = n->own_id,
	    .about = n->given_id ? n->about : 0,
	    .flags = MAIL_INTERNAL | (n->report.utf8 ? MAIL_SMTPUTF8 : 0),
	    .sender = n->envelope_sender,
	    .recipients = &n->to,
	};

	n->at = PART_HEAD;
	n->sent = 0;
	n->submission = submission_new(n->p, &head, &callbacks);
	return n->submission != NULL;
}

/* The header is whole. why: empty, or why its addresses could not be dealt with. */
static void
send_composed(struct notice *n, struct span why)
{
	struct log cleanup = {.ident = "cleanup", .queue_id = n->own};

	if (why.len > 0 || !submit(n)) {
		notice_finish(n, n->answer_id ? SUBMIT_OK : SUBMIT_TRY_LATER,
		    why.len > 0 ? why : SPAN_LIT("4.3.0 mail system not ready"));
		return;
	}
	log_info(&(struct log){.ident = "bounce", .queue_id = n->about ? n->original : NULL}, "%s: %s",
	    name_in_log(n), n->own);
	log_info(&cleanup, "message-id=%s", n->report.message_id);
}

static void
on_rewritten(void *context, struct span header, struct span reason)
{
	struct notice *n = context;
	struct buf *head = &n->parts[PART_HEAD], whole;

	n->rewriting = NULL;
	if (header.ptr) {
		buf_init(&whole, head->max + header.len);
		buf_append_span(&whole, header);
		buf_append_span(&whole, span_from(buf_span(head), n->header_octets));
		buf_free(head);
		*head = whole;
		n->header_octets = header.len;
	}
	send_composed(n, header.ptr ? span_make("", 0) : reason);
}

/* Its own addresses are rewritten as in all mail of this host. */
static void
rewrite_header(struct notice *n)
{
	struct span header = span_sub(buf_span(&n->parts[PART_HEAD]), 0, n->header_octets);
	enum rewriting_start started = REWRITING_NOT_NEEDED;
	struct header_rewrite_rules rules;

	if (header_rewrite_rules(n->conf->values, true, &rules))
		started = rewriting_start(&n->rewriting, n->p, &rules, header, on_rewritten, n);
	if (started != REWRITING_UNDER_WAY)
		send_composed(n, started == REWRITING_IMPOSSIBLE ? SPAN_LIT("4.3.0 mail system not ready")
								 : span_make("", 0));
}

/* ---- internal_mail_filter_classes ---- */

static bool
is_filtered(const struct notice *n)
{
	return conf_list_has(n->conf->values->internal_mail_filter_classes,
	    n->report.kind < NOTIFY_HELD ? "bounce" : "notify");
}

/* A report that a table refuses is told to nobody: it has no sender. */
static void
take_checked(struct notice *n)
{
	struct buf *head = &n->parts[PART_HEAD], whole;

	n->change = checking_change(n->checking);
	if (checking_discards(n->checking) || (n->change && n->change->reject.len > 0)) {
		notice_finish(n, SUBMIT_OK, span_make(NULL, 0));
		return;
	}
	buf_init(&whole, head->max + checking_out(n->checking)->len);
	buf_append_span(&whole, buf_span(checking_out(n->checking)));
	buf_free(head);
	*head = whole;
	n->header_octets = (size_t)checking_header_len(n->checking);
	n->whole = true;
	rewrite_header(n);
}

static void
check_more(struct notice *n)
{
	for (;;) {
		enum checking_state state = checking_ask(n->checking);

		if (state == CHECKING_WAITS)
			return;
		if (state == CHECKING_IMPOSSIBLE) {
			send_composed(n, SPAN_LIT("4.3.0 mail system not ready"));
			return;
		}
		if (n->at > PART_COUNT) {
			take_checked(n);
			return;
		}
		if (n->at == PART_COUNT) {
			checking_finish(n->checking);
			n->at++;
			continue;
		}
		struct span piece =
		    span_sub(span_from(buf_span(&n->parts[n->at]), n->sent), 0, CHECKED_AT_ONCE);
		checking_put(n->checking, piece);
		n->sent = piece.len ? n->sent + piece.len : 0;
		n->at += piece.len == 0;
	}
}

static void
on_checked(void *context, struct span reason)
{
	struct notice *n = context;

	if (reason.len > 0)
		send_composed(n, reason);
	else
		check_more(n);
}

static void
ignore_field(void *context, struct span field)
{
	(void)context;
	(void)field;
}

static void
add_nothing(void *context, struct buf *out)
{
	(void)context;
	(void)out;
}

/* Before addresses are rewritten, as of other mail. */
static void
check_content(struct notice *n)
{
	checking_free(&n->checking);
	n->change = NULL;
	n->whole = false;
	n->at = PART_HEAD;
	n->sent = 0;
	if (is_filtered(n))
		n->checking = checking_new(n->p, &(struct checking_about){.conf = n->conf,
						     .own = true,
						     .queue_id = n->own,
						     .sender = n->envelope_sender,
						     .recipients = &n->to,
						     .answered = on_checked,
						     .field = ignore_field,
						     .header_end = add_nothing,
						     .context = n});
	if (n->checking)
		check_more(n);
	else
		rewrite_header(n);
}

void
notice_compose(struct notice *n, struct span to, struct span sender, bool copy)
{
	struct report *r = &n->report;
	time_t seconds;
	char stamp[32];
	struct tm tm;

	/* A copy for postmaster is another message. */
	if (copy && !n->alone)
		n->given_id = 0;
	n->own_id = n->given_id ? n->given_id : queue_id_next(&n->p->ids);
	queue_id_format(n->own_id, n->own);
	r->now_us = clock_wall_us();
	seconds = (time_t)(r->now_us / US_PER_SECOND);
	gmtime_r(&seconds, &tm);
	strftime(stamp, sizeof(stamp), "%Y%m%d%H%M%S", &tm);
	r->own_id = n->own;
	r->to = n->to.address = to;
	r->postmaster_copy = copy;
	r->message_id = arena_printf(n->arena, "<%s.%s@%s>", stamp, n->own, r->values->myhostname);
	r->boundary = arena_printf(n->arena, "%s.%s/%.40s", n->own, stamp, r->values->myhostname);
	n->envelope_sender = sender;
	compose_parts(n);
	check_content(n);
}
