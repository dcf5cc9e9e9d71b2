/*
 * check: what pipe transports (transport_services) need of this host: users, groups, directories, programs.
 */
#ifndef POSTERN_TOOLS_CHECK_PIPES_H
#define POSTERN_TOOLS_CHECK_PIPES_H

#include <stdbool.h>
#include <stddef.h>

#include "common/base/span.h"
#include "common/conf/conf.h"

/* text: one line, what mail to that transport would wait for. */
typedef void check_pipes_tell(const char *text, void *context);

/* Whether "user" or "user:group" exist and have no rights of root; else false with what is wrong. */
bool check_account(struct span user_and_group, char *trouble, size_t size);

void check_pipes(const struct conf_values *values, check_pipes_tell *tell, void *context);

#endif
