#include "common/base/error.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

int
error_set(struct error *err, const char *format, ...)
{
	va_list args;

	err->number = 0;
	va_start(args, format);
	vsnprintf(err->text, sizeof(err->text), format, args);
	va_end(args);
	return -1;
}

int
error_errno(struct error *err, const char *format, ...)
{
	int number = errno;
	va_list args;
	size_t used;

	va_start(args, format);
	vsnprintf(err->text, sizeof(err->text), format, args);
	va_end(args);
	err->number = number;
	used = strlen(err->text);
	snprintf(err->text + used, sizeof(err->text) - used, ": %s", strerror(number));
	return -1;
}

int
error_while(struct error *err, const char *format, ...)
{
	char where[sizeof(err->text)], both[2 * sizeof(err->text) + 2];
	va_list args;

	va_start(args, format);
	vsnprintf(where, sizeof(where), format, args);
	va_end(args);
	snprintf(both, sizeof(both), "%s: %s", where, err->text);
	memcpy(err->text, both, sizeof(err->text) - 1);
	err->text[sizeof(err->text) - 1] = '\0';
	return -1;
}
