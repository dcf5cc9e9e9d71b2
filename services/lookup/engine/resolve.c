/*
 * The class of an address, its transport and its next hop, as Postfix's trivial-rewrite works them out (resolve.c).
 *
 * Order: routing through ourselves is undone; the class of the domain gives the defaults; relocated_maps and
 * transport_maps override them.
 */
#include "common/base/text.h"
#include "common/mail/address.h"
#include "services/lookup/engine/engine.h"

/* Each turn makes the local part shorter, so this is never met. */
enum { ROUTING_DEPTH_MAX = 100 };

static const char *const class_names[] = {
    [CLASS_DEFAULT] = "default",
    [CLASS_LOCAL] = "local",
    [CLASS_VIRTUAL_ALIAS] = "virtual alias",
    [CLASS_VIRTUAL_MAILBOX] = "virtual mailbox",
    [CLASS_RELAY] = "relay",
};

/* user@elsewhere, user%elsewhere or elsewhere!user as the local part of one of our domains. */
static bool
routing_take(const struct route_engine *e, struct span *local, struct span *domain)
{
	ptrdiff_t at = span_find_last(*local, '@');

	if (at < 0 && e->values->swap_bangpath) {
		ptrdiff_t bang = span_find(*local, '!');
		if (bang >= 0) {
			*domain = span_sub(*local, 0, (size_t)bang);
			*local = span_from(*local, (size_t)bang + 1);
			return true;
		}
	}
	if (at < 0 && e->values->allow_percent_hack)
		at = span_find_last(*local, '%');
	if (at < 0)
		return false;
	*domain = span_from(*local, (size_t)at + 1);
	*local = span_sub(*local, 0, (size_t)at);
	return true;
}

/* Whatever our own settings are: those of the next host are not known. */
static bool
has_routing(struct span local)
{
	return span_find(local, '@') >= 0 || span_find(local, '%') >= 0 || span_find(local, '!') >= 0;
}

/* Strips our own domains from routed addresses. Sets r->class to CLASS_LOCAL if one of ours is the last. */
static bool
undo_routing(struct question *q, struct resolved *r)
{
	struct route_engine *e = q->engine;

	for (unsigned depth = 0; depth < ROUTING_DEPTH_MAX; depth++) {
		enum lookup_status status =
		    r->domain.len == 0 ? LOOKUP_FOUND : engine_is_local(e, r->domain, &e->found);
		if (status == LOOKUP_TEMPORARY) {
			question_fail(q, e->found.err.text);
			return false;
		}
		if (status == LOOKUP_NOT_FOUND)
			return true;
		struct span local = r->local, domain = r->domain;
		const char *rule = NULL;
		if (!routing_take(e, &local, &domain) || domain.len == 0) {
			r->class = CLASS_LOCAL;
			return true;
		}
		r->local = local;
		r->domain = rewrite_domain(q, domain, &rule);
		struct span address = address_join(q->arena, r->local, r->domain);
		if (address.len == 0 || address.len > ADDRESS_MAX) {
			question_fail(q, "an address is too long");
			return false;
		}
		question_trace(
		    q, "%.*s: routes through this host to %.*s", SPAN_ARG(r->address), SPAN_ARG(address));
		r->address = address;
	}
	question_fail(q, "an address routes through this host too often");
	return false;
}

/* Which list holds the domain? */
static bool
find_class(struct question *q, struct resolved *r)
{
	struct route_engine *e = q->engine;
	const struct {
		const struct domains *list;
		enum address_class class;
	} lists[] = {
	    {&e->virtual_alias, CLASS_VIRTUAL_ALIAS},
	    {&e->virtual_mailbox, CLASS_VIRTUAL_MAILBOX},
	    {&e->relay, CLASS_RELAY},
	};

	for (size_t i = 0; r->class == CLASS_DEFAULT && i < sizeof(lists) / sizeof(lists[0]); i++) {
		enum lookup_status status = domains_match(lists[i].list, r->domain, &e->found);
		if (status == LOOKUP_TEMPORARY) {
			question_fail(q, e->found.err.text);
			return false;
		}
		if (status == LOOKUP_FOUND)
			r->class = lists[i].class;
	}
	if (question_is_traced(q))
		question_trace(q, "%.*s: class %s%s%s%s", SPAN_ARG(r->address), class_names[r->class],
		    r->class != CLASS_DEFAULT ? " (" : "", r->class != CLASS_DEFAULT ? e->found.table : "",
		    r->class != CLASS_DEFAULT ? ")" : "");
	return true;
}

/*
 * One of the tables by sender: sender_dependent_relayhost_maps, ..._default_transport_maps. 1 found in engine->found,
 * 0 not (or DUNNO), -1 the question failed.
 */
static int
by_sender(struct question *q, struct maplist *list, const char *empty_key)
{
	struct route_engine *e = q->engine;
	struct map_keys keys = e->mail_keys;

	if (maplist_empty(list))
		return 0;
	keys.is_local = NULL;
	struct span sender = q->sender.len > 0 ? q->sender : span_of(empty_key);
	enum lookup_status status = map_find(list, LOOKUP_MAIL, sender, &keys, &e->found, NULL);
	if (status == LOOKUP_TEMPORARY) {
		question_fail(q, e->found.err.text);
		return -1;
	}
	return status == LOOKUP_FOUND && !span_is_nocase(buf_span(&e->found.value), "DUNNO") ? 1 : 0;
}

/* The next hop of mail that leaves: what the transport says, then the relay hosts, then the domain itself. */
static bool
outward(struct question *q, struct resolved *r, const struct transport *t)
{
	struct route_engine *e = q->engine;

	r->transport = t->name;
	r->nexthop = t->nexthop;
	if (r->nexthop.len > 0)
		return true;
	int got = by_sender(q, e->sender_relayhosts, e->values->empty_address_relayhost_maps_lookup_key);
	if (got < 0)
		return false;
	if (got > 0) {
		question_trace(
		    q, "%.*s: relay host of the sender (%s)", SPAN_ARG(r->address), question_place(q));
		r->nexthop = arena_copy_span(q->arena, buf_span(&e->found.value));
	} else if (e->values->relayhost[0] != '\0') {
		question_trace(q, "%.*s: relay host (relayhost)", SPAN_ARG(r->address));
		r->nexthop = span_of(e->values->relayhost);
	} else {
		r->nexthop = r->domain;
	}
	return true;
}

static bool
default_outward(struct question *q, struct resolved *r)
{
	struct route_engine *e = q->engine;
	struct transport t = e->default_transport;

	int got =
	    by_sender(q, e->sender_transports, e->values->empty_address_default_transport_maps_lookup_key);
	if (got < 0)
		return false;
	if (got > 0) {
		question_trace(
		    q, "%.*s: transport of the sender (%s)", SPAN_ARG(r->address), question_place(q));
		t = transport_split(arena_copy_span(q->arena, buf_span(&e->found.value)));
	} else {
		question_trace(
		    q, "%.*s: transport of all other domains (default_transport)", SPAN_ARG(r->address));
	}
	return outward(q, r, &t);
}

static bool
class_route(struct question *q, struct resolved *r)
{
	const struct route_engine *e = q->engine;

	switch (r->class) {
	case CLASS_LOCAL:
		question_trace(
		    q, "%.*s: transport of this host's domains (local_transport)", SPAN_ARG(r->address));
		r->transport = e->local_transport.name;
		r->nexthop = e->local_transport.nexthop.len > 0 ? e->local_transport.nexthop
								: span_of(e->values->myhostname);
		return true;
	case CLASS_VIRTUAL_ALIAS:
		r->transport = SPAN_LIT("error");
		r->nexthop = SPAN_LIT("5.1.1 User unknown in virtual alias table");
		return true;
	case CLASS_VIRTUAL_MAILBOX:
		question_trace(
		    q, "%.*s: transport of virtual mailboxes (virtual_transport)", SPAN_ARG(r->address));
		r->transport = e->virtual_transport.name;
		r->nexthop = e->virtual_transport.nexthop.len > 0 ? e->virtual_transport.nexthop : r->domain;
		return true;
	case CLASS_RELAY:
		question_trace(
		    q, "%.*s: transport of domains that are relayed (relay_transport)", SPAN_ARG(r->address));
		return outward(q, r, &e->relay_transport);
	default:
		return default_outward(q, r);
	}
}

/* transport(5), RESULT FORMAT: an empty field leaves the default, an empty next hop behind a transport is the domain. */
static bool
transport_override(struct question *q, struct resolved *r)
{
	struct route_engine *e = q->engine;

	if (r->class == CLASS_VIRTUAL_ALIAS)
		return true;
	enum lookup_status status =
	    map_find(e->transports, LOOKUP_TRANSPORT, r->address, &e->transport_keys, &e->found, NULL);
	if (status == LOOKUP_TEMPORARY) {
		question_fail(q, e->found.err.text);
		return false;
	}
	if (status == LOOKUP_NOT_FOUND)
		return true;
	question_trace(q, "%.*s: transport table says %.*s (%s)", SPAN_ARG(r->address),
	    SPAN_ARG(buf_span(&e->found.value)), question_place(q));
	struct transport t = transport_split(arena_copy_span(q->arena, span_trim(buf_span(&e->found.value))));
	if (t.name.len > 0) {
		bool fails = span_is(t.name, "error") || span_is(t.name, "retry");
		r->transport = t.name;
		r->nexthop = fails ? SPAN_LIT("Address is undeliverable") : r->domain;
	}
	if (t.nexthop.len > 0)
		r->nexthop = t.nexthop;
	return true;
}

/* relocated(5). */
static bool
relocated(struct question *q, struct resolved *r)
{
	struct route_engine *e = q->engine;

	enum lookup_status status =
	    map_find(e->relocated, LOOKUP_MAIL, r->address, &e->mail_keys, &e->found, NULL);
	if (status == LOOKUP_TEMPORARY) {
		question_fail(q, e->found.err.text);
		return false;
	}
	if (status == LOOKUP_NOT_FOUND)
		return true;
	question_trace(q, "%.*s: has moved (%s)", SPAN_ARG(r->address), question_place(q));
	char *text = arena_printf(
	    q->arena, "5.1.6 User has moved to %.*s", SPAN_ARG(span_trim(buf_span(&e->found.value))));
	r->moved = true;
	r->transport = SPAN_LIT("error");
	r->nexthop = text != NULL ? span_of(text) : SPAN_LIT("5.1.6 User has moved");
	return true;
}

static void
refuse(struct resolved *r, const char *text)
{
	r->transport = SPAN_LIT("error");
	r->nexthop = span_of(text);
}

bool
resolve_address(struct question *q, struct span address, struct resolved *r)
{
	const struct route_engine *e = q->engine;
	struct span quoted;

	*r = (struct resolved){.address = address, .class = CLASS_DEFAULT};
	address_split(address, &quoted, &r->domain);
	r->local = address_unquote_local(q->arena, quoted);
	if (!undo_routing(q, r) || !find_class(q, r) || !class_route(q, r))
		return false;
	if (!relocated(q, r))
		return false;
	if (!r->moved && !transport_override(q, r))
		return false;
	/* A local part that a command could take for an option (catalogue H03). */
	if (r->local.len > 0 && r->local.ptr[0] == '-' && !e->values->allow_min_user)
		refuse(r, "5.1.3 bad address syntax");
	/* Postfix's RESOLVE_FLAG_ROUTED: strangers may not reach on through a domain that we only pass mail to. */
	r->routed = has_routing(r->local);
	if (r->routed && !e->values->allow_untrusted_routing)
		question_trace(q,
		    "%.*s: holds further routing: strangers may not send to it (allow_untrusted_routing)",
		    SPAN_ARG(r->address));
	question_trace(q, "%.*s: transport %.*s, next hop %.*s", SPAN_ARG(r->address), SPAN_ARG(r->transport),
	    SPAN_ARG(r->nexthop));
	return true;
}
