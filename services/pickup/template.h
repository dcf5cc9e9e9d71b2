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

/* line: where it is in the file; 0: the file as a whole. */
typedef void template_complain(unsigned line, const char *text, void *context);

/*
 * Reads the file while files may be opened; "" is the built-in set. What is missing in the file, and each template that
 * makes no sense, is built in: complain is told. Never fails.
 */
struct template_set *template_set_load(const char *path, template_complain *complain, void *context);

/* Takes text in bounce(5)'s format. A template that makes no sense changes nothing. */
void template_set_parse(
    struct template_set *set, struct span text, template_complain *complain, void *context);
struct template_set *template_set_builtin(void);
void template_set_free(struct template_set **set);

/* As bounce(5) names it: "failure_template". */
const char *template_name(enum template_kind kind);

const struct template *template_get(const struct template_set *set, enum template_kind kind);

/*
 * Appends text with $name, ${name} and $(name) replaced by parameters' values; a time's name may end in _seconds,
 * _minutes, _hours, _days or _weeks. Lines end in CRLF.
 */
void template_expand(struct buf *out, struct span text, const struct conf_values *values);

#endif
