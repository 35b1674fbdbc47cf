#include <errno.h>
#include <getopt.h>

#include "commands/command_log.h"
#include "commands/sendmail.h"

/* Options that callers give to other sendmail programs and that change nothing here are taken without a word.
 * Nothing behind the first recipient is an option.
 */
#define LETTERS "+A:B:C:F:GIL:N:O:R:UV:X:b:cd:e:f:h:imno:p:q::r:tvx"

/* A line break in an address or name could become a line of its own in a header or a mailbox. */
static const char *clean(int letter, const char *value)
{
	if (str_has_control(str_c(value)))
		sendmail_fail("-%c option value has a control character", letter);
	return value;
}

static void parse_mode(struct sendmail *s, const char *value)
{
	static const struct {
		char letter;
		enum sendmail_mode mode;
	} modes[] = {{'m', MODE_SUBMIT}, {'i', MODE_ALIASES}, {'p', MODE_LIST}, {'s', MODE_SMTP},
		{'v', MODE_VERIFY}, {'d', MODE_DAEMON}, {'l', MODE_DAEMON}, {'h', MODE_NOTHING},
		{'H', MODE_NOTHING}};

	for (size_t i = 0; i < sizeof(modes) / sizeof(modes[0]); i++) {
		if (value[0] == modes[i].letter && value[1] == '\0') {
			s->mode = modes[i].mode;
			return;
		}
	}
	sendmail_fail("unsupported: -b%s", value);
}

static void parse_queue(struct sendmail *s, const char *value)
{
	if (!value) {
		s->mode = MODE_FLUSH;
	} else if (value[0] >= '0' && value[0] <= '9') {
		s->interval = true;
	} else if (value[0] == 'I' || value[0] == 'R') {
		s->mode = value[0] == 'I' ? MODE_FLUSH_ID : MODE_FLUSH_SITE;
		s->argument = value + 1;
		if (value[1] == '\0')
			sendmail_fail("specify: -q%s", value[0] == 'I' ? "Iqueueid" : "Rsitename");
	} else {
		sendmail_fail("-q%c is not implemented", value[0]);
	}
}

static void parse_notify(struct sendmail *s, const char *value)
{
	if (!dsn_parse_notify(str_c(value), &s->notify))
		command_say(LOGL_WARNING, "bad -N option value -- ignored");
}

static void parse_return(struct sendmail *s, const char *value)
{
	if (strcasecmp(value, "full") == 0)
		s->ret = RET_FULL;
	else if (strcasecmp(value, "hdrs") == 0)
		s->ret = RET_HDRS;
	else
		command_say(LOGL_WARNING, "bad -R option value -- ignored");
}

static void parse_body(struct sendmail *s, const char *value)
{
	if (strcasecmp(value, "8BITMIME") == 0)
		s->body = "8BITMIME";
	else if (strcasecmp(value, "7BIT") == 0)
		s->body = "7BIT";
	else
		sendmail_fail("-B option needs 8BITMIME or 7BIT");
}

/* -XV and -XVxy are ours; -X logfile is another sendmail's. */
static void parse_extension(struct sendmail *s, const char *value)
{
	if (value[0] != 'V')
		return;
	s->verp_wanted = true;
	if (value[1])
		s->verp = clean('X', value + 1);
}

static void parse_text_option(struct sendmail *s, int letter, const char *value)
{
	switch (letter) {
	case 'C':
		s->config_dir = value;
		break;
	case 'F':
		s->full_name = clean(letter, value);
		break;
	case 'f':
	case 'r':
		s->from = clean(letter, value);
		break;
	case 'o':
		s->dots_are_text |= strcmp(value, "i") == 0;
		if (strcmp(value, "A") == 0)
			sendmail_fail("-oA requires pathname");
		if (value[0] == 'A')
			s->alias_database = value + 1;
		break;
	default:
		break;
	}
}

static void parse_envid(struct sendmail *s, const char *value)
{
	if (value[0] == '\0')
		command_say(LOGL_WARNING, "bad syntax in -V option value -- ignored");
	else
		s->envid = clean('V', value);
}

/* -V was what -XV is now, and mailing list programs know it so: where it stands alone before another option,
 * or with two characters. */
static void parse_old_verp(struct sendmail *s, const char *value, char **argv)
{
	bool apart = value == argv[optind - 1];
	const char *delimiters = apart ? "" : value;

	if (strlen(value) != 2 ||
		(apart ? strcmp(argv[optind - 2], "-V") != 0 : value != argv[optind - 1] + 2)) {
		parse_envid(s, value);
		return;
	}
	if (apart)
		optind--; /* what follows is an argument of its own */
	command_say(LOGL_WARNING, "option -V%s is deprecated with Postfix 2.3; specify -XV%s instead",
		delimiters, delimiters);
	s->verp_wanted = true;
	s->verp = apart ? NULL : clean('V', value);
}

static void parse_option(struct sendmail *s, int letter, char **argv)
{
	switch (letter) {
	case 'B':
		parse_body(s, optarg);
		break;
	case 'G':
		s->gateway = true;
		break;
	case 'N':
		parse_notify(s, optarg);
		break;
	case 'R':
		parse_return(s, optarg);
		break;
	case 'I':
		s->mode = MODE_ALIASES;
		break;
	case 'V':
		parse_old_verp(s, optarg, argv);
		break;
	case 'X':
		parse_extension(s, optarg);
		break;
	case 'b':
		parse_mode(s, optarg);
		break;
	case 'i':
		s->dots_are_text = true;
		break;
	case 'q':
		parse_queue(s, optarg);
		break;
	case 't':
		s->header_recipients = true;
		break;
	case 'v':
		s->verbose++;
		break;
	case '?':
		sendmail_fail("usage: sendmail [options]");
	default:
		parse_text_option(s, letter, optarg);
		break;
	}
}

static void add_recipient(struct sendmail *s, const char *argument)
{
	size_t before = s->recipients.count;

	if (str_has_control(str_c(argument)))
		sendmail_fail_user(s, "recipient address has a control character");
	if (!address_list_parse(str_c(argument), &s->recipients))
		sendmail_fail_user(s, "bad recipient address syntax: %s", argument);
	/* "" is somebody too: empty_address_recipient. */
	if (s->recipients.count == before && !address_list_parse(STR("<>"), &s->recipients))
		sendmail_fail_user(s, "bad recipient address syntax: %s", argument);
}

/* The name under which we were called. */
static enum sendmail_mode mode_of_name(void)
{
	if (strcmp(program_invocation_short_name, "mailq") == 0)
		return MODE_LIST;
	if (strcmp(program_invocation_short_name, "newaliases") == 0)
		return MODE_ALIASES;
	return MODE_SUBMIT;
}

void sendmail_parse(struct sendmail *s, int argc, char **argv)
{
	int c;

	argv[0] = program_invocation_short_name; /* getopt's messages begin with it */
	s->mode = mode_of_name();
	while ((c = getopt(argc, argv, LETTERS)) != -1)
		parse_option(s, c, argv);
	for (; optind < argc; optind++)
		add_recipient(s, argv[optind]);
	if (s->header_recipients && s->mode != MODE_SUBMIT && s->mode != MODE_VERIFY)
		sendmail_fail("-t can be used only in delivery mode");
}
