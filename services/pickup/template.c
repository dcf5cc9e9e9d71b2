#include "services/pickup/template.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include "common/base/arena.h"
#include "common/base/io.h"
#include "common/base/mem.h"
#include "common/base/text.h"

enum { FILE_BYTES = 64 * 1024 };

struct template_set {
	struct arena *arena;
	struct template templates[TEMPLATE_KINDS];
};

static const struct {
	const char *name;
	const char *subject, *postmaster_subject, *body;
} builtin[TEMPLATE_KINDS] = {
    [TEMPLATE_FAILURE] = {"failure_template", "Undelivered Mail Returned to Sender",
	"Postmaster Copy: Undelivered Mail",
	"This is the mail system at host $myhostname.\n\n"
	"Your message did not reach the recipients that are listed below, and it\n"
	"will not be tried again. The reason stands behind each address; the\n"
	"message, or its header, is attached.\n\n"
	"If you need help, write to postmaster and include this report. You may\n"
	"delete your own text from the message that is returned.\n\n"
	"                   The mail system\n"},
    [TEMPLATE_DELAY] = {"delay_template", "Delayed Mail (still being retried)",
	"Postmaster Warning: Delayed Mail",
	"This is the mail system at host $myhostname.\n\n"
	"THIS IS ONLY A WARNING. YOU NEED NOT SEND YOUR MESSAGE AGAIN.\n\n"
	"Your message could not be delivered for more than $delay_warning_time_hours hour(s).\n"
	"It will be tried until it is $maximal_queue_lifetime_days day(s) old.\n\n"
	"If you need help, write to postmaster and include this report.\n\n"
	"                   The mail system\n"},
    [TEMPLATE_SUCCESS] = {"success_template", "Successful Mail Delivery Report",
	"Postmaster Copy: Delivery Report",
	"This is the mail system at host $myhostname.\n\n"
	"You asked to be told what became of your message: it was delivered, or\n"
	"passed on, as the list below says for each recipient. A next host that\n"
	"cannot send such reports sends none.\n\n"
	"                   The mail system\n"},
};

struct template_set *
template_set_builtin(void)
{
	struct template_set *set = mem_alloc(sizeof(*set));

	set->arena = arena_new(4 * FILE_BYTES);
	for (size_t i = 0; i < TEMPLATE_KINDS; i++)
		set->templates[i] = (struct template){
		    .charset = SPAN_LIT("us-ascii"),
		    .from = TEMPLATE_FROM,
		    .subject = span_of(builtin[i].subject),
		    .postmaster_subject = span_of(builtin[i].postmaster_subject),
		    .body = span_of(builtin[i].body),
		};
	return set;
}

void
template_set_free(struct template_set **set)
{
	if (*set)
		arena_free(&(*set)->arena);
	free(*set);
	*set = NULL;
}

const char *
template_name(enum template_kind kind)
{
	return builtin[kind].name;
}

const struct template *
template_get(const struct template_set *set, enum template_kind kind)
{
	return &set->templates[kind];
}

/* ---- bounce(5) ---- */

struct reading {
	struct span rest;
	unsigned line; /* the number of the last one */
	template_complain *complain;
	void *context;
};

static bool
next_line(struct reading *r, struct span *line)
{
	if (!span_next_line(&r->rest, line))
		return false;
	r->line++;
	return true;
}

static int
take_header_line(struct template *t, struct span line, struct error *err)
{
	ptrdiff_t colon = span_find(line, ':');
	struct span name, value;

	if (colon <= 0)
		return error_set(err, "'%.*s' is no header line", SPAN_ARG(line));
	name = span_sub(line, 0, (size_t)colon);
	value = span_trim(span_from(line, (size_t)colon + 1));
	if (span_is_nocase(name, "charset"))
		t->charset = value;
	else if (span_is_nocase(name, "from"))
		t->from = value;
	else if (span_is_nocase(name, "subject"))
		t->subject = value;
	else if (span_is_nocase(name, "postmaster-subject"))
		t->postmaster_subject = value;
	else
		return error_set(err, "unknown header '%.*s'", SPAN_ARG(name));
	return 0;
}

/* The template's text, whose first line has that number. On failure *wrong is the line's where it makes no sense. */
static int
take_template(struct template *t, struct span text, unsigned first, unsigned *wrong, struct error *err)
{
	struct template made = *t;
	struct span line;

	for (*wrong = first; span_next_line(&text, &line) && line.len > 0; ++*wrong)
		if (take_header_line(&made, line, err) < 0)
			return -1;
	if (span_trim(text).len == 0)
		return error_set(err, "template without text");
	if (span_is_nocase(made.charset, "us-ascii") && text_is_8bit(text))
		return error_set(err, "8-bit text with Charset us-ascii");
	made.body = text;
	*t = made;
	return 0;
}

/* "name = <<MARK" */
static int
take_first_line(struct span line, struct template_set *set, struct template *ignored, struct template **t,
    struct span *mark, struct error *err)
{
	ptrdiff_t equals = span_find(line, '=');
	struct span name, value;

	*t = NULL;
	*mark = (struct span){0};
	if (equals <= 0)
		return error_set(err, "'%.*s' is no template", SPAN_ARG(line));
	name = span_trim(span_sub(line, 0, (size_t)equals));
	value = span_trim(span_from(line, (size_t)equals + 1));
	if (!span_starts(value, "<<") || value.len < 3)
		return error_set(err, "'%.*s': <<MARK is missing", SPAN_ARG(name));
	*mark = span_from(value, 2);
	if (span_is(name, "verify_template"))
		*t = ignored; /* it has no use here */
	for (size_t i = 0; i < TEMPLATE_KINDS; i++)
		if (span_is(name, builtin[i].name))
			*t = &set->templates[i];
	return *t ? 0 : error_set(err, "unknown template '%.*s'", SPAN_ARG(name));
}

/* What stands behind the first line, up to the mark. */
static void
read_template(struct reading *r, struct template *t, struct span mark)
{
	const char *start = r->rest.ptr;
	unsigned first = r->line + 1, wrong;
	struct span line;
	struct error err;

	while (next_line(r, &line)) {
		if (!span_equal(line, mark))
			continue;
		struct span text = span_make(start, (size_t)(line.ptr - start));
		if (take_template(t, text, first, &wrong, &err) < 0)
			r->complain(wrong, err.text, r->context);
		return;
	}
	error_set(&err, "the end mark '%.*s' is missing", SPAN_ARG(mark));
	r->complain(first - 1, err.text, r->context);
}

void
template_set_parse(struct template_set *set, struct span text, template_complain *complain, void *context)
{
	struct reading r = {
	    .rest = arena_copy_span(set->arena, text), .complain = complain, .context = context};
	struct template ignored = {.charset = SPAN_LIT("utf-8")}, *t = NULL;
	struct span line, mark;
	struct error err;

	while (next_line(&r, &line)) {
		if (span_trim(line).len == 0 || line.ptr[0] == '#')
			continue;
		if (take_first_line(line, set, &ignored, &t, &mark, &err) < 0)
			complain(r.line, err.text, context);
		/* The text behind a name that is unknown is none of the next template. */
		if (mark.len > 0)
			read_template(&r, t ? t : &ignored, mark);
	}
}

static int
read_file(
    struct template_set *set, const char *path, template_complain *complain, void *context, struct error *err)
{
	char *bytes = mem_alloc(FILE_BYTES);
	int fd = open(path, O_RDONLY | O_CLOEXEC), result = 0;
	ssize_t n = fd < 0 ? -1 : io_read_all(fd, bytes, FILE_BYTES);

	if (n < 0)
		result = error_set(err, "%s", strerror(errno));
	else if (n == FILE_BYTES)
		result = error_set(err, "the file is too large");
	else
		template_set_parse(set, span_make(bytes, (size_t)n), complain, context);
	io_close(&fd);
	free(bytes);
	return result;
}

struct template_set *
template_set_load(const char *path, template_complain *complain, void *context)
{
	struct template_set *set = template_set_builtin();
	struct error err;

	if (path[0] && read_file(set, path, complain, context, &err) < 0)
		complain(0, err.text, context);
	return set;
}
