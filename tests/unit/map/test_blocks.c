/*
 * Blocks of a file that are kept: whatever is asked, and with whatever room, the octets are those of the file.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "common/map/blocks.h"

enum { SIZE = 10 * BLOCK_BYTES + 123, READS = 3000, LONGEST = 3 * BLOCK_BYTES };

static uint8_t content[SIZE], got[LONGEST];

static int
file_make(void)
{
	char name[] = "/tmp/postern-blocks-XXXXXX";
	int fd = mkstemp(name);

	assert_true(fd >= 0);
	unlink(name);
	for (size_t i = 0; i < SIZE; i++)
		content[i] = (uint8_t)(i * 2654435761u >> 13);
	assert_int_equal(write(fd, content, SIZE), SIZE);
	return fd;
}

static void
check_read(struct blocks *b, size_t at, size_t len)
{
	size_t there = at < SIZE ? SIZE - at : 0;

	if (there > len)
		there = len;
	assert_int_equal(blocks_read(b, got, len, at), there);
	if (there > 0)
		assert_memory_equal(got, content + at, there);
}

static void
test_any_place_and_any_room(void **state)
{
	static const uint64_t rooms[] = {
	    0, BLOCK_BYTES, 3 * BLOCK_BYTES, 11 * BLOCK_BYTES, 1000 * BLOCK_BYTES};
	struct blocks b;
	int fd = file_make();

	(void)state;
	srand(5);
	for (size_t i = 0; i < sizeof(rooms) / sizeof(rooms[0]); i++) {
		blocks_init(&b, fd, SIZE, rooms[i]);
		assert_in_range(b.count, 0, SIZE / BLOCK_BYTES + 1);
		for (int n = 0; n < READS; n++)
			check_read(&b, (size_t)rand() % (SIZE + 100), (size_t)rand() % LONGEST);
		check_read(&b, 0, 0);
		check_read(&b, SIZE, 1);
		check_read(&b, SIZE - 1, 2);
		blocks_fini(&b);
	}
	close(fd);
}

static void
test_what_is_kept_is_not_read_again(void **state)
{
	struct blocks b;
	int fd = file_make();

	(void)state;
	blocks_init(&b, fd, SIZE, 100 * BLOCK_BYTES);
	check_read(&b, 5, LONGEST - 5);
	assert_int_equal(ftruncate(fd, 0), 0);
	check_read(&b, 7, 2 * BLOCK_BYTES);
	/* The rest is gone. */
	assert_int_equal(blocks_read(&b, got, 10, 5 * BLOCK_BYTES), 0);
	blocks_fini(&b);
	close(fd);
}

static void
test_trouble_is_told_each_time(void **state)
{
	struct blocks b;

	(void)state;
	blocks_init(&b, -1, SIZE, 100 * BLOCK_BYTES);
	assert_int_equal(blocks_read(&b, got, 10, 0), -1);
	assert_int_equal(blocks_read(&b, got, 10, 0), -1);
	blocks_fini(&b);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_any_place_and_any_room),
	    cmocka_unit_test(test_what_is_kept_is_not_read_again),
	    cmocka_unit_test(test_trouble_is_told_each_time),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
