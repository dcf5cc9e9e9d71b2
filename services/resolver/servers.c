#include "services/resolver/servers.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/clock.h"
#include "common/base/mem.h"
#include "common/base/text.h"

enum { DNS_PORT = 53, SILENT_MAX = 8 };

/* How long an answer shows that a server lives. */
static const int64_t lately_us = 10 * US_PER_SECOND;

static struct servers *
servers_new(void)
{
	struct servers *s = mem_alloc(sizeof(*s));

	s->references = 1;
	return s;
}

static bool
is_loopback(const struct sockaddr_storage *address)
{
	const struct sockaddr_in *v4 = (const struct sockaddr_in *)address;
	const struct sockaddr_in6 *v6 = (const struct sockaddr_in6 *)address;

	if (address->ss_family == AF_INET)
		return ntohl(v4->sin_addr.s_addr) >> 24 == 127;
	return IN6_IS_ADDR_LOOPBACK(&v6->sin6_addr);
}

/* Splits "address", "v4:port" and "[v6]:port". */
static bool
split_port(struct span word, struct span *address, uint64_t *port)
{
	ptrdiff_t end = span_find(word, ']'), colon = span_find(word, ':');

	*address = word;
	*port = DNS_PORT;
	if (word.len > 0 && word.ptr[0] == '[') {
		if (end < 0)
			return false;
		*address = span_sub(word, 1, (size_t)end - 1);
		word = span_from(word, (size_t)end + 1);
		return word.len == 0 ||
		       (word.ptr[0] == ':' && number_parse(span_from(word, 1), 1, 65535, port) == 0);
	}
	if (colon < 0 || colon != span_find_last(word, ':'))
		return true;
	*address = span_sub(word, 0, (size_t)colon);
	return number_parse(span_from(word, (size_t)colon + 1), 1, 65535, port) == 0;
}

static bool
parse_server(struct span word, struct name_server *server)
{
	struct sockaddr_in *v4 = (struct sockaddr_in *)&server->address;
	struct sockaddr_in6 *v6 = (struct sockaddr_in6 *)&server->address;
	struct span address;
	uint64_t port;
	char text[64];

	memset(server, 0, sizeof(*server));
	if (!split_port(word, &address, &port) || !span_copy(address, text, sizeof(text)))
		return false;
	if (inet_pton(AF_INET, text, &v4->sin_addr) == 1) {
		v4->sin_family = AF_INET;
		v4->sin_port = htons((uint16_t)port);
		server->address_len = sizeof(*v4);
	} else if (inet_pton(AF_INET6, text, &v6->sin6_addr) == 1) {
		v6->sin6_family = AF_INET6;
		v6->sin6_port = htons((uint16_t)port);
		server->address_len = sizeof(*v6);
	} else {
		return false;
	}
	server->trusted = is_loopback(&server->address);
	snprintf(server->text, sizeof(server->text), "%s:%u", text, (unsigned)port);
	return true;
}

struct servers *
servers_from_parameter(struct span text, struct error *err)
{
	struct servers *s = servers_new();
	struct span word;

	while (span_next_word(&text, ", \t\r\n", &word)) {
		if (s->count == SERVERS_MAX)
			break;
		if (!parse_server(word, &s->list[s->count])) {
			error_set(err, "dns_servers: not an address: \"%.*s\"", SPAN_ARG(word));
			servers_unref(&s);
			return NULL;
		}
		s->count++;
	}
	return s;
}

/* A link-local server has its interface behind a '%': without it the kernel cannot reach it, so it is left out. */
static void
read_line(struct servers *s, struct span line, bool *trust)
{
	struct span keyword, word;

	if (!span_next_word(&line, " \t", &keyword))
		return;
	if (span_is(keyword, "nameserver") && s->count < SERVERS_MAX && span_next_word(&line, " \t", &word)) {
		if (span_find(word, '[') < 0 && parse_server(word, &s->list[s->count]))
			s->count++;
	} else if (span_is(keyword, "options")) {
		while (span_next_word(&line, " \t", &word))
			*trust |= span_is(word, "trust-ad");
	}
}

struct servers *
servers_from_resolv_conf(struct span text)
{
	struct servers *s = servers_new();
	bool trust = false;
	struct span line;

	while (span_next_line(&text, &line))
		read_line(s, line, &trust);
	if (s->count == 0)
		s->count = parse_server(SPAN_LIT("127.0.0.1"), &s->list[0]) ? 1 : 0;
	for (size_t i = 0; i < s->count; i++)
		s->list[i].trusted |= trust;
	return s;
}

struct servers *
servers_ref(struct servers *s)
{
	s->references++;
	return s;
}

void
servers_unref(struct servers **s)
{
	if (*s && --(*s)->references == 0)
		free(*s);
	*s = NULL;
}

/* Many questions in a row without an answer, and none lately: it is asked last. */
static bool
is_down(const struct name_server *server)
{
	return server->silent >= SILENT_MAX && clock_mono_us() - server->answered_us > lately_us;
}

struct name_server *
servers_for_try(struct servers *s, unsigned n)
{
	size_t seen = 0, wanted = n % s->count;

	for (int down = 0; down <= 1; down++) {
		for (size_t i = 0; i < s->count; i++) {
			if (is_down(&s->list[i]) == (down == 1) && seen++ == wanted)
				return &s->list[i];
		}
	}
	return &s->list[wanted];
}

void
server_answered(struct name_server *server)
{
	server->silent = 0;
	server->answered_us = clock_mono_us();
}

void
server_was_silent(struct name_server *server)
{
	if (server->silent < SILENT_MAX)
		server->silent++;
}

bool
servers_answer_lately(const struct servers *s)
{
	for (size_t i = 0; i < s->count; i++)
		if (s->list[i].answered_us != 0 && clock_mono_us() - s->list[i].answered_us <= lately_us)
			return true;
	return false;
}
