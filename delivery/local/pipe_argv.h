/*
 * pipe_argv: the arguments of a pipe transport's command for some recipients of one message.
 *
 * An argument with a name that is a recipient's ($recipient, $user, ...) stands once for each recipient. What a name
 * expands to is never split, and an argument that becomes empty stays an argument.
 */
#ifndef POSTERN_LOCAL_PIPE_ARGV_H
#define POSTERN_LOCAL_PIPE_ARGV_H

#include "common/base/buf.h"
#include "common/conf/pipe_settings.h"

struct pipe_recipient {
	struct span recipient, original_recipient;
};

struct pipe_message {
	struct span sender, nexthop, queue_id, envid;
	struct span client_address, client_helo, client_hostname, client_port, client_protocol;
	struct span sasl_method, sasl_sender, sasl_username;
	uint64_t size;
	const char *delimiters; /* recipient_delimiter */
	bool allow_min; /* allow_min_user: texts of strangers may begin with a hyphen */
};

/*
 * Appends the arguments, each with a NUL. -1 with err: they are too long, or (err->number is EINVAL) an
 * argument that is all a stranger's would begin with a hyphen and be taken for an option.
 */
int pipe_argv(struct buf *out, const struct pipe_settings *s, const struct pipe_message *m,
    const struct pipe_recipient *recipients, size_t count, struct error *err);

#endif
