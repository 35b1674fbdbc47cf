/*
 * The local delivery agent. A recipient is expanded first, through aliases, .forward files and :include:
 * files, into a plan: a list of final destinations. Then the plan is carried out, and what cannot be done now
 * is put into the queue by itself, so that nothing that was done is done again.
 */
#ifndef LOCAL_LOCAL_H
#define LOCAL_LOCAL_H

#include "base/hash.h"
#include "bounce/bounce_services.h"
#include "deliver/deliver_command.h"
#include "service/agent.h"

/* Where a destination was named. */
enum { ORIGIN_ALIAS = 1, ORIGIN_FORWARD = 2, ORIGIN_INCLUDE = 4 };
/* Where Delivered-To: is written. */
enum { CONTEXT_COMMAND = 1, CONTEXT_FILE = 2, CONTEXT_FORWARD = 4 };

struct local_aliases;

/* What all deliveries of the process share; const after the start. */
struct local_env {
	const struct config *cfg;
	struct spool *spool;
	struct deliver_settings deliver;
	int command_origins, file_origins, propagate; /* ORIGIN_ bits */
	int delivered_contexts;			      /* CONTEXT_ bits */
	struct deliver_user default_rights;	      /* default_privs */
	struct local_aliases *aliases;
	struct maps *command_maps, *transport_maps, *fallback_maps, *filter;
	struct resolver *resolver;
	struct queue_notifier *notifier;
	struct cleanup_env *cleanup;
	struct bounce_services *reports;
	struct bounce_env bounce;
	struct pool *pool;
};

struct local_env *local_env_new(const struct config *cfg, struct spool *spool, struct err *err);
void local_env_free(struct local_env **env);

/* ---- local_value.c: the right-hand side of an alias, a line of a file */
enum local_target_kind { TARGET_ADDRESS, TARGET_COMMAND, TARGET_FILE, TARGET_INCLUDE };
struct local_target {
	enum local_target_kind kind;
	const char *text; /* an address in internal form (a leading '\' stays), a command, a path */
};
struct local_targets {
	struct local_target *list;
	size_t count, cap;
};
/* Adds what the text names; all memory is the pool's. What cannot be read as addresses is left out. */
void local_value_parse(struct pool *pool, struct str text, struct local_targets *out);

/* ---- local_alias.c */
struct local_aliases *local_aliases_open(
	const char *list, struct err *err); /* logs what is wrong with tables */
void local_aliases_close(struct local_aliases **aliases);
/* owner: of the file of the table that had the name; root where a table has no file. */
enum table_status local_aliases_find(struct local_aliases *aliases, const char *name, bool part,
	struct buf *value, uid_t *owner, struct err *err);

/* ---- local_file.c: .forward and :include: files */
enum local_file { LOCAL_FILE_READ, LOCAL_FILE_ABSENT, LOCAL_FILE_REFUSED, LOCAL_FILE_TROUBLE };
/* Reads a file of a user's, with the user's rights (NULL: with our own). Refused: not a regular file, open to
 * the world, or (owned_by_user) of somebody else. The reason is in err. */
enum local_file local_file_read(const char *path, const struct deliver_user *user, bool owned_by_user,
	struct buf *text, uid_t *owner, struct err *err);

/* ---- a recipient's name, and $names made of it */
struct local_name {
	const char *address; /* as it was given */
	const char *local;   /* in lower case: user, delimiter and extension */
	const char *user;    /* without extension */
	const char *extension, *domain;
	char delimiter[2]; /* what stood there, or the first of recipient_delimiter */
};
struct local_name local_name_of(const struct local_env *env, struct pool *pool, const char *address);
/* Expands $user, $home, ... in a parameter's value, each value filtered (NULL: as it is). path: no value of
 * the mail's brings a '/' in. */
bool local_names_expand(const char *text, const struct local_name *name, const struct deliver_user *user,
	const char *filter, bool path, struct buf *out, struct err *err);

/* ---- the plan */
struct local_where {
	struct local_name name;
	int origin;			   /* ORIGIN_; 0: the envelope */
	const char *alias;		   /* the alias being expanded, or NULL */
	const char *forward;		   /* the user whose .forward this is, or NULL */
	const struct deliver_user *rights; /* whose commands and files these are; NULL: default_privs' */
	const char *sender, *delivered, *original;
	bool owner;	       /* a list with an owner: errors go there, members' mail is new mail */
	bool indirect;	       /* from a user's file or an :include: file: every address becomes new mail */
	bool relayed;	       /* luser_relay has had its say */
	bool bare;	       /* "\name": the mailbox and nothing else */
	int aliases, includes; /* depth */
};

enum local_kind { LEAF_MAILBOX, LEAF_COMMAND, LEAF_FILE, LEAF_ADDRESS, LEAF_PASS, LEAF_FAILED };
struct local_leaf {
	enum local_kind kind;
	const char *text; /* command, path, address, transport:nexthop */
	struct local_where where;
	const struct deliver_user *user; /* LEAF_MAILBOX */
	const struct dsn *dsn;		 /* what became of it; NULL: not done yet */
};

/* One recipient of a request. */
struct local_plan {
	const struct local_env *env;
	struct agent_delivery *agent;
	struct pool *pool;
	struct spool_reader *reader;
	const struct delivery_recipient *recipient;
	size_t index; /* of the recipient, in the request */
	struct local_leaf *leaves;
	size_t count, cap;
	struct hash *seen;	   /* what is in the plan already */
	size_t named;		   /* destinations that aliases and files named, the same ones too */
	bool expanded, owned;	   /* by aliases or files; by a list with an owner */
	const struct dsn *trouble; /* a table or file could not be asked: try again later */
	bool corrupt;		   /* the queue file is damaged */
};

/* Fills the plan; an empty one with trouble: nothing may be done now. */
void local_expand(struct local_plan *plan);
void local_expand_user(struct local_plan *plan, const struct local_where *where);
/* The addresses, commands and files that text names, on behalf of `where`. */
void local_expand_targets(
	struct local_plan *plan, const struct local_where *where, const struct local_targets *targets);
/* The same for lines of a file. */
void local_expand_text(struct local_plan *plan, const struct local_where *where, struct str text);
void local_expand_address(struct local_plan *plan, const struct local_where *where, const char *address);
/* Adds a destination unless the plan has it. NULL: it has. */
struct local_leaf *local_plan_add(
	struct local_plan *plan, enum local_kind kind, const char *text, const struct local_where *where);
void local_plan_fail(struct local_plan *plan, const struct local_where *where, const struct dsn *dsn);
/* As whom commands and files of `where` are done. */
const struct deliver_user *local_rights(const struct local_env *env, const struct local_where *where);

/* Delivers to a mailbox, command or file and returns the outcome. */
const struct dsn *local_leaf_deliver(struct local_plan *plan, const struct local_leaf *leaf);

/* ---- local_resend.c: new mail. Both return NULL and the new id, or what went wrong. */
const struct dsn *local_resend_addresses(
	struct local_plan *plan, const struct local_leaf *first, struct queue_id *id);
/* For one destination alone. */
const struct dsn *local_resend_leaf(
	struct local_plan *plan, const struct local_leaf *leaf, struct queue_id *id);
bool local_same_message(const struct local_leaf *a, const struct local_leaf *b);
/* What local_resend_leaf left in the envelope: the mailbox is meant, whatever aliases say; whether the leaf
 * is the one it is about. */
bool local_is_for_mailbox(const struct local_plan *plan);
bool local_is_wanted(const struct local_plan *plan, const struct local_leaf *leaf);

/* Tells the sender of destinations that failed. false: the report could not be made. */
bool local_report(struct local_plan *plan);

/* Expands and delivers a recipient and decides it; its log lines are written. */
void local_recipient(struct local_plan *plan);
/* Expands a recipient and decides it by what would be done; delivers nothing. */
void local_probe(struct local_plan *plan);

#endif
