/* postmap(1): makes, changes and asks lookup tables. */
#include "commands/command_log.h"
#include "commands/map_command.h"

static bool split(const char *where, struct str line, struct buf *key, struct buf *value)
{
	struct str k, v;

	switch (source_pair(line, &k, &v)) {
	case PAIR_UNBALANCED:
		command_say(LOGL_WARNING, "%s: unbalanced '\"' in '" STR_FMT "' -- ignoring this line", where,
			STR_ARG(line));
		return false;
	case PAIR_NO_VALUE:
		command_say(LOGL_WARNING, "%s: expected format: key whitespace value", where);
		return false;
	case PAIR_OK:
		break;
	}
	if (k.p[k.n - 1] == ':')
		command_say(LOGL_WARNING, "%s: record is in \"key: value\" format; is this an alias file?",
			where);
	buf_str(key, k);
	buf_str(value, v);
	return true;
}

int main(int argc, char **argv)
{
	struct map_command m = {
		.program = "postmap",
		.letters = "+NUbc:d:fFhijmnopq:rsuvw",
		.usage = "postmap [-bfFhijmnNoprsuUvw] [-c config_dir] [-d key] [-q key] [map_type:]file...",
		.separator = "\t",
		.split = split,
	};

	return map_command_main(&m, argc, argv);
}
