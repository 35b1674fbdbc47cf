/* What is inside the cleanup library; only the files of this folder include it. */
#ifndef CLEANUP_CLEANUP_PRIVATE_H
#define CLEANUP_CLEANUP_PRIVATE_H

#include "base/hash.h"
#include "cleanup/cleanup.h"

struct byte_set {
	bool any;
	bool has[256];
};

struct cleanup_env {
	const struct config *cfg;
	struct spool *spool;
	struct resolver *resolver;
	struct queue_notifier *notifier;
	struct byte_set strip, reject; /* message_strip_characters, message_reject_characters */
	struct hash *drop_headers;     /* names in lower case */
};

enum { /* primary headers that were seen; the Resent- ones are shifted by SEEN_RESENT */
	SEEN_FROM = 1,
	SEEN_DATE = 2,
	SEEN_MESSAGE_ID = 4,
	SEEN_RECIPIENTS = 8, /* To, Cc, Bcc */
	SEEN_RESENT = 4	     /* shift */
};

struct cleanup {
	struct cleanup_env *env;
	struct cleanup_options options;
	struct pool *pool;
	struct spool_writer *writer; /* NULL once the message is lost */
	struct queue_id id;
	int64_t arrival_us;

	enum cleanup_status status;
	const char *dsn, *text; /* overrides of the status's own reply, or NULL */

	struct envelope
		envelope; /* attributes and recipients are heap arrays, their strings are the pool's */
	size_t attribute_cap, recipient_cap;
	struct hash *known; /* recipients, for the duplicate filter */
	const char *redirect; /* the only recipient there will be, or NULL */

	bool in_body;
	bool mid_line;	    /* the last piece was partial */
	size_t line_length; /* bytes of the present line so far */
	int seen;
	int hops;
	bool id_logged;
	struct buf header; /* the present logical header, lines joined by CRLF; empty: none */
	struct buf scratch;
};

/* The message is lost; the first reason stays. Returns false. */
bool cleanup_fail(struct cleanup *c, enum cleanup_status status, const char *dsn, const char *text);

/* An attribute of our own, whatever queue_file_attribute_count_limit says. */
void cleanup_note(struct cleanup *c, const char *name, const char *value);

/* Puts the target of a redirect in the place of all recipients. */
void cleanup_settle_recipients(struct cleanup *c);

/* Writes one line (or a piece of it) to the spool and notes what it tells about the content. */
bool cleanup_write(struct cleanup *c, struct str line, bool partial);
bool cleanup_write_lines(struct cleanup *c, struct str text); /* lines joined by CRLF; each is ended */

/* A logical header is complete in c->header: drops it or writes it, and takes notes. */
bool cleanup_header(struct cleanup *c);
/* The length of the field name of a header line, blanks before the colon not counted; 0: not a header (RFC
 * 5322 section 2.2). */
size_t cleanup_header_name(struct str line);
/* Message-Id:, Date:, From: and To: where they are missing and ours to add. */
bool cleanup_missing_headers(struct cleanup *c);
void cleanup_log_id(struct cleanup *c, struct str value, bool resent);

/* Parses "\0\r\033": false with err on an unknown escape. */
bool byte_set_parse(struct byte_set *set, const char *text, struct err *err);
bool byte_set_hits(const struct byte_set *set, struct str s);

#endif
