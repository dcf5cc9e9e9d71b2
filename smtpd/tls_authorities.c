#include "smtpd/tls_authorities.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/io.h"
#include "common/base/log.h"
#include "common/base/mem.h"
#include "common/conf/conf.h"
#include "common/tls/believed.h"
#include "smtpd/tls_level.h"

struct authority {
	char *file, *path;
	bool system;
	struct tls_believed *believed;
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
		tls_believed_free(&a->items[i].believed);
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

static struct tls_trust *
read_file(const char *name)
{
	struct tls_trust *part = tls_trust_new();
	struct error err;
	int fd = open(name, O_RDONLY | O_CLOEXEC | O_NOCTTY);

	if (fd < 0)
		log_error(NULL, "smtpd_tls_CAfile: cannot open %s: %m", name);
	else if (tls_trust_add_fd(part, fd, name, &err) < 0)
		log_error(NULL, "smtpd_tls_CAfile: %s", err.text);
	if (fd >= 0)
		(void)io_close(&fd);
	return part;
}

static void
read_all(struct authority *to)
{
	struct tls_trust *part;
	struct error err;

	if (to->file[0])
		(void)tls_believed_put(to->believed, TLS_PLACE_FILE, read_file(to->file));
	if (to->path[0]) {
		part = tls_trust_new();
		if (tls_trust_add_directory(part, to->path, &err) < 0)
			log_error(NULL, "smtpd_tls_CApath: %s", err.text);
		(void)tls_believed_put(to->believed, TLS_PLACE_FOLDER, part);
	}
	if (to->system) {
		part = tls_trust_new();
		if (tls_trust_add_system(part, &err) < 0)
			log_error(NULL, "tls_append_default_CA: %s", err.text);
		(void)tls_believed_put(to->believed, TLS_PLACE_SYSTEM, part);
	}
}

static struct authority *
add(struct tls_authorities *a, const struct conf_values *v)
{
	struct authority *new;

	a->items = mem_resize(a->items, (a->count + 1) * sizeof(a->items[0]));
	new = &a->items[a->count++];
	*new = (struct authority){.file = mem_strdup(v->smtpd_tls_CAfile),
	    .path = mem_strdup(v->smtpd_tls_CApath),
	    .system = v->tls_append_default_CA,
	    .believed = tls_believed_new(false)};
	return new;
}

void
tls_authorities_read(struct tls_authorities *a, const struct conf *conf)
{
	for (size_t i = 0; i < conf->section_count; i++) {
		const struct conf_values *v = conf->sections[i].values;

		if (wants_any(v) && !find(a, v))
			read_all(add(a, v));
	}
}

/* For a listener of which path is the CAfile or the CApath. The system's can be read at the start alone. */
static bool
renew(struct tls_authorities *a, const struct conf_values *v, const char *path, int fd)
{
	bool is_file = strcmp(v->smtpd_tls_CAfile, path) == 0;
	struct authority *known = find(a, v);
	struct tls_trust *part;
	struct error err;
	int result;

	if (!known && v->tls_append_default_CA)
		return false;
	part = tls_trust_new();
	result =
	    is_file ? tls_trust_add_fd(part, fd, path, &err) : tls_trust_add_gathered(part, fd, path, &err);
	if (result < 0) {
		log_error(NULL, "%s: %s", is_file ? "smtpd_tls_CAfile" : "smtpd_tls_CApath", err.text);
		tls_trust_free(&part);
		return false;
	}
	if (!known)
		known = add(a, v);
	return tls_believed_put(known->believed, is_file ? TLS_PLACE_FILE : TLS_PLACE_FOLDER, part);
}

bool
tls_authorities_renew(struct tls_authorities *a, const struct conf *conf, const char *path, int fd)
{
	bool changed = false;

	for (size_t i = 0; fd >= 0 && i < conf->section_count; i++) {
		const struct conf_values *v = conf->sections[i].values;

		if (wants_any(v) &&
		    (strcmp(v->smtpd_tls_CAfile, path) == 0 || strcmp(v->smtpd_tls_CApath, path) == 0))
			changed = renew(a, v, path, fd) || changed;
	}
	return changed;
}

struct tls_trust *
tls_authorities_of(const struct tls_authorities *a, const struct conf_values *v)
{
	struct authority *found;

	if (!wants_any(v))
		return NULL;
	found = find(a, v);
	if (!found && v->tls_append_default_CA)
		log_warning(
		    NULL, "tls_append_default_CA, and what stands beside it, is read at the next start only");
	return found ? tls_believed_trust(found->believed) : NULL;
}
