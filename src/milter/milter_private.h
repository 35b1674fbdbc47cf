/* Inside of the milter layer. */
#ifndef MILTER_MILTER_PRIVATE_H
#define MILTER_MILTER_PRIVATE_H

#include "base/cursor.h"
#include "base/mem.h"
#include "base/stream.h"
#include "milter/milter.h"

/* Commands to the filter, and its answers: the letters of the protocol. */
enum {
	CMD_ABORT = 'A',
	CMD_BODY = 'B',
	CMD_CONNECT = 'C',
	CMD_MACRO = 'D',
	CMD_END_OF_BODY = 'E',
	CMD_HELO = 'H',
	CMD_HEADER = 'L',
	CMD_MAIL = 'M',
	CMD_END_OF_HEADER = 'N',
	CMD_OPTIONS = 'O',
	CMD_QUIT = 'Q',
	CMD_RCPT = 'R',
	CMD_DATA = 'T',
	CMD_UNKNOWN = 'U'
};
enum {
	ANSWER_ADD_RCPT = '+',
	ANSWER_DELETE_RCPT = '-',
	ANSWER_ADD_RCPT_OPTIONS = '2',
	ANSWER_SHUTDOWN = '4',
	ANSWER_ACCEPT = 'a',
	ANSWER_REPLACE_BODY = 'b',
	ANSWER_CONTINUE = 'c',
	ANSWER_DISCARD = 'd',
	ANSWER_CHANGE_SENDER = 'e',
	ANSWER_ADD_HEADER = 'h',
	ANSWER_INSERT_HEADER = 'i',
	ANSWER_CHANGE_HEADER = 'm',
	ANSWER_PROGRESS = 'p',
	ANSWER_QUARANTINE = 'q',
	ANSWER_REJECT = 'r',
	ANSWER_SKIP = 's',
	ANSWER_TEMPFAIL = 't',
	ANSWER_REPLY = 'y'
};

/* What a filter may do. */
enum {
	MAY_ADD_HEADERS = 0x1,
	MAY_CHANGE_BODY = 0x2,
	MAY_ADD_RCPT = 0x4,
	MAY_DELETE_RCPT = 0x8,
	MAY_CHANGE_HEADERS = 0x10,
	MAY_QUARANTINE = 0x20,
	MAY_CHANGE_SENDER = 0x40,
	MAY_ADD_RCPT_OPTIONS = 0x80,
	MAY_LIST_MACROS = 0x100,
	MAY_ALL = 0x1ff
};

/* What it does not want to see (NO_), what it does not answer (MUTE_), and the rest of the protocol's bits.
 */
enum {
	NO_CONNECT = 0x1,
	NO_HELO = 0x2,
	NO_MAIL = 0x4,
	NO_RCPT = 0x8,
	NO_BODY = 0x10,
	NO_HEADERS = 0x20,
	NO_END_OF_HEADER = 0x40,
	MUTE_HEADER = 0x80,
	NO_UNKNOWN = 0x100,
	NO_DATA = 0x200,
	KNOWS_SKIP = 0x400,
	WANTS_REFUSED_RCPT = 0x800,
	MUTE_CONNECT = 0x1000,
	MUTE_HELO = 0x2000,
	MUTE_MAIL = 0x4000,
	MUTE_RCPT = 0x8000,
	MUTE_DATA = 0x10000,
	MUTE_UNKNOWN = 0x20000,
	MUTE_END_OF_HEADER = 0x40000,
	MUTE_BODY = 0x80000,
	WANTS_LEADING_BLANK = 0x100000
};

/* Lists of macros: the stages whose lists a filter may set are numbered so by the protocol. */
enum macro_list {
	MACROS_CONNECT,
	MACROS_HELO,
	MACROS_MAIL,
	MACROS_RCPT,
	MACROS_DATA,
	MACROS_END_OF_BODY,
	MACROS_END_OF_HEADER,
	MACROS_BY_FILTER, /* so many */
	MACROS_UNKNOWN = MACROS_BY_FILTER,
	MACRO_LISTS
};

enum default_action {
	DEFAULT_TEMPFAIL,
	DEFAULT_ACCEPT,
	DEFAULT_REJECT,
	DEFAULT_QUARANTINE,
	DEFAULT_SHUTDOWN
};

/* One filter of the configuration. */
struct milter_spec {
	const char *endpoint; /* NULL: see the set's problem */
	int version;
	uint32_t protocol; /* bits that the version knows */
	enum default_action otherwise;
	int connect_timeout, command_timeout, content_timeout; /* seconds */
};

struct macro_default {
	struct str name, value;
};

struct milter_set {
	struct pool *pool;
	const struct config *cfg;
	struct milter_spec *specs;
	size_t count;
	const char *macros[MACRO_LISTS];
	struct macro_default *defaults; /* milter_macro_defaults */
	size_t default_count;
	const char *problem;
};

/* A connection to one filter. */
struct filter {
	struct milters *session;
	const struct milter_spec *spec;
	struct stream *io; /* NULL: none now */
	struct buf packet; /* the last one read, without its letter */
	int version;
	uint32_t actions, protocol;
	char *macros[MACROS_BY_FILTER]; /* lists that the filter asked for; NULL: ours */
	bool told_connect, told_helo, told_mail;
	bool accepts_session, accepts_message; /* wants to see no more of it */
	bool skip_body;
	/* What stands until the next message (passing) or to the end of the session. */
	struct milter_verdict standing;
	bool passing;
	char *reply; /* text of the last verdict */
};

struct milters {
	const struct milter_set *set;
	struct milter_host host;
	struct buf connect, helo; /* payloads of what was said; empty: nothing yet */
	struct filter *filters;
	size_t count;
};

/* ---- milter_wire.c: packets */
#define WIRE_PACKET_MAX (1u << 20) /* of a packet from a filter */
void wire_begin(struct filter *f, int letter, size_t payload);
void wire_put(struct filter *f, const void *data, size_t n);
void wire_packet(struct filter *f, int letter, struct str payload);
/* The next packet into f->packet: its letter; -1 with err. */
int wire_read(struct filter *f, struct err *err);
void wire_string(struct buf *payload, struct str text);	   /* with its NUL */
bool wire_take_string(struct cursor *c, struct str *text); /* up to a NUL, which is taken too */
bool wire_take_number(struct cursor *c, uint32_t *out);	   /* in network order */

/* ---- milter_reply.c */
/* What a filter wants the client to be told: false: it is no SMTP reply of 4xx or 5xx. Into out, "%%" undone.
 */
bool reply_parse(struct str text, struct buf *out);
const char *reply_for_answer(int answer); /* of REJECT, TEMPFAIL, SHUTDOWN */

/* ---- milter_filter.c: one filter */

struct filter_event {
	int letter;
	enum macro_list macros;
	uint32_t unwanted, mute; /* protocol bits */
	bool of_session;	 /* CONNECT, HELO: a decision stands as long as the session */
	int version;		 /* of the protocol that has it; 0: any */
	struct str payload;
};
/* The event with its macros, and what the filter makes of it. */
struct milter_verdict filter_send(struct filter *f, const struct filter_event *e);
/* The event alone; it may stay in the buffer when there will be no answer. */
struct milter_verdict filter_show(struct filter *f, const struct filter_event *e);
/* Connected, and told of connection and name: anything but GO_ON decides instead. */
struct milter_verdict filter_catch_up(struct filter *f);
void filter_macros(struct filter *f, int letter, enum macro_list list);
/* The connection is of no use any more: the default action stands until the next message. */
struct milter_verdict filter_fail(struct filter *f, const char *fmt, ...)
	__attribute__((format(printf, 2, 3)));
/* The answer was one of those that end an event. */
struct milter_verdict filter_decide(struct filter *f, int answer, bool of_session);
struct milter_verdict filter_refuse(struct filter *f, const char *reply, bool of_session);
void filter_close(struct filter *f, bool politely);
bool filter_asleep(const struct filter *f); /* has nothing to see of this message */

/* ---- milter_message.c */
struct milter_verdict filter_message(struct filter *f, const struct milter_message *message);

/* ---- milter_open.c: connection and options */
bool filter_open(struct filter *f, struct err *err);
bool filter_begin(struct filter *f, int fd, struct err *err); /* takes the connection over */

#endif
