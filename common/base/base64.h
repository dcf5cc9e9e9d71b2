/*
 * base64: RFC 4648, section 4, in the strict form that RFC 4954 and others want.
 */
#ifndef POSTERN_BASE_BASE64_H
#define POSTERN_BASE_BASE64_H

#include <stddef.h>

#include "common/base/span.h"

/* Octets of the text without NUL, and the most that len characters of it can stand for. */
#define BASE64_SIZE(len) (((len) + 2) / 3 * 4)
#define BASE64_DECODED_MAX(len) ((len) / 4 * 3)

/* out takes BASE64_SIZE(bytes.len) octets and a NUL. Returns the length. */
size_t base64_encode(struct span bytes, char *out);

/*
 * out takes BASE64_DECODED_MAX(text.len) octets. Returns how many they are; -1 if the text has any other character (blanks
 * and line ends too), is no multiple of four long, has '=' elsewhere than at its end, or bits behind its last octet.
 */
ptrdiff_t base64_decode(struct span text, char *out);

#endif
