#include "tools/queue_print.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "common/base/mem.h"
#include "common/base/text.h"
#include "common/mail/member_name.h"
#include "tools/json_scan.h"

/* Postfix's showq, the form for long queue ids. */
#define STRING_FORMAT "%-17s %8s %-19s %s\n"
#define SENDER_FORMAT "%-17s %8llu %19.19s %s\n"
#define REASON_COLUMNS 76

enum { REASON_MAX = 2000 };

struct row {
	char id[64], state[16], sender[1100], name[64];
	uint64_t arrival, size;
	bool forced, begun;
	bool expanded; /* the address stands for another one, which was written to */
	char address[1100], reason[REASON_MAX + 1], last_reason[REASON_MAX + 1];
};

static void
take(char *to, size_t size, struct span value)
{
	struct buf clean;

	buf_init(&clean, size > 4 ? size * 4 : 16);
	text_append_printable(&clean, value, size - 1);
	span_copy(buf_span(&clean), to, size);
	buf_free(&clean);
}

static void
print_head(struct queue_print *p, struct row *r)
{
	time_t when = (time_t)r->arrival;
	struct tm tm;
	char date[32] = "", id[80];

	if (r->begun)
		return;
	r->begun = true;
	if (p->messages++ == 0)
		fprintf(p->to, STRING_FORMAT, "----Queue ID-----", "--Size--", "---Arrival Time----",
		    "--Sender/Recipient------");
	p->bytes += r->size;
	if (localtime_r(&when, &tm))
		strftime(date, sizeof(date), "%a %b %e %H:%M:%S", &tm);
	snprintf(id, sizeof(id), "%s%s", r->id,
	    r->forced                         ? "#"
	    : strcmp(r->state, "hold") == 0   ? "!"
	    : strcmp(r->state, "active") == 0 ? "*"
					      : "");
	fprintf(p->to, SENDER_FORMAT, id, (unsigned long long)r->size, date, r->sender);
}

/* Names of our own, for what a list led to, are for --json, show and explain. */
static void
print_address(struct queue_print *p, const struct row *r)
{
	struct span address = span_of(r->address);
	char shown[MEMBER_SHOWN_SIZE], text[sizeof(r->address)];

	span_copy(r->expanded ? member_shown(address, shown) : address, text, sizeof(text));
	fprintf(p->to, STRING_FORMAT, "", "", "", text);
}

static void
print_recipient(struct queue_print *p, struct row *r)
{
	size_t len = strlen(r->reason);

	print_head(p, r);
	if (len > 0 && strcmp(r->reason, r->last_reason) != 0)
		fprintf(p->to, "%*s(%s)\n", len < REASON_COLUMNS ? (int)(REASON_COLUMNS - len) : 0, "",
		    r->reason);
	memcpy(r->last_reason, r->reason, sizeof(r->last_reason));
	print_address(p, r);
	r->reason[0] = r->address[0] = '\0';
	r->expanded = false;
}

static void
take_value(struct row *r, const struct json_scan *j)
{
	if (strcmp(r->name, "queue_id") == 0)
		take(r->id, sizeof(r->id), j->value);
	else if (strcmp(r->name, "queue_name") == 0)
		take(r->state, sizeof(r->state), j->value);
	else if (strcmp(r->name, "sender") == 0)
		take(r->sender, sizeof(r->sender), j->value);
	else if (strcmp(r->name, "arrival_time") == 0)
		number_parse(j->value, 0, UINT64_MAX, &r->arrival);
	else if (strcmp(r->name, "message_size") == 0)
		number_parse(j->value, 0, UINT64_MAX, &r->size);
	else if (strcmp(r->name, "forced_expire") == 0)
		r->forced = span_is(j->value, "true");
	else if (strcmp(r->name, "address") == 0)
		take(r->address, sizeof(r->address), j->value);
	else if (strcmp(r->name, "orig_address") == 0)
		r->expanded = true;
	else if (strcmp(r->name, "delay_reason") == 0 || strcmp(r->name, "bounce_reason") == 0)
		take(r->reason, sizeof(r->reason), j->value);
}

void
queue_print_row(struct queue_print *p, struct span text)
{
	struct row *r = mem_alloc(sizeof(*r));
	struct json_scan j;
	unsigned depth = 0;

	json_scan_init(&j, text);
	while (json_scan_next(&j)) {
		if (j.kind == JSON_MARK && (j.mark == '{' || j.mark == '['))
			depth++;
		else if (j.kind == JSON_MARK) {
			/* The end of one of the recipients. */
			if (j.mark == '}' && depth == 3)
				print_recipient(p, r);
			if (depth > 0)
				depth--;
		} else if (j.is_name)
			span_copy(j.value, r->name, sizeof(r->name));
		else
			take_value(r, &j);
	}
	print_head(p, r);
	fputc('\n', p->to);
	json_scan_free(&j);
	free(r);
}

void
queue_print_id(struct queue_print *p, struct span text)
{
	struct json_scan j;
	bool named = false;

	json_scan_init(&j, text);
	while (json_scan_next(&j)) {
		if (named) {
			fprintf(p->to, "%.*s\n", SPAN_ARG(j.value));
			break;
		}
		named = j.is_name && span_is(j.value, "queue_id");
	}
	json_scan_free(&j);
}

void
queue_print_end(struct queue_print *p, bool chosen)
{
	if (p->messages == 0)
		fputs(chosen ? "No such mail in the queue\n" : "Mail queue is empty\n", p->to);
	else
		fprintf(p->to, "-- %llu Kbytes in %llu Request%s.\n", (unsigned long long)(p->bytes / 1024),
		    (unsigned long long)p->messages, p->messages == 1 ? "" : "s");
}
