/*
 * passwords: answers PASSWORD_ASK, SCRAM_ASK and TOKEN_ASK from the tables of smtpd_sasl_path (smtpd_sasl_type = table).
 *
 * To try a password is meant to be expensive, so threads of a lower priority do it: nobody's recipient waits for them. What
 * waits is bounded, in all and for each address; one user is tried by one thread at a time, and one address never has
 * all threads, nor do tokens, for which a server elsewhere is asked. Memory of all tries together has a bound. A question without an answer in time is temporary trouble.
 */
#ifndef POSTERN_LOOKUP_PASSWORDS_H
#define POSTERN_LOOKUP_PASSWORDS_H

#include <stdbool.h>
#include <stdint.h>

#include "common/conf/conf.h"
#include "common/ipc/ipc.h"

struct event_base;
struct passwords;

/* Of the instance: salts of users who are not there are made of it. */
enum { PASSWORDS_SECRET_OCTETS = 32 };

/* Starts the threads: NULL with err. */
struct passwords *passwords_new(
    struct event_base *base, const uint8_t secret[PASSWORDS_SECRET_OCTETS], struct error *err);

/* The configuration changed: tables are opened anew. */
void passwords_configured(struct passwords *p);

/* Handler of these questions; conf names the table of their section. */
int passwords_ask(struct passwords *p, const struct conf *conf, struct ipc_channel *channel,
    const struct ipc_frame *frame, struct error *err);

/* Answers such a question with temporary trouble. */
void passwords_refuse(struct ipc_channel *channel, const struct ipc_frame *frame, const char *why);

/* No answer can be sent there any more. */
void passwords_peer_gone(struct passwords *p, const struct ipc_channel *peer);

bool passwords_idle(const struct passwords *p);

/*
 * Reads the secret of path, making it first if it is not there. A secret of this process alone where neither works, with
 * a line in the log: then strangers may see by their salts, over a restart, who is a user.
 */
void passwords_secret(const char *path, uint8_t secret[PASSWORDS_SECRET_OCTETS]);

#endif
