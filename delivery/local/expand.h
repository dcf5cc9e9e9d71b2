/*
 * expand: what an alias or a .forward leads to: addresses that are no alias of this host, commands, files.
 *
 * Tables are asked through lookup, files are read by helpers; members are told one by one and never kept, so that a
 * list may have as many as it likes. Aliases within aliases and :include: files are opened here, each once, so that
 * loops end. An alias that contains its own name means the user of that name.
 *
 * A command or file is told as a name that stands for it: "\NAME|DIGEST" for a member of alias NAME, "\NAME~DIGEST" for
 * one of the .forward of NAME. Nothing of what is to be done is in it: whoever delivers there looks the alias or
 * .forward up again and takes the member with that digest, with the rights that it has then. A stranger who sends
 * mail to such a name gets no more than by sending to NAME. "\NAME" is the mailbox of the user, past alias and
 * .forward; "\\NAME" the user, past aliases.
 */
#ifndef POSTERN_LOCAL_EXPAND_H
#define POSTERN_LOCAL_EXPAND_H

#include <stdbool.h>
#include <stdint.h>

#include "common/base/span.h"
#include "common/conf/conf.h"
#include "common/ipc/ipc.h"
#include "delivery/local/alias_value.h"
#include "delivery/local/pool.h"
#include "delivery/local/target.h"

enum { EXPAND_DEPTH_MAX = 100, EXPAND_ADDRESSES_MAX = 90000, EXPAND_FORWARDS_MAX = 64 };

enum expand_status {
	EXPAND_NONE, /* no alias, or no .forward that says anything */
	EXPAND_DONE, /* all were told */
	EXPAND_FAILED, /* class, code, text */
	EXPAND_MEMBER /* the member that was looked for */
};

/* Where something stands: which of allow_mail_to_commands counts. */
enum expand_place { EXPAND_IN_ALIAS, EXPAND_IN_FORWARD, EXPAND_IN_INCLUDE };

struct expand_address {
	struct span recipient;
	struct span sender;
	struct span transport;
	struct span nexthop;
	uint64_t generation;
	struct span member; /* as a list with an owner names it; "": there is no such list */
	/* What Delivered-To is about: */
	bool passed_on; /* mail of its own, as if it had been sent on; else its delivery goes on here */
	struct span through; /* the alias within aliases that it stands in; "": the recipient itself */
};

struct expand_member {
	enum alias_member kind; /* ALIAS_COMMAND or ALIAS_FILE */
	enum expand_place place;
	struct span text;
	struct span sender;
	const struct target *rights; /* as whom */
};

struct expand_result {
	enum expand_status status;
	enum outcome_class class;
	const char *code;
	struct span text;
	bool has_owner; /* owner-NAME is the sender from here on */
	size_t count; /* addresses that were told */
	struct expand_member member;
};

struct expansion;

/* What comes is lent. None is called before expand_start() returns. */
struct expand_listener {
	/* There is an alias or .forward: nothing is told before expand_go_on() is called, perhaps at once. */
	void (*found)(void *context, struct expansion *x);
	/* False: mail for it came through there already. */
	bool (*address)(void *context, const struct expand_address *a);
	/* The end; the expansion is gone when this returns. */
	void (*done)(void *context, const struct expand_result *result);
};

struct server;

struct expand_request {
	struct server *server; /* whose lookup is asked: it may be another one each time */
	struct pool *pool;
	const struct target_finder *finder;
	const struct conf *conf; /* a reference is taken */
	struct span name; /* unquoted, lower case, with its extension */
	struct span spelled; /* the same as it was written: commands and files see that */
	struct span domain; /* of the recipient: owner-NAME gets it */
	struct span sender;
	uint64_t generation; /* of lookup's answers now */
	/* Of a .forward; NULL: an alias. */
	const struct target *user;
	struct span forward_paths; /* one a line, EXPAND_FORWARDS_MAX at most */
	uint64_t forward_extended; /* bits of those that are for this extension: from them it is not copied */
	struct span extension; /* with its delimiter: for addresses of a .forward; "": there is none */
	/* Of the member that is looked for; empty: all addresses. */
	struct span digest;
};

void expand_start(
    const struct expand_request *request, const struct expand_listener *listener, void *context);
void expand_go_on(struct expansion *x);

/* It must not go on: done is called with EXPAND_FAILED and these. After found, instead of expand_go_on(). */
void expand_refuse(struct expansion *x, enum outcome_class class, const char *code, struct span text);

#endif
