#include "common/map/file_values.h"

#include <stdlib.h>
#include <string.h>

#include "common/base/base64.h"
#include "common/base/mem.h"
#include "common/conf/conf.h"
#include "common/map/lines.h"
#include "common/map/map.h"

enum { CONTENT_MAX = MAP_VALUE_MAX / 4 * 3 };

static int
append_file(struct span path, struct buf *content, struct error *err)
{
	char name[MAP_NAME_MAX];
	char *bytes;
	size_t len;
	int result;

	if (!span_copy(path, name, sizeof(name)))
		return error_set(err, "a file name is too long");
	bytes = lines_load(name, CONTENT_MAX, &len, err);
	if (bytes == NULL)
		return -1;
	result = buf_append(content, bytes, len);
	/* Blocks of PEM begin at the start of a line. */
	if (result == 0 && len > 0 && bytes[len - 1] != '\n')
		result = buf_append(content, "\n", 1);
	explicit_bzero(bytes, len);
	free(bytes);
	return result == 0
		   ? 0
		   : error_set(err, "%s: with it the value has more than %d octets", name, CONTENT_MAX);
}

int
file_value_encode(struct span files, struct buf *out, struct error *err)
{
	struct buf content;
	struct span path;
	int result = 0;

	buf_init(&content, CONTENT_MAX);
	while (result == 0 && conf_list_next(&files, &path))
		result = append_file(path, &content, err);
	if (result == 0 && content.len == 0)
		result = error_set(err, "no file is named, or all are empty");
	if (result == 0) {
		char *room = buf_reserve(out, BASE64_SIZE(content.len) + 1);

		if (room != NULL)
			buf_added(out, base64_encode(buf_span(&content), room));
		else
			result = error_set(err, "the value is too long");
	}
	if (content.len > 0)
		explicit_bzero(buf_ptr(&content), content.len);
	buf_free(&content);
	return result;
}

int
file_value_decode(struct span value, struct buf *out)
{
	char *room = buf_reserve(out, BASE64_DECODED_MAX(value.len) + 1);
	ptrdiff_t len = room != NULL ? base64_decode(value, room) : -1;

	if (len < 0)
		return -1;
	buf_added(out, (size_t)len);
	return 0;
}
