/*
 * inherited: what a program gets from whoever started it, and must not depend on: blocked and ignored signals, missing
 * standard descriptors.
 */
#ifndef POSTERN_BASE_INHERITED_H
#define POSTERN_BASE_INHERITED_H

/*
 * First of all in main(). No signal is blocked, SIGCHLD has its default action (ignored, waitpid() would know nothing of
 * how a child ended), a limit of file sizes is an ordinary error, and what is opened later is none of descriptors 0, 1
 * and 2: where one is closed, reading and writing go on to fail with EBADF.
 */
void inherited_reset(void);

#endif
