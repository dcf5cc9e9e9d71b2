#include "tools/check_sockets.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "common/conf/transports.h"
#include "services/master/broker.h"

enum { PATH_SIZE = 108, TEXT_SIZE = 400 };

/* Behind "lmtp:unix:", or what transport_services makes of lmtp. */
static bool
socket_of(const struct conf_values *v, struct span route, struct span *path)
{
	ptrdiff_t colon = span_find(route, ':');
	struct transport_service service;
	struct span nexthop;

	if (colon <= 0)
		return false;
	nexthop = span_trim(span_from(route, (size_t)colon + 1));
	transport_service_find(v, span_trim(span_sub(route, 0, (size_t)colon)), &service);
	if (service.kind != TRANSPORT_LMTP || !span_starts(nexthop, "unix:"))
		return false;
	*path = span_from(nexthop, 5);
	return true;
}

bool
check_socket_route(const struct conf_values *v, struct span route, char *text, size_t size)
{
	char absolute[PATH_SIZE];
	struct span path;

	if (!socket_of(v, route, &path) || span_find(path, '$') >= 0 || broker_allows(v, path, absolute))
		return false;
	(void)snprintf(text, size, "%.*s: lmtp_unix_sockets does not name it: mail for it waits",
	    (int)(path.len < PATH_SIZE ? path.len : PATH_SIZE), path.ptr);
	return true;
}

static bool
is_missing(const char *path, char text[TEXT_SIZE])
{
	struct stat st;

	if (lstat(path, &st) == 0 || (errno != ENOENT && errno != ENOTDIR))
		return false;
	(void)snprintf(text, TEXT_SIZE, "warning: %s: there is no such socket yet", path);
	return true;
}

static void
check_route(const char *section, const struct conf_values *v, const char *parameter, const char *value,
    check_sockets_tell *tell, void *context)
{
	struct span route = span_of(value), path;
	char absolute[PATH_SIZE], text[TEXT_SIZE];

	if (check_socket_route(v, route, text, sizeof text) ||
	    (socket_of(v, route, &path) && broker_allows(v, path, absolute) && is_missing(absolute, text)))
		tell(section, parameter, text, context);
}

/* Whether a listener before this one has it, too. */
static bool
was_told(const struct conf *c, size_t section)
{
	for (size_t i = 0; i < section; i++)
		if (strcmp(c->sections[i].values->smtpd_sasl_path,
			c->sections[section].values->smtpd_sasl_path) == 0)
			return true;
	return false;
}

void
check_sockets(const struct conf *c, check_sockets_tell *tell, void *context)
{
	const struct conf_values *v = c->values;
	struct transport_parameter routes[TRANSPORT_PARAMETERS];
	char absolute[PATH_SIZE], text[TEXT_SIZE];

	transport_parameters(v, routes);
	for (size_t i = 0; i < TRANSPORT_PARAMETERS; i++)
		check_route("", v, routes[i].name, routes[i].value, tell, context);
	for (size_t i = 0; i < c->section_count; i++) {
		const struct conf_values *s = c->sections[i].values;

		if (strcmp(s->content_filter, v->content_filter) != 0)
			check_route(
			    c->sections[i].name, v, "content_filter", s->content_filter, tell, context);
		if (!was_told(c, i) && !span_starts(span_of(s->smtpd_sasl_path), "inet:") &&
		    broker_allows_auth(c, span_of(s->smtpd_sasl_path), absolute) &&
		    is_missing(absolute, text))
			tell(c->sections[i].name, "smtpd_sasl_path", text, context);
	}
}
