/*
 * explain_json: the facts of one message as one JSON object, for programs.
 *
 * Members are rows: the name, which value of which fact it is, and how it is written. Times are seconds since 1970.
 */
#include <inttypes.h>

#include "common/base/text.h"
#include "tools/explain_facts.h"

enum form { TEXT, NUMBER, TIME, BOOL };

struct member {
	const char *name;
	size_t value;
	enum form form;
};

static void
put_text(FILE *to, struct span text)
{
	struct buf out;

	buf_init(&out, 64 * 1024);
	text_append_json(&out, text);
	fprintf(to, "\"%s\"", buf_text(&out));
	buf_free(&out);
}

static void
put_members(FILE *to, const struct fact *fact, const struct member *members, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		const struct member *m = &members[i];

		fprintf(to, "%s\"%s\": ", i ? ", " : "", m->name);
		if (m->form == TEXT)
			put_text(to, fact->values[m->value]);
		else if (m->form == BOOL)
			fputs(fact_number(fact, m->value) ? "true" : "false", to);
		else if (m->form == TIME && fact_number(fact, m->value) == 0)
			fputs("null", to);
		else
			fprintf(to, "%" PRId64,
			    m->form == TIME ? fact_seconds(fact_number(fact, m->value))
					    : fact_number(fact, m->value));
	}
}

#define MEMBERS(to, fact, list) put_members(to, fact, list, sizeof(list) / sizeof((list)[0]))

static void
put_object(FILE *to, const struct fact *fact, const struct member *members, size_t count)
{
	if (!fact) {
		fputs("null", to);
		return;
	}
	fputc('{', to);
	put_members(to, fact, members, count);
	fputc('}', to);
}

#define PUT_OBJECT(to, fact, list) put_object(to, fact, list, sizeof(list) / sizeof((list)[0]))

static const struct member message_members[] = {{"queue_id", 0, TEXT}, {"sender", 1, TEXT},
    {"message_size", 2, NUMBER}, {"arrival_time", 3, TIME}, {"queue_name", 4, TEXT}};
static const struct member limit_members[] = {{"expires", 0, TIME}, {"expires_by_operator", 1, BOOL},
    {"delay_warning_at", 2, TIME}, {"delay_warning_sent", 3, BOOL}};
static const struct member hold_members[] = {{"reason", 0, TEXT}, {"by", 1, TEXT}, {"since", 2, TIME}};
static const struct member act_members[] = {{"time", 0, TIME}, {"by", 1, TEXT}, {"act", 2, TEXT}};
static const struct member rcpt_members[] = {{"address", 0, TEXT}, {"orig_address", 1, TEXT},
    {"transport", 2, TEXT}, {"nexthop", 3, TEXT}, {"state", 4, TEXT}, {"attempts", 5, NUMBER},
    {"route_by_operator", 6, BOOL}, {"sender", 7, TEXT}};
static const struct member run_members[] = {{"first", 0, NUMBER}, {"last", 1, NUMBER},
    {"first_time", 2, TIME}, {"last_time", 3, TIME}, {"status", 4, TEXT}, {"relay", 5, TEXT},
    {"text", 6, TEXT}};
static const struct member last_members[] = {{"attempt", 0, NUMBER}, {"time", 1, TIME}, {"status", 2, TEXT},
    {"relay", 3, TEXT}, {"text", 4, TEXT}, {"possibly_delivered", 5, BOOL}, {"remote_mta", 6, TEXT},
    {"diagnostic", 7, TEXT}};
static const struct member host_members[] = {{"host", 0, TEXT}, {"text", 1, TEXT}};
static const struct member wait_members[] = {{"waits_for", 0, TEXT}, {"until", 1, TIME}};
static const struct member delivery_members[] = {
    {"since", 0, TIME}, {"relay", 1, TEXT}, {"doing", 2, TEXT}, {"doing_since", 3, TIME}, {"until", 4, TIME}};
static const struct member hop_members[] = {{"deliveries", 0, NUMBER}, {"concurrency", 1, NUMBER},
    {"concurrency_limit", 2, NUMBER}, {"ready", 3, NUMBER}, {"ahead", 4, NUMBER}, {"down_since", 5, TIME},
    {"reason", 6, TEXT}, {"next_probe", 7, TIME}};
static const struct member rest_members[] = {
    {"recipients_done", 0, NUMBER}, {"recipients_not_shown", 1, NUMBER}};

/* An array of the facts of that name. */
static void
put_list(FILE *to, const struct facts *f, size_t from, size_t end, const char *name, const char *as,
    const struct member *members, size_t count)
{
	bool first = true;

	fprintf(to, ", \"%s\": [", as);
	for (size_t i = from; i < end; i++) {
		if (!span_is(f->list[i].name, name))
			continue;
		fputs(first ? "{" : ", {", to);
		first = false;
		put_members(to, &f->list[i], members, count);
		fputc('}', to);
	}
	fputc(']', to);
}

#define LIST(to, f, from, end, name, as, list)                                                               \
	put_list(to, f, from, end, name, as, list, sizeof(list) / sizeof((list)[0]))

static void
put_route(FILE *to, const struct fact_recipient *r)
{
	struct span rest = buf_span(&r->route), line;
	bool first = true;

	if (!r->route_asked)
		return;
	fputs(", \"route_now\": ", to);
	if (r->route_failed) {
		fputs("null", to);
	} else {
		fputs("{\"transport\": ", to);
		put_text(to, span_of(r->transport));
		fputs(", \"nexthop\": ", to);
		put_text(to, span_of(r->nexthop));
		fputc('}', to);
	}
	fputs(", \"route_because\": [", to);
	while (span_next_line(&rest, &line)) {
		fputs(first ? "" : ", ", to);
		first = false;
		put_text(to, line);
	}
	fputc(']', to);
}

static void
put_recipient(FILE *to, const struct facts *f, const struct fact_recipient *r)
{
	const struct fact *last = facts_find_of(f, r, "last"), *wait = facts_find_of(f, r, "wait");
	const struct fact *hop = facts_find_of(f, r, "hop"), *delivery = facts_find_of(f, r, "delivery");

	fputc('{', to);
	MEMBERS(to, &f->list[r->at], rcpt_members);
	put_route(to, r);
	LIST(to, f, r->at, r->end, "run", "history", run_members);
	fputs(", \"last_attempt\": ", to);
	if (last) {
		fputc('{', to);
		MEMBERS(to, last, last_members);
		LIST(to, f, r->at, r->end, "host", "hosts", host_members);
		fputc('}', to);
	} else {
		fputs("null", to);
	}
	if (wait) {
		fputs(", ", to);
		MEMBERS(to, wait, wait_members);
	}
	fputs(", \"delivery\": ", to);
	PUT_OBJECT(to, delivery, delivery_members);
	fputs(", \"destination\": ", to);
	PUT_OBJECT(to, hop, hop_members);
	fputc('}', to);
}

void
facts_print_json(const struct facts *f, FILE *to)
{
	const struct fact *m = facts_find(f, "message"), *limits = facts_find(f, "limits");
	const struct fact *hold = facts_find(f, "hold"), *rest = facts_find(f, "rest");

	if (!m || !limits || !rest)
		return;
	fputc('{', to);
	MEMBERS(to, m, message_members);
	fputs(", ", to);
	MEMBERS(to, limits, limit_members);
	fputs(", \"hold\": ", to);
	PUT_OBJECT(to, hold, hold_members);
	LIST(to, f, 0, f->count, "act", "acts", act_members);
	fputs(", \"recipients\": [", to);
	for (size_t i = 0; i < f->recipient_count; i++) {
		if (i > 0)
			fputs(", ", to);
		put_recipient(to, f, &f->recipients[i]);
	}
	fputs("], ", to);
	MEMBERS(to, rest, rest_members);
	fputs("}\n", to);
}
