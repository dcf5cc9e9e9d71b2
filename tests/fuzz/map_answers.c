/* What table servers say: netstrings, socketmap and tcp answers; and templates with hostile keys. */
#include <stdint.h>

#include "common/map/answers.h"
#include "common/map/template.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { VALUE_MAX = 50000 };

static void
read_answer(struct span bytes)
{
	struct error err = {0};
	struct span content;
	struct buf value;

	buf_init(&value, VALUE_MAX);
	if (netstring_parse(bytes, &content) > 0)
		(void)socketmap_answer(content, &value, &err);
	(void)socketmap_answer(bytes, &value, &err);
	buf_clear(&value);
	(void)tcp_answer(bytes, &value, &err);
	buf_clear(&value);
	tcp_encode(&value, bytes);
	buf_free(&value);
}

/* The first line is the template, the second the key, the third a value. */
static void
expand(struct span bytes)
{
	struct span lines[3] = {{0}};
	char template[1000];
	struct error err;
	struct buf out;

	for (size_t i = 0; i < 3; i++)
		(void)span_next_line(&bytes, &lines[i]);
	if (!span_copy(lines[0], template, sizeof(template)))
		return;
	(void)template_is_bare(template);
	if (template_check(template, "query", &err) < 0)
		return;
	buf_init(&out, VALUE_MAX);
	(void)template_query(template, lines[1], NULL, NULL, &out);
	(void)template_result(template, lines[2], lines[1], &out);
	buf_free(&out);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	read_answer(span_make(data, size));
	expand(span_make(data, size));
	return 0;
}
