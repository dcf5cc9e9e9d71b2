#include "smtpd/tls_authorities.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/io.h"
#include "common/base/log.h"
#include "common/base/mem.h"
#include "common/conf/conf.h"
#include "common/tls/trust.h"
#include "smtpd/tls_level.h"

struct authority {
	char *file, *path;
	bool system;
	struct tls_trust *trust;
};

struct tls_authorities {
	struct authority *items;
	size_t count;
};

struct tls_authorities *
tls_authorities_new(void)
{
	return mem_alloc(sizeof(struct tls_authorities));
}

void
tls_authorities_free(struct tls_authorities **authorities)
{
	struct tls_authorities *a = *authorities;

	*authorities = NULL;
	for (size_t i = 0; a && i < a->count; i++) {
		free(a->items[i].file);
		free(a->items[i].path);
		tls_trust_free(&a->items[i].trust);
	}
	if (a)
		free(a->items);
	free(a);
}

static bool
wants_any(const struct conf_values *v)
{
	return tls_level_asks(v) &&
	       (v->smtpd_tls_CAfile[0] || v->smtpd_tls_CApath[0] || v->tls_append_default_CA);
}

static struct authority *
find(const struct tls_authorities *a, const struct conf_values *v)
{
	for (size_t i = 0; a && i < a->count; i++) {
		struct authority *found = &a->items[i];

		if (strcmp(found->file, v->smtpd_tls_CAfile) == 0 &&
		    strcmp(found->path, v->smtpd_tls_CApath) == 0 &&
		    found->system == v->tls_append_default_CA)
			return found;
	}
	return NULL;
}

static void
read_file(struct tls_trust *trust, const char *name)
{
	struct error err;
	int fd = open(name, O_RDONLY | O_CLOEXEC | O_NOCTTY);

	if (fd < 0) {
		log_error(NULL, "smtpd_tls_CAfile: cannot open %s: %m", name);
		return;
	}
	if (tls_trust_add_fd(trust, fd, name, &err) < 0)
		log_error(NULL, "smtpd_tls_CAfile: %s", err.text);
	(void)io_close(&fd);
}

static void
read_all(struct authority *to)
{
	struct error err;

	if (to->file[0])
		read_file(to->trust, to->file);
	if (to->path[0] && tls_trust_add_directory(to->trust, to->path, &err) < 0)
		log_error(NULL, "smtpd_tls_CApath: %s", err.text);
	if (to->system && tls_trust_add_system(to->trust, &err) < 0)
		log_error(NULL, "tls_append_default_CA: %s", err.text);
}

static struct authority *
add(struct tls_authorities *a, const struct conf_values *v, struct tls_trust *trust)
{
	struct authority *new;

	a->items = mem_resize(a->items, (a->count + 1) * sizeof(a->items[0]));
	new = &a->items[a->count++];
	*new = (struct authority){.file = mem_strdup(v->smtpd_tls_CAfile),
	    .path = mem_strdup(v->smtpd_tls_CApath),
	    .system = v->tls_append_default_CA,
	    .trust = trust};
	return new;
}

void
tls_authorities_read(struct tls_authorities *a, const struct conf *conf)
{
	for (size_t i = 0; i < conf->section_count; i++) {
		const struct conf_values *v = conf->sections[i].values;

		if (wants_any(v) && !find(a, v))
			read_all(add(a, v, tls_trust_new()));
	}
}

/* A listener that believes the authorities of this file, and no others. */
static bool
is_of_file(const struct conf_values *v, const char *path)
{
	return wants_any(v) && strcmp(v->smtpd_tls_CAfile, path) == 0 && !v->smtpd_tls_CApath[0] &&
	       !v->tls_append_default_CA;
}

bool
tls_authorities_renew(struct tls_authorities *a, const struct conf *conf, const char *path, int fd)
{
	const struct conf_values *v = NULL;
	struct tls_trust *trust;
	struct authority *known;
	struct error err;

	for (size_t i = 0; i < conf->section_count && !v; i++)
		if (is_of_file(conf->sections[i].values, path))
			v = conf->sections[i].values;
	if (!v || fd < 0)
		return false;
	trust = tls_trust_new();
	if (tls_trust_add_fd(trust, fd, path, &err) < 0) {
		log_error(NULL, "smtpd_tls_CAfile: %s", err.text);
		tls_trust_free(&trust);
		return false;
	}
	known = find(a, v);
	if (known) {
		tls_trust_free(&known->trust);
		known->trust = trust;
	} else
		(void)add(a, v, trust);
	return true;
}

struct tls_trust *
tls_authorities_of(const struct tls_authorities *a, const struct conf_values *v)
{
	struct authority *found;

	if (!wants_any(v))
		return NULL;
	found = find(a, v);
	if (!found && !is_of_file(v, v->smtpd_tls_CAfile))
		log_warning(
		    NULL, "smtpd_tls_CApath and what stands beside it are read at the next start only");
	return found ? found->trust : NULL;
}
