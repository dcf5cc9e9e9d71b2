#include "delivery/smtp/mx.h"

#include <arpa/inet.h>
#include <idn2.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/mem.h"
#include "common/base/text.h"
#include "common/conf/conf.h"
#include "common/dns/dns.h"
#include "common/ipc/ipc.h"
#include "delivery/smtp/own.h"

/* The MX records, and two families for each host of a batch. */
enum { MX_ANSWER_TIMEOUT_MS = 120 * 1000, MX_ASKS_MAX = 1 + 2 * MX_BATCH };

struct mx_host {
	char name[HOST_NAME_SIZE];
	unsigned preference;
};

/* One question in flight. */
struct mx_ask {
	struct mx *mx;
	uint32_t call; /* 0: none */
	uint32_t type;
	size_t host;
};

struct mx {
	struct agent *agent;
	struct conf *conf;
	struct route route;
	mx_found *found;
	void *context;
	struct mx_host *hosts; /* the best first */
	size_t host_count;
	size_t hosts_asked; /* so many of them */
	struct mx_ask asks[MX_ASKS_MAX];
	size_t ask_count;
	size_t open; /* asks without an answer */
	bool asking; /* in the loop that asks: an answer must not end the search */
	struct hosts addresses;
	struct verdict why;
	bool temporary; /* some answer is missing */
	char ascii[HOST_NAME_SIZE];
};

static void
mx_free(struct mx *m)
{
	for (size_t i = 0; i < m->ask_count; i++)
		if (m->asks[i].call != 0)
			ipc_cancel(m->agent->resolver, m->asks[i].call);
	hosts_free(&m->addresses);
	conf_unref(&m->conf);
	free(m->hosts);
	free(m);
}

void
mx_cancel(struct mx **m)
{
	if (!*m)
		return;
	mx_free(*m);
	*m = NULL;
}

static void
mx_end(struct mx *m)
{
	mx_found *found = m->found;
	void *context = m->context;
	struct hosts hosts = m->addresses;
	struct verdict why = m->why;

	memset(&m->addresses, 0, sizeof m->addresses);
	mx_free(m);
	found(context, &hosts, &why);
}

static const char *
type_name(uint32_t type)
{
	return type == DNS_TYPE_MX ? "MX" : type == DNS_TYPE_AAAA ? "AAAA" : "A";
}

/* The texts of Postfix's dns_strerror(). A "no" never takes the place of "don't know". */
static void
mx_failed(struct mx *m, const char *name, uint32_t type, unsigned status)
{
	const char *text = status == DNS_NO_NAME   ? "Host not found"
			   : status == DNS_NO_DATA ? "Host found but no data record of requested type"
			   : status == DNS_INVALID ? "Invalid host or domain name"
			   : status == DNS_BOGUS   ? "DNSSEC validation failed"
						   : "Host not found, try again";
	bool negative = status == DNS_NO_NAME || status == DNS_NO_DATA || status == DNS_INVALID;

	if (negative && m->temporary)
		return;
	m->temporary = !negative;
	verdict_set(&m->why, negative ? "5.4.4" : "4.4.3",
	    "Host or domain name not found. Name service error for name=%s type=%s: %s", name,
	    type_name(type), text);
}

/* Leaves out ourselves and what is behind us. Returns -1 if we are the best there is. */
static int
mx_drop_own(struct mx *m)
{
	unsigned own = ~0u;

	if (m->route.own_port || !m->route.use_mx)
		return 0;
	for (size_t i = 0; i < m->host_count; i++)
		if (own_is_name(m->agent->own, m->hosts[i].name) && m->hosts[i].preference < own)
			own = m->hosts[i].preference;
	for (size_t i = 0; i < m->addresses.count; i++)
		if (own_is_host(m->agent->own, &m->addresses.list[i]) &&
		    m->addresses.list[i].preference < own)
			own = m->addresses.list[i].preference;
	if (own == ~0u)
		return 0;
	hosts_drop_from(&m->addresses, own);
	if (m->addresses.count > 0)
		return 0;
	/* We are a backup, and of the host that we keep mail for no address is known now: it may come back. */
	if (m->hosts[0].preference < own) {
		if (!m->temporary)
			verdict_set(&m->why, "4.4.4", "unable to find primary relay for %s", m->route.host);
		return -1;
	}
	verdict_set(&m->why, "5.4.6", "mail for %s loops back to myself", m->route.host);
	m->why.final = m->why.loops = true;
	return -1;
}

static void
mx_finish(struct mx *m)
{
	const struct conf_values *v = m->conf->values;
	struct host_order order = {.randomize = v->smtp_randomize_addresses,
	    .prefer = strcmp(v->smtp_address_preference, "ipv6") == 0   ? HOST_IPV6
		      : strcmp(v->smtp_address_preference, "ipv4") == 0 ? HOST_IPV4
									: HOST_ANY,
	    .balance = v->smtp_balance_inet_protocols,
	    .limit = (size_t)v->smtp_mx_address_limit};

	if (m->addresses.count == 0 && m->why.text[0] == '\0')
		mx_failed(m, m->route.host, DNS_TYPE_A, DNS_NO_DATA);
	mx_drop_own(m);
	if (m->addresses.count == 0 && v->smtp_defer_if_no_mx_address_found && !m->why.final)
		verdict_soften(&m->why);
	hosts_order(&m->addresses, &order);
	mx_end(m);
}

static bool
mx_family_wanted(const struct mx *m, uint32_t type)
{
	const char *protocols = m->conf->values->inet_protocols;

	if (strstr(protocols, "all"))
		return true;
	return strstr(protocols, type == DNS_TYPE_A ? "ipv4" : "ipv6") != NULL;
}

static uint32_t
mx_flags(const struct mx *m)
{
	const struct conf_values *v = m->conf->values;

	if (v->disable_dns_lookups)
		return DNS_WANT_HOSTS | DNS_HOSTS_ONLY;
	return strstr(v->smtp_host_lookup, "native") ? DNS_WANT_HOSTS : 0;
}

/* Returns -1 if resolver cannot be asked. */
static int
mx_ask(struct mx *m, const char *name, uint32_t type, size_t host, ipc_answer *answered)
{
	struct mx_ask *ask = &m->asks[m->ask_count];
	struct msg_dns_ask message = {.name = span_of(name), .type = type, .flags = mx_flags(m)};

	if (m->ask_count == MX_ASKS_MAX)
		panic("more questions about %s than hosts that were kept", m->route.host);
	*ask = (struct mx_ask){.mx = m, .type = type, .host = host};
	ask->call = ipc_ask(m->agent->resolver, IPC_DNS_ASK, &message, MX_ANSWER_TIMEOUT_MS, answered, ask);
	if (ask->call == 0) {
		mx_failed(m, name, type, DNS_TEMPORARY);
		return -1;
	}
	m->ask_count++;
	m->open++;
	return 0;
}

static bool mx_ask_addresses(struct mx *m);

static int
on_address(void *context, const struct ipc_frame *frame, struct error *err)
{
	struct mx_ask *ask = context;
	struct mx *m = ask->mx;
	const struct mx_host *host = &m->hosts[ask->host];
	struct span name = span_of(host->name), rest;
	struct dns_record record;

	ask->call = 0;
	m->open--;
	if (frame && m->conf->values->smtp_cname_overrides_servername && frame->dns_answer.canonical.len > 0)
		name = frame->dns_answer.canonical;
	if (!frame || frame->dns_answer.status != DNS_OK) {
		mx_failed(m, host->name, ask->type, frame ? frame->dns_answer.status : DNS_TEMPORARY);
	} else {
		rest = frame->dns_answer.records;
		while (dns_record_next(&rest, &record) == 1)
			if (record.type == ask->type)
				hosts_add(&m->addresses, name, record.data, host->preference, m->route.port);
	}
	(void)err;
	if (m->open == 0 && !m->asking)
		mx_ask_addresses(m);
	return 0;
}

/* "5 192.0.2.1" is no host name, yet what its owner means is plain, and other servers deliver to it. */
static bool
mx_host_is_address(struct mx *m, const struct mx_host *host)
{
	unsigned char octets[4];

	if (inet_pton(AF_INET, host->name, octets) != 1)
		return false;
	if (mx_family_wanted(m, DNS_TYPE_A))
		hosts_add(&m->addresses, span_of(host->name), span_make(octets, 4), host->preference,
		    m->route.port);
	else
		mx_failed(m, host->name, DNS_TYPE_AAAA, DNS_INVALID);
	return true;
}

/*
 * Asks for the addresses of the next hosts, all at once; of those behind them only if none of these has any.
 * Returns false if the search is over already.
 */
static bool
mx_ask_addresses(struct mx *m)
{
	while (m->addresses.count == 0 && m->hosts_asked < m->host_count) {
		size_t end =
		    m->hosts_asked + MX_BATCH < m->host_count ? m->hosts_asked + MX_BATCH : m->host_count;

		m->asking = true;
		m->ask_count = 0;
		for (size_t i = m->hosts_asked; i < end; i++) {
			if (mx_host_is_address(m, &m->hosts[i]))
				continue;
			if (mx_family_wanted(m, DNS_TYPE_AAAA))
				mx_ask(m, m->hosts[i].name, DNS_TYPE_AAAA, i, on_address);
			if (mx_family_wanted(m, DNS_TYPE_A))
				mx_ask(m, m->hosts[i].name, DNS_TYPE_A, i, on_address);
		}
		m->hosts_asked = end;
		m->asking = false;
		if (m->open > 0)
			return true;
	}
	mx_finish(m);
	return false;
}

static void
mx_add_host(struct mx *m, struct span name, unsigned preference)
{
	struct mx_host *host;

	if (m->host_count == DNS_RECORDS_MAX)
		return;
	m->hosts = mem_resize(m->hosts, (m->host_count + 1) * sizeof m->hosts[0]);
	host = &m->hosts[m->host_count];
	if (!span_copy(name, host->name, sizeof host->name))
		return;
	text_lower(host->name, name.len);
	host->preference = preference;
	m->host_count++;
}

/* The best first: those are asked first. Among equals chance decides, if it may. */
static void
mx_sort_hosts(struct mx *m)
{
	for (size_t i = m->host_count; m->conf->values->smtp_randomize_addresses && i > 1; i--) {
		size_t j = (size_t)random() % i;
		struct mx_host swap = m->hosts[i - 1];

		m->hosts[i - 1] = m->hosts[j];
		m->hosts[j] = swap;
	}
	for (size_t i = 1; i < m->host_count; i++) {
		struct mx_host moved = m->hosts[i];
		size_t at = i;

		for (; at > 0 && m->hosts[at - 1].preference > moved.preference; at--)
			m->hosts[at] = m->hosts[at - 1];
		m->hosts[at] = moved;
	}
}

static void
mx_implicit(struct mx *m)
{
	mx_add_host(m, span_of(m->ascii), 0);
	mx_ask_addresses(m);
}

static void
mx_take_records(struct mx *m, struct span rest)
{
	struct dns_record record;
	size_t nulls = 0;

	while (dns_record_next(&rest, &record) == 1) {
		if (record.type != DNS_TYPE_MX)
			continue;
		if (record.name.len == 0)
			nulls++; /* a null MX beside others is a mistake and ignored: RFC 7505, 3 */
		else
			mx_add_host(m, record.name, record.preference);
	}
	if (m->host_count > 0) {
		mx_sort_hosts(m);
		mx_ask_addresses(m);
		return;
	}
	if (nulls > 0) {
		verdict_set(&m->why, "5.1.10", "Domain %s does not accept mail (nullMX)", m->route.host);
		m->why.final = true;
	} else {
		mx_failed(m, m->ascii, DNS_TYPE_MX, DNS_TEMPORARY);
	}
	mx_end(m);
}

static int
on_mx(void *context, const struct ipc_frame *frame, struct error *err)
{
	struct mx_ask *ask = context;
	struct mx *m = ask->mx;
	unsigned status = frame ? frame->dns_answer.status : DNS_TEMPORARY;

	(void)err;
	ask->call = 0;
	m->open--;
	if (status == DNS_OK) {
		mx_take_records(m, frame->dns_answer.records);
		return 0;
	}
	/* Some balancers say "no such name" for every type but the address: only that answer is final. */
	if (status == DNS_NO_DATA || status == DNS_NO_NAME ||
	    (status == DNS_TEMPORARY && m->conf->values->ignore_mx_lookup_error)) {
		mx_implicit(m);
		return 0;
	}
	mx_failed(m, m->ascii, DNS_TYPE_MX, status);
	mx_end(m);
	return 0;
}

/* "192.0.2.1" and "2001:db8::1" need no question. */
static bool
mx_take_literal(struct mx *m)
{
	unsigned char octets[16];
	size_t len = inet_pton(AF_INET, m->route.host, octets) == 1    ? 4
		     : inet_pton(AF_INET6, m->route.host, octets) == 1 ? 16
								       : 0;

	if (len == 0)
		return false;
	hosts_add(&m->addresses, span_of(m->route.host), span_make(octets, len), 0, m->route.port);
	mx_end(m);
	return true;
}

/* DNS knows A-labels only (RFC 5891); a name that has none cannot exist. */
static bool
mx_to_ascii(struct mx *m)
{
	struct span host = span_of(m->route.host);
	char *ascii = NULL;
	bool fits;

	if (!text_is_8bit(host))
		return span_copy(host, m->ascii, sizeof m->ascii);
	if (idn2_to_ascii_8z(m->route.host, &ascii, IDN2_NFC_INPUT | IDN2_NONTRANSITIONAL) != IDN2_OK)
		return false;
	fits = span_copy(span_of(ascii), m->ascii, sizeof m->ascii);
	idn2_free(ascii);
	return fits;
}

struct mx *
mx_find(
    struct agent *agent, const struct conf *conf, const struct route *route, mx_found *found, void *context)
{
	struct mx *m = mem_alloc(sizeof *m);

	m->agent = agent;
	m->conf = conf_ref(conf);
	m->route = *route;
	m->found = found;
	m->context = context;
	if (mx_take_literal(m))
		return NULL;
	if (!mx_to_ascii(m)) {
		mx_failed(m, m->route.host, DNS_TYPE_MX, DNS_INVALID);
		mx_end(m);
		return NULL;
	}
	if (!m->agent->resolver) {
		mx_failed(m, m->ascii, route->use_mx ? DNS_TYPE_MX : DNS_TYPE_A, DNS_TEMPORARY);
		mx_end(m);
		return NULL;
	}
	/* Answers come in later turns of the loop: from here on m lives when we return. */
	if (!route->use_mx) {
		mx_add_host(m, span_of(m->ascii), 0);
		return mx_ask_addresses(m) ? m : NULL;
	}
	if (mx_ask(m, m->ascii, DNS_TYPE_MX, 0, on_mx) < 0) {
		mx_end(m);
		return NULL;
	}
	return m;
}
