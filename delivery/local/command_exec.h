/*
 * command_exec: the new process that becomes the command.
 */
#ifndef POSTERN_LOCAL_COMMAND_EXEC_H
#define POSTERN_LOCAL_COMMAND_EXEC_H

#include "delivery/local/writers.h"

/*
 * After fork(). Input, output and errors become the standard descriptors, nothing else stays open. What keeps the
 * command from being begun is written, in words, to trouble_fd, which closes with its beginning.
 */
_Noreturn void command_exec(const struct command *command, int input_fd, int output_fd, int trouble_fd);

#endif
