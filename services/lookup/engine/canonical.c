/*
 * canonical(5), generic(5) and masquerading: an address becomes another one. Which of them apply to an address depends
 * on where it stands (canonical_classes and its kin).
 */
#include "common/base/text.h"
#include "common/mail/address.h"
#include "common/mail/casefold.h"
#include "services/lookup/engine/results.h"

/* As in Postfix, which goes on with what the last one gave: a circle of tables keeps nobody's mail. */
enum { CANONICAL_STEPS_MAX = 10 };

/* The address of a table that knows one for each: the first, as in Postfix, if somebody wrote more. */
static struct span
only_result(struct question *q, const struct results *r, const char *parameter, struct span address)
{
	if (r->count > 1)
		question_warn(q, "multi-valued %s entry for %.*s", parameter, SPAN_ARG(address));
	return r->list[0];
}

/* "<>" is the empty sender; in a header, where nothing can stand for it, the address stays. */
static struct span
canonical_by(struct question *q, const char *parameter, struct maplist *list, struct span address,
    enum address_use use)
{
	struct results r;

	for (unsigned step = 0; step < CANONICAL_STEPS_MAX; step++) {
		if (!results_find(&r, q, list, address, q->engine->extension_canonical))
			return address;
		if (r.count == 0)
			return use == USE_ENVELOPE_SENDER ? (struct span){0} : address;
		struct span result = only_result(q, &r, parameter, address);
		bool same = span_equal_nocase(result, address);
		address = result;
		if (same)
			return address;
	}
	question_warn(q, "unreasonable %s map nesting for %.*s", parameter, SPAN_ARG(address));
	return address;
}

struct span
canonical_address(struct question *q, struct span address, enum address_use use)
{
	const struct route_engine *e = q->engine;
	bool sender = use == USE_ENVELOPE_SENDER || use == USE_HEADER_SENDER;

	q->may_be_empty = sender;
	if (sender && (e->sender_canonical_uses & use))
		address = canonical_by(q, "sender_canonical_maps", e->sender_canonical, address, use);
	if (!sender && (e->recipient_canonical_uses & use))
		address = canonical_by(q, "recipient_canonical_maps", e->recipient_canonical, address, use);
	if (!q->failed && address.len > 0 && (e->canonical_uses & use))
		address = canonical_by(q, "canonical_maps", e->canonical, address, use);
	q->may_be_empty = false;
	if (!q->failed && (e->masquerade_uses & use))
		address = masquerade_address(q, address);
	return address;
}

/* The end of domain is masked, and a dot or nothing stands before it. */
static bool
is_or_is_below(struct span domain, struct span masked)
{
	if (domain.len < masked.len || !span_equal_nocase(span_from(domain, domain.len - masked.len), masked))
		return false;
	return domain.len == masked.len || domain.ptr[domain.len - masked.len - 1] == '.';
}

/* masquerade_domains: the first that the address is in decides; "!domain" leaves it alone, and so does the domain itself. */
static struct span
masked_domain(const struct route_engine *e, struct span domain)
{
	for (size_t i = 0; i < e->masquerade_count; i++) {
		const struct masquerade *m = &e->masquerade[i];
		if (is_or_is_below(domain, m->domain))
			return m->negated || m->domain.len == domain.len ? (struct span){0} : m->domain;
	}
	return (struct span){0};
}

struct span
masquerade_address(struct question *q, struct span address)
{
	struct route_engine *e = q->engine;
	struct span quoted, domain;

	if (e->masquerade_count == 0)
		return address;
	address_split(address, &quoted, &domain);
	struct span masked = masked_domain(e, domain);
	if (masked.len == 0)
		return address;
	struct span local = address_unquote_local(q->arena, quoted);
	struct span name = casefold_copy(q->arena, local);
	if (name.ptr == NULL)
		return address;
	enum lookup_status status = domains_match(&e->masquerade_exceptions, name, &e->found);
	if (status == LOOKUP_TEMPORARY)
		question_fail(q, e->found.err.text);
	if (status != LOOKUP_NOT_FOUND)
		return address;
	struct span result = address_join(q->arena, local, masked);
	if (result.len == 0)
		return address;
	question_trace(q, "%.*s: becomes %.*s (masquerade_domains)", SPAN_ARG(address), SPAN_ARG(result));
	return result;
}

/* generic(5): once, not again and again. "<>" is the empty address, which header fields do not take (header_rewrite.h). */
static struct span
generic_address(struct question *q, const char *parameter, struct maplist *list, struct span address)
{
	struct results r;
	bool found;

	q->may_be_empty = true;
	found = results_find(&r, q, list, address, q->engine->extension_generic);
	q->may_be_empty = false;
	if (!found)
		return address;
	if (r.count == 0)
		return (struct span){0};
	return only_result(q, &r, parameter, address);
}

enum lookup_status
route_rewrite(struct route_engine *e, struct arena *a, enum rewrite_kind kind, struct span address,
    const struct route_trace *trace, struct route_answer *answer)
{
	struct question q = {.engine = e, .arena = a, .trace = trace, .answer = answer};

	*answer = (struct route_answer){.status = LOOKUP_FOUND, .address = address};
	if (address.len == 0)
		return LOOKUP_FOUND;
	if (kind == REWRITE_GENERIC_SMTP || kind == REWRITE_GENERIC_LMTP) {
		bool smtp = kind == REWRITE_GENERIC_SMTP;
		answer->address = generic_address(&q, smtp ? "smtp_generic_maps" : "lmtp_generic_maps",
		    smtp ? e->smtp_generic : e->lmtp_generic, address);
		return answer->status;
	}
	q.remote = kind == REWRITE_REMOTE_SENDER || kind == REWRITE_REMOTE_RECIPIENT;
	bool sender = kind == REWRITE_LOCAL_SENDER || kind == REWRITE_REMOTE_SENDER;
	address = rewrite_address(&q, address);
	/* What tables give is ours to complete. */
	q.remote = false;
	answer->address = canonical_address(&q, address, sender ? USE_HEADER_SENDER : USE_HEADER_RECIPIENT);
	return answer->status;
}
