/*
 * error: why an operation failed, in words for an administrator.
 *
 * The function that fails fills it and returns -1; callers put where they were in front ("while ...").
 * What happened to mail is not an error but an outcome (common/mail/outcome.h).
 */
#ifndef POSTERN_BASE_ERROR_H
#define POSTERN_BASE_ERROR_H

struct error {
	int number; /* errno where a system call failed, else 0 */
	char text[600];
};

/* Each returns -1, so that "return error_set(...)" reads well. */
int error_set(struct error *err, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* The same with ": " and the text of errno's present value behind it. */
int error_errno(struct error *err, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* Puts "format: " in front of what is there. */
int error_while(struct error *err, const char *format, ...) __attribute__((format(printf, 2, 3)));

#endif
