/*
 * explain_text: the facts of one message in words, for people.
 */
#include <inttypes.h>
#include <string.h>
#include <time.h>

#include "common/base/clock.h"
#include "common/base/text.h"
#include "tools/explain_facts.h"

enum { DATE_SIZE = 40, SPAN_SIZE = 40, RUNS_SHOWN = 20 };

static const char *
date_of(int64_t us, char out[DATE_SIZE])
{
	time_t when = (time_t)fact_seconds(us);
	struct tm tm;

	out[0] = '\0';
	if (localtime_r(&when, &tm))
		strftime(out, DATE_SIZE, "%Y-%m-%d %H:%M:%S %z", &tm);
	return out;
}

/* "in 4m 10s", "2h 5m ago". */
static const char *
from_now(int64_t us, char out[SPAN_SIZE])
{
	int64_t left_us = us - clock_wall_us(), n = (left_us < 0 ? -left_us : left_us) / US_PER_SECOND;
	char length[24];

	if (n < 60)
		snprintf(length, sizeof(length), "%ds", (int)n);
	else if (n < 3600)
		snprintf(length, sizeof(length), "%dm %ds", (int)(n / 60), (int)(n % 60));
	else if (n < 86400)
		snprintf(length, sizeof(length), "%dh %dm", (int)(n / 3600), (int)(n % 3600 / 60));
	else
		snprintf(
		    length, sizeof(length), "%dd %dh", (int)(n / 86400 % 1000000), (int)(n % 86400 / 3600));
	snprintf(out, SPAN_SIZE, left_us < 0 ? "%s ago" : "in %s", length);
	return out;
}

/* What hosts and senders wrote is printed as far as it is printable. */
static void
put(FILE *to, struct span text)
{
	struct buf clean;

	buf_init(&clean, 16384);
	text_append_printable(&clean, text, 2000);
	fprintf(to, "%s", buf_text(&clean));
	buf_free(&clean);
}

static void
put_sender(FILE *to, struct span sender)
{
	fputc('<', to);
	put(to, sender);
	fputc('>', to);
}

/* ---- the message ---- */

static void
print_head(const struct facts *f, FILE *to)
{
	const struct fact *m = facts_find(f, "message"), *hold = facts_find(f, "hold");
	char date[DATE_SIZE], ago[SPAN_SIZE];

	if (!m)
		return;
	fprintf(to, "%.*s from ", SPAN_ARG(m->values[0]));
	put_sender(to, m->values[1]);
	fprintf(to, ", %" PRId64 " octets, arrived %s (%s), %.*s\n", fact_number(m, 2),
	    date_of(fact_number(m, 3), date), from_now(fact_number(m, 3), ago), SPAN_ARG(m->values[4]));
	if (hold) {
		fputs("  on hold", to);
		if (fact_number(hold, 2) != 0) {
			fputs(" by ", to);
			put(to, hold->values[1]);
			fprintf(to, " since %s", date_of(fact_number(hold, 2), date));
		} else {
			fputs(" since it arrived", to);
		}
		if (hold->values[0].len > 0) {
			fputs(": ", to);
			put(to, hold->values[0]);
		}
		fputc('\n', to);
	}
	for (size_t i = 0; i < f->count; i++) {
		const struct fact *act = &f->list[i];

		if (!span_is(act->name, "act") && !span_is(act->name, "trouble"))
			continue;
		if (span_is(act->name, "trouble")) {
			fputs("  trouble: ", to);
			put(to, act->values[0]);
			fputc('\n', to);
			continue;
		}
		fprintf(to, "  edited %s by ", date_of(fact_number(act, 0), date));
		put(to, act->values[1]);
		fputs(": ", to);
		put(to, act->values[2]);
		fputc('\n', to);
	}
}

/* ---- one recipient ---- */

static void
print_route(const struct fact_recipient *r, const struct fact *rcpt, FILE *to)
{
	struct span rest = buf_span(&r->route), line;

	fputs("  route: transport ", to);
	put(to, rcpt->values[2]);
	fputs(", next hop ", to);
	put(to, rcpt->values[3]);
	fputs(fact_number(rcpt, 6) ? " (chosen by an operator; tables do not count)\n" : "\n", to);
	if (!r->route_asked)
		return;
	if (r->route_failed)
		fputs("    the tables give no route now: it stays as it is until they do\n", to);
	else if (!span_is(rcpt->values[2], r->transport) || !span_is(rcpt->values[3], r->nexthop))
		fprintf(to, "    the tables as they are now lead to transport %s, next hop %s\n",
		    r->transport, r->nexthop);
	while (span_next_line(&rest, &line)) {
		fputs("    because ", to);
		put(to, line);
		fputc('\n', to);
	}
}

static void
print_said(const struct span *status_relay_text, FILE *to)
{
	if (status_relay_text[1].len > 0 && !span_is(status_relay_text[1], "none")) {
		put(to, status_relay_text[1]);
		fputs(": ", to);
	}
	put(to, status_relay_text[2]);
	fprintf(to, " (%.*s)\n", SPAN_ARG(status_relay_text[0]));
}

static void
print_attempts(const struct facts *f, const struct fact_recipient *r, FILE *to)
{
	const struct fact *last = facts_find_of(f, r, "last");
	char date[DATE_SIZE], until[DATE_SIZE];

	fprintf(to, "  attempts: %" PRId64 "\n", fact_number(&f->list[r->at], 5));
	for (size_t i = r->at; i < r->end; i++) {
		const struct fact *run = &f->list[i];

		if (!span_is(run->name, "run"))
			continue;
		if (fact_number(run, 0) == fact_number(run, 1))
			fprintf(to, "    %" PRId64 ", %s: ", fact_number(run, 0),
			    date_of(fact_number(run, 2), date));
		else
			fprintf(to, "    %" PRId64 " to %" PRId64 ", %s to %s: ", fact_number(run, 0),
			    fact_number(run, 1), date_of(fact_number(run, 2), date),
			    date_of(fact_number(run, 3), until));
		print_said(&run->values[4], to);
	}
	if (!last)
		return;
	fprintf(to, "    %" PRId64 ", %s: ", fact_number(last, 0), date_of(fact_number(last, 1), date));
	print_said(&last->values[2], to);
	if (last->values[7].len > 0) {
		fputs("      said: ", to);
		put(to, last->values[7]);
		fputc('\n', to);
	}
	for (size_t i = r->at; i < r->end; i++) {
		const struct fact *host = &f->list[i];

		if (!span_is(host->name, "host"))
			continue;
		fputs("      host by host: ", to);
		if (host->values[0].len > 0) {
			put(to, host->values[0]);
			fputs(": ", to);
		}
		put(to, host->values[1]);
		fputc('\n', to);
	}
	if (fact_number(last, 5))
		fputs("      uncertain: the connection ended before the reply to the whole message; it may "
		      "have been "
		      "delivered, and the next attempt may repeat it\n",
		    to);
}

static const struct wait_word {
	const char *name;
	const char *text;
	bool until;
} waits[] = {
    {"notification", "the notification of its fate, which is known, to be queued", false},
    {"delivering", "the end of a delivery that is under way", false},
    {"hold", "nothing: it is on hold until an operator releases it", false},
    {"route", "its route is being asked of the tables", false},
    {"flush",
	"somebody to ask for it (postern queue flush, sendmail -q): its transport is one of defer_transports",
	false},
    {"backoff", "the time of its next attempt", true},
    {"down", "the destination, which is down; it is asked again", true},
    {"probing", "the destination, which was down and is being asked at this moment whether it is back",
	false},
    {"rate", "the pause between deliveries to one destination (destination_rate_delay)", true},
    {"transport-rate", "the pause between deliveries of the transport (transport_rate_delay)", true},
    {"worker", "a delivery process, which is being started", true},
    {"concurrency", "a free place: the destination has as many deliveries as it may have", false},
    {"transport-concurrency",
	"a free place: the transport runs as many commands as it may (transport_services)", false},
    {"memory", "room in memory among what is due (qmgr_message_active_limit)", false},
    {"stopped", "the start of this instance", false},
    {"turn", "its turn, which is next to come", false},
};

static void
print_wait(const struct facts *f, const struct fact_recipient *r, FILE *to)
{
	const struct fact *wait = facts_find_of(f, r, "wait");
	char date[DATE_SIZE], in[SPAN_SIZE];

	for (size_t i = 0; wait && i < sizeof(waits) / sizeof(waits[0]); i++) {
		if (!span_is(wait->values[0], waits[i].name))
			continue;
		fprintf(to, "  waits for %s", waits[i].text);
		if (fact_number(wait, 1) != 0)
			fprintf(to, ": %s (%s)", date_of(fact_number(wait, 1), date),
			    from_now(fact_number(wait, 1), in));
		fputc('\n', to);
	}
}

static void
print_delivery(const struct facts *f, const struct fact_recipient *r, FILE *to)
{
	const struct fact *delivery = facts_find_of(f, r, "delivery");
	char date[DATE_SIZE], in[SPAN_SIZE];

	if (!delivery)
		return;
	fprintf(to, "    since %s (%s)", date_of(fact_number(delivery, 0), date),
	    from_now(fact_number(delivery, 0), in));
	if (delivery->values[2].len == 0) {
		fputs("; its process says nothing of it at this moment\n", to);
		return;
	}
	fputs(": ", to);
	if (delivery->values[1].len > 0) {
		put(to, delivery->values[1]);
		fputs(": ", to);
	}
	put(to, delivery->values[2]);
	if (fact_number(delivery, 3) != 0)
		fprintf(to, ", %s", from_now(fact_number(delivery, 3), in));
	if (fact_number(delivery, 4) != 0)
		fprintf(to, "; patience ends %s", from_now(fact_number(delivery, 4), in));
	fputc('\n', to);
}

static void
print_destination(const struct facts *f, const struct fact_recipient *r, FILE *to)
{
	const struct fact *hop = facts_find_of(f, r, "hop");
	char date[DATE_SIZE], in[SPAN_SIZE];

	if (!hop)
		return;
	fprintf(to,
	    "  destination: %" PRId64 " deliver%s under way of %" PRId64
	    " that it may have now (at most %" PRId64 "); %" PRId64 " message%s ready",
	    fact_number(hop, 0), fact_number(hop, 0) == 1 ? "y" : "ies", fact_number(hop, 1),
	    fact_number(hop, 2), fact_number(hop, 3), fact_number(hop, 3) == 1 ? "" : "s");
	if (fact_number(hop, 4) > 0)
		fprintf(to, ", %" PRId64 " of them ahead of this one", fact_number(hop, 4));
	fputc('\n', to);
	if (fact_number(hop, 5) != 0) {
		fprintf(to, "    down since %s (%s): ", date_of(fact_number(hop, 5), date),
		    from_now(fact_number(hop, 5), in));
		put(to, hop->values[6]);
		fprintf(to, "\n    asked again from %s on (%s)\n", date_of(fact_number(hop, 7), date),
		    from_now(fact_number(hop, 7), in));
	}
}

static void
print_recipient(const struct facts *f, const struct fact_recipient *r, FILE *to)
{
	const struct fact *rcpt = &f->list[r->at], *m = facts_find(f, "message");

	fputs("\nto ", to);
	put_sender(to, rcpt->values[0]);
	if (rcpt->values[1].len > 0 && !span_equal(rcpt->values[1], rcpt->values[0])) {
		fputs(", written to ", to);
		put_sender(to, rcpt->values[1]);
	}
	if (m && !span_equal(rcpt->values[7], m->values[1])) {
		fputs(", with the sender ", to);
		put_sender(to, rcpt->values[7]);
	}
	fputc('\n', to);
	print_route(r, rcpt, to);
	print_attempts(f, r, to);
	print_wait(f, r, to);
	print_delivery(f, r, to);
	print_destination(f, r, to);
}

/* ---- what comes, and what can be done ---- */

static int64_t
next_attempt(const struct facts *f)
{
	int64_t next = 0;

	for (size_t i = 0; i < f->recipient_count; i++) {
		const struct fact *wait = facts_find_of(f, &f->recipients[i], "wait");
		int64_t at = wait ? fact_number(wait, 1) : 0;

		if (at != 0 && (next == 0 || at < next))
			next = at;
	}
	return next;
}

static void
print_next(const struct facts *f, FILE *to)
{
	const struct fact *limits = facts_find(f, "limits"), *m = facts_find(f, "message");
	int64_t next = next_attempt(f);
	char date[DATE_SIZE], in[SPAN_SIZE];

	if (!limits || !m)
		return;
	fputs("\nnext\n", to);
	if (facts_find(f, "hold"))
		fputs("  nothing before it is released\n", to);
	else if (next != 0)
		fprintf(to, "  %s (%s): the next attempt\n", date_of(next, date), from_now(next, in));
	if (fact_number(limits, 2) != 0)
		fprintf(to, "  %s (%s): the sender is told of the delay, with the attempt that follows\n",
		    date_of(fact_number(limits, 2), date), from_now(fact_number(limits, 2), in));
	else if (fact_number(limits, 3))
		fputs("  the sender was told of the delay\n", to);
	fprintf(to, "  %s (%s): it expires%s; an attempt that fails after that is the last, ",
	    date_of(fact_number(limits, 0), date), from_now(fact_number(limits, 0), in),
	    fact_number(limits, 1) ? " (as an operator said)" : "");
	if (m->values[1].len == 0) {
		fputs(
		    "and as its sender is empty nobody but perhaps the postmaster (notify_classes) is told\n",
		    to);
	} else {
		fputs("and the message is returned to ", to);
		put_sender(to, m->values[1]);
		fputc('\n', to);
	}
}

static void
print_commands(const struct facts *f, FILE *to)
{
	const struct fact *m = facts_find(f, "message");
	struct span id = m ? m->values[0] : span_make("", 0);

	fputs("\nyou can\n", to);
	if (facts_find(f, "hold"))
		fprintf(to, "  postern queue release %.*s             let it go on\n", SPAN_ARG(id));
	else
		fprintf(to,
		    "  postern queue retry %.*s               try it now, also where the destination is "
		    "down\n"
		    "  postern queue hold %.*s                keep it as it is\n",
		    SPAN_ARG(id), SPAN_ARG(id));
	fprintf(to,
	    "  postern queue edit %.*s --nexthop HOST send it by another host\n"
	    "  postern queue edit %.*s --recipient OLD=NEW, --drop ADDRESS, --expire TIME\n"
	    "  postern queue edit %.*s --bounce       return it to its sender now\n"
	    "  postern queue requeue %.*s             ask for its routes again\n"
	    "  postern queue delete %.*s              remove it; nobody is told\n",
	    SPAN_ARG(id), SPAN_ARG(id), SPAN_ARG(id), SPAN_ARG(id), SPAN_ARG(id));
}

static void
print_rest(int64_t done, int64_t waiting, FILE *to)
{
	fputc('\n', to);
	if (done > 0)
		fprintf(to, "%" PRId64 " recipient%s done with\n", done, done == 1 ? " is" : "s are");
	if (waiting > 0)
		fprintf(to, "%" PRId64 " more wait%s and %s not shown\n", waiting, waiting == 1 ? "s" : "",
		    waiting == 1 ? "is" : "are");
}

void
facts_print_text(const struct facts *f, FILE *to)
{
	const struct fact *rest = facts_find(f, "rest");

	print_head(f, to);
	for (size_t i = 0; i < f->recipient_count; i++)
		print_recipient(f, &f->recipients[i], to);
	if (rest && fact_number(rest, 0) + fact_number(rest, 1) > 0)
		print_rest(fact_number(rest, 0), fact_number(rest, 1), to);
	print_next(f, to);
	print_commands(f, to);
}
