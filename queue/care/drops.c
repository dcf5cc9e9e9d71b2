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

#include "common/base/text.h"
#include "queue/care/care.h"
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

/* True if it is a message; then done(). */
static bool
with_file(int dir, const char *name, void (*done)(const char *name, const struct drop_file *f))
{
	struct arena *arena = arena_new(DROP_ENVELOPE_MAX);
	struct drop_file f;
	struct error err;
	bool is_one = drop_file_open(&f, dir, name, arena, &err) == DROP_FILE_OK;

	if (is_one && done)
		done(name, &f);
	if (is_one)
		drop_file_close(&f);
	arena_free(&arena);
	return is_one;
}

int
care_drops_list(int dir)
{
	struct dirent **names;
	int count = scandirat(dir, ".", &names, counts, alphasort);

	for (int i = 0; i < count; i++) {
		with_file(dir, names[i]->d_name, put_row);
		free(names[i]);
	}
	if (count >= 0)
		free(names);
	return count < 0 ? EX_NOINPUT : 0;
}

static bool
delete_one(int dir, const char *name)
{
	return with_file(dir, name, NULL) && unlinkat(dir, name, 0) == 0;
}

int
care_drops_delete(int dir, const char *name)
{
	unsigned long long deleted = 0;
	struct dirent **names;
	int count;

	if (strcmp(name, "ALL") != 0) {
		deleted += !strchr(name, '/') && delete_one(dir, name);
	} else if ((count = scandirat(dir, ".", &names, counts, alphasort)) >= 0) {
		for (int i = 0; i < count; i++) {
			deleted += delete_one(dir, names[i]->d_name);
			free(names[i]);
		}
		free(names);
	}
	printf("%llu\n", deleted);
	return deleted == 0 || fsync(dir) == 0 ? 0 : EX_IOERR;
}
