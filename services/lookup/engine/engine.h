/*
 * engine: what the files of the engine share.
 */
#ifndef POSTERN_ENGINE_ENGINE_H
#define POSTERN_ENGINE_ENGINE_H

#include "common/map/keys.h"
#include "services/lookup/engine/domains.h"
#include "services/lookup/engine/route.h"

/* "transport:nexthop" of a parameter or table, split at the first colon. */
struct transport {
	struct span name, nexthop;
};

/* Where an address stands: the words of canonical_classes and masquerade_classes. */
enum address_use {
	USE_ENVELOPE_SENDER = 1 << 0,
	USE_ENVELOPE_RECIPIENT = 1 << 1,
	USE_HEADER_SENDER = 1 << 2,
	USE_HEADER_RECIPIENT = 1 << 3
};

/* An element of masquerade_domains. */
struct masquerade {
	struct span domain; /* in lower case, with A-labels */
	bool negated;
};

struct route_engine {
	struct conf *conf;
	const struct conf_values *values;
	const struct route_interfaces *interfaces;
	char *myorigin; /* lower case; the first line of the file where the parameter names one */
	struct table *own_addresses; /* inet_interfaces, proxy_interfaces */
	struct domains local, virtual_alias, virtual_mailbox, relay;
	struct maplist *local_recipients, *relay_recipients, *virtual_mailboxes, *virtual_aliases;
	struct maplist *canonical, *recipient_canonical, *sender_canonical;
	struct maplist *smtp_generic, *lmtp_generic, *recipient_bcc, *sender_bcc;
	struct maplist *transports, *relocated, *sender_relayhosts, *sender_transports;
	struct transport local_transport, virtual_transport, relay_transport, default_transport;
	unsigned canonical_uses, recipient_canonical_uses, sender_canonical_uses, masquerade_uses; /* USE_* */
	struct arena *memory; /* of the texts below */
	struct masquerade *masquerade;
	size_t masquerade_count;
	struct domains masquerade_exceptions, submitters; /* names of users */
	struct maplist *login_senders;
	bool extension_canonical, extension_virtual, extension_generic; /* propagate_unmatched_extensions */
	struct map_keys mail_keys, access_keys, transport_keys, recipient_keys;
	struct map_found found;
};

/* One question on its way through the steps. */
struct question {
	struct route_engine *engine;
	struct arena *arena;
	const struct route_trace *trace;
	struct span sender;
	struct route_answer *answer;
	size_t room; /* of the answer's list */
	unsigned row_flags; /* ROUTE_* of the rows that are added */
	struct span row_copy; /* their route_recipient.copy */
	bool remote; /* an address in the header of a stranger's mail: remote_header_rewrite_domain */
	bool may_be_empty; /* "<>" in a table is an address: of a sender, and of generic(5) */
	bool failed; /* answer is temporary: stop */
};

/* An address that resolve.c has looked at. */
struct resolved {
	struct span address; /* what is left after routing through ourselves was undone */
	struct span local; /* unquoted */
	struct span domain;
	enum address_class class;
	bool routed; /* user%x@domain: who has the domain may read more routing in it */
	bool moved; /* relocated_maps has it */
	struct span transport, nexthop;
};

/* Makes the answer temporary; trouble is for the log. */
void question_fail(struct question *q, const char *trouble);
/* There is an answer, but the log should know. */
void question_warn(struct question *q, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* A step for the trace, if there is one. */
void question_trace(struct question *q, const char *format, ...) __attribute__((format(printf, 2, 3)));
bool question_is_traced(const struct question *q);

/* " (TABLE, line N, key K)" of engine->found, for the trace. */
const char *question_place(struct question *q);

/* A row of the answer. */
void question_add_row(struct question *q, const struct resolved *r);

bool engine_is_own_literal(const struct route_engine *e, struct span domain);

/* mydestination or one of our addresses. */
enum lookup_status engine_is_local(struct route_engine *e, struct span domain, struct map_found *found);

struct transport transport_split(struct span text);

/* rewrite.c: the complete form of an address. An address that makes none comes back as it is. */
struct span rewrite_address(struct question *q, struct span address);
/* A domain in lower case, with A-labels, without a final dot, with .mydomain where that is asked for; *rule says if so. */
struct span rewrite_domain(struct question *q, struct span domain, const char **rule);

/* resolve.c: fills everything; false if the question failed. */
bool resolve_address(struct question *q, struct span address, struct resolved *r);

/* validate.c: sets status and reason of the answer. as_given: before rewriting. */
void validate_address(struct question *q, struct span as_given, const struct resolved *r, bool sender);

/* canonical.c: canonical tables and masquerading, as far as they are for such addresses. */
struct span canonical_address(struct question *q, struct span address, enum address_use use);
struct span masquerade_address(struct question *q, struct span address);

/* expand.c: virtual aliases, to answer->list with routes. */
void expand_address(struct question *q, struct span address);

/* bcc.c: more rows of the answer, with ROUTE_COPY. */
void bcc_of_recipient(struct question *q, struct span address);
void bcc_of_sender(struct question *q, struct span address);

#endif
