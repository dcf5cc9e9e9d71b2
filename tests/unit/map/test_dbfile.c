/* .db files: our builder and our reader, Postfix's builder and reader, and files that lie. */
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "common/base/io.h"
#include "common/base/mem.h"
#include "common/map/mapfile.h"
#include "tests/unit/map/table_files.h"

static const char *const types[] = {"hash", "btree"};
enum { TYPES = 2, MANY = 5000 };

static struct complaints said;

static struct mapfile_options
options_of(enum mapfile_form form)
{
	said = (struct complaints){.len = 0};
	return (struct mapfile_options){
	    .form = form, .complain = complaints_add, .context = &said, .hostname = "mx.example.com"};
}

static void
build(const char *type, const char *name, enum mapfile_form form)
{
	struct error err = {0};
	const struct mapfile_options options = options_of(form);

	if (mapfile_build(type, file_path(name), &options, &err) < 0)
		fail_msg("%s:%s: %s", type, name, err.text);
}

static void
check(const char *type, const char *name, const char *key, const char *want)
{
	const char *got = table_ask(table_name(type, name), key);
	if (strcmp(got, want) != 0)
		fail_msg("%s:%s: %.80s: want \"%.80s\", got \"%.80s\"", type, name, key, want, got);
}

static void
small(void **state)
{
	(void)state;
	file_write_text("small", "# x\nFoo@Example.com Bar\nfoo@example.com again\n\"a b\"@c d  e\nbad\n");
	for (size_t i = 0; i < TYPES; i++) {
		build(types[i], "small", MAPFILE_MAP);
		assert_string_equal(said.text,
		    "3: duplicate entry: \"foo@example.com\"\n"
		    "5: expected format: key whitespace value -- ignoring this line\n");
		check(types[i], "small", "FOO@example.COM", "found Bar");
		check(types[i], "small", "\"a b\"@c", "found d  e");
		check(types[i], "small", "foo@example.co", "not found");
		check(types[i], "small", "foo@example.comm", "not found");
	}
}

static void
aliases(void **state)
{
	(void)state;
	file_write_text("aliases",
	    "Root: a, b\n\"x y\": \"|cmd arg\"\nlist: :include:/x,\n  c\nempty:\ntwo words: x\n"
	    "a@b.test: x\n\"a@c\": y\nb\\@c: z\nc(d): x\n e\n");
	for (size_t i = 0; i < TYPES; i++) {
		build(types[i], "aliases", MAPFILE_ALIAS);
		assert_string_equal(said.text,
		    "5: need name:value pair -- ignoring this line\n"
		    "6: name must be a single word (quote it) -- ignoring this line\n"
		    "7: name must be local -- ignoring this line\n"
		    "10: need name:value pair -- ignoring this line\n");
		check(types[i], "aliases", "a@c", "found y");
		check(types[i], "aliases", "b@c", "found z");
		check(types[i], "aliases", "root", "found a, b");
		check(types[i], "aliases", "x y", "found \"|cmd arg\"");
		check(types[i], "aliases", "list", "found :include:/x,  c");
		check(types[i], "aliases", "@", "found @");
	}
}

/* Entries of all lengths: several pages, several levels, values and keys in overflow pages. */
static void
write_many(const char *name)
{
	struct buf text;

	buf_init(&text, 64 << 20);
	for (unsigned i = 0; i < MANY; i++) {
		(void)buf_printf(&text, "user%u@domain%u.test ", i, i % 17);
		for (unsigned n = 0; n <= i % 13; n++)
			(void)buf_printf(&text, "value%u-", i);
		(void)buf_append_text(&text, "\n");
	}
	(void)buf_append_text(&text, "large ");
	for (unsigned n = 0; n < 40000; n++)
		(void)buf_append(&text, n % 2 != 0 ? "x" : "y", 1);
	(void)buf_append_text(&text, "\nk");
	for (unsigned n = 0; n < 1900; n++)
		(void)buf_append_text(&text, "k");
	(void)buf_append_text(&text, " longkey\n");
	file_write(name, buf_ptr(&text), text.len);
	buf_free(&text);
}

static void
check_many(const char *type, const char *name)
{
	char key[2000], want[2000];

	for (unsigned i = 0; i < MANY; i += 7) {
		size_t len = 0;
		(void)snprintf(key, sizeof(key), "user%u@domain%u.test", i, i % 17);
		len += (size_t)snprintf(want, sizeof(want), "found ");
		for (unsigned n = 0; n <= i % 13; n++)
			len += (size_t)snprintf(want + len, sizeof(want) - len, "value%u-", i);
		check(type, name, key, want);
	}
	memset(key, 'k', 1901);
	key[1901] = '\0';
	check(type, name, key, "found longkey");
	check(type, name, "user5000@domain2.test", "not found");
	assert_int_equal(strlen(table_ask(table_name(type, name), "large")), strlen("found ") + 40000);
}

static bool
count_entry(struct span key, struct span value, void *context)
{
	(void)key;
	(void)value;
	++*(unsigned *)context;
	return true;
}

static void
many(void **state)
{
	(void)state;
	write_many("many");
	for (size_t i = 0; i < TYPES; i++) {
		struct error err = {0};
		unsigned count = 0;
		build(types[i], "many", MAPFILE_MAP);
		check_many(types[i], "many");
		struct map *m = map_open(table_name(types[i], "many"), NULL);
		assert_int_equal(map_each(m, count_entry, &count, &err), 0);
		assert_int_equal(count, MANY + 2);
		map_close(&m);
	}
}

static void
adding_and_removing(void **state)
{
	(void)state;
	for (size_t i = 0; i < TYPES; i++) {
		struct error err = {0};
		struct span keys[] = {SPAN_LIT("B"), SPAN_LIT("nothing")};
		size_t removed = 0;
		const char *path = file_path("change");
		struct mapfile_options options = options_of(MAPFILE_MAP);

		(void)unlink(file_path("change.db"));
		assert_int_equal(mapfile_remove(types[i], path, keys, 2, &options, &removed, &err), -1);
		assert_int_equal(mapfile_add(types[i], path, SPAN_LIT("a 1\nb 2\n"), &options, &err), 0);
		assert_int_equal(mapfile_add(types[i], path, SPAN_LIT("a 3\nc 4\n"), &options, &err), 0);
		assert_string_equal(said.text, "1: duplicate entry: \"a\"\n");
		check(types[i], "change", "a", "found 1");
		options.duplicates = MAPFILE_REPLACE;
		assert_int_equal(mapfile_add(types[i], path, SPAN_LIT("a 3\n"), &options, &err), 0);
		check(types[i], "change", "a", "found 3");
		assert_int_equal(mapfile_remove(types[i], path, keys, 2, &options, &removed, &err), 0);
		assert_int_equal(removed, 1);
		check(types[i], "change", "b", "not found");
		check(types[i], "change", "c", "found 4");
	}
}

/* Keys without NUL, as sendmail's makemap writes them. */
static void
without_nul(void **state)
{
	(void)state;
	for (size_t i = 0; i < TYPES; i++) {
		struct error err = {0};
		struct mapfile_options options = options_of(MAPFILE_MAP);

		options.no_nul = true;
		(void)unlink(file_path("plain.db"));
		assert_int_equal(
		    mapfile_add(types[i], file_path("plain"), SPAN_LIT("a 1\nb 2\n"), &options, &err), 0);
		check(types[i], "plain", "a", "found 1");
		check(types[i], "plain", "c", "not found");
	}
}

/* Nothing is left beside the table, and the mode is the text's. */
static void
leaves_nothing(void **state)
{
	struct error err = {0};
	struct stat st;
	char command[600];
	const struct mapfile_options options = options_of(MAPFILE_MAP);

	(void)state;
	file_write_text("mode", "a b\n");
	assert_int_equal(chmod(file_path("mode"), 0640), 0);
	build("hash", "mode", MAPFILE_MAP);
	assert_int_equal(stat(file_path("mode.db"), &st), 0);
	assert_int_equal(st.st_mode & 07777, 0640);
	assert_int_equal(unlink(file_path("mode")), 0);
	assert_int_equal(mapfile_build("hash", file_path("mode"), &options, &err), -1);
	assert_non_null(strstr(err.text, "mode"));
	check("hash", "mode", "a", "found b");
	assert_int_equal(mapfile_build("cidr", file_path("mode"), &options, &err), -1);
	assert_non_null(strstr(err.text, "unsupported map type"));
	(void)snprintf(command, sizeof(command), "%s", file_path("mode.db.XXXXXX"));
	command[strlen(command) - 6] = '\0';
	assert_true(access(command, F_OK) < 0);
}

/* Catalogue E2: whoever owns the directory could lead root elsewhere. */
static void
refuses_foreign_directories(void **state)
{
	struct error err = {0};
	const struct mapfile_options options = options_of(MAPFILE_MAP);

	(void)state;
	if (geteuid() != 0)
		skip();
	assert_int_equal(mkdir(file_path("theirs"), 0755), 0);
	assert_int_equal(chown(file_path("theirs"), 12345, 12345), 0);
	file_write_text("theirs/table", "a b\n");
	assert_int_equal(mapfile_build("hash", file_path("theirs/table"), &options, &err), -1);
	assert_non_null(strstr(err.text, "owned by user 12345"));
	assert_true(access(file_path("theirs/table.db"), F_OK) < 0);
	assert_int_equal(chown(file_path("theirs"), 0, 0), 0);
	assert_int_equal(chmod(file_path("theirs"), 0777), 0);
	assert_int_equal(mapfile_build("hash", file_path("theirs/table"), &options, &err), -1);
	assert_int_equal(chmod(file_path("theirs"), 0755), 0);
	assert_int_equal(mapfile_build("hash", file_path("theirs/table"), &options, &err), 0);
	(void)unlink(file_path("theirs/table.db"));
	(void)unlink(file_path("theirs/table"));
	(void)rmdir(file_path("theirs"));
}

/* A table that somebody else holds for writing is temporary, and fine again when he is done. */
static void
locked(void **state)
{
	struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET};

	(void)state;
	file_write_text("locked", "a b\n");
	build("hash", "locked", MAPFILE_MAP);
	int fd = open(file_path("locked.db"), O_RDWR | O_CLOEXEC);
	assert_true(fd >= 0);
	assert_int_equal(fcntl(fd, F_OFD_SETLK, &lock), 0);
	check("hash", "locked", "a", "temporary");
	assert_int_equal(io_close(&fd), 0);
	check("hash", "locked", "a", "found b");
}

static char *
read_file(const char *name, size_t *len)
{
	char *bytes = mem_alloc(4 << 20);
	int fd = open(file_path(name), O_RDONLY | O_CLOEXEC);

	assert_true(fd >= 0);
	ssize_t got = io_read_all(fd, bytes, 4 << 20);
	assert_true(got > 0);
	(void)io_close(&fd);
	*len = (size_t)got;
	return bytes;
}

static void
ask_all(const char *type)
{
	static const char *const keys[] = {"user0@domain0.test", "user77@domain9.test", "large", "x"};
	struct error err;
	unsigned count = 0;

	for (size_t k = 0; k < sizeof(keys) / sizeof(keys[0]); k++)
		(void)table_ask(table_name(type, "lies"), keys[k]);
	struct complaints ignored = {.len = 0};
	const struct map_options options = {.complain = complaints_add, .context = &ignored};
	struct map *m = map_open(table_name(type, "lies"), &options);
	(void)map_each(m, count_entry, &count, &err);
	map_close(&m);
}

/* No byte of a file may bring us down: each of the first ones changed, others at random, and cut short. */
static void
hostile(void **state)
{
	(void)state;
	write_many("honest");
	for (size_t i = 0; i < TYPES; i++) {
		size_t len;
		unsigned seed = 4711;
		build(types[i], "honest", MAPFILE_MAP);
		char *bytes = read_file("honest.db", &len);
		size_t used = len < 8 * 4096 ? len : 8 * 4096;
		for (unsigned n = 0; n < 700; n++) {
			seed = seed * 1103515245 + 12345;
			size_t at = n < 300 ? n : (seed >> 8) % used;
			char before = bytes[at];
			bytes[at] = (char)(n % 3 == 0 ? 0xff : n % 3 == 1 ? 0 : bytes[at] ^ (1 << (n % 8)));
			file_write("lies.db", bytes, n % 50 == 49 ? (seed >> 4) % used : len);
			ask_all(types[i]);
			bytes[at] = before;
		}
		free(bytes);
	}
}

/* A page says that its keys are sorted, and they are not: all are found. */
static void
unsorted(void **state)
{
	enum { KEYS = 90, ITEM = 5, PAIR = 2 * ITEM };
	char text[KEYS * 8 + 1] = "", key[4], want[16], pair[PAIR];
	unsigned turned = 0;
	uint32_t size;
	size_t len;

	(void)state;
	for (unsigned i = 10; i < 10 + KEYS; i++)
		(void)snprintf(text + strlen(text), sizeof(text) - strlen(text), "k%u v%u\n", i, i);
	file_write_text("sorted", text);
	build("hash", "sorted", MAPFILE_MAP);
	char *bytes = read_file("sorted.db", &len);
	memcpy(&size, bytes + 20, sizeof(size));
	for (size_t page = size; page + size <= len; page += size) {
		uint16_t items;
		memcpy(&items, bytes + page + 20, sizeof(items));
		if (bytes[page + 25] != 13 || items < 4)
			continue;
		/* All pairs are of one length and lie at the end of the page: the first and the last change places. */
		char *first = bytes + page + size - PAIR, *last = bytes + page + size - items / 2 * PAIR;
		memcpy(pair, first, PAIR);
		memcpy(first, last, PAIR);
		memcpy(last, pair, PAIR);
		turned++;
	}
	assert_true(turned > 0);
	file_write("sorted.db", bytes, len);
	for (unsigned i = 10; i < 10 + KEYS; i++) {
		(void)snprintf(key, sizeof(key), "k%u", i);
		(void)snprintf(want, sizeof(want), "found v%u", i);
		check("hash", "sorted", key, want);
	}
	free(bytes);
}

/* Pages that lead to each other in a circle end. */
static void
circles(void **state)
{
	(void)state;
	for (size_t i = 0; i < TYPES; i++) {
		size_t len;
		build(types[i], "honest", MAPFILE_MAP);
		char *bytes = read_file("honest.db", &len);
		/* Every page's "next" and every number of a child or overflow page leads to page 1. */
		for (size_t page = 4096; page + 4096 <= len; page += 4096) {
			const uint32_t one = 1;
			memcpy(bytes + page + 16, &one, sizeof(one));
		}
		file_write("lies.db", bytes, len);
		ask_all(types[i]);
		free(bytes);
	}
}

/* ---- Postfix itself ---- */

/* POSTFIX_TREE: where a Postfix is unpacked; without it the one that is installed, if any, is used. */
static const char *
postfix_path(const char *rest)
{
	static char path[600];
	const char *tree = getenv("POSTFIX_TREE");

	(void)snprintf(path, sizeof(path), "%s/usr/%s", tree != NULL ? tree : "", rest);
	return path;
}

/* In the child: runs a program of Postfix with the configuration of the tests. */
static _Noreturn void
become_postfix(const char *program, const char *first, const char *second)
{
	char config[600];

	(void)snprintf(config, sizeof(config), "%s", file_path(""));
	(void)setenv("LD_LIBRARY_PATH", postfix_path("lib/postfix"), 1);
	(void)execl(postfix_path(strcmp(program, "postmap") == 0 ? "sbin/postmap" : "sbin/postalias"),
	    program, "-c", config, first, second, (char *)NULL);
	_exit(127);
}

static void
run_postfix(const char *program, const char *arguments)
{
	pid_t child = fork();

	assert_true(child >= 0);
	if (child == 0)
		become_postfix(program, arguments, NULL);
	int status = -1;
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_int_equal(status, 0);
}

static bool
postfix_there(void)
{
	if (access(postfix_path("sbin/postmap"), X_OK) < 0 || geteuid() != 0)
		return false;
	file_write_text("main.cf", "compatibility_level = 3.6\nmail_owner = mail\nsetgid_group = utmp\n");
	return true;
}

static void
reads_postfix(void **state)
{
	(void)state;
	if (!postfix_there())
		skip();
	write_many("many");
	for (size_t i = 0; i < TYPES; i++) {
		run_postfix("postmap", table_name(types[i], "many"));
		check_many(types[i], "many");
	}
}

/* An open table that Postfix rewrites in place (same file) gives the new answers a second later at the latest. */
static void
rewritten_in_place(void **state)
{
	struct map_found found;

	(void)state;
	if (!postfix_there())
		skip();
	map_found_init(&found);
	for (size_t i = 0; i < TYPES; i++) {
		file_write_text("place", "a one\n");
		run_postfix("postmap", table_name(types[i], "place"));
		struct map *m = map_open(table_name(types[i], "place"), NULL);
		assert_int_equal(map_lookup(m, SPAN_LIT("a"), false, &found), LOOKUP_FOUND);
		write_many("place");
		run_postfix("postmap", table_name(types[i], "place"));
		(void)usleep(1100000);
		assert_int_equal(map_lookup(m, SPAN_LIT("user8@domain8.test"), false, &found), LOOKUP_FOUND);
		assert_int_equal(map_lookup(m, SPAN_LIT("a"), false, &found), LOOKUP_NOT_FOUND);
		map_close(&m);
	}
	map_found_free(&found);
}

/* Postfix lists what we wrote, with nothing lost, and adds to it. */
static void
postfix_reads(void **state)
{
	char command[1500], line[70000];

	(void)state;
	if (!postfix_there())
		skip();
	for (size_t i = 0; i < TYPES; i++) {
		int out[2];
		unsigned lines = 0;
		write_many("many");
		build(types[i], "many", MAPFILE_MAP);
		assert_int_equal(pipe(out), 0);
		(void)snprintf(command, sizeof(command), "%s", table_name(types[i], "many"));
		pid_t child = fork();
		assert_true(child >= 0);
		if (child == 0) {
			(void)dup2(out[1], STDOUT_FILENO);
			(void)close(out[0]);
			become_postfix("postmap", "-s", command);
		}
		(void)close(out[1]);
		FILE *f = fdopen(out[0], "r");
		assert_non_null(f);
		while (fgets(line, sizeof(line), f) != NULL)
			lines++;
		(void)fclose(f);
		int status = -1;
		assert_int_equal(waitpid(child, &status, 0), child);
		assert_int_equal(status, 0);
		assert_int_equal(lines, MANY + 2);
	}
}

static void
postfix_aliases(void **state)
{
	(void)state;
	if (!postfix_there())
		skip();
	file_write_text("aliases", "Root: a, b\n\"x y\": c\n");
	for (size_t i = 0; i < TYPES; i++) {
		run_postfix("postalias", table_name(types[i], "aliases"));
		check(types[i], "aliases", "root", "found a, b");
		check(types[i], "aliases", "x y", "found c");
		check(types[i], "aliases", "@", "found @");
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(small),
	    cmocka_unit_test(aliases),
	    cmocka_unit_test(many),
	    cmocka_unit_test(adding_and_removing),
	    cmocka_unit_test(without_nul),
	    cmocka_unit_test(leaves_nothing),
	    cmocka_unit_test(refuses_foreign_directories),
	    cmocka_unit_test(locked),
	    cmocka_unit_test(hostile),
	    cmocka_unit_test(unsorted),
	    cmocka_unit_test(circles),
	    cmocka_unit_test(reads_postfix),
	    cmocka_unit_test(rewritten_in_place),
	    cmocka_unit_test(postfix_reads),
	    cmocka_unit_test(postfix_aliases),
	};
	return cmocka_run_group_tests(tests, files_begin, files_end);
}
