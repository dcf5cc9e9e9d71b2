/*
 * Texts that only whoever uses them takes apart: here, so that a mistake is told before anything meets it.
 */
#include <string.h>
#include <sys/socket.h>

#include "common/base/text.h"
#include "common/conf/ports.h"
#include "common/conf/report.h"
#include "common/conf/values.h"
#include "common/net/address.h"

struct place {
	struct source *source;
	const struct scope *scope;
	const struct conf_values *values;
};

static void
complain(const struct place *p, const char *name, const char *value, const char *text)
{
	conf_report_add(p->source->report, 'e', p->source->file, setting_line(p->source, p->scope, name),
	    "%s = %.60s: %s", name, value, text);
}

/* words: separated and surrounded by blanks. */
static void
check_words(const struct place *p, const char *name, const char *value, const char *words)
{
	struct span rest = span_of(value), word, all, known;

	while (conf_list_next(&rest, &word)) {
		bool found = false;

		all = span_of(words);
		while (!found && span_next_word(&all, " ", &known))
			found = span_equal_nocase(word, known);
		if (!found)
			conf_report_add(p->source->report, 'e', p->source->file,
			    setting_line(p->source, p->scope, name), "%s: %.*s is none of %s", name,
			    SPAN_ARG(word), words);
	}
}

static void
check_protocols(const struct place *p)
{
	const char *value = p->values->inet_protocols;

	check_words(p, "inet_protocols", value, "all ipv4 ipv6");
	if (span_trim(span_of(value)).len == 0)
		complain(p, "inet_protocols", value, "no protocol is left");
}

static void
check_source_address(const struct place *p, const char *name, const char *value, int family)
{
	struct net_address a;

	if (value[0] != '\0' && (net_address_parse(span_of(value), &a) < 0 || a.family != family))
		complain(p, name, value,
		    family == AF_INET ? "an IPv4 address is meant" : "an IPv6 address is meant");
}

static bool
is_port(const struct place *p, struct span text)
{
	uint16_t port;

	return port_parse(text, p->values->known_tcp_ports, &port) == 0;
}

static void
check_port(const struct place *p, const char *name, const char *value)
{
	if (!is_port(p, span_of(value)))
		complain(p, name, value, "neither a port nor a name of known_tcp_ports");
}

static void
check_known_ports(const struct place *p)
{
	struct span item;

	if (!port_names_ok(p->values->known_tcp_ports, &item))
		complain(p, "known_tcp_ports", p->values->known_tcp_ports, "NAME=NUMBER is meant");
}

/* "domain", "[host]", "[address]", each with ":port"; an IPv6 address stands in brackets. */
static bool
is_next_hop(const struct place *p, struct span text)
{
	ptrdiff_t end = span_starts(text, "[") ? span_find(text, ']') : span_find(text, ':');
	struct span host, rest;

	if (span_starts(text, "[")) {
		if (end < 2)
			return false;
		host = span_sub(text, 1, (size_t)end - 1);
		rest = span_from(text, (size_t)end + 1);
	} else {
		host = end < 0 ? text : span_sub(text, 0, (size_t)end);
		rest = end < 0 ? span_make("", 0) : span_from(text, (size_t)end);
	}
	for (size_t i = 0; i < host.len; i++) {
		if (strchr(" \t,[]<>@/", host.ptr[i]) != NULL)
			return false;
	}
	return host.len > 0 && (rest.len == 0 || (rest.ptr[0] == ':' && is_port(p, span_from(rest, 1))));
}

static void
check_next_hops(const struct place *p, const char *name, const char *value)
{
	struct span rest = span_of(value), word;

	while (span_next_word(&rest, ", \t\r\n", &word)) { /* one after the other is tried */
		if (is_next_hop(p, word))
			continue;
		complain(p, name, value, "domain, [host] or [address] is meant, perhaps with :port");
		return;
	}
}

/* Names of hosts are looked up by whoever wants them; what can only be an address must be one. */
static void
check_interfaces(const struct place *p, const char *name, const char *value)
{
	struct span rest = span_of(value), word;
	struct net_address a;

	while (conf_list_next(&rest, &word)) {
		if (word.len > 2 && word.ptr[0] == '[' && word.ptr[word.len - 1] == ']')
			word = span_sub(word, 1, word.len - 2);
		if ((strspn(word.ptr, "0123456789.") >= word.len || span_find(word, ':') >= 0) &&
		    net_address_parse(word, &a) < 0)
			conf_report_add(p->source->report, 'e', p->source->file,
			    setting_line(p->source, p->scope, name), "%s: %.*s is no address", name,
			    SPAN_ARG(word));
	}
}

/* Lists of a few words: one that nobody knows would be left out without a word, a mailbox written without its lock. */
static const struct {
	const char *name, *words;
} word_lists[] = {
    {"allow_mail_to_commands", "alias forward include"},
    {"allow_mail_to_files", "alias forward include"},
    {"lmtp_host_lookup", "dns native"},
    {"mailbox_delivery_lock", "dotlock fcntl flock"},
    {"smtp_host_lookup", "dns native"},
    {"virtual_mailbox_lock", "dotlock fcntl flock"},
};

static void
check_mailboxes(const struct place *p)
{
	const char *value = p->values->mail_spool_directory;

	if (value[0] != '\0' && value[0] != '/')
		complain(p, "mail_spool_directory", value, "must be an absolute path");
}

void
values_check_texts(struct source *s, const struct scope *scope, const struct conf_values *v)
{
	const struct place p = {s, scope, v};

	check_protocols(&p);
	check_words(&p, "notify_classes", v->notify_classes,
	    "bounce 2bounce data delay policy protocol resource software");
	check_words(&p, "internal_mail_filter_classes", v->internal_mail_filter_classes, "bounce notify");
	check_words(&p, "syslog_facility", v->syslog_facility,
	    "auth authpriv cron daemon ftp kern local0 local1 local2 local3 local4 local5 local6 local7 lpr "
	    "mail news syslog user uucp");
	check_source_address(&p, "smtp_bind_address", v->smtp_bind_address, AF_INET);
	check_source_address(&p, "smtp_bind_address6", v->smtp_bind_address6, AF_INET6);
	check_source_address(&p, "lmtp_bind_address", v->lmtp_bind_address, AF_INET);
	check_source_address(&p, "lmtp_bind_address6", v->lmtp_bind_address6, AF_INET6);
	check_known_ports(&p);
	check_port(&p, "smtp_tcp_port", v->smtp_tcp_port);
	check_port(&p, "lmtp_tcp_port", v->lmtp_tcp_port);
	check_next_hops(&p, "relayhost", v->relayhost);
	check_next_hops(&p, "smtp_fallback_relay", v->smtp_fallback_relay);
	check_interfaces(&p, "inet_interfaces", v->inet_interfaces);
	check_interfaces(&p, "proxy_interfaces", v->proxy_interfaces);
	for (size_t i = 0; i < sizeof(word_lists) / sizeof(word_lists[0]); i++)
		check_words(&p, word_lists[i].name, conf_lookup(v, word_lists[i].name), word_lists[i].words);
	check_mailboxes(&p);
	check_words(&p, "propagate_unmatched_extensions", v->propagate_unmatched_extensions,
	    "alias canonical forward generic include virtual");
}
