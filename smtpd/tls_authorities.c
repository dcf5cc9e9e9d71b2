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

/* Reads it as what it is for the listener. NULL with err. */
static struct tls_trust *
read_sent(enum tls_place place, const char *path, int fd, struct error *err)
{
	struct tls_trust *part = tls_trust_new();
	int result = place == TLS_PLACE_FILE     ? tls_trust_add_fd(part, fd, path, err)
		     : place == TLS_PLACE_FOLDER ? tls_trust_add_gathered(part, fd, path, err)
						 : tls_trust_add_system_fd(part, fd, err);

	if (result == 0 && place == TLS_PLACE_SYSTEM && tls_trust_count(part) == 0)
		result = error_set(err, "%s: no certificate in it", path);
	if (result < 0)
		tls_trust_free(&part);
	return part;
}

static bool
renew(struct tls_authorities *a, const struct conf_values *v, enum tls_place place, const char *path, int fd)
{
	struct authority *known = find(a, v);
	struct error err;
	struct tls_trust *part = read_sent(place, path, fd, &err);

	if (!part) {
		log_error(NULL, "the old authorities go on: %s", err.text);
		return false;
	}
	if (!known)
		known = add(a, v);
	return tls_believed_put(known->believed, place, part);
}

/* Where the listener has that from. TLS_PLACES: nowhere. */
static enum tls_place
place_of(const struct conf_values *v, const char *path)
{
	if (!wants_any(v))
		return TLS_PLACES;
	if (strcmp(v->smtpd_tls_CAfile, path) == 0)
		return TLS_PLACE_FILE;
	if (strcmp(v->smtpd_tls_CApath, path) == 0)
		return TLS_PLACE_FOLDER;
	return v->tls_append_default_CA && tls_trust_is_system(path) ? TLS_PLACE_SYSTEM : TLS_PLACES;
}

bool
tls_authorities_renew(struct tls_authorities *a, const struct conf *conf, const char *path, int fd)
{
	bool changed = false;

	for (size_t i = 0; fd >= 0 && i < conf->section_count; i++) {
		const struct conf_values *v = conf->sections[i].values;
		enum tls_place place = place_of(v, path);

		if (place != TLS_PLACES)
			changed = renew(a, v, place, path, fd) || changed;
	}
	return changed;
}

struct tls_trust *
tls_authorities_of(const struct tls_authorities *a, const struct conf_values *v)
{
	struct authority *found = wants_any(v) ? find(a, v) : NULL;

	return found ? tls_believed_trust(found->believed) : NULL;
}
