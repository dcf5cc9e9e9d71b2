/*
 * Completes an address, as Postfix's trivial-rewrite does for its own (rewrite.c): source routes are gone already.
 */
#include "common/base/text.h"
#include "common/mail/address.h"
#include "common/mail/domain_form.h"
#include "services/lookup/engine/engine.h"

/* site!user: the first '!'. user%domain: the last '%'. False if there is neither. */
static bool
routing_undo(const struct route_engine *e, struct span *local, struct span *domain, const char **rule)
{
	ptrdiff_t at = e->values->swap_bangpath ? span_find(*local, '!') : -1;

	if (at >= 0) {
		*domain = span_sub(*local, 0, (size_t)at);
		*local = span_from(*local, (size_t)at + 1);
		*rule = "swap_bangpath";
		return true;
	}
	at = e->values->allow_percent_hack ? span_find_last(*local, '%') : -1;
	if (at >= 0) {
		*domain = span_from(*local, (size_t)at + 1);
		*local = span_sub(*local, 0, (size_t)at);
		*rule = "allow_percent_hack";
		return true;
	}
	return false;
}

struct span
rewrite_domain(struct question *q, struct span domain, const char **rule)
{
	const struct route_engine *e = q->engine;

	if (domain.len > 1 && domain.ptr[domain.len - 1] == '.' && domain.ptr[domain.len - 2] != '.')
		domain.len--;
	else if (domain.len > 0 && domain.ptr[0] != '[' && e->values->append_dot_mydomain &&
		 span_find(domain, '.') < 0) {
		char *full = arena_printf(q->arena, "%.*s.%s", SPAN_ARG(domain),
		    q->remote ? e->values->remote_header_rewrite_domain : e->values->mydomain);
		if (full == NULL)
			return domain;
		*rule = "append_dot_mydomain";
		domain = span_of(full);
	}
	char alabels[DOMAIN_FORM_MAX];
	if (domain_to_alabels(domain, alabels)) {
		domain = span_of(alabels);
		*rule = *rule != NULL ? *rule : "A-labels";
	}
	char *lower = arena_copy(q->arena, domain);
	if (lower == NULL)
		return domain;
	if (domain.len == 0 || domain.ptr[0] != '[')
		text_lower(lower, domain.len);
	return span_make(lower, domain.len);
}

struct span
rewrite_address(struct question *q, struct span address)
{
	const struct route_engine *e = q->engine;
	struct span quoted, local, domain;
	const char *rule = NULL;

	address_split(address, &quoted, &domain);
	/* "user@": only what resolve_null_domain says makes sense of it, and that reads as "user". */
	bool has_at = quoted.len < address.len;
	local = address_unquote_local(q->arena, quoted);
	bool was_quoted = quoted.len > 0 && quoted.ptr[0] == '"';
	if (!has_at || (domain.len == 0 && e->values->resolve_null_domain)) {
		bool routed = !was_quoted && routing_undo(e, &local, &domain, &rule);
		if (!routed && e->values->append_at_myorigin) {
			domain = q->remote ? span_of(e->values->remote_header_rewrite_domain)
					   : span_of(e->myorigin);
			rule = q->remote ? "remote_header_rewrite_domain" : "append_at_myorigin";
		}
	}
	if (domain.len > 0)
		domain = rewrite_domain(q, domain, &rule);
	struct span complete = domain.len > 0 ? address_join(q->arena, local, domain) : address;
	if (complete.ptr == NULL || complete.len == 0 || complete.len > ADDRESS_MAX)
		return address;
	if (question_is_traced(q) && !span_equal(complete, address))
		question_trace(q, "%.*s: rewritten to %.*s (%s)", SPAN_ARG(address), SPAN_ARG(complete),
		    rule != NULL ? rule : "normal form");
	return complete;
}
