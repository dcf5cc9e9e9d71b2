/*
 * conf_manual: prints postern.conf(5), mdoc(7), between a head and a tail that are written by hand.
 *
 * Runs as   whoever builds Postern, at build time only.
 * Reads     params.def as compiled in, and the two files that it is given.
 */
#include <stdio.h>
#include <string.h>

#include "common/base/io.h"
#include "common/conf/schema.h"

enum { LINE_MAX_COLUMNS = 78 };

static void
print_character(char c)
{
	/* A backslash begins an escape; a hyphen would become another character. */
	if (c == '\\')
		fputs("\\e", stdout);
	else if (c == '-')
		fputs("\\-", stdout);
	else if (c == '"')
		fputs("\\(dq", stdout);
	else
		putchar(c);
}

/* Lines of a page's source: short, and none with the end of one sentence and the beginning of the next. */
static void
print_sentences(const char *text)
{
	struct span rest = span_of(text), word;
	size_t column = 0;

	while (span_next_word(&rest, " ", &word)) {
		if (column > 0 && column + 1 + word.len > LINE_MAX_COLUMNS) {
			putchar('\n');
			column = 0;
		} else if (column > 0) {
			putchar(' ');
			column++;
		}
		/* In front a dot or an apostrophe would be a macro. */
		if (column == 0 && (word.ptr[0] == '.' || word.ptr[0] == '\''))
			fputs("\\&", stdout);
		for (size_t i = 0; i < word.len; i++)
			print_character(word.ptr[i]);
		column += word.len;
		if (word.ptr[word.len - 1] == '.') {
			putchar('\n');
			column = 0;
		}
	}
	if (column > 0)
		putchar('\n');
}

static const char *
unit_name(char unit)
{
	switch (unit) {
	case 'm':
		return "minutes";
	case 'h':
		return "hours";
	case 'd':
		return "days";
	case 'w':
		return "weeks";
	default:
		return "seconds";
	}
}

static void
print_type(const struct param *p)
{
	struct span rest, word;
	const char *comma = "";

	switch (p->type) {
	case PARAM_BOOL:
		puts("Yes or no.");
		break;
	case PARAM_INT:
		printf("A number from %lld to %lld.\n", (long long)p->low, (long long)p->high);
		break;
	case PARAM_SIZE:
		puts("A size in octets.");
		break;
	case PARAM_TIME:
		printf("A time, in %s where no unit is given.\n", unit_name(p->unit));
		break;
	case PARAM_ENUM:
		fputs("One of ", stdout);
		rest = span_of(p->words);
		while (span_next_word(&rest, " ", &word)) {
			printf("%s%.*s", comma, SPAN_ARG(word));
			comma = ", ";
		}
		puts(".");
		break;
	case PARAM_TEXT:
		break;
	case PARAM_RAW:
		puts("$names in it are not those of this file: see the text above.");
		break;
	}
}

static void
print_row(const struct param *p)
{
	printf(".It Ic %s\n", p->name);
	print_sentences(p->help);
	print_type(p);
	if (p->fallback[0]) {
		/* In quotes it is one word for mdoc, whatever is in it. */
		fputs("Default:\n.Ql \"", stdout);
		for (const char *c = p->fallback; *c; c++) {
			print_character(*c);
			/* A word that is longer than a line may end one there. */
			if (strlen(p->fallback) > LINE_MAX_COLUMNS - 20 && strchr(",./", *c) && c[1] &&
			    c[1] != ' ')
				fputs("\\:", stdout);
		}
		puts("\"");
	}
}

static int
print_file(const char *path)
{
	FILE *f = fopen(path, "r");
	char block[4096];
	size_t got;

	if (!f) {
		perror(path);
		return -1;
	}
	while ((got = fread(block, 1, sizeof(block), f)) > 0)
		fwrite(block, 1, got, stdout);
	return fclose(f);
}

int
main(int argc, char **argv)
{
	if (argc != 3) {
		fputs("usage: conf_manual HEAD TAIL\n", stderr);
		return 64;
	}
	if (print_file(argv[1]) != 0)
		return 1;
	puts(".Bl -tag -width indent");
	for (size_t i = 0; i < param_count; i++)
		print_row(&param_table[i]);
	puts(".El");
	if (print_file(argv[2]) != 0 || fflush(stdout) != 0)
		return 1;
	return 0;
}
