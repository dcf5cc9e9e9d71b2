/*
 * The file behind a table: when it is opened, and when it is another one than was read.
 */
#include <stdio.h>
#include <string.h>

#include "common/base/clock.h"
#include "common/map/kinds.h"
#include "common/map/map_inside.h"

void
map_table_close(struct map *m)
{
	if (m->table != NULL)
		m->kind->close(m->table);
	m->table = NULL;
}

struct stamp
map_stamp_take(const char *path)
{
	struct stat st;
	if (stat(path, &st) < 0)
		return (struct stamp){.there = false};
	return (struct stamp){st.st_dev, st.st_ino, st.st_size, st.st_mtim, st.st_ctim, true, st.st_uid};
}

static bool
stamp_equal(const struct stamp *a, const struct stamp *b)
{
	return a->there == b->there && a->device == b->device && a->inode == b->inode && a->size == b->size &&
	       a->modified.tv_sec == b->modified.tv_sec && a->modified.tv_nsec == b->modified.tv_nsec &&
	       a->changed.tv_sec == b->changed.tv_sec && a->changed.tv_nsec == b->changed.tv_nsec;
}

/* The stamp is taken before the file is read: a change in between is seen at the next look. */
static void
table_open(struct map *m)
{
	if (m->path != NULL)
		m->stamp = map_stamp_take(m->path);
	m->tried = true;
	m->looked_us = clock_mono_us();
	struct error before = m->trouble;
	m->trouble = (struct error){0};
	m->table = m->kind->open(&m->input, &m->trouble);
	/* Who is told of states is told at the next search. */
	if (m->table == NULL && m->state == NULL && strcmp(before.text, m->trouble.text) != 0)
		m->input.complain(m->name, 0, m->trouble.text, m->input.context);
}

/*
 * A text that is written in place was cut short first: who is not in it yet would be unknown. The old content goes on
 * until the writer is still; an empty file is no table that somebody wanted while mail goes through it.
 */
static bool
still_written(struct map *m, const struct stamp *now)
{
	char text[MAP_NAME_MAX + 100];

	if (!m->kind->text || m->table == NULL || !now->there || now->inode != m->stamp.inode ||
	    now->device != m->stamp.device)
		return false;
	if (now->size == 0 && m->stamp.size > 0) {
		(void)snprintf(
		    text, sizeof(text), "the file was emptied: its former content goes on until a reload");
		if (!m->emptied)
			m->input.complain(m->path, 0, text, m->input.context);
		m->emptied = true;
		return true;
	}
	int64_t written_us =
	    (int64_t)now->modified.tv_sec * US_PER_SECOND + (int64_t)now->modified.tv_nsec / 1000;
	int64_t age_us = clock_wall_us() - written_us;
	return age_us >= 0 && age_us < US_PER_SECOND;
}

void
map_look(struct map *m, bool now)
{
	if (m->kind == NULL)
		return;
	if (!m->tried) {
		table_open(m);
		return;
	}
	if (m->path == NULL && m->table != NULL)
		return;
	int64_t clock = clock_mono_us();
	if (!now && clock - m->looked_us < US_PER_SECOND)
		return;
	m->looked_us = clock;
	if (m->table == NULL && !(m->blocks && m->would_block != NULL)) {
		table_open(m);
		m->changed = m->changed || m->table != NULL;
		return;
	}
	if (m->path == NULL)
		return;
	struct stamp stamp = map_stamp_take(m->path);
	if (stamp_equal(&stamp, &m->stamp) || still_written(m, &stamp))
		return;
	m->changed = true;
	m->emptied = false;
	if (m->blocks && m->would_block != NULL) {
		m->stamp = stamp;
		return;
	}
	map_table_close(m);
	table_open(m);
}

bool
map_changed(struct map *m)
{
	if (m->tried)
		map_look(m, true);
	bool changed = m->changed;
	m->changed = false;
	if (m->table != NULL && m->kind->changed != NULL && m->kind->changed(m->table))
		changed = true;
	return changed;
}

int
map_check(struct map *m, struct error *err)
{
	map_look(m, true);
	if (m->table != NULL)
		return 0;
	*err = m->trouble;
	return -1;
}
