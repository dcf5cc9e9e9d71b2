/*
 * policy: what all smtpd workers count together: connections and rates of clients, what users send, failed logins.
 *
 * Runs as   postern-policy, empty chroot.
 * Talks to  smtpd.
 * Reads     nothing but Postern's own messages: sections' names, clients' addresses, users' names.
 * If taken  limits on clients no longer hold. No mail, keys or network are in reach.
 */
#include "common/base/clock.h"
#include "common/server/server.h"
#include "services/policy/counters.h"
#include "services/policy/failures.h"
#include "services/policy/users.h"

/* Postfix's name for it in the log is anvil. */
enum { CREDIT = 8192, CLIENTS_MAX = 100000, USERS_MAX = 100000, FAILURES_MAX = 100000 };

static struct users *users;
static struct failures *failures;

/* The section's own setting, the global one if a reload took the section away. */
static const struct conf_values *
values_of(struct server *s, struct span section)
{
	const struct conf_section *found = conf_section_find(server_conf(s), section);

	return found ? found->values : server_conf(s)->values;
}

static struct span
key_of(const struct conf_values *values, struct span section, struct span address, char key[CLIENT_KEY_SIZE])
{
	struct client_prefixes prefixes = {.ipv4 = (unsigned)values->smtpd_client_ipv4_prefix_length,
	    .ipv6 = (unsigned)values->smtpd_client_ipv6_prefix_length};

	return client_key(section, address, prefixes, key);
}

static void
answer(struct ipc_channel *channel, uint32_t call, struct count count)
{
	struct msg_policy_answer message = {.count = count.connections, .rate = count.rate};

	ipc_send(channel, IPC_POLICY_ANSWER, call, &message);
}

/* The worker behind the channel; made at its first connection. */
static struct counted_worker *
worker_of(struct ipc_channel *channel, struct counters *counters)
{
	struct counted_worker *w = ipc_data(channel);

	if (!w) {
		w = counted_worker_new(counters);
		ipc_set_data(channel, w);
	}
	return w;
}

static int
handle_connect(struct ipc_channel *channel, const struct ipc_frame *frame, void *context, struct error *err)
{
	const struct msg_policy_connect *m = &frame->policy_connect;
	const struct conf_values *values = values_of(context, m->section);
	struct counters *counters = server_data(context);
	char key[CLIENT_KEY_SIZE];

	(void)err;
	answer(channel, frame->call,
	    counters_connect(counters, worker_of(channel, counters),
		key_of(values, m->section, m->address, key), values->anvil_rate_time_unit, clock_mono_us()));
	return 0;
}

static int
handle_gone(struct ipc_channel *channel, const struct ipc_frame *frame, void *context, struct error *err)
{
	const struct msg_policy_gone *m = &frame->policy_gone;
	struct counters *counters = server_data(context);
	char key[CLIENT_KEY_SIZE];

	(void)err;
	counters_gone(counters, worker_of(channel, counters),
	    key_of(values_of(context, m->section), m->section, m->address, key), clock_mono_us());
	return 0;
}

static int
handle_event(struct ipc_channel *channel, const struct ipc_frame *frame, void *context, struct error *err)
{
	const struct msg_policy_event *m = &frame->policy_event;
	const struct conf_values *values = values_of(context, m->section);
	char key[CLIENT_KEY_SIZE];

	if (m->event > POLICY_AUTH)
		return error_set(err, "no such event: %u", m->event);
	answer(channel, frame->call,
	    counters_event(server_data(context), key_of(values, m->section, m->address, key),
		(enum policy_event)m->event, values->anvil_rate_time_unit, clock_mono_us()));
	return 0;
}

static int
handle_user(struct ipc_channel *channel, const struct ipc_frame *frame, void *context, struct error *err)
{
	const struct msg_policy_user *m = &frame->policy_user;
	const struct user_limits limits = {{
	    [USER_MESSAGES_HOUR] = m->messages_hour,
	    [USER_MESSAGES_DAY] = m->messages_day,
	    [USER_RECIPIENTS_HOUR] = m->recipients_hour,
	    [USER_RECIPIENTS_DAY] = m->recipients_day,
	}};
	struct user_verdict v = users_message(users, m->user, m->recipients, &limits, clock_mono_us());
	struct msg_policy_user_answer answer = {
	    .standing = (uint8_t)v.standing, .limit = (uint8_t)v.limit, .count = v.count, .tell = v.tell};

	(void)context;
	(void)err;
	ipc_send(channel, IPC_POLICY_USER_ANSWER, frame->call, &answer);
	return 0;
}

static int
handle_told(struct ipc_channel *channel, const struct ipc_frame *frame, void *context, struct error *err)
{
	(void)channel;
	(void)context;
	(void)err;
	users_told(users, frame->policy_told.user, clock_mono_us());
	return 0;
}

static struct failure_limits
failure_limits_of(struct server *s, struct span section)
{
	const struct conf_values *v = values_of(s, section);

	return (struct failure_limits){
	    .address = (uint32_t)v->smtpd_auth_failure_limit_address,
	    .account = (uint32_t)v->smtpd_auth_failure_limit_account,
	    .window_us = v->smtpd_auth_failure_limit_window,
	    .longest_delay_ms = (uint32_t)(v->smtpd_auth_failure_limit_delay / 1000),
	};
}

static int
handle_auth_try(struct ipc_channel *channel, const struct ipc_frame *frame, void *context, struct error *err)
{
	const struct msg_auth_try *m = &frame->auth_try;
	const struct failure_limits limits = failure_limits_of(context, m->section);
	struct failure_verdict v = failures_try(failures, &limits, m->address, m->user, clock_mono_us());
	struct msg_auth_try_answer answer = {
	    .allowed = v.refused == NULL, .delay_ms = v.delay_ms, .reason = span_of(v.refused)};

	(void)err;
	ipc_send(channel, IPC_AUTH_TRY_ANSWER, frame->call, &answer);
	return 0;
}

static int
handle_auth_result(
    struct ipc_channel *channel, const struct ipc_frame *frame, void *context, struct error *err)
{
	const struct msg_auth_result *m = &frame->auth_result;
	const struct failure_limits limits = failure_limits_of(context, m->section);

	(void)channel;
	if (m->status > AUTH_TEMPORARY)
		return error_set(err, "no such end of an attempt: %u", m->status);
	failures_result(failures, &limits, m->address, m->user, (enum auth_status)m->status, clock_mono_us());
	return 0;
}

static void
peer_down(struct server *s, struct ipc_channel *peer)
{
	struct counted_worker *w = ipc_data(peer);

	(void)s;
	counted_worker_free(&w);
	ipc_set_data(peer, NULL);
}

static int
start(struct server *s, struct error *err)
{
	(void)err;
	server_set_data(s, counters_new(CLIENTS_MAX));
	users = users_new(USERS_MAX);
	failures = failures_new(FAILURES_MAX);
	return 0;
}

static const struct ipc_permit permits[] = {
    {IPC_POLICY_CONNECT, ROLE_BIT(ROLE_SMTPD), handle_connect},
    {IPC_POLICY_GONE, ROLE_BIT(ROLE_SMTPD), handle_gone},
    {IPC_POLICY_EVENT, ROLE_BIT(ROLE_SMTPD), handle_event},
    {IPC_POLICY_USER, ROLE_BIT(ROLE_SMTPD), handle_user},
    {IPC_POLICY_TOLD, ROLE_BIT(ROLE_SMTPD), handle_told},
    {IPC_AUTH_TRY, ROLE_BIT(ROLE_SMTPD), handle_auth_try},
    {IPC_AUTH_RESULT, ROLE_BIT(ROLE_SMTPD), handle_auth_result},
};

static const struct server_program program = {
    .role = ROLE_POLICY,
    .ident = "anvil",
    .sandbox = {.user = "policy", .root = SANDBOX_ROOT_EMPTY},
    .permits = permits,
    .permit_count = sizeof(permits) / sizeof(permits[0]),
    .credit = CREDIT,
    .start = start,
    .peer_down = peer_down,
};

int
main(int argc, char **argv)
{
	return server_main(argc, argv, &program);
}
