/*
 * transports: the transports that there are, those of transport_services included.
 *
 * transport_services holds lines of Postfix's master.cf, each in braces, or one without them:
 *
 *   transport_services =
 *       { dovecot unix - n n - - pipe flags=DRhu user=vmail:vmail argv=/usr/lib/dovecot/deliver -d ${recipient} }
 *       { store lmtp }
 *
 *       { smtps unix - - n - - smtp -o smtp_tls_wrappermode=yes -o smtp_tls_security_level=verify }
 *
 * The six columns between the name and the program may be left out; of theirs only the number of processes counts. Options
 * of smtp and lmtp are parameters with other values for that transport. A name that only has a pace
 * (slow_destination_rate_delay) is one more SMTP client, unless it is to fill mailboxes. Mail for a name that nobody
 * declares waits: by SMTP, what was meant for a command or another program would come back to this host, or bounce.
 */
#ifndef POSTERN_CONF_TRANSPORTS_H
#define POSTERN_CONF_TRANSPORTS_H

#include <stdbool.h>
#include <stdint.h>

#include "common/base/buf.h"
#include "common/base/error.h"
#include "common/base/span.h"
#include "common/conf/conf.h"

struct unsupported; /* common/conf/schema.h */

enum transport_kind {
	TRANSPORT_SMTP,
	TRANSPORT_LMTP,
	TRANSPORT_LOCAL,
	TRANSPORT_VIRTUAL,
	TRANSPORT_PIPE,
	TRANSPORT_ERROR,
	TRANSPORT_RETRY,
	TRANSPORT_DISCARD,
	TRANSPORT_UNKNOWN /* nobody declares it */
};

struct transport_service {
	struct span name;
	enum transport_kind kind;
	unsigned processes; /* at most so many commands at once; 0: the default */
	struct span arguments; /* of pipe; of smtp and lmtp: their options, which are good */
};

enum { TRANSPORT_OPTIONS_MAX = 40, TRANSPORT_PROCESSES = 20 /* the default */ };

/* Takes the next declaration off *rest. Returns 1; 0 at the end; -1 with err for one that makes no sense, behind which it goes on. */
int transport_service_next(struct span *rest, struct transport_service *s, struct error *err);

/* What the transport of that name is. The arguments live as long as v. */
void transport_service_find(const struct conf_values *v, struct span name, struct transport_service *s);

/* The parameters that name one, "transport:nexthop". */
struct transport_parameter {
	const char *name, *value;
};
enum { TRANSPORT_PARAMETERS = 8 };
void transport_parameters(const struct conf_values *v, struct transport_parameter rows[TRANSPORT_PARAMETERS]);

/* Whether it is one of Postern's own, or declared. */
bool transport_is_known(const struct conf_values *v, struct span name);

/* The next word of *rest: bounded by white space; {text with spaces} is one, without its braces. False at the end. */
bool transport_argument_next(struct span *rest, struct span *word);

/*
 * What Postfix has and Postern has not, where a transport can do without: the option is told by check, and changes nothing. NULL
 * for all other names.
 */
const struct unsupported *transport_option_missing(struct span name);

/*
 * Takes the next "-o name=value" or "-o { name = value }" of the options of smtp and lmtp. Returns 1; 0 at the end; -1 with
 * err for anything else.
 */
int transport_option_next(struct span *rest, struct span *name, struct span *value, struct error *err);

/* Replaces $names in *value: parameters of v, and $service_name. The text is appended to out, which does not grow. */
int transport_option_expand(const struct transport_service *s, const struct conf_values *v,
    struct span *value, struct buf *out, struct error *err);

#endif
