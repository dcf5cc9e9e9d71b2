/*
 * check: one question to PAM, in a process of its own ("auth --check"), and the text that the two say it in.
 *
 * What is asked comes on descriptor 0: service, user, password and client's address, each ended by NUL. What comes back on
 * descriptor 1 is one octet, 'Y' (yes), 'N' (no) or '?' (temporary trouble), a text and LF: the user's name as PAM has it
 * at the end, or what the trouble is. Nothing whole came back: trouble.
 */
#ifndef POSTERN_AUTH_CHECK_H
#define POSTERN_AUTH_CHECK_H

#include <stddef.h>

enum {
	CHECK_QUESTION_MAX = 2048,
	CHECK_ANSWER_MAX = 600,
	CHECK_USER_MAX = 512, /* a name that has more is trouble: its beginning would be somebody else */
	CHECK_PARTS = 4,
	CHECK_SECONDS_MAX = 30,
	CHECK_CPU_SECONDS_MAX = 20
};

/* main() of the child. */
int check_main(void);

#endif
