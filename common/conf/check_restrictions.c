/*
 * Restriction lists: each word must be one that smtpd knows, a class of the file's own, or a table. smtpd refuses
 * with a temporary error where it meets another, so that a typing mistake never opens anything.
 */
#include <string.h>

#include "common/base/text.h"
#include "common/conf/report.h"
#include "common/conf/schema.h"
#include "common/conf/values.h"

static const struct {
	const char *name;
	bool takes_argument;
} restrictions[] = {
#define RESTRICTION(name, takes_argument, function, detail) {#name, takes_argument},
#include "common/conf/restrictions.def"
#undef RESTRICTION
};

enum { RESTRICTION_COUNT = sizeof(restrictions) / sizeof(restrictions[0]) };

/* Postfix's others: those in the first list have an argument. */
static const char with_argument[] =
    "check_client_a_access check_client_mx_access check_client_ns_access check_helo_a_access "
    "check_helo_mx_access check_helo_ns_access check_policy_service check_recipient_a_access "
    "check_recipient_mx_access check_recipient_ns_access check_reverse_client_hostname_a_access "
    "check_reverse_client_hostname_mx_access check_reverse_client_hostname_ns_access check_sasl_access "
    "check_sender_a_access check_sender_mx_access check_sender_ns_access permit_dnswl_client "
    "permit_rhswl_client reject_rbl_client reject_rhsbl_client reject_rhsbl_helo reject_rhsbl_recipient "
    "reject_rhsbl_reverse_client reject_rhsbl_sender sleep";
static const char without_argument[] =
    "permit_mx_backup permit_naked_ip_address reject_maps_rbl reject_unverified_recipient "
    "reject_unverified_sender";

struct list {
	struct source *source;
	unsigned line;
	const char *parameter;
	const char *classes;
};

static int
restriction_index(struct span word)
{
	for (int i = 0; i < RESTRICTION_COUNT; i++) {
		if (span_is_nocase(word, restrictions[i].name))
			return i;
	}
	return -1;
}

static bool
is_among(const char *names, struct span word)
{
	struct span rest = span_of(names), name;

	while (conf_list_next(&rest, &name)) {
		if (span_equal_nocase(name, word))
			return true;
	}
	return false;
}

static const char *
restriction_name(size_t number)
{
	return restrictions[number].name;
}

/* rest: behind that word, whose argument is taken off it if it has one. */
static void
complain_of_word(const struct list *l, struct span word, struct span *rest)
{
	const char *nearest = name_nearest(word, restriction_name, RESTRICTION_COUNT);
	bool argument = is_among(with_argument, word);

	if (argument || is_among(without_argument, word))
		conf_report_add(l->source->report, 'e', l->source->file, l->line,
		    "%s: Postern does not have the restriction %.*s of Postfix: mail that meets it is "
		    "deferred",
		    l->parameter, SPAN_ARG(word));
	else
		conf_report_add(l->source->report, 'e', l->source->file, l->line,
		    "%s: unknown restriction %.*s%s%s%s", l->parameter, SPAN_ARG(word), nearest ? ": " : "",
		    nearest ? nearest : "", nearest ? " was probably meant" : "");
	if (argument)
		(void)conf_list_next(rest, &word);
}

/* A class of the file's own, or a table. */
static bool
is_other_word(const struct list *l, struct span word)
{
	/* "type:name" */
	return is_among(l->classes, word) || span_find(word, ':') > 0 || span_find(word, '/') == 0;
}

static void
check_list(const struct list *l, const char *text)
{
	struct span rest = span_of(text), word, argument;

	while (conf_list_next(&rest, &word)) {
		int i = restriction_index(word);

		if (i < 0 && !is_other_word(l, word))
			complain_of_word(l, word, &rest);
		if (i < 0 || !restrictions[i].takes_argument)
			continue;
		if (!conf_list_next(&rest, &argument) || restriction_index(argument) >= 0)
			conf_report_add(l->source->report, 'e', l->source->file, l->line,
			    "%s: a table is missing behind %s", l->parameter, restrictions[i].name);
	}
}

void
values_check_restrictions(struct source *s, const struct scope *scope, const struct value_set *set)
{
	static const char *const parameters[] = {"smtpd_client_restrictions", "smtpd_helo_restrictions",
	    "smtpd_sender_restrictions", "smtpd_relay_restrictions", "smtpd_recipient_restrictions",
	    "smtpd_data_restrictions", "smtpd_end_of_data_restrictions", "smtpd_etrn_restrictions"};
	struct list l = {.source = s, .classes = set->values.smtpd_restriction_classes};
	struct span rest = span_of(l.classes), class_name;

	for (size_t i = 0; i < sizeof(parameters) / sizeof(parameters[0]); i++) {
		l.parameter = parameters[i];
		l.line = setting_line(s, scope, l.parameter);
		check_list(&l, conf_lookup(&set->values, l.parameter));
	}
	while (conf_list_next(&rest, &class_name)) {
		char name[CONF_NAME_MAX + 1];
		const char *text =
		    span_copy(class_name, name, sizeof(name)) ? conf_lookup(&set->values, name) : NULL;

		l.parameter = name;
		l.line = setting_line(s, scope, name);
		if (text)
			check_list(&l, text);
		else
			conf_report_add(s->report, 'e', s->file,
			    setting_line(s, scope, "smtpd_restriction_classes"),
			    "smtpd_restriction_classes: nobody defines %.*s", SPAN_ARG(class_name));
	}
}
