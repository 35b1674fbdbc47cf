/*
 * One connection. A session owns at most one transaction (MAIL to end of data); whatever belongs to a message
 * lives there and ends with one call.
 *
 * A session runs in a slot while there is something to do and is parked between commands; everything else is
 * linear code.
 */
#ifndef SMTPD_SESSION_H
#define SMTPD_SESSION_H

#include "base/net.h"
#include "base/slots.h"
#include "base/stream.h"
#include "smtpd/access.h"
#include "smtpd/client.h"
#include "smtpd/command.h"
#include "smtpd/notify.h"
#include "smtpd/server.h"

struct transaction;
struct sasl_server;
struct filters;

struct session {
	struct task task;
	struct server *server;
	const struct config *cfg; /* the server's, or its overload values */
	struct smtpd_slot *slot;  /* while running */
	struct stream *io;
	struct pool *pool;    /* as long as the connection: for what is set a bounded number of times */
	struct pool *scratch; /* as long as one command; made when asked for */
	struct net_addr peer;
	struct net_addr local; /* asked for once, by session_local() */
	bool local_known;
	struct client client;	     /* the effective client: XCLIENT and PROXY change it */
	struct forwarded *forwarded; /* XFORWARD; NULL until then */
	char *helo;		     /* as said, printable; NULL before HELO */
	const char *protocol;	     /* "SMTP", "ESMTP" */
	struct transaction *tx;
	struct filters *filters; /* milters; NULL: none, or not begun */
	unsigned connections;	 /* of the client at a time, when they are counted */
	/* authentication */
	char *sasl_method, *sasl_username;
	uint64_t limit_key; /* smtpd_client_*_limit; 0: none apply */
	size_t hold;	    /* its place in the server's holds */
	int debug_level;    /* debug_peer_level for clients in debug_peer_list; 0: as usual */
	bool may_xforward;  /* decided when the connection opens, about the host that is connected */
	bool tls;
	/* access control before MAIL, with smtpd_delay_reject = no */
	struct refusal denied; /* code 0: not denied; the connection as a whole is */
	struct deferral if_permit;
	struct effects effects;
	unsigned ehlo_hidden; /* EHLO_ bits left out for this client */
	bool ehlo_hidden_known;
	enum bare_newline bare_newline;
	struct notify notify;
	/* errors, and what is kept for the log */
	int errors, junk;
	const char
		*farewell;   /* what the next command is answered with, and the session ends; NULL: nothing */
	bool hangup;	     /* after the reply in the buffer the connection ends */
	bool bad_pipelining; /* the client sent ahead without being allowed to */
	bool line_ended_bare;	  /* the command line ended in a bare LF */
	int64_t penalty_until;	  /* replies wait until then (clock_mono); 0: no */
	int64_t command_deadline; /* until then there must be more of the command line */
	size_t long_line;	  /* bytes so far of a command line over the limit; 0: it is not */
	char *long_name;	  /* the head of that line when it is EHLO or HELO; NULL otherwise */
	const char *where;	  /* last command, or AFTER_MESSAGE, for "lost connection after" */
	const char *protocol_end; /* "too many errors", "lost connection", ...; NULL: QUIT or 421 */
	bool in_content;	  /* DATA or BDAT was begun: the log says how far it came */
	uint64_t data_bytes;	  /* of that content, or of a refused chunk */
	struct command_counts counts;
};

/* Takes the descriptor over and greets in a slot. */
void session_accept(struct server *server, int fd, const struct net_addr *peer, bool stressed);
/* A session over any descriptor, not yet submitted: for tests and stand-alone mode. */
struct session *session_new(
	struct server *server, int fd, const struct net_addr *peer, const struct config *cfg);
/* Runs the whole dialogue in the calling thread, without parking. Frees the session. */
void session_run_here(struct session *s, struct smtpd_slot *slot);

struct pool *session_scratch(struct session *s);
/* MAIL's AUTH= of a client that logged in, whose word it is; NULL otherwise. */
const char *session_sasl_sender(const struct session *s);
const struct net_addr *session_local(struct session *s);
/* "queue id" of the message in progress, or "NOQUEUE". */
const char *session_queue_id(const struct session *s);
/* Whether the client is in the list; trouble with the list is logged and means no. */
bool session_client_in(struct session *s, const struct named_list *list);
void session_set_local(struct session *s, const struct net_addr *addr);
void session_set_local_port(struct session *s, uint16_t port);
/* Forgets what the client said of itself, and with client also what was decided about it: after STARTTLS,
 * XCLIENT. */
void session_forget_helo(struct session *s);
void session_forget_client(struct session *s);
/* Replaces *field by a copy of value (NULL: none). */
void session_set(char **field, const char *value);

/* ---- session_log.c */
void session_log_connect(const struct session *s);
void session_log_end(struct session *s);
void session_log_refusal(const struct session *s, const char *where, const char *sender,
	const char *recipient, const char *reply);
/* The same for another action than "reject". */
void session_log_action(const struct session *s, const char *action, const char *where, const char *sender,
	const char *recipient, const char *reply);
void session_log_client(const struct session *s);
void session_log_pipelining(const struct session *s, const char *where);
void session_log_non_smtp(const struct session *s, struct str line);

#endif
