#include "queue/filter.h"

#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/clock.h"
#include "common/base/mem.h"
#include "common/base/text.h"
#include "common/mail/queue_id.h"
#include "queue/message.h"
#include "queue/spool_clock.h"

/* Options that are texts: compared with what is in lower case, but for what is only written down. */
static const struct text_option {
	const char *name;
	size_t at; /* of its char * in struct filter */
	bool keeps_case;
} texts[] = {
    {"from", offsetof(struct filter, from), false},
    {"to", offsetof(struct filter, to), false},
    {"nexthop", offsetof(struct filter, nexthop), false},
    {"reason", offsetof(struct filter, reason), false},
    {"not-from", offsetof(struct filter, not_from), false},
    {"not-to", offsetof(struct filter, not_to), false},
    {"not-nexthop", offsetof(struct filter, not_nexthop), false},
    {"not-reason", offsetof(struct filter, not_reason), false},
    {"from-part", offsetof(struct filter, from_part), false},
    {"to-part", offsetof(struct filter, to_part), false},
    {"not-from-part", offsetof(struct filter, not_from_part), false},
    {"not-to-part", offsetof(struct filter, not_to_part), false},
    {"by", offsetof(struct filter, by), false},
    {"part", offsetof(struct filter, part), false},
    {"hold-reason", offsetof(struct filter, hold_reason), true},
};

enum { TEXT_COUNT = sizeof(texts) / sizeof(texts[0]) };

static char **
text_of(struct filter *f, const struct text_option *option)
{
	return (char **)(void *)((char *)f + option->at);
}

static bool
take_text(struct filter *f, struct span name, struct span value)
{
	for (size_t i = 0; i < TEXT_COUNT; i++) {
		char **to = text_of(f, &texts[i]);

		if (!span_is(name, texts[i].name))
			continue;
		free(*to);
		*to = mem_strndup(value.len ? value.ptr : "", value.len);
		if (!texts[i].keeps_case)
			text_lower(*to, value.len);
		return true;
	}
	return false;
}

static int
parse_not_id(struct filter *f, struct span value)
{
	return queue_id_parse(value, &f->not_id);
}

static int
parse_state(struct filter *f, struct span value)
{
	if (span_is_nocase(value, "active"))
		f->states |= FILTER_ACTIVE;
	else if (span_is_nocase(value, "deferred"))
		f->states |= FILTER_DEFERRED;
	else if (span_is_nocase(value, "hold"))
		f->states |= FILTER_HOLD;
	else
		return -1;
	return 0;
}

static int
parse_seconds(struct span value, int64_t *us)
{
	uint64_t seconds;

	if (number_parse(value, 0, 100ull * 365 * 86400, &seconds) < 0)
		return -1;
	*us = (int64_t)seconds * 1000000;
	return 0;
}

static int
parse_older(struct filter *f, struct span value)
{
	return parse_seconds(value, &f->older_us);
}

static int
parse_newer(struct filter *f, struct span value)
{
	return parse_seconds(value, &f->newer_us);
}

static int
parse_larger(struct filter *f, struct span value)
{
	uint64_t octets;

	if (number_parse(value, 0, INT64_MAX, &octets) < 0)
		return -1;
	f->larger = (int64_t)octets;
	return 0;
}

static int
parse_limit(struct filter *f, struct span value)
{
	return number_parse(value, 1, INT64_MAX, &f->limit);
}

static int
parse_all(struct filter *f, struct span value)
{
	(void)value;
	f->all = true;
	return 0;
}

static int
parse_id(struct filter *f, struct span value)
{
	uint64_t id;

	if (queue_id_parse(value, &id) < 0)
		return -1;
	for (size_t i = 0; i < f->id_count; i++)
		if (f->ids[i] == id)
			return 0;
	if (f->id_count % 64 == 0)
		f->ids = mem_resize(f->ids, (f->id_count + 64) * sizeof(uint64_t));
	f->ids[f->id_count++] = id;
	return 0;
}

static const struct {
	const char *name;
	int (*parse)(struct filter *f, struct span value);
} options[] = {
    {"not-id", parse_not_id},
    {"state", parse_state},
    {"older-than", parse_older},
    {"newer-than", parse_newer},
    {"larger-than", parse_larger},
    {"limit", parse_limit},
    {"all", parse_all},
    {"id", parse_id},
};

static int
parse_line(struct filter *f, struct span line, struct error *err)
{
	ptrdiff_t equal = span_find(line, '=');
	struct span name = equal < 0 ? line : span_sub(line, 0, (size_t)equal);
	struct span value = equal < 0 ? span_make("", 0) : span_from(line, (size_t)equal + 1);

	if (take_text(f, name, value))
		return 0;
	for (size_t i = 0; i < sizeof(options) / sizeof(options[0]); i++) {
		if (!span_is(name, options[i].name))
			continue;
		if (f->id_count >= FILTER_IDS_MAX && span_is(name, "id"))
			return error_set(err, "more than %d ids at a time", FILTER_IDS_MAX);
		if (options[i].parse(f, value) < 0)
			return error_set(err, "bad value for %s: %.*s", options[i].name,
			    SPAN_ARG(span_sub(value, 0, 100)));
		return 0;
	}
	return error_set(err, "unknown option %.*s", SPAN_ARG(span_sub(name, 0, 50)));
}

int
filter_parse(struct filter *f, struct span args, struct error *err)
{
	struct span line;

	*f = (struct filter){.older_us = -1, .newer_us = -1, .larger = -1};
	f->now_s = spool_clock_now() / US_PER_SECOND;
	while (span_next_line(&args, &line))
		if (line.len > 0 && parse_line(f, line, err) < 0)
			return -1;
	/* The index knows what a list led to by the list's address alone: for the name itself messages are read. */
	if (f->to && !f->to_part && member_may_be(span_of(f->to))) {
		f->to_part = f->to;
		f->to = NULL;
	}
	return 0;
}

void
filter_free(struct filter *f)
{
	for (size_t i = 0; i < TEXT_COUNT; i++)
		free(*text_of(f, &texts[i]));
	free(f->ids);
	memset(f, 0, sizeof(*f));
}

bool
filter_is_empty(const struct filter *f)
{
	return !f->from && !f->to && !f->nexthop && !f->reason && !f->states && f->older_us < 0 &&
	       f->newer_us < 0 && f->larger < 0 && f->id_count == 0 && !f->all && !filter_excepts(f);
}

bool
filter_excepts(const struct filter *f)
{
	return f->not_from || f->not_to || f->not_nexthop || f->not_reason || f->not_id != 0 ||
	       f->from_part || f->to_part || f->not_from_part || f->not_to_part;
}

unsigned
message_state(const struct message *m)
{
	if (m->e.held)
		return FILTER_HOLD;
	if (m->jobs > 0 || m->tasks > 0 || m->fresh)
		return FILTER_ACTIVE;
	return FILTER_DEFERRED;
}

enum filter_address
filter_address_kind(const char *wanted)
{
	if (!wanted)
		return FILTER_ANY_ADDRESS;
	if (strcmp(wanted, "<>") == 0 || wanted[0] == '\0')
		return FILTER_NO_ADDRESS;
	return wanted[0] == '@' ? FILTER_DOMAIN : FILTER_ADDRESS;
}

struct span
filter_domain_of(struct span address)
{
	ptrdiff_t at = span_find_last(address, '@');

	return at < 0 ? span_make("", 0) : span_from(address, (size_t)at + 1);
}

static bool
address_match(const char *wanted, struct span address)
{
	switch (filter_address_kind(wanted)) {
	case FILTER_ANY_ADDRESS:
		return true;
	case FILTER_NO_ADDRESS:
		return address.len == 0;
	case FILTER_DOMAIN:
		return address.len > 0 && span_is_nocase(filter_domain_of(address), wanted + 1);
	default:
		return span_is_nocase(address, wanted);
	}
}

bool
filter_text_match(const char *wanted, struct span text)
{
	size_t len = strlen(wanted);
	char first = wanted[0], upper = ascii_upper(wanted[0]);

	if (len == 0)
		return true;
	for (size_t i = 0; i + len <= text.len; i++) {
		size_t n = 1;

		if (text.ptr[i] != first && text.ptr[i] != upper)
			continue;
		while (n < len && ascii_lower(text.ptr[i + n]) == wanted[n])
			n++;
		if (n == len)
			return true;
	}
	return false;
}

bool
filter_nexthop_match(const char *wanted, struct span transport, struct span nexthop)
{
	struct span host = nexthop;
	ptrdiff_t end;

	if (span_is_nocase(host, wanted))
		return true;
	if (host.len > 0 && host.ptr[0] == '[') {
		host = span_from(host, 1);
		end = span_find(host, ']');
	} else {
		end = span_find(host, ':');
	}
	if (end >= 0)
		host = span_sub(host, 0, (size_t)end);
	return span_is_nocase(host, wanted) || span_is_nocase(transport, wanted);
}

struct span
filter_original(const struct part_recipient *p)
{
	char shown[MEMBER_SHOWN_SIZE];

	return span_equal(p->orig_to, recipient_shown(p, shown)) ? span_make("", 0) : p->orig_to;
}

/* Of a command or file behind an alias: the alias. */
static bool
goes_to(const struct part_recipient *p, const char *wanted)
{
	char shown[MEMBER_SHOWN_SIZE];

	return address_match(wanted, recipient_shown(p, shown)) ||
	       (p->orig_to.len > 0 && address_match(wanted, p->orig_to));
}

bool
filter_match_recipient(const struct filter *f, const struct message *m, const struct recipient *r)
{
	const struct part_recipient *p = &r->p;

	return p->state != RECIPIENT_DONE &&
	       (address_match(f->from, m->e.sender) ||
		   (p->own_sender && address_match(f->from, p->sender))) &&
	       (!f->to || goes_to(p, f->to)) &&
	       (!f->nexthop || filter_nexthop_match(f->nexthop, p->transport, p->nexthop)) &&
	       (!f->reason || filter_text_match(f->reason, p->text) ||
		   (m->e.held && filter_text_match(f->reason, m->e.hold_reason)));
}

/* One recipient that is still open is enough. */
static bool
excepts_recipient(const struct filter *f, const struct message *m, const struct part_recipient *p)
{
	return (f->not_from && p->own_sender && address_match(f->not_from, p->sender)) ||
	       (f->not_to && (address_match(f->not_to, p->recipient) || goes_to(p, f->not_to))) ||
	       (f->not_nexthop && filter_nexthop_match(f->not_nexthop, p->transport, p->nexthop)) ||
	       (f->not_reason && (filter_text_match(f->not_reason, p->text) ||
				     (m->e.held && filter_text_match(f->not_reason, m->e.hold_reason))));
}

/* Of the message's sender, or that of a list for an open recipient. */
static bool
has_in_sender(const struct message *m, const char *part)
{
	if (filter_text_match(part, m->e.sender))
		return true;
	for (uint32_t i = 0; i < m->count; i++) {
		const struct part_recipient *p = &m->recipients[i]->p;

		if (p->state != RECIPIENT_DONE && p->own_sender && filter_text_match(part, p->sender))
			return true;
	}
	return false;
}

static bool
has_in_recipient(const struct message *m, const char *part)
{
	char shown[MEMBER_SHOWN_SIZE];

	for (uint32_t i = 0; i < m->count; i++) {
		const struct part_recipient *p = &m->recipients[i]->p;

		if (p->state != RECIPIENT_DONE && (filter_text_match(part, p->recipient) ||
						      filter_text_match(part, recipient_shown(p, shown)) ||
						      filter_text_match(part, p->orig_to)))
			return true;
	}
	return false;
}

static bool
excepts_parts(const struct filter *f, const struct message *m)
{
	return (f->from_part && !has_in_sender(m, f->from_part)) ||
	       (f->to_part && !has_in_recipient(m, f->to_part)) ||
	       (f->not_from_part && has_in_sender(m, f->not_from_part)) ||
	       (f->not_to_part && has_in_recipient(m, f->not_to_part));
}

static bool
excepts(const struct filter *f, const struct message *m)
{
	if (!filter_excepts(f))
		return false;
	if (excepts_parts(f, m))
		return true;
	if (m->id == f->not_id || (f->not_from && address_match(f->not_from, m->e.sender)))
		return true;
	for (uint32_t i = 0; i < m->count; i++)
		if (m->recipients[i]->p.state != RECIPIENT_DONE &&
		    excepts_recipient(f, m, &m->recipients[i]->p))
			return true;
	return false;
}

bool
filter_match(const struct filter *f, const struct message *m)
{
	int64_t age = f->now_s - m->e.arrival_spool_us / US_PER_SECOND;

	if ((f->states && !(f->states & message_state(m))) ||
	    (f->older_us >= 0 && age < f->older_us / US_PER_SECOND) ||
	    (f->newer_us >= 0 && age > f->newer_us / US_PER_SECOND) ||
	    (f->larger >= 0 && m->e.content_len <= (uint64_t)f->larger) || excepts(f, m))
		return false;
	if (!f->to && !f->nexthop && !f->reason && address_match(f->from, m->e.sender))
		return true;
	for (uint32_t i = 0; i < m->count; i++)
		if (filter_match_recipient(f, m, m->recipients[i]))
			return true;
	return false;
}
