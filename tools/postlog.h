/*
 * postlog: a line of somebody's own in the log of this instance, under Postfix's name for that command.
 */
#ifndef POSTERN_TOOLS_POSTLOG_H
#define POSTERN_TOOLS_POSTLOG_H

#include "tools/tool.h"

/* [-iv] [-c CONFDIR] [-p PRIORITY] [-t TAG] [TEXT...]: without a text each line of standard input. */
tool_command command_postlog;

#endif
