/*
 * What a stream waits for: its one event, and the time that runs in it.
 */
#include <event2/event.h>

#include "common/base/clock.h"
#include "common/base/mem.h"
#include "common/net/stream_inside.h"

/* What stream_on_event() gets from stream_wake(): a flag that no event here asks for. */
enum { WOKEN = EV_CLOSED };

/*
 * libevent takes an event whose time is over off its descriptor until its callback has run, and event_add() does not put back
 * what is active: a deadline that is set in that turn would leave a timer alone, and input unread until it ends. So the event
 * begins anew, which forgets what was woken.
 */
void
stream_schedule(struct stream *s)
{
	bool anew = s->armed && !event_pending(&s->event, EV_READ | EV_WRITE, NULL);
	int64_t left = s->deadline_us - clock_mono_us();
	struct timeval tv = {.tv_sec = left / US_PER_SECOND, .tv_usec = left % US_PER_SECOND};

	if (left <= 0)
		tv = (struct timeval){.tv_usec = 1};
	if (anew)
		event_del(&s->event);
	if (!s->deadline_us)
		event_remove_timer(&s->event);
	if (event_add(&s->event, s->deadline_us ? &tv : NULL) < 0)
		panic("event_add failed");
}

short
stream_layer_wants(const struct stream *s)
{
	return s->ops->wants && s->callbacks ? s->ops->wants(s) : 0;
}

bool
stream_input_inside(const struct stream *s)
{
	return !s->paused && !s->at_eof && !s->connecting && (stream_layer_wants(s) & EV_READ);
}

bool
stream_notice_due(const struct stream *s)
{
	if (s->failed)
		return !s->told_failure;
	if (s->starting)
		return s->kicked;
	return (s->show_rest && !s->paused) || stream_input_inside(s) ||
	       (s->want_written && !s->connecting && !s->dirty && s->output.len == 0);
}

void
stream_wake(struct stream *s)
{
	if (!s->in_callback && !s->closed)
		event_active(&s->event, WOKEN, 0);
}

/*
 * Brings the event in line with what the stream waits for. A changed deadline alone touches no descriptor.
 * event_del() forgets what was woken, as event_add() does if the time was over in this turn; and event_add() does not
 * insert what is active: hence this order.
 */
void
stream_arm(struct stream *s, short wanted)
{
	if (wanted != s->armed) {
		event_del(&s->event);
		event_assign(&s->event, event_get_base(&s->event), wanted ? s->fd : -1,
		    (short)(wanted | EV_PERSIST), stream_on_event, s);
		s->armed = wanted;
	}
	if (wanted || s->deadline_us)
		stream_schedule(s);
	if (stream_notice_due(s))
		stream_wake(s);
}

short
stream_wanted_events(const struct stream *s)
{
	short wanted = 0;

	if (s->failed)
		return 0;
	if (s->connecting)
		return EV_WRITE;
	if (s->starting)
		return stream_layer_wants(s);
	if (!s->at_eof && (!s->paused || (s->armed & EV_READ)))
		wanted |= EV_READ;
	if ((s->output.len && !s->dirty) || (!s->paused && (stream_layer_wants(s) & EV_WRITE)))
		wanted |= EV_WRITE;
	return wanted;
}

void
stream_rearm(struct stream *s)
{
	if (!s->in_callback)
		stream_arm(s, stream_wanted_events(s));
}
