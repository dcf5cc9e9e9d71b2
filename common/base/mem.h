/*
 * mem: allocation that does not fail. A process without memory ends with a line in the log and is started
 * anew by master; what strangers can make large has a bound of its own long before (buf, arena, table).
 */
#ifndef POSTERN_BASE_MEM_H
#define POSTERN_BASE_MEM_H

#include <stddef.h>

/* Zeroed. */
void *mem_alloc(size_t size);
void *mem_alloc_array(size_t count, size_t size);
void *mem_resize(void *old, size_t size);
char *mem_strdup(const char *text);
char *mem_strndup(const char *bytes, size_t len);

/* Says why on standard error and the log's last-words sink (log.h), then aborts. For bugs, not for bad input. */
_Noreturn void panic(const char *format, ...) __attribute__((format(printf, 1, 2)));

#endif
