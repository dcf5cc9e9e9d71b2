/*
 * protocol: the enumerations and flags that messages.def carries between processes.
 *
 * Receivers check them: an out-of-range value is a malformed message.
 */
#ifndef POSTERN_IPC_PROTOCOL_H
#define POSTERN_IPC_PROTOCOL_H

/* Who is at the other end of a connection. ROLE_TOOL is any program on a control or drop socket. */
enum role {
	ROLE_MASTER,
	ROLE_LOG,
	ROLE_SMTPD,
	ROLE_QUEUE,
	ROLE_DELIVERY,
	ROLE_LOCAL,
	ROLE_PICKUP,
	ROLE_RESOLVER,
	ROLE_LOOKUP,
	ROLE_POLICY,
	ROLE_KEYS,
	ROLE_AUTH,
	ROLE_TOOL,
	ROLE_COUNT
};

#define ROLE_BIT(role) (1u << (role))

/* The listener of a queue that works alone, in a stopped instance, for one command of postern(8). */
#define IPC_ALONE "unix:alone"

/* The same for one that brings messages, which may be long. */
#define IPC_ALONE_LONG "unix:alone-long"

/* "smtpd" and so on: also the name of the program under libexec. */
const char *role_name(enum role role);

/* MAIL_*: properties of a message, the same from submission to job. */
enum {
	MAIL_8BIT = 1 << 0, /* content has bytes above 127 (RFC 6152) */
	MAIL_BODY_8BITMIME = 1 << 1, /* BODY=8BITMIME was declared */
	MAIL_SMTPUTF8 =
	    1 << 2, /* SMTPUTF8 was asked for (RFC 6531); whether it is needed shows on the way out */
	MAIL_DOTS = 1 << 3, /* some line begins with a dot: stuffing is needed (RFC 5321, 4.5.2) */
	MAIL_LONG_LINES = 1 << 4, /* some line is longer than 998 octets (RFC 5321, 4.5.3.1.6) */
	MAIL_RET_FULL = 1 << 5, /* RET=FULL (RFC 3461, 4.3) */
	MAIL_RET_HDRS = 1 << 6, /* RET=HDRS */
	MAIL_LOCAL = 1 << 7, /* written on this host: sendmail(1) */
	MAIL_INTERNAL = 1 << 8, /* composed by Postern (DSN): draws on queue's reserve */
	MAIL_HOLD = 1 << 9, /* goes on hold at once; SUBMIT_OPEN.reason says why */
	MAIL_RECIPIENTS_EXPANDED = 1 << 11, /* envelope recipients came out of lookup's expansion */
	MAIL_DISCARD =
	    1 << 12, /* an access table said DISCARD: acknowledged, then dropped by the submitter */
	MAIL_TRACE = 1 << 13, /* sendmail -v waits for the conversation of the first attempt */
	MAIL_LATER = 1 << 15, /* no attempt before a queue run: sendmail -odq */
	MAIL_TELL_HELD = 1 << 14 /* with MAIL_HOLD: postmaster is to be told */
};

/* JOB_*: beside MAIL_* in JOB_OPEN.flags. */
enum {
	JOB_FLUSH = 1 << 20, /* an operator asked: cached "destination is down" does not count */
	JOB_PROBE = 1 << 21, /* the destination was down: one connection to see */
	JOB_LAST_TRY = 1 << 22 /* the message has expired; a failure bounces it */
};

/* One notification tells of at most so many recipients, and of so many octets about them; another of the rest. */
enum { NOTIFY_RECIPIENTS_MAX = 50000, NOTIFY_OCTETS_MAX = 16 << 20 };

/* RFC 3461, 4.1. NEVER stands alone. */
enum { DSN_NOTIFY_NEVER = 1, DSN_NOTIFY_SUCCESS = 2, DSN_NOTIFY_FAILURE = 4, DSN_NOTIFY_DELAY = 8 };

/* DROP_*: beside MAIL_* in DROP_OPEN.flags. */
enum {
	DROP_NULL_SENDER = 1 << 20,
	DROP_WAIT = 1 << 22, /* -odi, -v: answer after the first attempt */
	DROP_VERBOSE = 1 << 23,
	DROP_NO_ATTEMPT = 1 << 25, /* -odq, -odd: MAIL_LATER */
	DROP_GATEWAY = 1 << 24 /* -G: a relayed message, addresses in its header are left alone */
};

enum dns_status {
	DNS_OK, /* at least one record of the type */
	DNS_NO_NAME, /* NXDOMAIN */
	DNS_NO_DATA, /* the name is there, no record of the type */
	DNS_TEMPORARY, /* no answer, SERVFAIL, malformed, truncated beyond repair */
	DNS_BOGUS, /* validation failed upstream, told by an extended error (RFC 8914) */
	DNS_INVALID /* the name that was asked for cannot be one */
};

enum name_status {
	NAME_CONFIRMED, /* PTR leads to a name that leads back */
	NAME_NONE, /* no PTR */
	NAME_FORGED, /* PTR leads to a name that does not lead back */
	NAME_TEMPORARY /* some step had no answer */
};

enum lookup_status { LOOKUP_FOUND, LOOKUP_NOT_FOUND, LOOKUP_TEMPORARY };

/* Which keys are tried, in which order, as access(5) and aliases(5) say. */
enum lookup_form {
	LOOKUP_EXACT, /* the key as it is */
	LOOKUP_HOST, /* a host name: name, parents (parent_domain_matches_subdomains or .parent) */
	LOOKUP_ADDRESS, /* a client address: whole, then shorter by octet or group */
	LOOKUP_CLIENT, /* "name\naddress": name as LOOKUP_HOST, then address */
	LOOKUP_MAIL_ACCESS, /* access(5): user+ext@domain, user@domain, domain, parents, user+ext@, user@; "" is <> */
	LOOKUP_MAIL, /* canonical(5) and virtual(5): user+ext@domain, user@domain, user+ext, user, @domain */
	LOOKUP_LOCAL, /* aliases(5): user+ext, user */
	LOOKUP_VIRTUAL, /* virtual(8): user+ext@domain, user@domain, @domain */
	LOOKUP_TRANSPORT, /* transport(5): user+ext@domain, user@domain, domain, .parents, * */
	LOOKUP_NEXTHOP, /* smtp_tls_policy_maps: a next hop as it is written; of a bare domain also .parents */
	LOOKUP_STATUS /* smtp_delivery_status_filter: "5.1.1 text" as it is; what a pattern matched may come back */
};

/* Postfix's address classes (ADDRESS_CLASS_README). */
enum address_class { CLASS_DEFAULT, CLASS_LOCAL, CLASS_VIRTUAL_ALIAS, CLASS_VIRTUAL_MAILBOX, CLASS_RELAY };

/* RESOLVE_*: flags of RESOLVE_ASK. */
enum {
	RESOLVE_EXPAND = 1 << 0, /* virtual aliases, canonical, routes: RESOLVE_RCPT follow */
	RESOLVE_VALIDATE = 1 << 1, /* does the address exist? */
	RESOLVE_SENDER = 1 << 2, /* the address is a sender (canonical class, reject_unlisted_sender) */
	RESOLVE_ROUTE = 1 << 3, /* only the transport and next hop of the address as it stands */
	RESOLVE_BCC = 1 << 4, /* new mail: also rows for those who get copies */
	RESOLVE_UNROUTED =
	    1 << 5, /* the answer's address: without a route through this host (user%here@here) */
	RESOLVE_LOCAL_STAYS =
	    1 << 6 /* with EXPAND: not those of transport local, by canonical and virtual tables */
};

/* ROUTE_*: flags of RESOLVE_RCPT. */
enum {
	ROUTE_COPY = 1 << 0 /* always_bcc and its kin: nobody is told of its fate (NOTIFY=NEVER) */
};

/* What REWRITE_ASK is about: addresses in header fields of this host's mail, of strangers' mail, and on the way out. */
enum rewrite_kind {
	REWRITE_LOCAL_SENDER,
	REWRITE_LOCAL_RECIPIENT,
	REWRITE_REMOTE_SENDER,
	REWRITE_REMOTE_RECIPIENT,
	REWRITE_GENERIC_SMTP,
	REWRITE_GENERIC_LMTP,
	REWRITE_KIND_COUNT
};

/* Octets of content that a submission may send before the first SUBMIT_CREDIT (DROP_CREDIT). */
enum { SUBMIT_WINDOW = 192 * 1024 };

enum submit_status {
	SUBMIT_OK, /* durable */
	SUBMIT_NO_SPACE, /* 452 4.3.1 */
	SUBMIT_TRY_LATER, /* 451 4.3.0: overloaded, or the spool is in trouble */
	SUBMIT_TOO_LARGE, /* 552 5.3.4 */
	SUBMIT_REFUSED, /* 554 5.6.0: what was sent makes no message */
	SUBMIT_ABORTED
};

/* The first five in this order, for "worst wins". */
enum outcome_class {
	OUTCOME_DELIVERED, /* to a mailbox, or taken by a next hop that honours DSN */
	OUTCOME_RELAYED, /* taken by a next hop without DSN (RFC 3461, 5.2.2: a report may be due here) */
	OUTCOME_EXPANDED, /* replaced by JOB_ADD_RCPTs */
	OUTCOME_DEFERRED, /* try again */
	OUTCOME_BOUNCED /* never */
};

/* OUTCOME_*: flags of JOB_OUTCOME. */
enum {
	OUTCOME_UNCERTAIN =
	    1 << 0, /* the connection died between the final dot and its reply: possibly delivered */
	OUTCOME_EXPANDED_LIST =
	    1 << 1, /* expanded to a list with an owner: the chain of DSN ends here (RFC 3461, 5.2.7.3) */
	OUTCOME_HAS_OWNER = 1 << 3, /* with it: a list, and not an alias with several addresses */
	OUTCOME_PASSED_ON =
	    1 << 2 /* the next hop took over what the sender wants to be told (RFC 3461, 5.2.2) */
};

enum hop_state {
	HOP_UNKNOWN, /* nothing was learnt */
	HOP_UP, /* it answered as it should */
	HOP_DOWN, /* no connection, no greeting, or lost before any outcome */
	HOP_BUSY /* it answered that it wants fewer connections (421, 450 4.7.x) */
};

enum mailbox_kind {
	MAILBOX_MAILDIR,
	MAILBOX_MBOX,
	MAILBOX_READER, /* none: a process that looks into the header of letters */
	MAILBOX_HELPER /* none: a process that reads the user's lists and runs the user's commands */
};

enum member_list_kind { LIST_FORWARD, LIST_INCLUDE };

enum member_list_status {
	LIST_READ, /* all of its members were told */
	LIST_ABSENT, /* none of the paths is there */
	LIST_REFUSED, /* it is not to be believed: owner, mode, kind of file */
	LIST_TEMPORARY
};

enum notify_kind {
	NOTIFY_FAILED,
	NOTIFY_DELAYED,
	NOTIFY_SUCCEEDED,
	NOTIFY_POSTMASTER,
	NOTIFY_HELD,
	NOTIFY_SESSION /* of errors in a conversation: NOTIFY_RCPT has its subject (text) and its end, NOTIFY_DATA its lines */
};

/* What a back end says of a password, stored keys or an exchange of Dovecot's. */
enum auth_status {
	AUTH_ACCEPTED,
	AUTH_REFUSED, /* the same for a user who is not there, a wrong password and an account that is closed */
	AUTH_TEMPORARY
};

enum scram_hash { SCRAM_SHA_1, SCRAM_SHA_256 };

enum key_status {
	KEY_DONE, /* signed */
	KEY_REFUSED, /* the text has not the form that this asker may have signed */
	KEY_UNKNOWN /* no such key for that section */
};

enum identity_use { IDENTITY_SERVER, IDENTITY_CLIENT };

/* How much one user may send (smtpd_user_..._limit_...), and how what was sent stands to that. */
enum user_limit {
	USER_MESSAGES_HOUR,
	USER_MESSAGES_DAY,
	USER_RECIPIENTS_HOUR,
	USER_RECIPIENTS_DAY,
	USER_LIMIT_COUNT
};

enum user_standing {
	USER_WITHIN,
	USER_BEYOND, /* taken, and put on hold */
	USER_FAR_BEYOND /* more than twice: refused, and not counted */
};

enum policy_event { POLICY_MESSAGE, POLICY_RECIPIENT, POLICY_NEWTLS, POLICY_AUTH };

#endif
