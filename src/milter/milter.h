/*
 * The mail system's side of the milter protocol, versions 2, 3, 4 and 6 (MILTER_README; the protocol is that
 * of Sendmail's libmilter): filters of the operator that see an SMTP session event by event and may refuse,
 * change, hold or drop its mail.
 *
 * A struct milter_set is configuration: const once made, shared by threads. A struct milters is one session
 * with its connections to the filters of a set, used by one thread at a time. Whatever a filter says is
 * hostile: packets, replies and edits are checked before they mean anything.
 */
#ifndef MILTER_MILTER_H
#define MILTER_MILTER_H

#include <sys/types.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/net.h"
#include "config/config.h"

/* Replies are at most so many bytes in all. */
#define MILTER_REPLY_MAX 16384

enum milter_action {
	MILTER_GO_ON,
	MILTER_REFUSE,	/* with the reply of the verdict */
	MILTER_DISCARD, /* the message is accepted and thrown away */
	MILTER_HOLD	/* the message is accepted and goes to the hold queue */
};

struct milter_verdict {
	enum milter_action action;
	const char *reply; /* REFUSE: "550 5.7.1 text", lines joined by CRLF; until the next call */
};

/* ---- configuration */

struct milter_set;
/*
 * list: what smtpd_milters, non_smtpd_milters or an entry of smtpd_milter_maps says. What is wrong with it is
 * told by milter_set_problem(), and makes that filter refuse mail for the time being.
 */
struct milter_set *milter_set_new(const struct config *cfg, const char *list);
void milter_set_free(struct milter_set **set); /* NULL allowed */
bool milter_set_empty(const struct milter_set *set);
size_t milter_set_count(const struct milter_set *set);	      /* connections that a session may keep */
const char *milter_set_problem(const struct milter_set *set); /* NULL: none */

/* ---- a session */

struct milter_host {
	void *arg;
	/* The value of a macro, "i" or "{client_addr}"; NULL: it has none now. Until the next call. */
	const char *(*macro)(void *arg, const char *name);
	void (*warn)(void *arg, const char *text); /* what went wrong with a filter */
};

struct milter_peer {
	const char *name;	     /* "[192.0.2.1]" when it has none */
	const struct net_addr *addr; /* NULL: not from the network */
};

struct milters;
struct milters *milters_new(const struct milter_set *set, const struct milter_host *host);
void milters_free(struct milters **m); /* tells the filters; NULL allowed */

/* Events. The first filter that does not want to go on decides. Words are as the client said them. */
struct milter_verdict milters_connect(struct milters *m, const struct milter_peer *peer);
struct milter_verdict milters_helo(struct milters *m, const char *name);
struct milter_verdict milters_mail(struct milters *m, const char *const *words, size_t count);
/* refused: by ourselves; only filters that asked for it are told, and nothing is decided. */
struct milter_verdict milters_rcpt(struct milters *m, const char *const *words, size_t count, bool refused);
struct milter_verdict milters_data(struct milters *m);
struct milter_verdict milters_unknown(struct milters *m, const char *line);
/* The transaction is over, whatever became of it. */
void milters_abort(struct milters *m);

/*
 * The message as it stands, and what may be done with it. Each filter is shown what those before it made of
 * it. Edits return false when they cannot be done: the message is refused for the time being.
 */
struct milter_message {
	void *arg;
	/* The index-th header, from 0: false: there are no more. The value is what follows the colon, its
	 * lines joined by CRLF. Until the next call of any of these functions. */
	bool (*header)(void *arg, size_t index, struct str *name, struct str *value);
	/* Up to n bytes of the body from offset on; 0 at its end, -1: it cannot be read. */
	ssize_t (*body)(void *arg, uint64_t offset, void *out, size_t n);
	bool (*add_header)(void *arg, struct str name, struct str value);
	/* position: 0, before all that the filter was shown; 1, after the first of it, and so on. */
	bool (*insert_header)(void *arg, size_t position, struct str name, struct str value);
	/* The index-th (from 1) of that name; an empty value removes it. One that is not there is added. */
	bool (*change_header)(void *arg, size_t index, struct str name, struct str value);
	bool (*replace_body)(void *arg, struct str piece, bool first);
	/* Addresses as in SMTP, with or without < >; options: ESMTP parameters, or empty. */
	bool (*add_recipient)(void *arg, struct str address, struct str options);
	bool (*delete_recipient)(void *arg, struct str address);
	bool (*change_sender)(void *arg, struct str address, struct str options);
	bool (*hold)(void *arg, struct str reason);
};
struct milter_verdict milters_message(struct milters *m, const struct milter_message *message);

#endif
