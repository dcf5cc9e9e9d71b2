/* cdb and lmdb files, patterns with limits, tables of tables, texts that are written under a reader. */
#include "config.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>
#include <utime.h>

#include <cmocka.h>

#include "common/base/mem.h"
#include "common/map/lmdbfile.h"
#include "common/map/mapfile.h"
#include "common/map/maplist.h"
#include "tests/unit/map/table_files.h"

enum { MANY = 20000 };

static struct complaints said;

static void
build(const char *type, const char *name, enum mapfile_form form)
{
	const struct mapfile_options options = {
	    .form = form, .complain = complaints_add, .context = &said, .hostname = "mx.test"};
	struct error err = {0};

	said = (struct complaints){.len = 0};
	if (mapfile_build(type, file_path(name), &options, &err) < 0)
		fail_msg("%s:%s: %s", type, name, err.text);
}

static void
check(const char *table, const char *key, const char *want)
{
	const char *got = table_ask(table, key);
	if (strcmp(got, want) != 0)
		fail_msg("%s: %.80s: want \"%.80s\", got \"%.80s\"", table, key, want, got);
}

static bool
count(struct span key, struct span value, void *context)
{
	assert_true(key.len > 0 && value.len > 0);
	++*(size_t *)context;
	return true;
}

static void
built(void **state)
{
	static const char *const types[] = {
	    "cdb",
#ifdef HAVE_LMDB
	    "lmdb",
#endif
	};
	struct error err;
	char key[40], want[40];

	(void)state;
	struct buf text;
	buf_init(&text, 1 << 22);
	for (unsigned i = 0; i < MANY; i++)
		(void)buf_printf(&text, "user%u@example.com value%u\n", i, i);
	file_write("many", buf_ptr(&text), text.len);
	buf_free(&text);
	file_write_text("small", "Foo Bar\nfoo again\n\"a b\"@c d  e\n");
	for (size_t i = 0; i < sizeof(types) / sizeof(types[0]); i++) {
		build(types[i], "small", MAPFILE_MAP);
		assert_string_equal(said.text, "2: duplicate entry: \"foo\"\n");
		check(table_name(types[i], "small"), "FOO", "found Bar");
		check(table_name(types[i], "small"), "\"a b\"@c", "found d  e");
		check(table_name(types[i], "small"), "none", "not found");
		build(types[i], "many", MAPFILE_MAP);
		for (unsigned n = 0; n < MANY; n += 997) {
			(void)snprintf(key, sizeof(key), "user%u@example.com", n);
			(void)snprintf(want, sizeof(want), "found value%u", n);
			check(table_name(types[i], "many"), key, want);
		}
		check(table_name(types[i], "many"), "user19999@example.com", "found value19999");
		check(table_name(types[i], "many"), "user20000@example.com", "not found");
		struct map *m = map_open(table_name(types[i], "many"), NULL);
		size_t entries = 0;
		assert_int_equal(map_each(m, count, &entries, &err), 0);
		assert_int_equal(entries, MANY);
		map_close(&m);
	}
}

static char *
file_read(const char *path, size_t *len)
{
	FILE *in = fopen(path, "rb");
	char *bytes = mem_alloc(1 << 20);

	assert_non_null(in);
	*len = fread(bytes, 1, 1 << 20, in);
	(void)fclose(in);
	return bytes;
}

/* A text that is younger than what was built of it, and one that is just about to be built. */
static void
ages(void **state)
{
	static const char *const kinds[] = {
	    "hash",
	    "btree",
	    "cdb",
#ifdef HAVE_LMDB
	    "lmdb",
#endif
	};
	const time_t now = time(NULL);

	(void)state;
	file_write_text("aged", "a one\n");
	for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
		const char *suffix = i < 2 ? "db" : kinds[i];
		char built[20];

		build(kinds[i], "aged", MAPFILE_MAP);
		(void)snprintf(built, sizeof(built), "aged.%s", suffix);
		for (unsigned k = 0; k < 3; k++) {
			const struct utimbuf young = {now - 200 * (k == 1), now - 200 * (k == 1)},
					     old = {now - (k == 2 ? 20 : 400), now - (k == 2 ? 20 : 400)};
			struct complaints got = {.len = 0};
			const struct map_options options = {.complain = complaints_add, .context = &got};

			assert_int_equal(utime(file_path("aged"), k == 0 ? &old : &young), 0);
			assert_int_equal(utime(file_path(built), k == 0 ? &young : &old), 0);
			struct map *m = map_open(table_name(kinds[i], "aged"), &options);
			struct error err;
			assert_int_equal(map_check(m, &err), 0);
			map_close(&m);
			bool told = strstr(got.text, "database is older than source file") != NULL;
			if (told != (k == 1))
				fail_msg("%s, %u: %s", kinds[i], k, got.text);
		}
	}
}

/* All of these keys have one hash: only the key itself says which of them it is. */
static void
cdb_keys_of_one_hash(void **state)
{
	(void)state;
	file_write_text("alike", "byvkzulq longer\n04p first\n062 second\n");
	build("cdb", "alike", MAPFILE_MAP);
	check(table_name("cdb", "alike"), "04p", "found first");
	check(table_name("cdb", "alike"), "062", "found second");
	check(table_name("cdb", "alike"), "byvkzulq", "found longer");
	check(table_name("cdb", "alike"), "2t2", "not found");
}

/* A cdb file cut short at each length, and with each octet changed: never a crash, and what is cut is never "not there". */
static void
cdb_damage(void **state)
{
	size_t len;

	(void)state;
	file_write_text("lies", "a one\nb two\nlonger-key three\n");
	build("cdb", "lies", MAPFILE_MAP);
	char *bytes = file_read(file_path("lies.cdb"), &len);
	for (size_t cut = 0; cut < len; cut += cut < 2040 ? 97 : 1) {
		file_write("lies.cdb", bytes, cut);
		assert_string_equal(table_ask(table_name("cdb", "lies"), "a"), "temporary");
		assert_string_equal(table_ask(table_name("cdb", "lies"), "nobody"), "temporary");
	}
	/* Another format, and a file that a crash left. */
	memset(bytes, 0, 2048);
	file_write("zeros.cdb", bytes, len);
	assert_string_equal(table_ask(table_name("cdb", "zeros"), "a"), "temporary");
	build("hash", "lies", MAPFILE_MAP);
	free(bytes);
	bytes = file_read(file_path("lies.db"), &len);
	file_write("other.cdb", bytes, len);
	free(bytes);
	assert_string_equal(table_ask(table_name("cdb", "other"), "a"), "temporary");
	build("cdb", "lies", MAPFILE_MAP);
	bytes = file_read(file_path("lies.cdb"), &len);
	for (size_t i = 2048; i < len; i++) {
		bytes[i] ^= 0x55;
		file_write("lies.cdb", bytes, len);
		(void)table_ask(table_name("cdb", "lies"), "a");
		(void)table_ask(table_name("cdb", "lies"), "longer-key");
		bytes[i] ^= 0x55;
	}
	free(bytes);
}

/* A file that is cut short under its reader is trouble and ends nothing; it comes back, and may be replaced. */
static void
lmdb_cut_short(void **state)
{
	(void)state;
#ifdef HAVE_LMDB
	struct map_found found;

	map_found_init(&found);
	file_write_text("mapped", "a one\n");
	build("lmdb", "mapped", MAPFILE_MAP);
	struct map *m = map_open(table_name("lmdb", "mapped"), NULL);
	assert_int_equal(map_lookup(m, SPAN_LIT("a"), false, &found), LOOKUP_FOUND);
	assert_int_equal(truncate(file_path("mapped.lmdb"), 0), 0);
	for (unsigned i = 0; i < 2; i++)
		assert_int_equal(map_lookup(m, SPAN_LIT("a"), false, &found), LOOKUP_TEMPORARY);
	build("lmdb", "mapped", MAPFILE_MAP);
	assert_int_equal(map_lookup(m, SPAN_LIT("a"), false, &found), LOOKUP_FOUND);
	file_write_text("mapped", "a two\n");
	build("lmdb", "mapped", MAPFILE_MAP);
	assert_true(map_changed(m));
	assert_int_equal(map_lookup(m, SPAN_LIT("a"), false, &found), LOOKUP_FOUND);
	assert_true(span_is(buf_span(&found.value), "two"));
	assert_int_equal(map_lookup(m, SPAN_LIT("b"), false, &found), LOOKUP_NOT_FOUND);
	map_close(&m);
	map_found_free(&found);
#endif
}

#ifdef HAVE_LMDB
/* "k0" to "k2999" in many pages, one of them with a long value. */
static void
many_text(void)
{
	struct buf text;

	buf_init(&text, 1 << 20);
	for (int i = 0; i < 3000; i++)
		buf_printf(&text, "k%d value-%d\n", i, i);
	buf_printf(&text, "long %0*d\n", 9000, 7);
	file_write("many", buf_ptr(&text), text.len);
	buf_free(&text);
}

/* How many of the keys are found, with their own values; *troubles: how many are temporary trouble. */
static int
many_found(struct map *m, int *troubles)
{
	struct map_found found;
	int right = 0;

	map_found_init(&found);
	*troubles = 0;
	for (int i = 0; i < 3000; i++) {
		char key[20], value[20];
		(void)snprintf(key, sizeof(key), "k%d", i);
		(void)snprintf(value, sizeof(value), "value-%d", i);
		enum lookup_status status = map_lookup(m, span_of(key), false, &found);
		assert_int_not_equal(status, LOOKUP_NOT_FOUND);
		*troubles += status == LOOKUP_TEMPORARY;
		right += status == LOOKUP_FOUND && span_is(buf_span(&found.value), value);
	}
	assert_int_not_equal(map_lookup(m, SPAN_LIT("long"), false, &found), LOOKUP_NOT_FOUND);
	for (size_t i = 0; i < 2; i++) /* in front of all, behind all */
		assert_int_not_equal(map_lookup(m, span_of(i ? "zz" : "a"), false, &found), LOOKUP_FOUND);
	map_found_free(&found);
	return right;
}
#endif

/* Cut in its last pages, or damaged: what is there is found, the rest is trouble, and nobody's end. */
static void
lmdb_damaged(void **state)
{
	(void)state;
#ifdef HAVE_LMDB
	bool would_block = false;
	const struct map_options cached = {.would_block = &would_block};
	int troubles;
	size_t len;

	many_text();
	build("lmdb", "many", MAPFILE_MAP);
	char *bytes = file_read(file_path("many.lmdb"), &len);
	for (size_t kept = 0; kept < 2; kept++) {
		struct map *m = map_open(table_name("lmdb", "many"), kept ? &cached : NULL);
		assert_int_equal(many_found(m, &troubles), 3000);
		map_close(&m);
	}
	for (size_t cut = 1; cut <= len; cut += cut < 4096 ? 4095 : 28672) {
		file_write("many.lmdb", bytes, len - cut);
		struct map *m = map_open(table_name("lmdb", "many"), &cached);
		assert_int_equal(many_found(m, &troubles) + troubles, 3000);
		assert_true(cut < 8192 || troubles > 0);
		map_close(&m);
	}
	srandom(1);
	for (unsigned i = 0; i < 60; i++) {
		for (unsigned k = 0; k < 40; k++)
			bytes[(size_t)random() % len] = (char)random();
		file_write("many.lmdb", bytes, len);
		(void)table_ask(table_name("lmdb", "many"), "k1");
		(void)table_ask(table_name("lmdb", "many"), "k2718");
		(void)table_ask(table_name("lmdb", "many"), "long");
	}
	file_write("many.lmdb", bytes, len / 2);
	struct mapfile_options options = {.form = MAPFILE_MAP};
	struct error err;
	struct span key = SPAN_LIT("k1");
	size_t removed = 0;
	assert_int_equal(mapfile_remove("lmdb", file_path("many"), &key, 1, &options, &removed, &err), -1);
	free(bytes);
#endif
}

#ifdef HAVE_LMDB
/* Pairs of both readers, summed up in their order. */
static bool
sum_up(struct span key, struct span value, void *context)
{
	uint64_t *sum = context;

	for (size_t i = 0; i < key.len; i++)
		*sum = *sum * 31 + (unsigned char)key.ptr[i];
	for (size_t i = 0; i < value.len; i++)
		*sum = *sum * 37 + (unsigned char)value.ptr[i];
	return true;
}

static int
walk(const char *name, uint64_t *sum, struct error *err)
{
	int fd = open(file_path(name), O_RDONLY | O_CLOEXEC);
	int result;

	assert_true(fd >= 0);
	*sum = 0;
	result = lmdbfile_each(fd, name, sum_up, sum, err);
	(void)close(fd);
	return result;
}

static bool
first_only(struct span key, struct span value, void *context)
{
	(void)value;
	return span_copy(key, context, 40) && false;
}

static void
walk_and_compare(const char *name)
{
	struct error err;
	uint64_t ours, theirs = 0;
	char file[40];

	build("lmdb", name, MAPFILE_MAP);
	struct map *m = map_open(table_name("lmdb", name), NULL);
	assert_int_equal(map_each(m, sum_up, &theirs, &err), 0);
	map_close(&m);
	(void)snprintf(file, sizeof(file), "%s.lmdb", name);
	assert_int_equal(walk(file, &ours, &err), 0);
	assert_true(ours == theirs && (ours != 0) == (strcmp(name, "none") != 0));
}
#endif

/* What our own reader finds is what the library finds; damage is an error or other bytes, never a crash. */
static void
lmdb_walk(void **state)
{
#ifdef HAVE_LMDB
	struct error err;
	struct buf text;
	uint64_t sum;
	size_t len;
	char key[40];

	(void)state;
	buf_init(&text, 1 << 22);
	for (unsigned i = 0; i < MANY; i++)
		(void)buf_printf(&text, "host%u.example.com %0*u\n", i, i % 500 == 0 ? 9000 : 8, i);
	file_write("tree", buf_ptr(&text), text.len);
	buf_free(&text);
	file_write_text("few", "c three\na one\nb two\n");
	file_write_text("none", "# nothing\n");
	walk_and_compare("tree");
	walk_and_compare("few");
	walk_and_compare("none");
	int fd = open(file_path("few.lmdb"), O_RDONLY | O_CLOEXEC);
	assert_int_equal(lmdbfile_each(fd, "few", first_only, key, &err), 0);
	assert_string_equal(key, "a");
	(void)close(fd);

	build("lmdb", "few", MAPFILE_MAP);
	char *bytes = file_read(file_path("few.lmdb"), &len);
	for (size_t cut = 0; cut < len; cut += 61) {
		file_write("cut.lmdb", bytes, cut);
		assert_int_equal(walk("cut.lmdb", &sum, &err), -1);
	}
	for (size_t i = 0; i < len; i++) {
		if (bytes[i] == 0 && i % 16 != 0)
			continue;
		for (unsigned flip = 1; flip < 256; flip += 127) {
			bytes[i] ^= (char)flip;
			file_write("cut.lmdb", bytes, len);
			(void)walk("cut.lmdb", &sum, &err);
			bytes[i] ^= (char)flip;
		}
	}
	free(bytes);
#else
	(void)state;
	skip();
#endif
}

static void
pcre(void **state)
{
#ifdef HAVE_PCRE
	static const struct {
		const char *key, *want;
	} rows[] = {
	    {"abc", "found abc-b-$"},
	    {"ABC", "found ABC-B-$"},
	    {"xyz", "found under an if"},
	    {"x", "not found"},
	    {"Case", "found case counts"},
	    {"case", "not found"},
	    {"not1", "found no digits 2"},
	    {"opt", "found []"},
	};
	char hostile[200];

	(void)state;
	file_write_text("rules",
	    "/^(a(?<name>b)c)$/ $1-${2}-$$\nif /^x/\n/z$/ under an if\nendif\n/^Case$/i case counts\n"
	    "if /^not/\n!/2/ no digits 2\nendif\n/^opt(x)?$/ [$1]\n");
	struct complaints got = {.len = 0};
	const struct map_options options = {.complain = complaints_add, .context = &got};
	struct map *m = map_open(table_name("pcre", "rules"), &options);
	struct error err;
	assert_int_equal(map_check(m, &err), 0);
	map_close(&m);
	assert_string_equal(got.text, "");
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		check(table_name("pcre", "rules"), rows[i].key, rows[i].want);
	file_write_text("wrong", "/(/ x\n/a/Q x\n/a/ $1\n!/(a)/ $1\n/a x\n/http://x/ REJECT\n");
	got = (struct complaints){.len = 0};
	m = map_open(table_name("pcre", "wrong"), &options);
	(void)map_check(m, &err);
	map_close(&m);
	assert_non_null(strstr(got.text, "1: error in regexp at offset 1: missing closing parenthesis"));
	assert_non_null(strstr(got.text, "2: unknown regexp option"));
	assert_non_null(strstr(got.text, "3: out of range"));
	assert_non_null(strstr(got.text, "4: $number found in negative"));
	assert_non_null(strstr(got.text, "5: no closing regexp delimiter"));
	assert_non_null(strstr(got.text, "6: unknown regexp option"));
	/* F13: a pattern that would take for ever is trouble, and soon. */
	file_write_text("slow", "/^(a+)+$/ hit\n/^(([a-z])+.)+[A-Z]([a-z])+$/i other\n");
	memset(hostile, 'a', sizeof(hostile));
	memcpy(hostile + sizeof(hostile) - 2, "!", 2);
	check(table_name("pcre", "slow"), hostile, "temporary");
	check(table_name("pcre", "slow"), "aaa", "found hit");
#else
	(void)state;
	skip();
#endif
}

static void
composed(void **state)
{
	static const struct {
		const char *table, *key, *want;
	} rows[] = {
	    {"unionmap:{inline:{a=1},static:{2, 3},inline:{a=4}}", "a", "found 1,2, 3,4"},
	    {"unionmap:{inline:{a=1},inline:{b=2}}", "b", "found 2"},
	    {"unionmap:{inline:{a=1},inline:{b=2}}", "c", "not found"},
	    {"unionmap:{static:{},inline:{a=1},inline:{a=}}", "a", "found 1"},
	    {"unionmap:{static:{},inline:{a=}}", "a", "not found"},
	    {"unionmap:{inline:{a=1},fail:x}", "a", "temporary"},
	    {"unionmap:{inline:{a=1},nosuch:x}", "a", "temporary"},
	    {"unionmap:{}", "a", "temporary"},
	    {"unionmap:x", "a", "temporary"},
	    {"pipemap:{inline:{a=b},inline:{b=c}}", "A", "found c"},
	    {"pipemap:{inline:{a=b},inline:{x=c}}", "a", "not found"},
	    {"pipemap:{inline:{a=b},fail:x}", "a", "temporary"},
	    {"pipemap:{inline:{a=b},unionmap:{inline:{b=1},static:2}}", "a", "found 1,2"},
	    {"pipemap:{inline:{{a=x y}},regexp:{{/^(x) (y)$/ $2$1}}}", "a", "found yx"},
	    {"randmap:{one}", "whatever", "found one"},
	    {"randmap:{}", "whatever", "temporary"},
	    {"randmap:{{one two}}", "whatever", "found {one two}"},
	    {"randmap:{{one} }", "whatever", "found {one}"},
	    {"randmap:{\"one\"}", "whatever", "found \"one\""},
	    {"randmap:{\" \"}", "whatever", "found \""},
	    {"memcache:x", "a", "temporary"},
	    {"environ:x", "NO_SUCH_VARIABLE", "not found"},
	};
	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		check(rows[i].table, rows[i].key, rows[i].want);
}

/* Who must not wait is told so, also of tables inside; nothing is connected to. */
static void
waits(void **state)
{
	bool would_block = false;
	const struct map_options options = {.would_block = &would_block};
	struct map_found found;

	(void)state;
	map_found_init(&found);
	struct map *m = map_open("unionmap:{inline:{a=1},socketmap:inet:127.0.0.1:1:x}", &options);
	assert_int_equal(map_lookup(m, SPAN_LIT("a"), false, &found), LOOKUP_TEMPORARY);
	assert_true(would_block);
	map_close(&m);
	m = map_open("socketmap:inet:127.0.0.1:1:x", &options);
	assert_int_equal(map_lookup(m, SPAN_LIT("a"), false, &found), LOOKUP_TEMPORARY);
	assert_false(map_changed(m)); /* it has no file */
	map_close(&m);
	would_block = false;
	m = map_open("unionmap:{inline:{a=1},static:2}", &options);
	assert_int_equal(map_lookup(m, SPAN_LIT("a"), false, &found), LOOKUP_FOUND);
	assert_false(would_block);
	map_close(&m);
	map_found_free(&found);
	assert_int_equal(map_needs(SPAN_LIT("hash:/x")), 0);
	assert_int_equal(map_needs(SPAN_LIT("pipemap:{hash:/x, unionmap:{socketmap:inet:a:1:b}}")),
	    MAP_BLOCKS | MAP_NETWORK);
}

/* Catalogue H11: a text that is cut, emptied, replaced or removed while it is in use. */
static void
rewritten(void **state)
{
	static const char old[] = "a old\nb old\n";
	struct complaints ignored = {.len = 0};
	const struct map_options options = {.complain = complaints_add, .context = &ignored};
	struct map_found found;

	(void)state;
	map_found_init(&found);
	file_write_text("live", old);
	struct map *m = map_open(table_name("texthash", "live"), &options);
	assert_int_equal(map_lookup(m, SPAN_LIT("b"), false, &found), LOOKUP_FOUND);
	/* In place: cut short, as every editor that keeps the inode does first. */
	int fd = open(file_path("live"), O_WRONLY | O_TRUNC);
	assert_true(fd >= 0);
	assert_false(map_changed(m));
	assert_int_equal(map_lookup(m, SPAN_LIT("b"), false, &found), LOOKUP_FOUND);
	assert_int_equal(write(fd, "a new\n", 6), 6);
	assert_false(map_changed(m));
	assert_int_equal(map_lookup(m, SPAN_LIT("b"), false, &found), LOOKUP_FOUND);
	assert_int_equal(write(fd, "b new\n", 6), 6);
	(void)close(fd);
	(void)usleep(1100000);
	assert_true(map_changed(m));
	assert_int_equal(map_lookup(m, SPAN_LIT("b"), false, &found), LOOKUP_FOUND);
	assert_true(span_is(buf_span(&found.value), "new"));
	/* Emptied for good: the former content. */
	assert_int_equal(truncate(file_path("live"), 0), 0);
	(void)usleep(1100000);
	(void)map_changed(m);
	assert_int_equal(map_lookup(m, SPAN_LIT("b"), false, &found), LOOKUP_FOUND);
	assert_non_null(strstr(ignored.text, "the file was emptied"));
	/* Gone: trouble, never "not found". Replaced: at once. */
	assert_int_equal(unlink(file_path("live")), 0);
	(void)map_changed(m);
	assert_int_equal(map_lookup(m, SPAN_LIT("b"), false, &found), LOOKUP_TEMPORARY);
	file_write_text("live", "b replaced\n");
	assert_true(map_changed(m));
	assert_int_equal(map_lookup(m, SPAN_LIT("b"), false, &found), LOOKUP_FOUND);
	assert_true(span_is(buf_span(&found.value), "replaced"));
	map_close(&m);
	map_found_free(&found);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(built),
	    cmocka_unit_test(ages),
	    cmocka_unit_test(cdb_keys_of_one_hash),
	    cmocka_unit_test(cdb_damage),
	    cmocka_unit_test(lmdb_cut_short),
	    cmocka_unit_test(lmdb_damaged),
	    cmocka_unit_test(lmdb_walk),
	    cmocka_unit_test(pcre),
	    cmocka_unit_test(composed),
	    cmocka_unit_test(waits),
	    cmocka_unit_test(rewritten),
	};
	return cmocka_run_group_tests(tests, files_begin, files_end);
}
