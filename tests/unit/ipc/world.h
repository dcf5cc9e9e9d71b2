/*
 * world: two ends of one connection, and what happened to them, for the tests of channels.
 */
#ifndef POSTERN_TEST_IPC_WORLD_H
#define POSTERN_TEST_IPC_WORLD_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdbool.h>

#include "common/ipc/ipc.h"

struct event_base;

/* Two ends of one connection: 'asker' (as smtpd) and 'answerer' (as resolver), and what happened to them. */
struct world {
	struct event_base *base;
	struct ipc_channel *asker, *answerer;
	unsigned up, down, asked, parts, answers, nulls, notes;
	uint32_t calls[4096]; /* as the answerer saw them */
	uint32_t values[4096]; /* DNS_ASK.type of each answer, in order */
	int got_fd[64];
	unsigned fds;
	bool answer_at_once, close_in_handler, close_in_answer, refuse;
	unsigned long long octets;
};

/* The last line that was logged since world_log_open(). */
extern char last_line[2000];
void world_log_open(void);
void world_log_close(void);

/* Permits and callbacks that count in w. */
const struct ipc_callbacks *callbacks_of(struct world *w);

/* Sends the ANSWER to an ASK that the answerer got. */
void answer(struct world *w, uint32_t call, uint32_t ttl);

/* The asker's side of a conversation. */
uint32_t ask(struct world *w, uint32_t type, unsigned timeout_ms);
ipc_answer on_answer;

/* Some turns of the loop: what was sent has arrived. */
void turn(struct world *w);

#endif
