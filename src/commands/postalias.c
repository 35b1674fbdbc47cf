/* postalias(1): makes, changes and asks alias databases (aliases(5)). */
#include "commands/command_log.h"
#include "commands/map_command.h"
#include "mail/address_token.h"

/* Whether a blank keeps the two apart. */
static bool are_apart(const struct address_token *a, const struct address_token *b)
{
	if (address_token_is(b, '<'))
		return !address_token_is(a, ',');
	return (address_token_is_word(a) || a->type == TOKEN_COMMENT) &&
	       (address_token_is_word(b) || b->type == TOKEN_COMMENT);
}

static void join(const struct address_token *tokens, size_t count,
	void (*add)(const struct address_token *, struct buf *), struct buf *out)
{
	for (size_t i = 0; i < count; i++) {
		if (i > 0 && are_apart(&tokens[i - 1], &tokens[i]))
			buf_putc(out, ' ');
		add(&tokens[i], out);
		if (address_token_is(&tokens[i], ','))
			buf_putc(out, ' ');
	}
}

/* Without items that are empty. */
static size_t close_up(struct address_token *tokens, size_t count)
{
	size_t kept = 0;

	for (size_t i = 0; i < count; i++) {
		if (!address_token_is(&tokens[i], ',') ||
			(kept > 0 && !address_token_is(&tokens[kept - 1], ',')))
			tokens[kept++] = tokens[i];
	}
	if (kept > 0 && address_token_is(&tokens[kept - 1], ','))
		kept--;
	return kept;
}

static bool has(const struct address_token *tokens, size_t count, char special)
{
	for (size_t i = 0; i < count; i++) {
		if (address_token_is(&tokens[i], special))
			return true;
	}
	return false;
}

static bool split_tokens(const char *where, struct address_tokens *line, struct buf *key, struct buf *value)
{
	struct address_token *members;
	size_t name = 0, count;

	while (name < line->count && !address_token_is(&line->list[name], ':'))
		name++;
	members = line->list + (name < line->count ? name + 1 : name);
	count = close_up(members, (size_t)(line->list + line->count - members));
	join(line->list, name, address_token_text, key);
	join(members, count, address_token_write, value);
	if (key->len == 0 || value->len == 0 || has(line->list, name, ',')) {
		command_say(LOGL_WARNING, "%s: need name:value pair", where);
		return false;
	}
	if (has(line->list, name, '@') || has(line->list, name, '%')) {
		command_say(LOGL_WARNING, "%s: name must be local", where);
		return false;
	}
	return true;
}

/* The words of a line are those of addresses (RFC 5322): what is quoted, or behind a backslash, stays one
 * word. */
static bool split(const char *where, struct str line, struct buf *key, struct buf *value)
{
	struct address_tokens tokens;
	bool ok;

	address_tokenize(line, line.n, &tokens);
	ok = split_tokens(where, &tokens, key, value);
	address_tokens_free(&tokens);
	return ok;
}

int main(int argc, char **argv)
{
	struct map_command m = {
		.program = "postalias",
		.letters = "+Nc:d:fijnopq:rsuvw",
		.usage = "postalias [-Nfijnoprsuvw] [-c config_dir] [-d key] [-q key] [map_type:]file...",
		.separator = ":\t",
		.split = split,
	};

	return map_command_main(&m, argc, argv);
}
