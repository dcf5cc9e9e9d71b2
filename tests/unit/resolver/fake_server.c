#include "tests/unit/resolver/fake_server.h"

#include <arpa/inet.h>
#include <arpa/nameser.h>
#include <event2/event.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/base/buf.h"
#include "common/base/mem.h"
#include "common/base/span.h"
#include "common/dns/dns.h"

struct fake_server {
	int udp, tcp;
	struct event *udp_event, *tcp_event;
	unsigned questions, tcp_questions;
};

/* The question as it came, and the answer that grows behind it. */
struct exchange {
	char name[256];
	uint16_t type;
	bool edns, over_tcp;
	size_t question_end;
	uint8_t out[65536];
	size_t len;
};

static void
put(struct exchange *x, const void *bytes, size_t len)
{
	memcpy(x->out + x->len, bytes, len);
	x->len += len;
}

static void
put16(struct exchange *x, unsigned value)
{
	uint8_t p[2] = {(uint8_t)(value >> 8), (uint8_t)value};

	put(x, p, 2);
}

static void
put_name(struct exchange *x, const char *name)
{
	struct span rest = span_of(name), label;

	while (span_next_word(&rest, ".", &label)) {
		uint8_t len = (uint8_t)label.len;

		put(x, &len, 1);
		put(x, label.ptr, label.len);
	}
	put(x, "", 1);
}

/* A record of the name asked for; section: index of the count in the header. Returns where its length stands. */
static size_t
begin_record(struct exchange *x, unsigned section, unsigned type, unsigned ttl)
{
	x->out[section + 1]++;
	put16(x, 0xc00c);
	put16(x, type);
	put16(x, 1);
	put16(x, 0);
	put16(x, ttl);
	put16(x, 0);
	return x->len - 2;
}

static void
end_record(struct exchange *x, size_t at)
{
	size_t len = x->len - at - 2;

	x->out[at] = (uint8_t)(len >> 8);
	x->out[at + 1] = (uint8_t)len;
}

static void
add_address(struct exchange *x, unsigned last)
{
	uint8_t v6[16] = {0x20, 0x01, 0x0d, 0xb8, [15] = (uint8_t)last}, v4[4] = {192, 0, 2, (uint8_t)last};
	size_t at = begin_record(x, 6, x->type, 300);

	if (x->type == DNS_TYPE_AAAA)
		put(x, v6, 16);
	else
		put(x, v4, 4);
	end_record(x, at);
}

static void
add_named(struct exchange *x, unsigned type, const char *name)
{
	size_t at = begin_record(x, 6, type, 300);

	if (type == DNS_TYPE_MX)
		put16(x, 10);
	put_name(x, name);
	end_record(x, at);
}

static void
add_soa(struct exchange *x)
{
	size_t at = begin_record(x, 8, ns_t_soa, 60);

	put_name(x, "ns.test");
	put_name(x, "hostmaster.test");
	for (int i = 0; i < 5; i++) {
		put16(x, 0);
		put16(x, 30);
	}
	end_record(x, at);
}

static void
set_code(struct exchange *x, unsigned code)
{
	x->out[3] = (uint8_t)((x->out[3] & 0xf0) | code);
}

/* ---- what each first label does: returns false for silence ---- */

static bool
do_ok(struct exchange *x)
{
	add_address(x, 1);
	return true;
}

static bool
do_silent(struct exchange *x)
{
	(void)x;
	return false;
}

static bool
do_servfail(struct exchange *x)
{
	set_code(x, ns_r_servfail);
	return true;
}

static bool
do_nx(struct exchange *x)
{
	set_code(x, ns_r_nxdomain);
	add_soa(x);
	return true;
}

static bool
do_nodata(struct exchange *x)
{
	add_soa(x);
	return true;
}

static bool
do_big(struct exchange *x)
{
	if (!x->over_tcp) {
		x->out[2] |= 2;
		return true;
	}
	for (unsigned i = 0; i < 150; i++)
		add_address(x, i);
	return true;
}

static bool
do_alias(struct exchange *x)
{
	add_named(x, ns_t_cname, "ok.elsewhere.test");
	return true;
}

static bool
do_ping(struct exchange *x)
{
	add_named(x, ns_t_cname, "pong.test");
	return true;
}

static bool
do_pong(struct exchange *x)
{
	add_named(x, ns_t_cname, "ping.test");
	return true;
}

static bool
do_wrong_id(struct exchange *x)
{
	x->out[0] ^= 0x55;
	add_address(x, 66);
	return true;
}

static bool
do_wrong_question(struct exchange *x)
{
	x->out[13] ^= 1;
	add_address(x, 66);
	return true;
}

static bool
do_old(struct exchange *x)
{
	if (x->edns)
		set_code(x, ns_r_formerr);
	else
		add_address(x, 1);
	return true;
}

static bool
do_junk(struct exchange *x)
{
	put16(x, 0xffff);
	x->out[7] = 9;
	return true;
}

static bool
do_secure(struct exchange *x)
{
	x->out[3] |= 0x20;
	add_address(x, 1);
	return true;
}

static bool
do_short_tcp(struct exchange *x)
{
	if (!x->over_tcp)
		x->out[2] |= 2;
	else
		x->len = 5;
	return true;
}

static bool
do_reverse(struct exchange *x)
{
	if (strcmp(x->name, "1.2.0.192.in-addr.arpa") == 0)
		add_named(x, DNS_TYPE_PTR, "ok.test");
	else if (strcmp(x->name, "2.2.0.192.in-addr.arpa") == 0)
		add_named(x, DNS_TYPE_PTR, "nx.test"), add_named(x, DNS_TYPE_PTR, "ok.liar.test");
	else if (strcmp(x->name, "3.2.0.192.in-addr.arpa") == 0)
		add_named(x, DNS_TYPE_PTR, "servfail.test");
	else if (strcmp(x->name, "4.2.0.192.in-addr.arpa") == 0)
		add_named(x, DNS_TYPE_PTR, "127.0.0.1");
	else if (strcmp(x->name, "5.2.0.192.in-addr.arpa") == 0)
		return do_servfail(x);
	else
		return do_nx(x);
	return true;
}

static const struct {
	const char *label;
	bool (*act)(struct exchange *x);
} acts[] = {
    {"ok", do_ok},
    {"silent", do_silent},
    {"servfail", do_servfail},
    {"nx", do_nx},
    {"nodata", do_nodata},
    {"big", do_big},
    {"alias", do_alias},
    {"ping", do_ping},
    {"pong", do_pong},
    {"wrong-id", do_wrong_id},
    {"wrong-question", do_wrong_question},
    {"old", do_old},
    {"junk", do_junk},
    {"secure", do_secure},
    {"short-tcp", do_short_tcp},
};

static bool
act(struct exchange *x)
{
	struct span rest = span_of(x->name), label;

	if (span_ends_nocase(rest, ".arpa"))
		return do_reverse(x);
	span_next_word(&rest, ".", &label);
	for (size_t i = 0; i < sizeof(acts) / sizeof(acts[0]); i++)
		if (span_is(label, acts[i].label))
			return acts[i].act(x);
	return do_ok(x);
}

/* Reads the question and makes the answer. Returns false for silence. */
static bool
answer(struct fake_server *f, struct exchange *x, const uint8_t *packet, size_t len, bool over_tcp)
{
	ns_msg msg;
	ns_rr rr;

	if (ns_initparse(packet, (int)len, &msg) < 0 || ns_parserr(&msg, ns_s_qd, 0, &rr) < 0)
		return false;
	f->questions++;
	f->tcp_questions += over_tcp;
	memset(x, 0, 300);
	span_copy(span_of(ns_rr_name(rr)), x->name, sizeof(x->name));
	x->type = (uint16_t)ns_rr_type(rr);
	x->edns = ns_msg_count(msg, ns_s_ar) > 0;
	x->over_tcp = over_tcp;
	x->len = 0;
	put(x, packet, 12);
	x->out[2] = 0x81;
	x->out[3] = 0x80;
	memset(x->out + 6, 0, 6);
	put_name(x, x->name);
	put16(x, x->type);
	put16(x, 1);
	return act(x);
}

static struct exchange exchange;

static void
on_udp(int fd, short what, void *arg)
{
	uint8_t packet[2000];
	struct sockaddr_in from;
	socklen_t from_len = sizeof(from);
	ssize_t n = recvfrom(fd, packet, sizeof(packet), 0, (struct sockaddr *)&from, &from_len);

	(void)what;
	if (n > 0 && answer(arg, &exchange, packet, (size_t)n, false))
		sendto(fd, exchange.out, exchange.len, 0, (struct sockaddr *)&from, from_len);
}

/* The client's question is small and there already, its answer fits the socket's buffer: no events for these. */
static void
on_tcp(int fd, short what, void *arg)
{
	uint8_t packet[2000], head[2];
	int client = accept(fd, NULL, NULL);
	ssize_t n;

	(void)what;
	n = recv(client, packet, sizeof(packet), 0);
	if (n > 2 && answer(arg, &exchange, packet + 2, (size_t)n - 2, true)) {
		head[0] = (uint8_t)(exchange.len >> 8);
		head[1] = (uint8_t)exchange.len;
		send(client, head, 2, 0);
		send(client, exchange.out, exchange.len, 0);
	}
	close(client);
}

struct fake_server *
fake_server_new(struct event_base *base, uint16_t port)
{
	struct fake_server *f = mem_alloc(sizeof(*f));
	struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(port)};
	int on = 1, size = 1 << 20;

	address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	f->udp = socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK, 0);
	f->tcp = socket(AF_INET, SOCK_STREAM, 0);
	setsockopt(f->tcp, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
	setsockopt(f->udp, SOL_SOCKET, SO_RCVBUF, &size, sizeof(size));
	if (bind(f->udp, (struct sockaddr *)&address, sizeof(address)) < 0 ||
	    bind(f->tcp, (struct sockaddr *)&address, sizeof(address)) < 0 || listen(f->tcp, 100) < 0)
		panic("the port for the fake name server is in use");
	f->udp_event = event_new(base, f->udp, EV_READ | EV_PERSIST, on_udp, f);
	f->tcp_event = event_new(base, f->tcp, EV_READ | EV_PERSIST, on_tcp, f);
	event_add(f->udp_event, NULL);
	event_add(f->tcp_event, NULL);
	return f;
}

void
fake_server_free(struct fake_server *f)
{
	event_free(f->udp_event);
	event_free(f->tcp_event);
	close(f->udp);
	close(f->tcp);
	free(f);
}

unsigned
fake_server_questions(const struct fake_server *f)
{
	return f->questions;
}

unsigned
fake_server_tcp_questions(const struct fake_server *f)
{
	return f->tcp_questions;
}
