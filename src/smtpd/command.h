/* Commands: one table {verb, function, flags}, one file per verb (cmd_*.c). */
#ifndef SMTPD_COMMAND_H
#define SMTPD_COMMAND_H

#include "base/str.h"

struct session;

/* The row order is the order of the counts in the log. COMMAND(id, verb, function, flags) */
#define COMMANDS(COMMAND)                                                                                    \
	COMMAND(HELO, "HELO", cmd_helo, FLAG_LAST | FLAG_BEFORE_TLS)                                         \
	COMMAND(EHLO, "EHLO", cmd_ehlo, FLAG_LAST | FLAG_BEFORE_TLS)                                         \
	COMMAND(XCLIENT, "XCLIENT", cmd_xclient, FLAG_BEFORE_TLS)                                            \
	COMMAND(XFORWARD, "XFORWARD", cmd_xforward, 0)                                                       \
	COMMAND(STARTTLS, "STARTTLS", cmd_starttls, FLAG_LAST | FLAG_BEFORE_TLS)                             \
	COMMAND(AUTH, "AUTH", cmd_auth, FLAG_LAST)                                                           \
	COMMAND(MAIL, "MAIL", cmd_mail, 0)                                                                   \
	COMMAND(RCPT, "RCPT", cmd_rcpt, 0)                                                                   \
	COMMAND(DATA, "DATA", cmd_data, FLAG_LAST)                                                           \
	COMMAND(BDAT, "BDAT", cmd_bdat, 0)                                                                   \
	COMMAND(RSET, "RSET", cmd_rset, FLAG_JUNK)                                                           \
	COMMAND(NOOP, "NOOP", cmd_noop, FLAG_JUNK | FLAG_BEFORE_TLS | FLAG_LAST)                             \
	COMMAND(VRFY, "VRFY", cmd_vrfy, FLAG_JUNK | FLAG_LAST)                                               \
	COMMAND(ETRN, "ETRN", cmd_etrn, FLAG_JUNK)                                                           \
	COMMAND(QUIT, "QUIT", cmd_quit, FLAG_BEFORE_TLS)

enum command_flag {
	FLAG_LAST = 1,	    /* the client must wait for the reply (RFC 2920 section 3.1) */
	FLAG_JUNK = 2,	    /* counts towards smtpd_junk_command_limit */
	FLAG_BEFORE_TLS = 4 /* allowed where TLS is required and not yet on */
};

enum command_id {
#define COMMAND(id, verb, function, flags) CMD_##id,
	COMMANDS(COMMAND)
#undef COMMAND
		CMD_UNKNOWN,
	CMD_COUNT
};

struct command_counts {
	unsigned total[CMD_COUNT], good[CMD_COUNT];
};

/* A command gets the text after its verb; it replies. false: the client made an error. */
typedef bool command_fn(struct session *s, struct str rest);

#define COMMAND(id, verb, function, flags) command_fn function;
COMMANDS(COMMAND)
#undef COMMAND

const char *command_name(enum command_id id);
/* Runs one command line. */
void command_run(struct session *s, struct str line);
/* "ehlo=1 mail=1/2 ... commands=5/6" into out; "" when there was none. */
const char *command_counts_text(const struct command_counts *c, char *out, size_t size);

#endif
