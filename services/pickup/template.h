/*
 * template: the words of notifications, built in or from bounce_template_file in the format of bounce(5).
 */
#ifndef POSTERN_PICKUP_TEMPLATE_H
#define POSTERN_PICKUP_TEMPLATE_H

#include "common/base/buf.h"
#include "common/base/error.h"
#include "common/base/span.h"
#include "common/conf/conf.h"

/* Who writes, where bounce_template_file does not say it. */
#define TEMPLATE_FROM SPAN_LIT("MAILER-DAEMON (Mail Delivery System)")

enum template_kind { TEMPLATE_FAILURE, TEMPLATE_DELAY, TEMPLATE_SUCCESS, TEMPLATE_KINDS };

struct template
{
	struct span charset, from, subject, postmaster_subject;
	struct span body; /* LF line ends, $names not yet expanded */
};

struct template_set;

/*
 * Reads the file while files may be opened; "" is the built-in set. What is missing in the file, or all of it if it
 * makes no sense, is built in: a warning says so. Never fails.
 */
struct template_set *template_set_load(const char *path);

/* Takes text in bounce(5)'s format. Returns -1 with err; what was understood until then is kept. */
int template_set_parse(struct template_set *set, struct span text, struct error *err);
struct template_set *template_set_builtin(void);
void template_set_free(struct template_set **set);

const struct template *template_get(const struct template_set *set, enum template_kind kind);

/*
 * Appends text with $name, ${name} and $(name) replaced by parameters' values; a time's name may end in _seconds,
 * _minutes, _hours, _days or _weeks. Lines end in CRLF.
 */
void template_expand(struct buf *out, struct span text, const struct conf_values *values);

#endif
