/*
 * expansion: an expansion under way: what expand.c, expand_source.c and expand_ask.c share.
 */
#ifndef POSTERN_LOCAL_EXPANSION_H
#define POSTERN_LOCAL_EXPANSION_H

#include <event2/event.h>
#include <stdarg.h>

#include "common/base/arena.h"
#include "common/base/table.h"
#include "delivery/local/expand.h"
#include "delivery/local/lists.h"

enum { EXPANSION_ARENA = 1 << 20, EXPANSION_WINDOW = 32, EXPANSION_OPEN = 16, EXPANSION_TOLD = 1000 };

/* A member of a list that waits for its turn. */
struct pending {
	TAILQ_ENTRY(pending) link;
	enum alias_member kind;
	char text[];
};

/* The right side of an alias, or a file: where members come from. It lives while anybody holds it. */
struct members {
	TAILQ_ENTRY(members) link; /* in sources while it is open; the newest first */
	struct expansion *expansion;
	enum expand_place place;
	unsigned holds;
	bool open;
	char *name; /* the alias or user that it belongs to */
	bool own; /* of the recipient itself, not of an alias within */
	char *sender;
	char *extension; /* to be added to its addresses; NULL: none */
	char *address; /* of that alias, where it is not the recipient's own; NULL: it is */
	bool listed; /* behind an alias with an owner */
	bool owned; /* mail for it is sent on: there is an owner, an :include: or a .forward */
	bool renamed; /* canonical or virtual tables led here: for its members they are not asked again */
	struct target rights;
	unsigned depth;
	/* The right side of an alias. */
	char *value;
	struct span rest;
	bool exhausted;
	struct arena *arena; /* of the member at hand */
	/* A file. */
	struct list_read *list;
	TAILQ_HEAD(, pending) pending;
};

struct expansion {
	struct arena *arena;
	struct server *server;
	struct pool *pool;
	const struct target_finder *finder;
	struct conf *conf;
	struct span name, spelled, domain, sender, forward_paths, digest;
	uint64_t forward_extended;
	const struct target *user;
	struct target user_copy, member_rights;
	TAILQ_HEAD(, members) sources;
	unsigned open_sources;
	unsigned asked; /* answers that are still to come */
	bool stopped; /* found() was called, and nobody said what then */
	bool looped;
	struct table *seen; /* names of aliases that were opened */
	struct table *told; /* local names that were told, as many as fit */
	uint64_t generation; /* the oldest of the routes */
	struct event *turn;
	char text[600], complaint[500];
	struct expand_result result;
	const struct expand_listener *listener;
	void *context;
};

/* ---- expand.c ---- */

void expansion_fail(struct expansion *x, enum outcome_class class, const char *code, const char *format, ...)
    __attribute__((format(printf, 4, 5)));

/* A member makes no sense: the others are served, and this is said in the end. */
void expansion_complain(struct expansion *x, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* The first alias or list was found. */
void expansion_found(struct expansion *x);
void expansion_pump_soon(struct expansion *x);
void expansion_on_turn(evutil_socket_t fd, short what, void *context);

/* ---- expand_source.c ---- */

/* Is open and held by its caller. */
struct members *members_new(struct expansion *x, const struct members *parent, enum expand_place place);
void members_release(struct members *s);
void members_close(struct members *s);
void members_read_value(struct members *s, struct span value);

/* user: of a .forward; NULL of an :include:. */
void members_read_file(
    struct members *s, enum member_list_kind kind, struct span paths, const struct target *user);

/* Deals with the next member. False if there is none now. */
bool members_take(struct members *s);

/* No member will come any more. */
bool members_are_over(const struct members *s);

/* ---- expand_ask.c ---- */

/* Is that name an alias? from: where it stands, NULL: it is the recipient's own. */
void expansion_ask_name(struct expansion *x, struct members *from, struct span name);

/* Where does that address go? stands_for: it is a name of ours for a command or file. */
void expansion_ask_address(struct members *from, struct span address, bool stands_for);

#endif
