/*
 * postern tls: what would happen with a destination: its policy, its hosts, their certificates, and whether mail would
 * be sent. It runs delivery's own engine up to where a transaction would begin.
 */
#include "tools/tls.h"

#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>
#include <unistd.h>

#include "common/base/log.h"
#include "common/base/mem.h"
#include "common/conf/derive.h"
#include "common/conf/transports.h"
#include "common/mail/address.h"
#include "common/tls/session.h"
#include "delivery/smtp/connection.h"
#include "delivery/smtp/itinerary.h"
#include "delivery/smtp/mx.h"
#include "delivery/smtp/route.h"
#include "delivery/smtp/tls_client.h"
#include "delivery/smtp/tls_policy_find.h"
#include "services/lookup/engine/route.h"
#include "tools/tls_agent.h"
#include "tools/tool.h"

enum { DESTINATIONS = 100, CHAIN_MAX = 256 * 1024, CHANGES = 8, ENTRY_MAX = 4000 };

struct options {
	bool json, verbose, lmtp, wrapper;
	const char *level;
	char entry[ENTRY_MAX]; /* of -l, -m and their kin: as in smtp_tls_policy_maps; "": none */
	struct conf_change changes[CHANGES];
	size_t change_count;
};

/* The probe that is under way: the callbacks of the engine know no more than a context. */
struct run {
	struct tls_agent *agent;
	const struct conf *conf;
	const struct options *options;
	struct tls_probe *probe;
	struct tls_host *host;
	struct hosts found;
	bool done, ready;
};

/* ---- one host ---- */

static void
on_facts(void *context, const struct connection *c, const struct tls_facts *f)
{
	struct run *run = context;
	struct tls_host *h = run->host;

	buf_clear(&h->summary);
	buf_clear(&h->chain);
	tls_facts_summary(f, &h->summary);
	tls_peer_chain_print(c->stream, &h->chain);
	snprintf(h->standing, sizeof h->standing, "%s", tls_standing_name(f->standing));
	snprintf(h->protocol, sizeof h->protocol, "%s", f->protocol);
	snprintf(h->cipher, sizeof h->cipher, "%s", f->cipher);
	snprintf(
	    h->certificate_fingerprint, sizeof h->certificate_fingerprint, "%s", f->certificate_fingerprint);
	snprintf(h->key_fingerprint, sizeof h->key_fingerprint, "%s", f->key_fingerprint);
	snprintf(h->matched, sizeof h->matched, "%.255s", f->matched ? f->matched_name : "");
	snprintf(
	    h->untrusted, sizeof h->untrusted, "%s", f->trusted || !f->why_untrusted ? "" : f->why_untrusted);
	snprintf(h->servername, sizeof h->servername, "%s", f->name ? f->name : "");
}

static void
on_ready(struct connection *c, void *context)
{
	struct run *run = context;

	run->host->good = true;
	run->host->in_tls = c->tls_on;
	snprintf(run->host->relay, sizeof run->host->relay, "%s", c->relay);
	connection_quit(c);
	run->done = true;
}

static void
on_failed(struct connection *c, const struct verdict *why, void *context)
{
	struct run *run = context;
	struct tls_host *h = run->host;

	snprintf(h->relay, sizeof h->relay, "%s", c->relay);
	/* As in attempt.c. */
	if (c->tls_broke && !h->broke && run->probe->policy->level == TLS_LEVEL_MAY) {
		h->broke = true;
		snprintf(h->broke_why, sizeof h->broke_why, "%.399s", why->text);
	} else {
		h->why = *why;
	}
	run->done = true;
}

static const struct connection_user user = {.ready = on_ready, .failed = on_failed};

static void
show_line(void *context, bool sent, struct span line)
{
	(void)context;
	fprintf(stderr, "%s%.*s\n", sent ? ">>> " : "", SPAN_ARG(line));
}

/* False if the connection could not even be begun. */
static bool
open_host(struct run *run)
{
	struct tls_host *h = run->host;
	struct connection_plan plan = {.agent = tls_agent_agent(run->agent),
	    .conf = run->conf,
	    .host = &h->host,
	    .nexthop = span_of(run->probe->site),
	    .destination = run->probe->site,
	    .policy = run->probe->policy,
	    .plain = h->broke,
	    .socket_fd = -1,
	    .lmtp = run->probe->lmtp,
	    .trace = run->options->verbose ? show_line : NULL};

	run->done = false;
	if (connection_open(&plan, &user, run, &h->why))
		return true;
	snprintf(h->relay, sizeof h->relay, "%s[%s]", h->host.name, h->host.text);
	return false;
}

static void
probe_host(struct run *run, const struct host *host)
{
	bool broke;

	run->host = &run->probe->hosts[run->probe->count++];
	run->host->host = *host;
	buf_init(&run->host->summary, CHAIN_MAX);
	buf_init(&run->host->chain, CHAIN_MAX);
	do {
		broke = run->host->broke;
		if (open_host(run))
			tls_agent_run(run->agent, &run->done);
	} while (run->host->broke && !broke);
	run->probe->good = run->probe->good || run->host->good;
}

/* ---- one destination ---- */

static void
on_policy(void *context, struct tls_policy *policy)
{
	struct run *run = context;

	run->probe->policy = policy;
	run->done = true;
}

static void
find_policy(struct run *run)
{
	struct tls_probe *p = run->probe;
	struct span entry = span_of(run->options->entry);

	if (run->options->level) {
		p->policy =
		    tls_policy_new(run->conf->values, p->lmtp, span_of(p->site), SPAN_LIT("-l"), entry);
		p->policy->origin = "-l";
		return;
	}
	run->done = false;
	(void)tls_policy_find(
	    tls_agent_agent(run->agent), run->conf, p->lmtp, span_of(p->site), on_policy, run);
	tls_agent_run(run->agent, &run->done);
}

static void
on_hosts(void *context, struct hosts *hosts, const struct verdict *why)
{
	struct run *run = context;

	run->found = *hosts;
	if (hosts->count == 0)
		run->probe->why = *why;
	run->done = true;
}

static void
probe_destination(struct run *run)
{
	const struct conf_values *v = run->conf->values;
	struct tls_probe *p = run->probe;
	struct route_rules rules = {
	    .lmtp = p->lmtp, .no_mx = v->disable_dns_lookups, .known_ports = v->known_tcp_ports};
	struct route route;
	struct error err;

	rules.port = route_default_port(
	    p->lmtp ? v->lmtp_tcp_port : v->smtp_tcp_port, v->known_tcp_ports, p->lmtp ? 24 : 25);
	if (route_parse(span_of(p->site), &rules, &route, 1, &err) < 0) {
		verdict_set(&p->why, "4.3.5", "mail system configuration error: %.500s", err.text);
		return;
	}
	if (route.socket[0]) {
		verdict_set(&p->why, "4.3.5", "a UNIX socket: nothing is to be seen from here");
		return;
	}
	if (p->policy->level == TLS_LEVEL_INVALID) {
		p->why = p->policy->why;
		return;
	}
	run->done = false;
	(void)mx_find(tls_agent_agent(run->agent), run->conf, &route, on_hosts, run);
	tls_agent_run(run->agent, &run->done);
	for (size_t i = 0; i < run->found.count && p->count < TLS_PROBE_HOSTS; i++)
		probe_host(run, &run->found.list[i]);
	hosts_free(&run->found);
}

/* ---- what was asked for ---- */

/* user@domain: the next hop that its mail would take. -1: a line was printed. */
static int
route_address(struct tool *tool, const struct conf *conf, struct tls_probe *p)
{
	struct map_set *maps = map_set_new(NULL);
	struct route_interfaces *interfaces = route_interfaces_read();
	struct route_engine *engine = route_new(conf, maps, interfaces);
	struct arena *a = arena_new(ROUTE_ARENA_BYTES);
	struct transport_service service = {.kind = TRANSPORT_ERROR};
	struct route_answer answer;
	struct span address, rest;
	int status = -1;

	if (address_parse_path(a, span_of(p->destination), ADDRESS_UTF8, &address, &rest) != ADDRESS_OK ||
	    span_trim(rest).len > 0) {
		(void)tool_fail(tool, EX_USAGE, "%s: this is no address", p->destination);
		goto out;
	}
	route_resolve(engine, a, address, SPAN_LIT(""), RESOLVE_EXPAND, NULL, &answer);
	if (answer.status == LOOKUP_FOUND && answer.count > 0)
		transport_service_find(conf->values, answer.list[0].transport, &service);
	if (service.kind == TRANSPORT_SMTP || service.kind == TRANSPORT_LMTP) {
		p->lmtp = service.kind == TRANSPORT_LMTP;
		span_copy(answer.list[0].nexthop, p->site, sizeof p->site);
		status = 0;
	} else {
		(void)tool_fail(
		    tool, EX_UNAVAILABLE, "%s: its mail does not leave over SMTP", p->destination);
	}
out:
	arena_free(&a);
	route_free(&engine);
	route_interfaces_free(&interfaces);
	map_set_free(&maps);
	return status;
}

static int
add_change(struct options *o, const char *name, const char *value)
{
	if (o->change_count == CHANGES)
		return -1;
	o->changes[o->change_count++] = (struct conf_change){span_of(name), span_of(value)};
	return 0;
}

static int
add_attribute(struct options *o, const char *name, const char *value)
{
	size_t len = strlen(o->entry);
	int more = snprintf(o->entry + len, sizeof o->entry - len, " %s=%s", name, value);

	return more > 0 && (size_t)more < sizeof o->entry - len ? 0 : -1;
}

static int
take_option(struct options *o, int c)
{
	switch (c) {
	case 'j':
		o->json = true;
		return 0;
	case 'v':
		o->verbose = true;
		return 0;
	case 'L':
		o->lmtp = true;
		return 0;
	case 'w':
		return add_change(o, "smtp_tls_wrappermode", "yes") < 0 ||
			       add_change(o, "lmtp_tls_wrappermode", "yes") < 0
			   ? -1
			   : 0;
	case 'F':
		return add_change(o, "smtp_tls_CAfile", optarg) < 0 ||
			       add_change(o, "lmtp_tls_CAfile", optarg) < 0
			   ? -1
			   : 0;
	case 'P':
		return add_change(o, "smtp_tls_CApath", optarg) < 0 ||
			       add_change(o, "lmtp_tls_CApath", optarg) < 0
			   ? -1
			   : 0;
	case 'l':
		o->level = optarg;
		return 0;
	case 'm':
		return add_attribute(o, "match", optarg);
	case 's':
		return add_attribute(o, "servername", optarg);
	default:
		return -1;
	}
}

/* Returns the first operand's place, -1 for what makes no sense. */
static int
take_options(struct options *o, int argc, char **argv)
{
	static const struct option words[] = {{"json", no_argument, NULL, 'j'},
	    {"lmtp", no_argument, NULL, 'L'}, {"wrapper", no_argument, NULL, 'w'}, {NULL, 0, NULL, 0}};
	char attributes[ENTRY_MAX];
	int c;

	optind = 1;
	while ((c = getopt_long(argc, argv, "jvLwF:P:l:m:s:", words, NULL)) != -1)
		if (take_option(o, c) < 0)
			return -1;
	if ((o->entry[0] && !o->level) || optind >= argc || argc - optind > DESTINATIONS)
		return -1;
	memcpy(attributes, o->entry, sizeof attributes);
	if (o->level &&
	    (size_t)snprintf(o->entry, sizeof o->entry, "%s%s", o->level, attributes) >= sizeof o->entry)
		return -1;
	return optind;
}

static void
probe_free(struct tls_probe **probe)
{
	struct tls_probe *p = *probe;

	for (size_t i = 0; i < p->count; i++) {
		buf_free(&p->hosts[i].summary);
		buf_free(&p->hosts[i].chain);
	}
	tls_policy_free(&p->policy);
	free(p);
	*probe = NULL;
}

/* Policies first, which may need tables; then, with no rights left, DNS and the hosts. */
static int
probe_all(struct tool *tool, struct run *run, char **names, int count)
{
	struct tls_probe *probes[DESTINATIONS];
	struct error err;
	int status = 0;

	for (int i = 0; i < count; i++) {
		probes[i] = run->probe = mem_alloc(sizeof *probes[i]);
		run->probe->destination = names[i];
		run->probe->lmtp = run->options->lmtp;
		snprintf(run->probe->site, sizeof run->probe->site, "%s", names[i]);
		if (strchr(names[i], '@') && route_address(tool, run->conf, run->probe) < 0) {
			probe_free(&probes[i]);
			status = 1;
			continue;
		}
		find_policy(run);
	}
	if (tls_agent_drop("postern-delivery", &err) < 0) {
		status = tool_fail(tool, EX_OSERR, "%s", err.text);
		count = 0;
	}
	for (int i = 0; i < count; i++) {
		if (!(run->probe = probes[i]))
			continue;
		probe_destination(run);
		(run->options->json ? tls_print_json : tls_print_text)(run->probe);
		if (!run->probe->good)
			status = 1;
		probe_free(&probes[i]);
	}
	return status;
}

/* The rest stands in what is printed. */
static void
show_warnings(enum log_level level, const char *ident, const char *text, size_t len, void *context)
{
	(void)ident;
	(void)context;
	if (level <= LOG_LEVEL_WARNING)
		fprintf(stderr, "postern: %.*s\n", (int)len, text);
}

int
command_tls(int argc, char **argv, struct tool *tool)
{
	struct options options = {.json = false};
	const struct conf *conf;
	struct conf *changed;
	struct run run = {.options = &options};
	struct error err;
	int first = take_options(&options, argc, argv), status;

	if (first < 0)
		return tool_usage(tool, "tls");
	if ((conf = tool_conf(tool)) == NULL)
		return EX_CONFIG;
	changed = conf_derive(conf, options.changes, options.change_count, &err);
	if (!changed)
		return tool_fail(tool, EX_USAGE, "%s", err.text);
	run.conf = changed;
	run.agent = tls_agent_new(changed, &err);
	if (!run.agent) {
		conf_unref(&changed);
		return tool_fail(tool, EX_OSERR, "%s", err.text);
	}
	log_set_sink(show_warnings, NULL);
	tls_agent_agent(run.agent)->tls_inspect = on_facts;
	tls_agent_agent(run.agent)->tls_inspect_context = &run;
	status = probe_all(tool, &run, argv + first, argc - first);
	tls_agent_free(&run.agent);
	conf_unref(&changed);
	return status;
}
