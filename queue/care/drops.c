/*
 * drops: what local programs left in the drop directory, while it is there: in a stopped instance, or put off by pickup.
 *
 * Files that count, as pickup has it: whole, and with their ready bit. One that is being written is nobody's to delete.
 */
#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sysexits.h>
#include <unistd.h>

#include "common/base/clock.h"
#include "common/base/mem.h"
#include "common/base/text.h"
#include "queue/care/care.h"
#include "queue/filter.h"
#include "queue/message.h"
#include "queue/spool_clock.h"
#include "services/pickup/drop_file.h"

enum { ROW_MAX = 64 << 20 };

static int
counts(const struct dirent *e)
{
	return e->d_name[0] != '.' && strncmp(e->d_name, "bad-", 4) != 0;
}

static void
text(struct buf *out, const char *name, struct span value)
{
	buf_printf(out, "\"%s\": \"", name);
	text_append_json(out, value);
	buf_append_text(out, "\"");
}

/* As postqueue -j has it. */
static void
put_row(const char *name, const struct drop_file *f)
{
	const struct drop_envelope *e = &f->envelope;
	const char *between = "";
	struct stat st;
	struct buf out;

	if (fstat(f->fd, &st) < 0)
		return;
	buf_init(&out, ROW_MAX);
	buf_append_text(&out, "{\"queue_name\": \"maildrop\", ");
	text(&out, "queue_id", span_of(name));
	buf_printf(&out, ", \"arrival_time\": %lld, \"message_size\": %llu, \"forced_expire\": false, ",
	    (long long)st.st_mtime, (unsigned long long)e->size);
	text(&out, "sender", e->sender.len > 0 ? e->sender : SPAN_LIT("MAILER-DAEMON"));
	buf_append_text(&out, ", \"recipients\": [");
	for (const struct drop_recipient *r = e->first; r; r = r->next) {
		buf_printf(&out, "%s{", between);
		text(&out, "address", r->address);
		buf_append_text(&out, "}");
		between = ", ";
	}
	buf_append_text(&out, "]}\n");
	fwrite(buf_ptr(&out), 1, out.len, stdout);
	buf_free(&out);
}

/* ---- which ---- */

/* A filter, and names in the place of ids. */
struct choice {
	struct filter filter;
	struct buf names; /* a line each; empty: any */
	uint64_t taken;
};

static int
choice_init(struct choice *c, const char *text)
{
	struct span rest = span_of(text), line;
	struct buf others;
	struct error err;
	int bad;

	*c = (struct choice){.taken = 0};
	buf_init(&c->names, rest.len + 1);
	buf_init(&others, rest.len + 1);
	while (span_next_line(&rest, &line)) {
		bool is_name = span_starts(line, "id=");

		buf_printf(
		    is_name ? &c->names : &others, "%.*s\n", SPAN_ARG(span_from(line, is_name ? 3 : 0)));
	}
	bad = filter_parse(&c->filter, buf_span(&others), &err);
	buf_free(&others);
	if (bad < 0)
		fprintf(stderr, "postern: %s\n", err.text);
	return bad < 0 ? EX_USAGE : 0;
}

static void
choice_free(struct choice *c)
{
	filter_free(&c->filter);
	buf_free(&c->names);
}

static bool
has_name(const struct choice *c, const char *name)
{
	struct span rest = buf_span(&c->names), line;

	while (span_next_line(&rest, &line))
		if (span_is(line, name))
			return true;
	return c->names.len == 0;
}

/* As a message of the queue that nobody has tried yet and of which no route is known. */
static bool
matches(const struct choice *c, const struct drop_file *f)
{
	const struct drop_envelope *e = &f->envelope;
	struct message m = {.id = UINT64_MAX, .e = {.sender = e->sender, .content_len = e->size}};
	const struct drop_recipient *from;
	struct recipient *all;
	struct stat st;
	bool match;

	if (fstat(f->fd, &st) < 0)
		return false;
	m.e.arrival_spool_us = spool_clock_now() - (clock_wall_us() - st.st_mtime * US_PER_SECOND);
	for (from = e->first; from; from = from->next)
		m.count++;
	all = mem_alloc_array(m.count + 1, sizeof(*all));
	m.recipients = mem_alloc_array(m.count + 1, sizeof(*m.recipients));
	m.count = 0;
	for (from = e->first; from; from = from->next) {
		all[m.count].p.recipient = from->address;
		m.recipients[m.count] = &all[m.count];
		m.count++;
	}
	match = filter_match(&c->filter, &m);
	free(all);
	free(m.recipients);
	return match;
}

/* True if it is a message, and chosen (NULL: anyway); then done(). */
static bool
with_file(int dir, const char *name, const struct choice *c,
    void (*done)(const char *name, const struct drop_file *f))
{
	struct arena *arena = arena_new(DROP_ENVELOPE_MAX);
	struct drop_file f;
	struct error err;
	bool is_one = drop_file_open(&f, dir, name, arena, &err) == DROP_FILE_OK, chosen;

	chosen = is_one && (!c || (has_name(c, name) && matches(c, &f)));
	if (chosen && done)
		done(name, &f);
	if (is_one)
		drop_file_close(&f);
	arena_free(&arena);
	return chosen;
}

/* ---- what is done with them ---- */

static bool
list_one(int dir, const char *name, const struct choice *c)
{
	return with_file(dir, name, c, put_row);
}

static bool
delete_one(int dir, const char *name, const struct choice *c)
{
	return with_file(dir, name, c, NULL) && unlinkat(dir, name, 0) == 0;
}

static int
each(int dir, struct choice *c, bool (*one)(int dir, const char *name, const struct choice *c))
{
	struct dirent **names;
	int count = scandirat(dir, ".", &names, counts, alphasort);

	for (int i = 0; i < count; i++) {
		if (c->filter.limit == 0 || c->taken < c->filter.limit)
			c->taken += one(dir, names[i]->d_name, c);
		free(names[i]);
	}
	if (count >= 0)
		free(names);
	return count < 0 ? EX_NOINPUT : 0;
}

int
care_drops_list(int dir, const char *filter)
{
	struct choice c;
	int status = choice_init(&c, filter);

	if (status == 0)
		status = each(dir, &c, list_one);
	choice_free(&c);
	return status;
}

static int
tell_deleted(int dir, uint64_t deleted)
{
	printf("%llu\n", (unsigned long long)deleted);
	return deleted == 0 || fsync(dir) == 0 ? 0 : EX_IOERR;
}

int
care_drops_delete(int dir, const char *name)
{
	if (strcmp(name, "ALL") == 0)
		return care_drops_delete_by(dir, "");
	return tell_deleted(dir, !strchr(name, '/') && delete_one(dir, name, NULL));
}

int
care_drops_delete_by(int dir, const char *filter)
{
	struct choice c;
	int status = choice_init(&c, filter);

	if (status == 0) {
		(void)each(dir, &c, delete_one);
		status = tell_deleted(dir, c.taken);
	}
	choice_free(&c);
	return status;
}
