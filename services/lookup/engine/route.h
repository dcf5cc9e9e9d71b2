/*
 * route: what an address is, whether it is valid, what it becomes, and where its mail goes.
 *
 * The engine is compiled from a configuration and used by lookup (for smtpd, queue, pickup, local), by "postern
 * route" and by "sendmail -bv": one truth. Steps, each in a file of its own:
 *   rewrite.c   completes an address: @myorigin, site!user, user%domain, .mydomain
 *   resolve.c   its class, transport and next hop (ADDRESS_CLASS_README, transport(5))
 *   validate.c  is it in the table of its class?
 *   canonical.c canonical(5), generic(5), masquerading
 *   expand.c    virtual(5)
 *   bcc.c       always_bcc and its tables
 * Beside them permit.c: who of this host's users may send, and as whom.
 *
 * Memory of one question is the caller's arena; nothing is kept from one to the next but open tables.
 */
#ifndef POSTERN_ENGINE_ROUTE_H
#define POSTERN_ENGINE_ROUTE_H

#include <stdbool.h>

#include "common/base/arena.h"
#include "common/conf/conf.h"
#include "common/ipc/protocol.h"
#include "common/map/maplist.h"

/* Enough for virtual_alias_expansion_limit addresses of a common size; beyond it the answer is temporary. */
enum { ROUTE_ARENA_BYTES = 8 << 20, ROUTE_REASON_MAX = 480 };

struct route_engine;

/* Told what is done, line by line, for "postern route". */
struct route_trace {
	void (*step)(const char *text, void *context);
	void *context;
};

/* flags: ROUTE_* of protocol.h. */
struct route_recipient {
	struct span address, transport, nexthop;
	unsigned flags;
	struct span copy; /* of ROUTE_COPY: whom the copy is for, before virtual tables */
};

struct route_answer {
	enum lookup_status status; /* of the validation; LOOKUP_TEMPORARY also if any step was in trouble */
	enum address_class class;
	bool routed; /* what is left of it once routing through ourselves was undone holds more routing */
	struct span address; /* as rewritten */
	struct span reason; /* "5.1.1 User unknown in ...", for the SMTP reply */
	struct span trouble; /* when temporary: table, file and what is wrong, for the log */
	struct span warning; /* what the log should say, though there is an answer */
	struct route_recipient *list;
	size_t count;
};

/*
 * The addresses of this host's interfaces, as inet_ntop writes them, for user@[address]. Read once while that is
 * still allowed (before the sandbox closes).
 */
struct route_interfaces;
struct route_interfaces *route_interfaces_read(void);
void route_interfaces_free(struct route_interfaces **i);

/* Holds a reference of conf; maps and interfaces (may be NULL) must live longer. */
struct route_engine *route_new(
    const struct conf *conf, struct map_set *maps, const struct route_interfaces *interfaces);
void route_free(struct route_engine **e);

/* Options for map_find() with the form of a MAP_ASK. */
const struct map_keys *route_keys(const struct route_engine *e, enum lookup_form form);

/* flags: RESOLVE_*. address is in the internal form of common/mail/address.h; sender too. trace may be NULL. */
void route_resolve(struct route_engine *e, struct arena *a, struct span address, struct span sender,
    unsigned flags, const struct route_trace *trace, struct route_answer *answer);

/*
 * An address of a header field, or of an envelope on the way out: answer->address is what it becomes. Returns
 * answer->status.
 */
enum lookup_status route_rewrite(struct route_engine *e, struct arena *a, enum rewrite_kind kind,
    struct span address, const struct route_trace *trace, struct route_answer *answer);

/*
 * May the user send mail with this sender (authorized_submit_users, local_login_sender_maps)? Fills status (FOUND: yes),
 * reason (for the user) and trouble (when temporary). Returns answer->status.
 */
enum lookup_status route_permit(
    struct route_engine *e, struct arena *a, uint32_t uid, struct span sender, struct route_answer *answer);

#endif
