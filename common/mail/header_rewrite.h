/*
 * header_rewrite: addresses in header fields become what lookup makes of them, in place (Postfix's cleanup(8) with
 * trivial-rewrite(8); ADDRESS_REWRITING_README).
 *
 * Everything that is no rewritten address stays octet by octet: names, comments, groups, folding, and what makes no
 * sense. Whoever holds the header asks the questions (REWRITE_ASK), for this knows of no sockets:
 *
 *     for (h = header_rewrite_new(header, &rules); h && header_rewrite_next(h, &kind, &addresses); )
 *         ask; header_rewrite_answer(h, answer.addresses)
 *     header_rewrite_put(h, out)
 */
#ifndef POSTERN_MAIL_HEADER_REWRITE_H
#define POSTERN_MAIL_HEADER_REWRITE_H

#include <stdbool.h>

#include "common/base/buf.h"
#include "common/base/error.h"
#include "common/base/span.h"
#include "common/conf/conf.h"
#include "common/ipc/protocol.h"

/* What is asked in one question. Answers are at most ADDRESSES_MAX texts of ADDRESS_ANSWER_MAX octets. */
enum { HEADER_REWRITE_BATCH = 50, HEADER_REWRITE_ANSWER_MAX = 1000 };

/* All that the addresses of one header become. */
enum { HEADER_REWRITE_GROWTH_MAX = 4 * 1024 * 1024 };

struct header_rewrite_rules {
	/* Kinds of the questions about senders' fields (From, Reply-To...) and recipients' (To, Cc...). */
	enum rewrite_kind sender, recipient;
	bool all_senders, all_recipients; /* tables may know any address: ask about each */
	bool incomplete; /* ask about addresses without a domain */
	bool dotless; /* ...and with a domain without a dot */
};

/*
 * How the header of a message is rewritten: of this host's own mail, or of a stranger's (only where
 * remote_header_rewrite_domain says so). False if there is nothing to do for any header.
 */
bool header_rewrite_rules(const struct conf_values *v, bool local, struct header_rewrite_rules *rules);

struct header_rewrite;

/* header: whole fields with CRLF or LF; it must live as long. NULL if no address of it needs a question. */
struct header_rewrite *header_rewrite_new(struct span header, const struct header_rewrite_rules *rules);
void header_rewrite_free(struct header_rewrite **h);

/* The next question: addresses, each ended by NUL; they live until the answer. False if there is none any more. */
bool header_rewrite_next(struct header_rewrite *h, enum rewrite_kind *kind, struct span *addresses);

/* As many texts in the same order. -1 if it is no such answer. */
int header_rewrite_answer(struct header_rewrite *h, struct span addresses, struct error *err);

/* Appends the header with all answers in place. -1 if out is full, or not all of them could be kept. */
int header_rewrite_put(const struct header_rewrite *h, struct buf *out);

/* What fields with addresses are about. HEADER_NO_ADDRESSES: the field has none. */
enum header_address_class { HEADER_NO_ADDRESSES, HEADER_SENDER, HEADER_RECIPIENT };
enum header_address_class header_address_class(struct span name);

#endif
