/* RFC 3461, 4: xtext; RFC 6533, 3: what stands for characters beyond ASCII in an address of type utf-8. */
#include "common/mail/xtext.h"

#include "common/base/text.h"

int
xtext_decode(struct arena *a, struct span text, struct span *plain)
{
	char *out = arena_alloc(a, text.len + 1);
	size_t len = 0;

	if (out == NULL)
		return -1;
	for (size_t i = 0; i < text.len; i++) {
		char c = text.ptr[i];
		if (c < 33 || c > 126 || c == '=')
			return -1;
		if (c == '+') {
			int high = i + 1 < text.len ? hex_digit(text.ptr[i + 1]) : -1;
			int low = i + 2 < text.len ? hex_digit(text.ptr[i + 2]) : -1;
			if (high < 0 || low < 0 || high + low == 0)
				return -1;
			c = (char)(high << 4 | low);
			i += 2;
		}
		out[len++] = c;
	}
	*plain = span_make(out, len);
	return 0;
}

int
xtext_encode(struct buf *out, struct span plain)
{
	for (size_t i = 0; i < plain.len; i++) {
		unsigned char c = (unsigned char)plain.ptr[i];
		int failed = c < 33 || c > 126 || c == '+' || c == '=' ? buf_printf(out, "+%02X", c)
								       : buf_append(out, plain.ptr + i, 1);
		if (failed < 0)
			return -1;
	}
	return 0;
}
