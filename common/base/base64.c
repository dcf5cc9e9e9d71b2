#include "common/base/base64.h"

#include <stdint.h>

static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

size_t
base64_encode(struct span bytes, char *out)
{
	char *start = out;

	for (size_t i = 0; i < bytes.len; i += 3) {
		size_t left = bytes.len - i;
		uint32_t group = (uint32_t)(unsigned char)bytes.ptr[i] << 16;

		if (left > 1)
			group |= (uint32_t)(unsigned char)bytes.ptr[i + 1] << 8;
		if (left > 2)
			group |= (unsigned char)bytes.ptr[i + 2];
		*out++ = alphabet[group >> 18];
		*out++ = alphabet[group >> 12 & 63];
		*out++ = left > 1 ? alphabet[group >> 6 & 63] : '=';
		*out++ = left > 2 ? alphabet[group & 63] : '=';
	}
	*out = '\0';
	return (size_t)(out - start);
}

static int
value_of(char c)
{
	if (c >= 'A' && c <= 'Z')
		return c - 'A';
	if (c >= 'a' && c <= 'z')
		return c - 'a' + 26;
	if (c >= '0' && c <= '9')
		return c - '0' + 52;
	if (c == '+')
		return 62;
	return c == '/' ? 63 : -1;
}

ptrdiff_t
base64_decode(struct span text, char *out)
{
	char *start = out;
	size_t padding = 0;
	uint32_t group = 0;

	if (text.len % 4)
		return -1;
	while (padding < 2 && padding < text.len && text.ptr[text.len - 1 - padding] == '=')
		padding++;
	for (size_t i = 0; i < text.len; i++) {
		int value = i < text.len - padding ? value_of(text.ptr[i]) : 0;

		if (value < 0)
			return -1;
		group = group << 6 | (uint32_t)value;
		if (i % 4 != 3)
			continue;
		*out++ = (char)(group >> 16 & 255);
		*out++ = (char)(group >> 8 & 255);
		*out++ = (char)(group & 255);
		if (i + 1 == text.len && ((padding == 1 && group & 255) || (padding == 2 && group & 65535)))
			return -1;
		group = 0;
	}
	return out - start - (ptrdiff_t)padding;
}
