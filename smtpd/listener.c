#include "smtpd/listener.h"

#include <errno.h>
#include <event2/event.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <sys/socket.h>

#include "common/base/clock.h"
#include "common/base/log.h"
#include "common/base/mem.h"
#include "common/net/address.h"
#include "smtpd/session.h"
#include "smtpd/settings.h"

/*
 * Other sockets have their turn after BATCH. One at a time is accepted while they come singly, for an accept() in vain costs
 * as much as one that succeeds; twice as many as before while the listener is ready again and again.
 */
enum { BATCH = 64, CROWD_US = 200, IDENTITIES_WAIT_US = 10 * US_PER_SECOND };

struct listener {
	struct smtpd *smtpd;
	struct settings *settings;
	struct event *event;
	int fd;
	int batch;
	int64_t accepted_us;
	int64_t made_us;
	bool listening;
	bool out_of_files; /* until a session ends */
};

/*
 * Certificates come from keys soon after a start or reload; until then a client might find no TLS. Mail goes on without
 * them if they do not come.
 */
static bool
awaits_identities(const struct listener *l)
{
	return l->settings->tls && l->smtpd->peers[ROLE_KEYS] &&
	       l->smtpd->identities < l->settings->conf->generation &&
	       clock_mono_us() < l->made_us + IDENTITIES_WAIT_US;
}

static bool
has_room(const struct listener *l)
{
	return !awaits_identities(l) && l->smtpd->has_floor && !l->smtpd->stopping &&
	       l->smtpd->session_count < l->smtpd->session_max;
}

/* Returns false if no more is to be had now. */
static bool
accept_one(struct listener *l)
{
	struct sockaddr_storage from;
	socklen_t len = sizeof(from);
	struct net_address peer;
	int fd = accept4(l->fd, (struct sockaddr *)&from, &len, SOCK_NONBLOCK | SOCK_CLOEXEC);

	if (fd < 0) {
		if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM) {
			log_warning(NULL, "accept: %m");
			l->out_of_files = true;
		}
		return errno == ECONNABORTED || errno == EINTR || errno == EPROTO;
	}
	net_address_of_sockaddr(&from, &peer);
	(void)session_new(l->smtpd, l->settings, fd, &peer);
	return true;
}

static void
on_acceptable(evutil_socket_t fd, short what, void *arg)
{
	struct listener *l = arg;
	int64_t now_us = clock_mono_us();

	(void)fd;
	(void)what;
	l->batch = now_us - l->accepted_us > CROWD_US ? 1 : l->batch * 2 < BATCH ? l->batch * 2 : BATCH;
	for (int i = 0; i < l->batch && has_room(l); i++)
		if (!accept_one(l))
			break;
	l->accepted_us = now_us;
	listener_adjust(l);
}

void
listener_adjust(struct listener *l)
{
	bool wanted = has_room(l) && !(l->out_of_files && l->smtpd->session_count > 0);

	l->out_of_files = false;
	if (wanted == l->listening)
		return;
	if (wanted ? event_add(l->event, NULL) < 0 : event_del(l->event) < 0)
		panic("a listener's event cannot be changed");
	l->listening = wanted;
}

struct listener *
listener_new(struct smtpd *d, int fd, struct settings *settings)
{
	struct listener *l = mem_alloc(sizeof(*l));

	l->smtpd = d;
	l->settings = settings_ref(settings);
	l->fd = fd;
	l->batch = 1;
	l->made_us = clock_mono_us();
	l->event = event_new(d->base, fd, EV_READ | EV_PERSIST, on_acceptable, l);
	if (l->event == NULL)
		panic("no event for a listener");
	listener_adjust(l);
	return l;
}

void
listener_free(struct listener **listener)
{
	struct listener *l = *listener;

	*listener = NULL;
	if (l == NULL)
		return;
	event_free(l->event);
	settings_unref(&l->settings);
	free(l);
}
