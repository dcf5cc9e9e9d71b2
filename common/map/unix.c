/*
 * unix:passwd.byname and unix:group.byname: the system's users and groups, through NSS. The value is a line of
 * passwd(5) or group(5), without the password.
 *
 * Users that were found are remembered for some seconds, for a look at /etc/passwd costs more than all else that
 * a recipient needs. Absent ones are not: a user who was just made gets mail at once.
 */
#include <errno.h>
#include <grp.h>
#include <pwd.h>
#include <stdlib.h>

#include "common/base/clock.h"
#include "common/base/mem.h"
#include "common/base/table.h"
#include "common/map/kinds.h"

enum { NAME_MAX_OCTETS = 256, REMEMBERED_MAX = 4096, REMEMBER_SECONDS = 5, BUFFER_MAX = 65536 };

struct remembered {
	int64_t until_us;
	char line[];
};

struct names {
	bool groups;
	struct table *users;
	char *buffer; /* of getpwnam_r() */
};

static void *
unix_open(const struct map_input *in, struct error *err)
{
	bool groups = strcmp(in->name, "group.byname") == 0;

	if (!groups && strcmp(in->name, "passwd.byname") != 0) {
		error_set(err, "unix:%s: need unix:passwd.byname or unix:group.byname", in->name);
		return NULL;
	}
	struct names *n = mem_alloc(sizeof(*n));
	n->groups = groups;
	n->users = table_new(REMEMBERED_MAX, free);
	n->buffer = mem_alloc(BUFFER_MAX);
	return n;
}

static void
unix_close(void *table)
{
	struct names *n = table;
	table_free(&n->users);
	free(n->buffer);
	free(n);
}

static void
remember(struct names *n, struct span key, struct span line)
{
	struct remembered *r = mem_alloc(sizeof(*r) + line.len + 1);

	r->until_us = clock_mono_us() + REMEMBER_SECONDS * US_PER_SECOND;
	memcpy(r->line, line.ptr, line.len);
	if (table_count(n->users) >= REMEMBERED_MAX) {
		table_free(&n->users);
		n->users = table_new(REMEMBERED_MAX, free);
	}
	if (table_put(n->users, key, r) < 0)
		free(r);
}

/* What getpwnam_r(3) may set for a name that is not there. */
static bool
means_absent(int number)
{
	return number == 0 || number == ENOENT || number == ESRCH;
}

static enum lookup_status
absent_or_trouble(int number, const char *what, struct error *err)
{
	if (means_absent(number))
		return LOOKUP_NOT_FOUND;
	errno = number;
	error_errno(err, "%s", what);
	return LOOKUP_TEMPORARY;
}

static enum lookup_status
user_find(struct names *n, const char *name, struct map_hit *hit, struct error *err)
{
	struct passwd pw, *got = NULL;

	int number = getpwnam_r(name, &pw, n->buffer, BUFFER_MAX, &got);
	if (got == NULL)
		return absent_or_trouble(number, "getpwnam_r", err);
	(void)buf_printf(hit->value, "%s:x:%lu:%lu:%s:%s:%s", pw.pw_name, (unsigned long)pw.pw_uid,
	    (unsigned long)pw.pw_gid, pw.pw_gecos, pw.pw_dir, pw.pw_shell);
	return LOOKUP_FOUND;
}

static enum lookup_status
group_find(struct names *n, const char *name, struct map_hit *hit, struct error *err)
{
	struct group gr, *got = NULL;

	int number = getgrnam_r(name, &gr, n->buffer, BUFFER_MAX, &got);
	if (got == NULL)
		return absent_or_trouble(number, "getgrnam_r", err);
	(void)buf_printf(hit->value, "%s:x:%lu:", gr.gr_name, (unsigned long)gr.gr_gid);
	for (char **member = gr.gr_mem; *member != NULL; member++)
		(void)buf_printf(hit->value, "%s%s", member == gr.gr_mem ? "" : ",", *member);
	return LOOKUP_FOUND;
}

static enum lookup_status
unix_lookup(void *table, struct span key, struct map_hit *hit, struct error *err)
{
	struct names *n = table;
	char name[NAME_MAX_OCTETS + 1];

	/* No system has a user of such a name; spares NSS what strangers may ask. */
	if (key.len > NAME_MAX_OCTETS || memchr(key.ptr, '@', key.len) != NULL ||
	    memchr(key.ptr, ':', key.len) != NULL || memchr(key.ptr, '/', key.len) != NULL)
		return LOOKUP_NOT_FOUND;
	const struct remembered *r = table_get(n->users, key);
	if (r != NULL && r->until_us > clock_mono_us()) {
		(void)buf_append_text(hit->value, r->line);
		return LOOKUP_FOUND;
	}
	memcpy(name, key.ptr, key.len);
	name[key.len] = '\0';
	enum lookup_status status = n->groups ? group_find(n, name, hit, err) : user_find(n, name, hit, err);
	if (status == LOOKUP_FOUND)
		remember(n, key, buf_span(hit->value));
	return status;
}

const struct map_kind map_kind_unix = {
    .name = "unix",
    .open = unix_open,
    .lookup = unix_lookup,
    .close = unix_close,
};
