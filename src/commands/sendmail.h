/* sendmail(1): the parts of the program. */
#ifndef COMMANDS_SENDMAIL_H
#define COMMANDS_SENDMAIL_H

#include "config/config.h"
#include "ipc/submission_pipe.h"
#include "mail/address_list.h"

enum sendmail_mode {
	MODE_SUBMIT,
	MODE_VERIFY, /* -bv: no message, a report of what would become of one */
	MODE_LIST,
	MODE_FLUSH,
	MODE_FLUSH_ID,
	MODE_FLUSH_SITE,
	MODE_ALIASES,
	MODE_SMTP,
	MODE_DAEMON,
	MODE_NOTHING /* -bh, -bH: databases that are not there */
};

struct sendmail {
	enum sendmail_mode mode;
	const char *argument;	    /* of MODE_FLUSH_ID and MODE_FLUSH_SITE; -oA of MODE_ALIASES, or NULL */
	const char *alias_database; /* -oA; NULL: not given */
	const char *config_dir;	    /* -C; NULL: not given */
	const struct config *cfg;
	const char *from, *full_name, *envid, *body, *verp;
	const char *sender; /* the address of -f; NULL: not given, or not known yet */
	bool verp_wanted;
	enum dsn_ret ret;
	int notify;
	bool header_recipients; /* -t */
	bool interval; /* -q with an interval, which is queue_run_delay's: a mail system is meant to run, not
			  a message to be sent */
	bool dots_are_text; /* -i */
	bool gateway;	    /* -G */
	int verbose;
	struct address_list recipients;
};

/* Every error ends here: the message was not accepted. sysexits' EX_TEMPFAIL, as callers know it. */
void sendmail_fail(const char *fmt, ...) __attribute__((noreturn, format(printf, 1, 2)));
/* The same with the sender or the user's name before the text. */
void sendmail_fail_user(const struct sendmail *s, const char *fmt, ...)
	__attribute__((noreturn, format(printf, 2, 3)));

/* sendmail_options.c */
void sendmail_parse(struct sendmail *s, int argc, char **argv);

/* sendmail_message.c: standard input to postdrop. With -t the recipients of the header are added to
 * s->recipients. */
void sendmail_copy(struct sendmail *s, struct submission_pipe *to);
/* The message of MODE_VERIFY: a header. */
void sendmail_probe(const struct sendmail *s, const char *sender, struct submission_pipe *to);

#endif
