/*
 * terminal: the screen and the keys of a terminal, borrowed and always given back as they were: at the end, when a signal ends
 * the process (wherever it waits), and while it is stopped. One in a process.
 */
#ifndef POSTERN_TOOLS_TERMINAL_H
#define POSTERN_TOOLS_TERMINAL_H

#include <stdbool.h>

/* False: standard output is no terminal, and nothing was done. */
bool terminal_begin(void);

/* Standard input is one, too: keys are read from it one by one, without echo. */
bool terminal_has_keys(void);

/* What was said to standard error since the beginning is shown then. */
void terminal_end(void);

#endif
