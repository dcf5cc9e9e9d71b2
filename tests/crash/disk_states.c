#include "tests/crash/disk_states.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/base/mem.h"

enum { SECTOR = 512, VERSIONS_MAX = 64, NAME_SIZE = 64 };

struct write {
	uint64_t offset, length;
	const uint8_t *data; /* NULL: zeros */
	bool truncate; /* length is the file's new one */
};

struct file {
	struct file *next;
	uint64_t object;
	uint8_t *bytes; /* synced */
	uint64_t len, cap;
	struct write *writes; /* not synced, in order */
	size_t count, room;
};

/* A name, what it meant at its directory's last sync, and since. 0: nothing. */
struct name {
	char text[NAME_SIZE];
	uint64_t versions[VERSIONS_MAX];
	uint64_t order[VERSIONS_MAX]; /* of the operation that made it */
	unsigned count; /* 1: nothing is pending */
};

struct folder {
	struct folder *next;
	uint64_t object;
	struct name *names;
	size_t count;
	bool renamed; /* a rename is pending */
};

struct disk_model {
	struct folder *folders;
	struct file *files;
	uint64_t root, order;
	uint64_t dice;
	int64_t choice;
	unsigned chosen;
};

struct disk_model *
disk_model_new(void)
{
	return mem_alloc(sizeof(struct disk_model));
}

void
disk_model_free(struct disk_model **d)
{
	struct file *f, *next_file;
	struct folder *o, *next_folder;

	for (f = (*d)->files; f; f = next_file) {
		next_file = f->next;
		free(f->bytes);
		free(f->writes);
		free(f);
	}
	for (o = (*d)->folders; o; o = next_folder) {
		next_folder = o->next;
		free(o->names);
		free(o);
	}
	free(*d);
	*d = NULL;
}

static struct file *
file_find(const struct disk_model *d, uint64_t object)
{
	struct file *f = d->files;

	while (f && f->object != object)
		f = f->next;
	return f;
}

static struct folder *
folder_find(const struct disk_model *d, uint64_t object)
{
	struct folder *o = d->folders;

	while (o && o->object != object)
		o = o->next;
	return o;
}

static void
folder_add(struct disk_model *d, uint64_t object)
{
	struct folder *o = mem_alloc(sizeof(*o));

	o->object = object;
	o->next = d->folders;
	d->folders = o;
}

/* An inode number that is used again is another file: what the names meant until now gets a number of its own. */
static void
renumber(struct disk_model *d, struct file *f)
{
	static uint64_t last = (uint64_t)1 << 63;
	uint64_t was = f->object;

	f->object = ++last;
	for (struct folder *o = d->folders; o; o = o->next)
		for (size_t i = 0; i < o->count; i++)
			for (unsigned v = 0; v < o->names[i].count; v++)
				if (o->names[i].versions[v] == was)
					o->names[i].versions[v] = f->object;
}

static void
file_add(struct disk_model *d, uint64_t object)
{
	struct file *f = file_find(d, object);

	if (f)
		renumber(d, f);
	f = mem_alloc(sizeof(*f));
	f->object = object;
	f->next = d->files;
	d->files = f;
}

static void
name_set(struct disk_model *d, uint64_t parent, const char *text, uint64_t object)
{
	struct folder *o = folder_find(d, parent);
	struct name *n = NULL;

	if (!o)
		return;
	for (size_t i = 0; i < o->count && !n; i++)
		if (strcmp(o->names[i].text, text) == 0)
			n = &o->names[i];
	if (!n) {
		o->names = mem_resize(o->names, (o->count + 1) * sizeof(*n));
		n = &o->names[o->count++];
		memset(n, 0, sizeof(*n));
		snprintf(n->text, sizeof(n->text), "%s", text);
		n->count = 1;
	}
	if (n->count == VERSIONS_MAX) /* the oldest that is not synced is forgotten */
		memmove(&n->versions[1], &n->versions[2], (--n->count - 1) * sizeof(n->versions[0]));
	n->versions[n->count] = object;
	n->order[n->count++] = d->order;
}

/* ---- data ---- */

static void
set_length(uint8_t **bytes, uint64_t *len, uint64_t *cap, uint64_t to)
{
	if (to > *cap) {
		*cap = to + to / 2 + 4096;
		*bytes = mem_resize(*bytes, *cap);
	}
	if (to > *len)
		memset(*bytes + *len, 0, to - *len);
	*len = to;
}

static void
put(uint8_t *bytes, uint64_t len, const struct write *w, uint64_t from, uint64_t to)
{
	if (to > len)
		to = len;
	if (from >= to)
		return;
	if (w->data)
		memcpy(bytes + from, w->data + (from - w->offset), to - from);
	else
		memset(bytes + from, 0, to - from);
}

static void
fold(struct file *f)
{
	for (size_t i = 0; i < f->count; i++) {
		const struct write *w = &f->writes[i];

		if (w->truncate) {
			set_length(&f->bytes, &f->len, &f->cap, w->length);
			continue;
		}
		if (w->offset + w->length > f->len)
			set_length(&f->bytes, &f->len, &f->cap, w->offset + w->length);
		put(f->bytes, f->len, w, w->offset, w->offset + w->length);
	}
	f->count = 0;
}

static void
sync_folder(struct folder *o)
{
	for (size_t i = 0; i < o->count; i++) {
		struct name *n = &o->names[i];

		n->versions[0] = n->versions[n->count - 1];
		n->count = 1;
	}
	o->renamed = false;
}

static void
add_write(struct disk_model *d, const struct operation *o)
{
	struct file *f = file_find(d, o->object);

	if (!f)
		return;
	if (f->count == f->room) {
		f->room = f->room * 2 + 16;
		f->writes = mem_resize(f->writes, f->room * sizeof(*f->writes));
	}
	f->writes[f->count++] = (struct write){.offset = o->offset,
	    .length = o->length,
	    .data = o->data_len > 0 ? operation_data(o) : NULL,
	    .truncate = o->kind == RECORDED_TRUNCATE};
}

void
disk_model_apply(struct disk_model *d, const struct operation *o)
{
	struct file *f;
	struct folder *folder;

	d->order++;
	switch ((enum recorded)o->kind) {
	case RECORDED_ROOT:
		d->root = o->object;
		if (!folder_find(d, o->object))
			folder_add(d, o->object);
		break;
	case RECORDED_CREATE:
		file_add(d, o->object);
		name_set(d, o->parent, o->name, o->object);
		break;
	case RECORDED_MKDIR:
		folder_add(d, o->object);
		name_set(d, o->parent, o->name, o->object);
		break;
	case RECORDED_UNLINK:
		name_set(d, o->parent, o->name, 0);
		break;
	case RECORDED_LINK:
		name_set(d, o->parent, o->name, o->object);
		break;
	case RECORDED_RENAME:
		name_set(d, o->parent, o->name, 0);
		name_set(d, o->parent2, o->name2, o->object);
		for (folder = d->folders; folder; folder = folder->next)
			if (folder->object == o->parent || folder->object == o->parent2)
				folder->renamed = true;
		break;
	case RECORDED_WRITE:
	case RECORDED_TRUNCATE:
		add_write(d, o);
		break;
	case RECORDED_SYNC:
		if ((f = file_find(d, o->object)))
			fold(f);
		if ((folder = folder_find(d, o->object)))
			sync_folder(folder);
		break;
	case RECORDED_NOTE:
		break;
	}
}

unsigned
disk_model_pending(const struct disk_model *d)
{
	unsigned pending = 0;

	for (const struct file *f = d->files; f; f = f->next)
		pending += (unsigned)f->count;
	for (const struct folder *o = d->folders; o; o = o->next)
		for (size_t i = 0; i < o->count; i++)
			pending += o->names[i].count - 1;
	return pending;
}

/* ---- a state ---- */

static uint64_t
roll(struct disk_model *d)
{
	d->dice = d->dice * 6364136223846793005U + 1442695040888963407U;
	return d->dice >> 33;
}

/* One of 'count' ways, the first of which is the synced one. */
static bool
keep(struct disk_model *d)
{
	if (d->choice >= 0)
		return d->chosen < 63 && ((d->choice >> d->chosen++) & 1);
	return roll(d) % 2;
}

static uint64_t
choose_name(struct disk_model *d, const struct name *n, enum disk_policy policy, uint64_t until)
{
	unsigned version = n->count - 1;

	switch (policy) {
	case DISK_NOTHING:
	case DISK_DATA:
		return n->versions[0];
	case DISK_WRITES:
	case DISK_SECTORS:
		if (until != UINT64_MAX) {
			while (version > 0 && n->order[version] > until)
				version--;
			return n->versions[version];
		}
		while (version > 0 && !keep(d))
			version--;
		return n->versions[version];
	default:
		return n->versions[version];
	}
}

static void
write_sectors(struct disk_model *d, uint8_t *bytes, uint64_t len, const struct write *w)
{
	uint64_t end = w->offset + w->length;

	for (uint64_t at = w->offset; at < end;) {
		uint64_t next = (at / SECTOR + 1) * SECTOR;

		if (next > end)
			next = end;
		if (roll(d) % 2)
			put(bytes, len, w, at, next);
		at = next;
	}
}

static void
build_file(struct disk_model *d, int dir, const char *name, const struct file *f, enum disk_policy policy)
{
	uint8_t *bytes = NULL;
	uint64_t len = 0, cap = 0, done = 0;
	int fd = openat(dir, name, O_WRONLY | O_CREAT | O_EXCL, 0600);

	set_length(&bytes, &len, &cap, f->len);
	if (f->len > 0)
		memcpy(bytes, f->bytes, f->len);
	for (size_t i = 0; i < f->count; i++) {
		const struct write *w = &f->writes[i];
		bool torn = policy == DISK_SECTORS || (policy == DISK_TORN && i + 1 == f->count);

		if (policy == DISK_NOTHING || policy == DISK_NAMES || (policy == DISK_WRITES && !keep(d)))
			continue;
		if (w->truncate) {
			if (!torn || roll(d) % 2)
				set_length(&bytes, &len, &cap, w->length);
			continue;
		}
		if (w->offset + w->length > len && (!torn || roll(d) % 2))
			set_length(&bytes, &len, &cap, w->offset + w->length);
		if (torn)
			write_sectors(d, bytes, len, w);
		else
			put(bytes, len, w, w->offset, w->offset + w->length);
	}
	while (fd >= 0 && done < len) {
		ssize_t n = pwrite(fd, bytes + done, len - done, (off_t)done);

		if (n <= 0)
			break;
		done += (uint64_t)n;
	}
	if (fd < 0 || done < len) {
		perror("building a state of the disk");
		abort();
	}
	close(fd);
	free(bytes);
}

static void
build_folder(struct disk_model *d, int dir, const struct folder *o, enum disk_policy policy)
{
	uint64_t until = UINT64_MAX, pending = 0;

	if (o->renamed && (policy == DISK_WRITES || policy == DISK_SECTORS)) {
		for (size_t i = 0; i < o->count; i++)
			for (unsigned v = 1; v < o->names[i].count; v++)
				if (pending++ == 0 || roll(d) % pending == 0)
					until = o->names[i].order[v];
		if (roll(d) % 4 == 0)
			until = 0;
	}
	for (size_t i = 0; i < o->count; i++) {
		const struct name *n = &o->names[i];
		uint64_t object = choose_name(d, n, policy, until);
		const struct folder *below = object ? folder_find(d, object) : NULL;
		const struct file *f = object ? file_find(d, object) : NULL;
		int fd;

		if (below) {
			mkdirat(dir, n->text, 0700);
			fd = openat(dir, n->text, O_RDONLY | O_DIRECTORY);
			build_folder(d, fd, below, policy);
			close(fd);
		} else if (f) {
			build_file(d, dir, n->text, f, policy);
		}
	}
}

void
disk_model_build(
    struct disk_model *d, const char *path, enum disk_policy policy, uint64_t seed, int64_t choice)
{
	const struct folder *root = folder_find(d, d->root);
	int fd = open(path, O_RDONLY | O_DIRECTORY);

	d->dice = seed * 0x9e3779b97f4a7c15U + 1;
	d->choice = choice;
	d->chosen = 0;
	if (root && fd >= 0)
		build_folder(d, fd, root, policy);
	if (fd >= 0)
		close(fd);
}
