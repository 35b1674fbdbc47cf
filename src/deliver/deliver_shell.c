#include "deliver/deliver_command.h"

/* What the shell takes as it stands. */
#define PLAIN "1234567890!@%-_=+:,./abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ \t\r\n"
#define BLANKS " \t\r\n"

/* Names that mean something to the shell alone (POSIX, XCU 2.9 and 2.14). */
static const char *const builtins[] = {"!", ".", ":", "alias", "bg", "break", "case", "cd", "command",
	"continue", "eval", "exec", "exit", "export", "fc", "fg", "for", "getopts", "hash", "if", "jobs",
	"read", "readonly", "return", "set", "shift", "source", "times", "trap", "type", "ulimit", "umask",
	"unalias", "unset", "until", "wait", "while"};

static bool needs_shell(const char *command)
{
	struct str rest = str_c(command), first = {"", 0};

	if (strspn(command, PLAIN) != strlen(command) || !str_word(&rest, BLANKS, &first))
		return true;
	if (str_find(first, '=') >= 0)
		return true;
	for (size_t i = 0; i < sizeof(builtins) / sizeof(builtins[0]); i++) {
		if (str_is(first, builtins[i]))
			return true;
	}
	return false;
}

/* Room for the words of both and two more. */
static const char **room_for(struct pool *pool, const char *a, const char *b)
{
	return pool_alloc(pool, (strlen(a) / 2 + strlen(b) / 2 + 6) * sizeof(const char *));
}

static size_t add_words(struct pool *pool, const char *text, const char **words)
{
	struct str rest = str_c(text), word;
	size_t n = 0;

	while (str_word(&rest, BLANKS, &word))
		words[n++] = pool_strndup(pool, word.p, word.n);
	return n;
}

const char *const *deliver_shell_words(struct pool *pool, const char *command, const char *shell)
{
	const char **words = room_for(pool, command, shell);
	size_t n;

	if (!shell[0] && !needs_shell(command)) {
		add_words(pool, command, words);
		return words;
	}
	n = add_words(pool, shell[0] ? shell : "/bin/sh -c", words);
	words[n] = command;
	return words;
}
