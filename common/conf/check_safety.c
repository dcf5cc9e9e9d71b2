/*
 * Values that are right one by one but make an unsafe host: they stop the start.
 */
#include <string.h>

#include "common/conf/pipe_settings.h"
#include "common/conf/report.h"
#include "common/conf/transports.h"
#include "common/conf/values.h"
#include "common/net/address.h"

unsigned
setting_line(const struct source *s, const struct scope *scope, const char *name)
{
	struct setting *setting = scope_find(scope, span_of(name));

	if (!setting)
		setting = scope_find(&s->scopes[0], span_of(name));
	return setting ? setting->line : 0;
}

static bool
has_word(const char *list, const char *const *words, size_t count)
{
	struct span rest = span_of(list), word;

	while (conf_list_next(&rest, &word)) {
		for (size_t i = 0; i < count; i++) {
			if (span_is_nocase(word, words[i]))
				return true;
		}
	}
	return false;
}

/* As Postfix: without one of these words anybody might relay through this host. */
static void
check_relaying(struct source *s, const struct scope *scope, const struct conf_values *v)
{
	static const char *const refusals[] = {
	    "reject_unauth_destination", "defer_unauth_destination", "reject", "defer", "defer_if_permit"};
	const size_t count = sizeof(refusals) / sizeof(refusals[0]);

	if (has_word(v->smtpd_relay_restrictions, refusals, count) ||
	    has_word(v->smtpd_recipient_restrictions, refusals, count))
		return;
	conf_report_add(s->report, 'f', s->file, setting_line(s, scope, "smtpd_relay_restrictions"),
	    "smtpd_relay_restrictions or smtpd_recipient_restrictions must hold one of "
	    "reject_unauth_destination, "
	    "defer_unauth_destination, reject, defer: else this is an open relay");
}

/* "0.0.0.0/0", "::/0", "[::]/0": everybody. */
static bool
is_whole_internet(struct span word)
{
	ptrdiff_t slash = span_find_last(word, '/');
	struct span bits;

	if (slash < 0)
		return span_is(word, "static:all");
	if (word.len > 0 && word.ptr[0] == '/')
		return false;
	bits = span_from(word, (size_t)slash + 1);
	return span_is(bits, "0") || span_is(bits, "00");
}

static void
check_networks(struct source *s, const struct scope *scope, const struct conf_values *v)
{
	static const char *const trusts[] = {"permit_mynetworks"};
	struct span rest = span_of(v->mynetworks), word;

	if (!has_word(v->smtpd_relay_restrictions, trusts, 1) &&
	    !has_word(v->smtpd_recipient_restrictions, trusts, 1))
		return;
	while (conf_list_next(&rest, &word)) {
		if (is_whole_internet(word))
			conf_report_add(s->report, 'f', s->file, setting_line(s, scope, "mynetworks"),
			    "mynetworks holds %.*s: everybody could relay through this host", SPAN_ARG(word));
	}
}

/* A list that cannot be read would let too many in or nobody: the listener could not be served. */
static void
check_network_lists(struct source *s, const struct scope *scope, const struct conf_values *v)
{
	const struct {
		const char *name, *text;
	} lists[] = {
	    {"mynetworks", v->mynetworks},
	    {"smtpd_client_event_limit_exceptions", v->smtpd_client_event_limit_exceptions},
	    {"smtpd_forbid_bare_newline_exclusions", v->smtpd_forbid_bare_newline_exclusions},
	    {"smtpd_sasl_exceptions_networks", v->smtpd_sasl_exceptions_networks},
	};

	for (size_t i = 0; i < sizeof(lists) / sizeof(lists[0]); i++) {
		struct error err;
		struct net_list *list;

		if (i > 0 && strcmp(lists[i].text, lists[0].text) == 0)
			continue; /* $mynetworks: said once */
		list = net_list_parse(span_of(lists[i].text), &err);
		if (list == NULL)
			conf_report_add(s->report, 'f', s->file, setting_line(s, scope, lists[i].name),
			    "%s: %s", lists[i].name, err.text);
		net_list_free(&list);
	}
}

static void
check_directory(struct source *s, const struct scope *scope, const char *name, const char *path)
{
	if (path[0] != '/' || strcmp(path, "/") == 0)
		conf_report_add(s->report, 'f', s->file, setting_line(s, scope, name),
		    "%s = %.60s: must be an absolute path of a directory of its own", name, path);
}

/* As for parameters: what is lost is told, unless the value is what happens anyway. */
static void
check_transport_options(struct source *s, unsigned line, const struct transport_service *service)
{
	struct span rest = service->arguments, name, value;
	struct error ignored;

	while (transport_option_next(&rest, &name, &value, &ignored) > 0) {
		const struct unsupported *u = transport_option_missing(name);

		if (u && !unsupported_is_harmless(u, value))
			conf_report_add(s->report, 'e', s->file, line,
			    "transport_services: transport %.*s: Postern does not support %.*s of "
			    "Postfix%s%s",
			    SPAN_ARG(service->name), SPAN_ARG(name), u->advice ? ": " : "",
			    u->advice ? u->advice : "");
	}
}

static void
check_transports(struct source *s, const struct scope *scope, const struct conf_values *v)
{
	unsigned line = setting_line(s, scope, "transport_services");
	struct span rest = span_of(v->transport_services);
	struct transport_service service;
	struct pipe_settings pipe;
	struct error err;
	int got;

	while ((got = transport_service_next(&rest, &service, &err)) != 0) {
		if (got > 0 && service.kind == TRANSPORT_PIPE &&
		    pipe_settings_parse(service.arguments, &pipe, &err) < 0) {
			error_while(&err, "transport %.*s", SPAN_ARG(service.name));
			got = -1;
		}
		if (got > 0 && (service.kind == TRANSPORT_SMTP || service.kind == TRANSPORT_LMTP))
			check_transport_options(s, line, &service);
		if (got < 0)
			conf_report_add(s->report, 'e', s->file, line, "transport_services: %s", err.text);
	}
}

/* Mail for a transport that nobody declares waits: what stood in master.cf has a line in transport_services. */
static void
check_transport_names(struct source *s, const struct scope *scope, const struct conf_values *v)
{
	struct transport_parameter rows[TRANSPORT_PARAMETERS];

	transport_parameters(v, rows);
	for (size_t i = 0; i < TRANSPORT_PARAMETERS; i++) {
		struct span text = span_of(rows[i].value);
		ptrdiff_t colon = span_find(text, ':');
		struct span name = span_trim(span_sub(text, 0, colon < 0 ? text.len : (size_t)colon));

		if (name.len > 0 && !transport_is_known(v, name))
			conf_report_add(s->report, 'e', s->file, setting_line(s, scope, rows[i].name),
			    "%s: transport %.*s is not in transport_services: mail for it waits",
			    rows[i].name, SPAN_ARG(span_sub(name, 0, 60)));
	}
}

static void
check_times(struct source *s, const struct scope *scope, const struct conf_values *v)
{
	if (v->maximal_backoff_time < v->minimal_backoff_time)
		conf_report_add(s->report, 'w', s->file, setting_line(s, scope, "maximal_backoff_time"),
		    "maximal_backoff_time is shorter than minimal_backoff_time");
	if (v->message_size_limit > 0 && v->queue_minfree > 0 && v->queue_minfree < v->message_size_limit)
		conf_report_add(s->report, 'w', s->file, setting_line(s, scope, "queue_minfree"),
		    "queue_minfree is smaller than message_size_limit");
	if (v->mailbox_size_limit > 0 && v->mailbox_size_limit < v->message_size_limit) {
		unsigned line = setting_line(s, scope, "mailbox_size_limit");

		conf_report_add(s->report, 'e', s->file,
		    line > 0 ? line : setting_line(s, scope, "message_size_limit"),
		    "mailbox_size_limit is smaller than message_size_limit");
	}
}

/* Letters, digits, '-' and '_' between single dots; all of UTF-8 above ASCII. */
static bool
is_domain(const char *name)
{
	char before = '.';

	for (const char *c = name; *c != '\0'; before = *c++) {
		bool letter = (*c | ' ') >= 'a' && (*c | ' ') <= 'z';

		if (*c == '.' ? before == '.'
			      : !letter && !(*c >= '0' && *c <= '9') && *c != '-' && *c != '_' &&
				    (unsigned char)*c < 0x80)
			return false;
	}
	return before != '.';
}

/* It greets with them, and signs with them. */
static void
check_domain(struct source *s, const struct scope *scope, const char *parameter, const char *name)
{
	unsigned line = setting_line(s, scope, parameter);

	if (line > 0 && !is_domain(name))
		conf_report_add(s->report, 'e', s->file, line, "%s = %.60s: the name of a domain is meant",
		    parameter, name);
}

static void
check_name(struct source *s, const struct scope *scope, const struct conf_values *v)
{
	struct net_address address;

	if (net_address_parse(span_of(v->myhostname), &address) == 0 || v->myhostname[0] == '[')
		conf_report_add(s->report, 'e', s->file, setting_line(s, scope, "myhostname"),
		    "myhostname = %.60s: a name is meant, not an address", v->myhostname);
	else if (!is_domain(v->myhostname))
		check_domain(s, scope, "myhostname", v->myhostname);
	else if (strchr(v->myhostname, '.') == NULL)
		conf_report_add(s->report, 'w', s->file, setting_line(s, scope, "myhostname"),
		    "myhostname = %.60s: a full name with a domain is meant", v->myhostname);
	check_domain(s, scope, "mydomain", v->mydomain);
}

void
values_check_safety(struct source *s, const struct scope *scope, const struct value_set *set)
{
	const struct conf_values *v = &set->values;

	check_relaying(s, scope, v);
	check_networks(s, scope, v);
	check_network_lists(s, scope, v);
	check_directory(s, scope, "queue_directory", v->queue_directory);
	check_directory(s, scope, "data_directory", v->data_directory);
	check_directory(s, scope, "daemon_directory", v->daemon_directory);
	check_times(s, scope, v);
	check_name(s, scope, v);
	check_transports(s, scope, v);
	check_transport_names(s, scope, v);
	values_check_texts(s, scope, v);
	values_check_tls(s, scope, v);
	values_check_sasl(s, scope, set);
	values_check_restrictions(s, scope, set);
}
