/*
 * check: what the configuration wants of this host: addresses to listen on, name servers, a folder for the log, the
 * words of notifications, the user who runs commands.
 */
#include <errno.h>
#include <limits.h>
#include <netinet/in.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/base/io.h"
#include "common/base/mem.h"
#include "common/map/lines.h"
#include "services/master/address.h"
#include "services/master/claim.h"
#include "services/pickup/template.h"
#include "services/resolver/servers.h"
#include "tools/check.h"
#include "tools/check_pipes.h"
#include "tools/check_sockets.h"
#include "tools/foreign.h"

enum { FILE_OCTETS_MAX = 16 << 20, TROUBLE_SIZE = 700, LISTENERS_MAX = 256 };

struct listener {
	const char *section; /* of the configuration */
	struct listen_address address;
};

struct host {
	char path[4096]; /* postern.conf */
	char *text; /* NULL: cannot be read */
	size_t text_len, bad;
	struct listener *listeners; /* LISTENERS_MAX; those that were checked */
	size_t listener_count;
	const char *templates; /* bounce_template_file */
};

static void complain(struct host *h, const char *section, const char *name, const char *format, ...)
    __attribute__((format(printf, 4, 5)));

static void
complain(struct host *h, const char *section, const char *name, const char *format, ...)
{
	unsigned line = check_line_in(span_make(h->text, h->text_len), section, name);
	va_list args;

	printf("%s:", h->path);
	if (line > 0)
		printf("%u:", line);
	printf(" %s: ", name);
	va_start(args, format);
	(void)vprintf(format, args);
	va_end(args);
	printf("\n");
	h->bad++;
}

enum presence { HERE, NOT_HERE, OF_NO_FAMILY_HERE };

/* Is it an address of this host? Any port will do: its own may be in use, for example by the running instance. */
static enum presence
check_listen_address(struct host *h, const char *section, const char *name, const struct listen_address *a)
{
	struct sockaddr_storage any = a->address;
	int fd = socket(any.ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
	enum presence p = HERE;

	if (any.ss_family == AF_INET)
		((struct sockaddr_in *)(void *)&any)->sin_port = 0;
	else
		((struct sockaddr_in6 *)(void *)&any)->sin6_port = 0;
	if (fd < 0 || bind(fd, (const struct sockaddr *)&any, a->len) < 0) {
		bool missing = errno == EAFNOSUPPORT || errno == EADDRNOTAVAIL;

		p = missing && a->wildcard ? OF_NO_FAMILY_HERE : NOT_HERE;
		if (p == NOT_HERE)
			complain(h, section, name, "%s: %s", a->text, strerror(errno));
	}
	if (fd >= 0)
		(void)io_close(&fd);
	return p;
}

static in_port_t
port_of(const struct listen_address *a)
{
	return a->address.ss_family == AF_INET
		   ? ((const struct sockaddr_in *)(const void *)&a->address)->sin_port
		   : ((const struct sockaddr_in6 *)(const void *)&a->address)->sin6_port;
}

/* The wildcard of a family holds every address of it. */
static bool
is_any(const struct listen_address *a)
{
	return a->address.ss_family == AF_INET
		   ? ((const struct sockaddr_in *)(const void *)&a->address)->sin_addr.s_addr == INADDR_ANY
		   : IN6_IS_ADDR_UNSPECIFIED(
			 &((const struct sockaddr_in6 *)(const void *)&a->address)->sin6_addr);
}

/* Two sockets cannot have one address; within a section the same one is taken once. */
static bool
is_in_the_way(const struct listener *one, const char *section, const struct listen_address *other)
{
	bool same = strcmp(one->address.text, other->text) == 0;

	if (one->address.address.ss_family != other->address.ss_family ||
	    port_of(&one->address) != port_of(other))
		return false;
	return same ? strcmp(one->section, section) != 0 : is_any(&one->address) || is_any(other);
}

static void
check_conflict(struct host *h, const struct conf_section *s, const char *section, const char *name,
    const struct listen_address *a)
{
	for (size_t i = 0; i < h->listener_count; i++) {
		const struct listener *l = &h->listeners[i];

		if (!is_in_the_way(l, s->name, a))
			continue;
		complain(h, section, name, "%s: section [%s] listens on %s already", a->text, l->section,
		    l->address.text);
		return;
	}
	if (h->listener_count < LISTENERS_MAX)
		h->listeners[h->listener_count++] = (struct listener){s->name, *a};
}

static void
check_section(struct host *h, const struct conf *c, const struct conf_section *s)
{
	bool own = check_line_in(span_make(h->text, h->text_len), s->name, "listen") > 0;
	const char *section = own ? s->name : "", *name = own ? "listen" : "inet_interfaces";
	struct span rest = span_of(s->listen), word;
	struct listen_address list[LISTEN_ADDRESSES_MAX];
	size_t found[OF_NO_FAMILY_HERE + 1] = {0};
	struct error err;

	while (conf_list_next(&rest, &word)) {
		int count = listen_address_parse(word, s->values, c->values->daemon_directory, list, &err);

		if (count < 0)
			complain(h, section, name, "%s", err.text);
		for (int i = 0; i < count; i++) {
			enum presence p = check_listen_address(h, section, name, &list[i]);

			found[p]++;
			if (p != NOT_HERE)
				check_conflict(h, s, section, name, &list[i]);
		}
	}
	if (found[OF_NO_FAMILY_HERE] > 0 && found[HERE] == 0)
		complain(h, section, name, "%s: %s", s->listen, strerror(EADDRNOTAVAIL));
}

static void
check_listeners(struct host *h, const struct conf *c)
{
	for (size_t i = 0; i < c->section_count; i++)
		check_section(h, c, &c->sections[i]);
}

static void
check_name_servers(struct host *h, const struct conf_values *v)
{
	struct servers *servers;
	struct error err;

	servers = servers_from_parameter(span_of(v->dns_servers), &err);
	if (servers == NULL)
		complain(h, "", "dns_servers", "%s: addresses are meant, with :port where it is not 53",
		    v->dns_servers);
	else
		servers_unref(&servers);
}

static void
check_log_file(struct host *h, const struct conf_values *v)
{
	const char *path = v->maillog_file, *slash = strrchr(path, '/');
	char folder[4096];
	struct stat st;

	if (path[0] == '\0' || strcmp(path, "/dev/stdout") == 0)
		return;
	if (path[0] != '/' || slash[1] == '\0') {
		complain(h, "", "maillog_file", "%s: an absolute path of a file is meant", path);
		return;
	}
	(void)snprintf(folder, sizeof(folder), "%.*s", slash == path ? 1 : (int)(slash - path), path);
	if (stat(folder, &st) < 0)
		complain(h, "", "maillog_file", "%s: %s", folder, strerror(errno));
	else if (!S_ISDIR(st.st_mode))
		complain(h, "", "maillog_file", "%s: %s", folder, strerror(ENOTDIR));
	else if (lstat(path, &st) == 0 && S_ISLNK(st.st_mode))
		complain(h, "", "maillog_file", "%s: a symbolic link, which is not followed", path);
	else if (stat(path, &st) == 0 && S_ISDIR(st.st_mode))
		complain(h, "", "maillog_file", "%s: is a directory", path);
}

static void
check_default_user(struct host *h, const struct conf_values *v)
{
	char trouble[TROUBLE_SIZE];

	if (!check_account(span_of(v->default_privs), trouble, sizeof(trouble)))
		complain(h, "", "default_privs", "%s", trouble);
}

static void
tell_pipe(const char *text, void *context)
{
	complain(context, "", "transport_services", "%s", text);
}

static void
tell_template(unsigned line, const char *text, void *context)
{
	struct host *h = context;

	if (line == 0) {
		complain(h, "", "bounce_template_file", "%s: %s", h->templates, text);
		return;
	}
	printf("%s:%u: %s\n", h->templates, line, text);
	h->bad++;
}

static void
check_templates(struct host *h, const struct conf_values *v)
{
	h->templates = v->bounce_template_file;
	struct template_set *set = template_set_load(h->templates, tell_template, h);
	template_set_free(&set);
}

static void
tell_socket(const char *section, const char *parameter, const char *text, void *context)
{
	struct host *h = context;

	if (check_line_in(span_make(h->text, h->text_len), section, parameter) == 0)
		section = "";
	complain(h, section, parameter, "%s", text);
	if (strncmp(text, "warning: ", 9) == 0)
		h->bad--;
}

static void
check_foreign(struct host *h, const struct conf_values *v)
{
	struct error err;

	for (size_t i = 0; foreign_parameters[i]; i++)
		if (foreign_is(v, foreign_parameters[i], &err))
			complain(h, "", foreign_parameters[i], "%s", err.text);
}

static void
check_claim(struct host *h, const struct conf_values *v, const char *confdir)
{
	char other[PATH_MAX];

	if (claim_find_other(v->queue_directory, confdir, other, sizeof(other)))
		complain(h, "", "queue_directory", "%s is that of the instance %s, too", v->queue_directory,
		    other);
}

size_t
check_host(const struct conf *c, const char *confdir, bool as_root)
{
	struct host h = {.bad = 0};
	struct error ignored;

	(void)snprintf(h.path, sizeof(h.path), "%s/postern.conf", confdir);
	h.text = lines_load(h.path, FILE_OCTETS_MAX, &h.text_len, &ignored);
	h.listeners = mem_alloc(LISTENERS_MAX * sizeof(*h.listeners));
	check_foreign(&h, c->values);
	check_claim(&h, c->values, confdir);
	check_listeners(&h, c);
	check_name_servers(&h, c->values);
	check_log_file(&h, c->values);
	check_templates(&h, c->values);
	check_sockets(c, tell_socket, &h);
	if (as_root) {
		check_default_user(&h, c->values);
		check_pipes(c->values, tell_pipe, &h);
	}
	free(h.listeners);
	free(h.text);
	return h.bad;
}
