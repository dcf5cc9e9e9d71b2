/*
 * queue_names: postern called as Postfix's postqueue(1), postsuper(1), postcat(1) or qshape(1), with their options.
 */
#ifndef POSTERN_TOOLS_QUEUE_NAMES_H
#define POSTERN_TOOLS_QUEUE_NAMES_H

#include "tools/tool.h"

tool_command command_postqueue, command_postsuper, command_postcat, command_qshape;

#endif
