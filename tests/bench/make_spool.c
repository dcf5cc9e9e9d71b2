/*
 * make_spool: writes a spool with very many queued messages, for measurements.
 *
 * Runs as   whoever measures; the files get the directory's owner. Linked with the queue's own log code.
 * Writes    segments, from the first to the last, as the queue's writer would have: messages that were tried before
 *           and wait for a later attempt, and some on hold. No index: the queue builds it at its start.
 */
#include <fcntl.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <sysexits.h>
#include <unistd.h>

#include "common/base/clock.h"
#include "common/base/mem.h"
#include "common/base/text.h"
#include "common/mail/outcome.h"
#include "common/mail/queue_id.h"
#include "queue/log/disk.h"
#include "queue/log/segment.h"

enum { MESSAGES_A_COMMIT = 100, COMMIT_ROOM = 128, RECORD_ROOM = 16 << 20 };

static const char help[] =
    "usage: make_spool [OPTION...] DIR\n"
    "Writes segments with queued messages into DIR/segments. DIR is QUEUE_DIRECTORY/spool of an instance "
    "that is\n"
    "stopped and whose spool is empty; the files get the owner of DIR. At its next start the queue builds "
    "the index.\n"
    "  --count N         messages (1000000)\n"
    "  --destinations N  next hops and recipients' domains d0.test ... (10000)\n"
    "  --large N         percent of all recipients that are at d0.test (50)\n"
    "  --recipients N    at most so many recipients a message, evenly spread (1)\n"
    "  --size N          octets of content (600)\n"
    "  --senders N       senders' addresses u0@s0.test ..., a tenth as many domains (5000)\n"
    "  --held N          percent on hold (1)\n"
    "  --age N           seconds since the oldest arrived; younger ones are more frequent (172800)\n"
    "  --due N           the next attempts are N to 2N seconds away (86400); 0: all are due now\n"
    "  --nexthop HOST    of all, such as [127.0.0.9]:2525, instead of each domain's own\n"
    "  --segment N       octets of a segment (67108864)\n"
    "  --seed N          other texts, the same shape (1)\n";

struct make {
	uint64_t count, destinations, large, recipients, size, senders, held, age, due, segment, seed;
	const char *nexthop, *dir;
	int segments_dir;
	struct stat owner;
	struct segment s;
	uint8_t *image; /* of the segment that is being filled */
	uint64_t offset, commit_begin;
	uint64_t number, first, id;
	unsigned slot;
	int64_t now_us;
	char *content;
	size_t header_len;
};

/* What hosts say; %d and %s stand for what differs from one attempt to the next. */
static const struct reason {
	unsigned share; /* in a hundred */
	const char *status, *relay, *text;
} reasons[] = {
    {30, "4.4.1", "none", "connect to mx%u.%s[192.0.2.%u]:25: Connection timed out"},
    {20, "4.4.1", "none", "connect to mx%u.%s[198.51.100.%u]:25: Connection refused"},
    {15, "4.2.2", "mx.%s[192.0.2.7]:25",
	"host mx%u.%s[192.0.2.%u] said: 452 4.2.2 The email account that you tried to reach is over quota "
	"(in "
	"reply to RCPT TO command)"},
    {15, "4.7.1", "mx.%s[192.0.2.8]:25",
	"host mx%u.%s[203.0.113.%u] said: 450 4.7.1 <client.example>: Recipient address rejected: "
	"Greylisted, "
	"see https://postgrey.example/help (in reply to RCPT TO command)"},
    {10, "4.4.3", "none",
	"Host or domain name not found. Name service error for name=mx%u.%s type=MX: Host not found, try "
	"again (%u)"},
    {10, "4.7.0", "mx.%s[192.0.2.9]:25",
	"host mx%u.%s[192.0.2.%u] said: 421 4.7.0 Try again later, closing connection. (in reply to MAIL "
	"FROM "
	"command)"},
};

static uint64_t
random_next(struct make *k)
{
	uint64_t z = k->seed += 0x9e3779b97f4a7c15u;

	z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
	z = (z ^ z >> 27) * 0x94d049bb133111ebu;
	return z ^ z >> 31;
}

static const struct reason *
reason_pick(struct make *k)
{
	unsigned at = (unsigned)(random_next(k) % 100);
	size_t i = 0;

	while (at >= reasons[i].share)
		at -= reasons[i++].share;
	return &reasons[i];
}

static int
fail(const struct error *err)
{
	fprintf(stderr, "make_spool: %s\n", err->text);
	return -1;
}

/* ---- segments ---- */

static int
segment_begin(struct make *k)
{
	struct error err;

	if (segment_create(k->segments_dir, k->slot++, k->segment, &k->s, &err) < 0)
		return fail(&err);
	k->s.number = ++k->number;
	k->s.first = k->first;
	k->s.id_high = k->id;
	k->s.spool_us = k->now_us;
	k->first += k->segment;
	if (getrandom(k->s.salt, sizeof(k->s.salt), 0) != sizeof(k->s.salt))
		return -1;
	memset(k->image, 0, k->segment);
	segment_header(&k->s, k->image);
	k->offset = k->commit_begin = SEGMENT_HEADER_SIZE;
	return 0;
}

static void
put(struct make *k, const struct buf *b)
{
	memcpy(k->image + k->offset, buf_ptr(b), b->len);
	record_seal(k->image + k->offset, b->len, k->s.first + k->offset, k->s.salt);
	k->offset += b->len;
}

static void
commit(struct make *k)
{
	struct part_commit part = {
	    .begin = k->s.first + k->commit_begin, .id_high = k->id, .spool_us = k->now_us};
	struct buf b;

	if (k->offset == k->commit_begin)
		return;
	buf_init(&b, COMMIT_ROOM);
	if (record_begin(&b, RECORD_COMMIT, 0) < 0 || part_encode_commit(&b, &part) < 0 ||
	    record_end(&b, 0) < 0)
		abort();
	put(k, &b);
	buf_free(&b);
	k->commit_begin = k->offset;
}

static int
segment_end(struct make *k)
{
	struct error err;
	int status = 0;

	commit(k);
	if (disk_write_all(k->s.fd, k->image, k->offset, 0) < 0 ||
	    ftruncate(k->s.fd, (off_t)k->segment) < 0 ||
	    (geteuid() == 0 && fchown(k->s.fd, k->owner.st_uid, k->owner.st_gid) < 0) ||
	    disk.fdatasync(k->s.fd) < 0) {
		error_errno(&err, "writing a segment");
		status = fail(&err);
	}
	disk.close(k->s.fd);
	return status;
}

/* ---- messages ---- */

static void
make_content(struct make *k)
{
	static const char head[] = "Received: from client.example (client.example [192.0.2.1])\r\n"
				   "\tby mail.example (Postern) with ESMTP id 0000000000000000\r\n"
				   "From: a\r\nTo: b\r\nSubject: made for a measurement\r\n\r\n";

	if (k->size < sizeof(head))
		k->size = sizeof(head);
	k->content = mem_alloc(k->size);
	k->header_len = sizeof(head) - 1;
	memcpy(k->content, head, k->header_len);
	for (size_t i = k->header_len; i < k->size; i++)
		k->content[i] = (i - k->header_len) % 72 == 70   ? '\r'
				: (i - k->header_len) % 72 == 71 ? '\n'
								 : 'x';
	memcpy(k->content + k->size - 2, "\r\n", 2);
}

static int
put_envelope(struct make *k, struct buf *b, int64_t arrival, uint32_t recipients)
{
	uint64_t sender = random_next(k) % k->senders, domain = sender % (k->senders / 10 + 1);
	struct part_envelope e = {.arrival_us = arrival,
	    .arrival_spool_us = arrival,
	    .content_len = k->size,
	    .header_len = k->header_len,
	    .next_index = recipients,
	    .client_name = SPAN_LIT("client.example"),
	    .client_address = SPAN_LIT("192.0.2.1"),
	    .helo = SPAN_LIT("client.example"),
	    .protocol = SPAN_LIT("ESMTP")};
	char text[100], id[100];

	snprintf(
	    text, sizeof(text), "u%llu@s%llu.test", (unsigned long long)sender, (unsigned long long)domain);
	snprintf(
	    id, sizeof(id), "<%016llx@s%llu.test>", (unsigned long long)k->id, (unsigned long long)domain);
	/* Notifications have no sender. */
	if (random_next(k) % 50 != 0)
		e.sender = span_of(text);
	e.message_id = span_of(id);
	e.held = random_next(k) % 100 < k->held;
	if (e.held)
		e.hold_reason = SPAN_LIT("put on hold by the administrator");
	return part_encode_envelope(b, &e);
}

static int
put_recipient(struct make *k, struct buf *b, int64_t arrival, uint32_t index)
{
	uint64_t domain = random_next(k) % 100 < k->large ? 0 : random_next(k) % k->destinations;
	const struct reason *reason = reason_pick(k);
	uint32_t attempt = 1;
	char host[64], address[100], text[400], relay[100];
	struct part_recipient p;

	for (int64_t wait = 300; arrival + wait * US_PER_SECOND < k->now_us && attempt < 30; attempt++)
		wait += wait < 4000 ? wait : 4000;
	snprintf(host, sizeof(host), "d%llu.test", (unsigned long long)domain);
	snprintf(address, sizeof(address), "r%llu@%s", (unsigned long long)(random_next(k) % 1000000), host);
/* The formats are this file's own. */
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
	snprintf(text, sizeof(text), reason->text, (unsigned)(random_next(k) % 4), host,
	    (unsigned)(random_next(k) % 250));
	snprintf(relay, sizeof(relay), reason->relay, host);
#pragma GCC diagnostic pop
	p = (struct part_recipient){.index = index,
	    .recipient = span_of(address),
	    .transport = SPAN_LIT("smtp"),
	    .nexthop = span_of(k->nexthop ? k->nexthop : host),
	    .generation = 1,
	    .state = RECIPIENT_QUEUED,
	    .due_spool_us = k->now_us,
	    .attempt = attempt,
	    .class = OUTCOME_DEFERRED,
	    .attempt_us = k->now_us - (int64_t)(random_next(k) % 3600) * US_PER_SECOND,
	    .status = span_of(reason->status),
	    .relay = span_of(relay),
	    .text = span_of(text)};
	if (k->due > 0)
		p.due_spool_us += (int64_t)(k->due + random_next(k) % k->due) * US_PER_SECOND;
	if (p.attempt_us < arrival)
		p.attempt_us = arrival;
	return part_encode_recipient(b, &p);
}

static int
make_message(struct make *k, uint64_t i, struct buf *b)
{
	double left = 1.0 - (double)i / (double)k->count;
	int64_t arrival = k->now_us - (int64_t)((double)k->age * left * left * US_PER_SECOND);
	uint64_t id = (uint64_t)arrival << 12 | (uint64_t)(i % 2) << 4;
	uint32_t recipients = 1 + (uint32_t)(random_next(k) % k->recipients);
	uint8_t le[4] = {(uint8_t)recipients, (uint8_t)(recipients >> 8), (uint8_t)(recipients >> 16), 0};

	k->id = id > k->id ? id : k->id + (1 << 12);
	buf_clear(b);
	/* A snapshot: what is known of it after its attempts. */
	record_begin(b, RECORD_SNAPSHOT, k->id);
	if (put_envelope(k, b, arrival, recipients) < 0 || buf_append(b, le, sizeof(le)) < 0)
		return -1;
	for (uint32_t r = 0; r < recipients; r++)
		if (put_recipient(k, b, arrival, r) < 0)
			return -1;
	buf_append(b, k->content, k->size);
	if (record_end(b, 0) < 0 || b->len + COMMIT_ROOM > k->segment - SEGMENT_HEADER_SIZE) {
		fputs("make_spool: a message does not fit into a segment\n", stderr);
		return -1;
	}
	if (k->offset + b->len + COMMIT_ROOM > k->segment && (segment_end(k) < 0 || segment_begin(k) < 0))
		return -1;
	put(k, b);
	if (i % MESSAGES_A_COMMIT == MESSAGES_A_COMMIT - 1 && k->offset + COMMIT_ROOM <= k->segment)
		commit(k);
	return 0;
}

static int
make_all(struct make *k)
{
	struct buf b;
	int status = 0;

	buf_init(&b, RECORD_ROOM);
	k->image = mem_alloc(k->segment);
	make_content(k);
	status = segment_begin(k);
	for (uint64_t i = 0; i < k->count && status == 0; i++)
		status = make_message(k, i, &b);
	if (status == 0)
		status = segment_end(k);
	buf_free(&b);
	free(k->image);
	free(k->content);
	return status;
}

static int
open_dir(struct make *k)
{
	struct error err;
	int spool = open(k->dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	if (spool < 0 || fstat(spool, &k->owner) < 0 ||
	    (mkdirat(spool, "segments", 0700) == 0 && geteuid() == 0 &&
		fchownat(spool, "segments", k->owner.st_uid, k->owner.st_gid, 0) < 0) ||
	    (k->segments_dir = openat(spool, "segments", O_RDONLY | O_DIRECTORY | O_CLOEXEC)) < 0) {
		error_errno(&err, "%s", k->dir);
		return fail(&err);
	}
	close(spool);
	if (faccessat(k->segments_dir, "000000", F_OK, 0) == 0) {
		error_set(&err, "%s: this spool is not empty", k->dir);
		return fail(&err);
	}
	return 0;
}

int
main(int argc, char **argv)
{
	struct make k = {.count = 1000000,
	    .destinations = 10000,
	    .large = 50,
	    .recipients = 1,
	    .size = 600,
	    .senders = 5000,
	    .held = 1,
	    .age = 172800,
	    .due = 86400,
	    .segment = 64 << 20,
	    .seed = 1};
	struct {
		const char *name;
		uint64_t *value, min, max;
	} numbers[] = {{"count", &k.count, 1, 100000000}, {"destinations", &k.destinations, 1, 10000000},
	    {"large", &k.large, 0, 100}, {"recipients", &k.recipients, 1, 10000},
	    {"size", &k.size, 1, 16 << 20}, {"senders", &k.senders, 1, 100000000}, {"held", &k.held, 0, 100},
	    {"age", &k.age, 0, 100000000}, {"due", &k.due, 0, 100000000},
	    {"segment", &k.segment, 1 << 20, 1 << 30}, {"seed", &k.seed, 0, UINT64_MAX}};
	enum { NUMBERS = sizeof(numbers) / sizeof(numbers[0]) };
	struct option options[NUMBERS + 3] = {
	    {"nexthop", required_argument, NULL, NUMBERS}, {"help", no_argument, NULL, NUMBERS + 1}};
	int at;

	for (int i = 0; i < NUMBERS; i++)
		options[i + 2] = (struct option){numbers[i].name, required_argument, NULL, i};
	while ((at = getopt_long(argc, argv, "", options, NULL)) >= 0) {
		if (at == NUMBERS) {
			k.nexthop = optarg;
		} else if (at == NUMBERS + 1) {
			fputs(help, stdout);
			return 0;
		} else if (at > NUMBERS || number_parse(span_of(optarg), numbers[at].min, numbers[at].max,
					       numbers[at].value) < 0) {
			fputs("make_spool: a bad option; see --help\n", stderr);
			return EX_USAGE;
		}
	}
	if (optind != argc - 1) {
		fputs(help, stderr);
		return EX_USAGE;
	}
	k.dir = argv[optind];
	k.segment -= k.segment % SEGMENT_PAGE;
	k.now_us = clock_wall_us();
	return open_dir(&k) < 0 || make_all(&k) < 0 ? EX_IOERR : 0;
}
