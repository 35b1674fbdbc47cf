/* What is inside the cleanup library; only the files of this folder include it. */
#ifndef CLEANUP_CLEANUP_PRIVATE_H
#define CLEANUP_CLEANUP_PRIVATE_H

#include "base/hash.h"
#include "cleanup/cleanup.h"
#include "mail/mime.h"
#include "milter/milter.h"
#include "rewrite/mapping.h"

struct byte_set {
	bool any;
	bool has[256];
};

/* A parameter with tables of header_checks(5). */
struct content_check {
	const char *parameter;
	struct maps *maps;
	bool header; /* sees headers, not body lines */
};

/* What becomes of a line that was checked. */
struct check_outcome {
	bool drop;
	bool replaced;	       /* by c->replacement */
	const char *prepended; /* to be written before it, or NULL; in the message's pool */
};

struct cleanup_env {
	const struct config *service_cfg; /* of the program that brings the mail: receive_override_options,
					     content_filter */
	const struct config *cfg;	  /* of the cleanup service: everything else */
	const struct config *own_cfg;	  /* when it is ours to free, with a resolver of its own; else NULL */
	struct resolver *own_resolver;
	struct spool *spool;
	struct resolver *resolver;
	struct queue_notifier *notifier;
	struct byte_set strip, reject; /* message_strip_characters, message_reject_characters */
	struct hash *drop_headers;     /* names in lower case */

	bool map_addresses; /* receive_override_options has no no_address_mappings */
	bool check_content; /* ... no no_header_body_checks */
	bool use_milters;   /* ... no no_milters */
	struct content_check header_checks, mime_header_checks, nested_header_checks, body_checks;
	struct content_check milter_header_checks;
	struct milter_set *milters;	 /* non_smtpd_milters: for mail that did not come by SMTP */
	bool strict_header, strict_body; /* 8-bit text where it does not belong is refused */
	bool report_nesting;		 /* mime_nesting_limit refuses mail */
	bool look_inside;		 /* some check or strict_ parameter wants to see content */
	bool follow_mime;		 /* ... and its MIME structure */
	struct mapping *mapping;
};

enum { /* primary headers that were seen; the Resent- ones are shifted by SEEN_RESENT */
	SEEN_FROM = 1,
	SEEN_DATE = 2,
	SEEN_MESSAGE_ID = 4,
	SEEN_RECIPIENTS = 8, /* To, Cc */
	SEEN_OTHER = 16,     /* of a message that was sent again: any other */
	SEEN_RESENT = 5	     /* shift */
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
	struct hash *known;	    /* recipients, for the duplicate filter */
	const char *redirect;	    /* the only recipient there will be, or NULL */
	const char *last_recipient; /* that was given, for log lines; or NULL */

	bool discard;		/* accepted, and thrown away */
	bool unchecked;		/* no content check is asked any more */
	struct mime *mime;	/* NULL: nobody asks for the structure */
	int mime_faults;	/* bits */
	size_t body_offset;	/* of the next line in its body segment */
	struct buf action;	/* what a table said */
	struct buf replacement; /* see struct check_outcome */

	bool started;	     /* something of the message itself was seen; what is prepended does not count */
	bool header_is_own;  /* the present header is one that the server itself puts first */
	size_t own_headers;  /* how many of those were written */
	uint64_t body_start; /* offset of the body in the content; 0: no empty line ended the header yet */
	const char *reply;   /* see struct cleanup_result */
	bool in_body;
	bool utf8_header;   /* the message's own header has bytes beyond ASCII */
	bool mid_line;	    /* the last piece was partial */
	size_t line_length; /* bytes of the present line so far */
	int seen;
	int hops;
	bool id_logged;
	struct buf header;   /* the present logical header, lines joined by CRLF; empty: none */
	size_t header_folds; /* line ends that joined them */
	struct buf scratch;
};

/* Nobody asks what is in the message. */
static inline bool cleanup_is_trusted(const struct cleanup_options *options)
{
	return options->internal || options->forwarded;
}

/* The message is lost; the first reason stays. Returns false. */
bool cleanup_fail(struct cleanup *c, enum cleanup_status status, const char *dsn, const char *text);

/* An attribute of our own, whatever queue_file_attribute_count_limit says. */
void cleanup_note(struct cleanup *c, const char *name, const char *value);
void cleanup_set_note(
	struct cleanup *c, const char *name, const char *value); /* ... instead of what was noted before */

/* A warning with the message's queue id. */
void cleanup_complain(struct cleanup *c, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/* A table could not be asked: complains, and the message is lost. Returns false. */
bool cleanup_map_trouble(struct cleanup *c, const char *maps, const char *address, const struct err *err);
/* Canonical tables and masquerading for an address in standard form. false: the message is lost. */
bool cleanup_map_address(struct cleanup *c, int class, struct buf *address);
/* What an envelope address becomes by standard form, tables and masquerading; in the message's pool. */
const char *cleanup_canonical_form(struct cleanup *c, int class, const char *address);
/* Adds what virtual alias expansion makes of the recipient. false: the message is lost. */
bool cleanup_expand(struct cleanup *c, const struct spool_recipient *rcpt);
void cleanup_add_recipient(struct cleanup *c, const struct spool_recipient *rcpt);
/* Automatic BCC recipients: for each recipient, and once for the message. */
bool cleanup_recipient_bcc(struct cleanup *c, const char *address);
bool cleanup_message_bcc(struct cleanup *c);

bool cleanup_add_bcc(struct cleanup *c, const char *address); /* one more recipient, nobody is told of */

/* Tables of content checks: opened by the environment's own configuration. */
bool cleanup_open_checks(struct cleanup_env *env, struct err *err);
void cleanup_close_checks(struct cleanup_env *env);
void cleanup_check_warnings(const struct cleanup_env *env, table_warn_fn warn, void *arg);
/* Asks the tables about a line and does what they say. false: the message is lost. */
bool cleanup_check(
	struct cleanup *c, const struct content_check *check, struct str text, struct check_outcome *outcome);
/* The beginning of text as a C string in out; '?' for NUL bytes and, without SMTPUTF8, for what is not ASCII.
 */
const char *cleanup_shown(const struct cleanup *c, struct str text, char *out, size_t size);
/* The log line of an action on content; reason may be NULL; at most 200 bytes of text are shown. */
void cleanup_log_content(
	struct cleanup *c, const char *action, const char *where, struct str text, const char *reason);

/* What the next line belongs to. */
enum mime_section cleanup_section(const struct cleanup *c);
void cleanup_mime_end_header(struct cleanup *c, bool empty);
/* The header in c->header, which may be replaced. false: the message is lost. */
bool cleanup_check_header(struct cleanup *c, bool *drop);
/* A line of the body, or a piece of it; *line may be replaced. false: the message is lost. */
bool cleanup_check_body(struct cleanup *c, struct str *line, bool begins, bool ends, bool *drop);
/* At the end: faults of MIME form lose the message. */
bool cleanup_mime_verdict(struct cleanup *c);

/* Shows the message to milters, those of its session or those for mail without one, and does what they want
 * to be done with it. false: the message is lost. */
bool cleanup_inspect(struct cleanup *c);
bool cleanup_show(struct cleanup *c, struct milters *milters); /* to these */
/* Does what a milter decided at an event. false: the message is lost. */
bool cleanup_follow(struct cleanup *c, const char *where, struct milter_verdict verdict);
void cleanup_log_milter(struct cleanup *c, const char *action, const char *where, const char *text);
/* Takes a recipient off: how often it was there. The duplicate filter forgets it. */
size_t cleanup_remove_recipient(struct cleanup *c, const char *address);
/* One more recipient, in canonical form already. */
bool cleanup_extra_recipient(struct cleanup *c, const char *address, const char *orcpt, int notify);
/* Flags of the envelope that a line of the content, or the next piece of one, makes necessary. */
void cleanup_note_line(struct cleanup *c, struct str line, bool partial);

/* Puts the target of a redirect in the place of all recipients; the options are those of the first one in the
 * order of domains and addresses, as Postfix has it. */
void cleanup_settle_recipients(struct cleanup *c);

/* Writes one line (or a piece of it) to the spool and notes what it tells about the content. */
bool cleanup_write(struct cleanup *c, struct str line, bool partial);
bool cleanup_write_lines(struct cleanup *c, struct str text); /* lines joined by CRLF; each is ended */

/* A logical header is complete in c->header: drops it or writes it, and takes notes. */
bool cleanup_header(struct cleanup *c);
/* Rewrites the addresses of c->header. false: the message is lost. */
bool cleanup_rewrite_header(struct cleanup *c, int class);
/* Message-Id:, Date:, From: and To: where they are missing and ours to add. */
bool cleanup_missing_headers(struct cleanup *c);
void cleanup_log_id(struct cleanup *c, struct str value, bool resent);
void cleanup_log_no_id(struct cleanup *c); /* if none was logged */

/* Parses "\0\r\033": false with err on an unknown escape. */
bool byte_set_parse(struct byte_set *set, const char *text, struct err *err);
bool byte_set_hits(const struct byte_set *set, struct str s);

#endif
