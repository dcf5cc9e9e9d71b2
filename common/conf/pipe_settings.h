/*
 * pipe_settings: the arguments of a pipe transport (pipe(8)), taken apart: flags=, user=, argv= and the others.
 */
#ifndef POSTERN_CONF_PIPE_SETTINGS_H
#define POSTERN_CONF_PIPE_SETTINGS_H

#include <stdbool.h>
#include <stdint.h>

#include "common/base/error.h"
#include "common/base/span.h"

enum {
	PIPE_BLANK = 1 << 0, /* B */
	PIPE_DELIVERED = 1 << 1, /* D */
	PIPE_FROM = 1 << 2, /* F */
	PIPE_ORIGINAL = 1 << 3, /* O */
	PIPE_RETURN_PATH = 1 << 4, /* R */
	PIPE_FINAL = 1 << 5, /* X */
	PIPE_FOLD_HOST = 1 << 6, /* h */
	PIPE_QUOTE = 1 << 7, /* q */
	PIPE_FOLD_USER = 1 << 8, /* u */
	PIPE_DOTS = 1 << 9, /* . */
	PIPE_QUOTE_FROM = 1 << 10 /* > */
};

struct pipe_settings {
	unsigned flags;
	bool crlf; /* eol=\r\n */
	struct span user; /* user or user:group */
	struct span root; /* chroot=, an absolute path; "": the host's */
	struct span directory;
	struct span null_sender;
	bool has_null_sender;
	uint64_t size; /* 0: any */
	struct span argv; /* words for transport_argument_next() */
};

/* Is that name in argv one of the recipient's? Then its argument stands once for each of them. */
bool pipe_name_is_of_recipient(struct span name);

/* Spans point into arguments. -1 with err for what makes no sense, or has no user or command, or a name in argv that is none. */
int pipe_settings_parse(struct span arguments, struct pipe_settings *s, struct error *err);

#endif
