/* What the server behind a port speaks: seen by sidecars, or else guessed by what its container runs. */
#include <string.h>

#include "analyze/inside.h"

/* Programs and images by which a guess is safe. `but`: a port of theirs where the client speaks first.
 * `image`: not a program; one of that name, if there is any, is a client. */
static const struct {
	const char *word;    /* the program's file name, or the last part of an image's name */
	const char *what;    /* for people */
	const char *declare; /* appProtocol */
	enum speaks speaks;
	uint16_t but;
	bool image;
} programs[] = {
	/* clang-format off */
	{"mysqld",         "a MySQL server",         "mysql", SPEAKS_SERVER_FIRST, 33060, false},
	{"mysqld_safe",    "a MySQL server",         "mysql", SPEAKS_SERVER_FIRST, 33060, false},
	{"mysql",          "a MySQL server",         "mysql", SPEAKS_SERVER_FIRST, 33060, true},
	{"mysql-server",   "a MySQL server",         "mysql", SPEAKS_SERVER_FIRST, 33060, true},
	{"mariadbd",       "a MariaDB server",       "mysql", SPEAKS_SERVER_FIRST, 0, false},
	{"mariadbd-safe",  "a MariaDB server",       "mysql", SPEAKS_SERVER_FIRST, 0, false},
	{"mariadb",        "a MariaDB server",       "mysql", SPEAKS_SERVER_FIRST, 0, true},
	{"percona",        "a MySQL server",         "mysql", SPEAKS_SERVER_FIRST, 33060, true},
	{"percona-server", "a MySQL server",         "mysql", SPEAKS_SERVER_FIRST, 33060, true},
	{"tidb-server",    "a TiDB server",          "mysql", SPEAKS_SERVER_FIRST, 10080, false},
	{"tidb",           "a TiDB server",          "mysql", SPEAKS_SERVER_FIRST, 10080, true},
	{"postfix",        "an SMTP server",         "tcp",   SPEAKS_SERVER_FIRST, 0, false},
	{"exim",           "an SMTP server",         "tcp",   SPEAKS_SERVER_FIRST, 0, false},
	{"exim4",          "an SMTP server",         "tcp",   SPEAKS_SERVER_FIRST, 0, false},
	{"sendmail",       "an SMTP server",         "tcp",   SPEAKS_SERVER_FIRST, 0, false},
	{"opensmtpd",      "an SMTP server",         "tcp",   SPEAKS_SERVER_FIRST, 0, true},
	{"vsftpd",         "an FTP server",          "tcp",   SPEAKS_SERVER_FIRST, 0, false},
	{"proftpd",        "an FTP server",          "tcp",   SPEAKS_SERVER_FIRST, 0, false},
	{"pure-ftpd",      "an FTP server",          "tcp",   SPEAKS_SERVER_FIRST, 0, false},
	{"sshd",           "an SSH server",          "tcp",   SPEAKS_SERVER_FIRST, 0, false},
	{"dropbear",       "an SSH server",          "tcp",   SPEAKS_SERVER_FIRST, 0, false},
	{"openssh-server", "an SSH server",          "tcp",   SPEAKS_SERVER_FIRST, 0, true},
	{"sftp",           "an SSH server",          "tcp",   SPEAKS_SERVER_FIRST, 0, true},
	{"dovecot",        "an IMAP and POP3 server", "tcp",   SPEAKS_SERVER_FIRST, 0, false},
	{"nats-server",    "a NATS server",          "tcp",   SPEAKS_SERVER_FIRST, 8222, false},
	{"nats",           "a NATS server",          "tcp",   SPEAKS_SERVER_FIRST, 8222, true},
	{"innd",           "an NNTP server",         "tcp",   SPEAKS_SERVER_FIRST, 0, false},
	{"rsyncd",         "an rsync server",        "tcp",   SPEAKS_SERVER_FIRST, 0, false},
	{"Xvnc",           "a VNC server",           "tcp",   SPEAKS_SERVER_FIRST, 0, false},
	{"x11vnc",         "a VNC server",           "tcp",   SPEAKS_SERVER_FIRST, 0, false},
	{"svnserve",       "a Subversion server",    "tcp",   SPEAKS_SERVER_FIRST, 0, false},
	{"nginx",          "a web server",           "http",  SPEAKS_HTTP,         0, false},
	{"httpd",          "a web server",           "http",  SPEAKS_HTTP,         0, false},
	{"apache2",        "a web server",           "http",  SPEAKS_HTTP,         0, false},
	{"lighttpd",       "a web server",           "http",  SPEAKS_HTTP,         0, false},
	{"caddy",          "a web server",           "http",  SPEAKS_HTTP,         0, false},
	{"postgres",       "a PostgreSQL server",    "tcp",   SPEAKS_OPAQUE,       0, false},
	{"redis-server",   "a Redis server",         "redis", SPEAKS_OPAQUE,       0, false},
	{"redis",          "a Redis server",         "redis", SPEAKS_OPAQUE,       0, true},
	{"valkey-server",  "a Valkey server",        "redis", SPEAKS_OPAQUE,       0, false},
	{"valkey",         "a Valkey server",        "redis", SPEAKS_OPAQUE,       0, true},
	{"mongod",         "a MongoDB server",       "mongo", SPEAKS_OPAQUE,       0, false},
	{"mongo",          "a MongoDB server",       "mongo", SPEAKS_OPAQUE,       0, true},
	{"memcached",      "a memcached server",     "tcp",   SPEAKS_OPAQUE,       0, false},
	{"slapd",          "an LDAP server",         "tcp",   SPEAKS_OPAQUE,       0, false},
	/* clang-format on */
};

/* What a container's port says by its number or name, where nothing is known of the program and nothing is
 * declared. */
static const struct {
	const char *name;
	const char *what;
	const char *declare;
	uint16_t port;
} hints[] = {
	/* clang-format off */
	{"ftp",        "FTP",   "tcp",   21},
	{"ssh",        "SSH",   "tcp",   22},
	{"smtp",       "SMTP",  "tcp",   25},
	{"pop3",       "POP3",  "tcp",   110},
	{"nntp",       "NNTP",  "tcp",   119},
	{"imap",       "IMAP",  "tcp",   143},
	{"submission", "SMTP",  "tcp",   587},
	{"rsync",      "rsync", "tcp",   873},
	{"mysql",      "MySQL", "mysql", 3306},
	{"nats",       "NATS",  "tcp",   4222},
	{"vnc",        "VNC",   "tcp",   5900},
	/* clang-format on */
};

/* Its row; N_ELEMS(programs): none. */
static size_t find(struct slice word, bool image)
{
	size_t i = 0;
	while (i < N_ELEMS(programs) &&
	       (!slice_is(word, programs[i].word) || (programs[i].image && !image)))
		i++;
	return i;
}

static struct slice last_part(struct slice path)
{
	struct slice part = path;
	while (path.len)
		part = slice_cut(&path, '/');
	return part;
}

/* "docker.io/library/mariadb:11" is "mariadb". */
static size_t program_of_image(const char *image)
{
	struct slice name = last_part(slice_of(image));
	name = slice_cut(&name, '@');
	return find(slice_cut(&name, ':'), true);
}

static bool is_assignment(struct slice word)
{
	return slice_find(word, '=') < slice_find(word, '/') && slice_find(word, '=') < word.len;
}

/* The program that one command of a shell's text starts. */
static size_t program_of_statement(struct slice statement)
{
	static const char *const before[] = {"exec", "nohup", "env", "command", "{", "then", "do"};
	while ((statement = slice_trim(statement)).len) {
		struct slice word = slice_cut(&statement, ' ');
		bool prefix = is_assignment(word);
		for (size_t i = 0; i < N_ELEMS(before); i++)
			prefix = prefix || slice_is(word, before[i]);
		if (!prefix)
			return find(last_part(word), false);
	}
	return N_ELEMS(programs);
}

/* Of a shell's text, the last one that is known: what comes before it prepares. */
static size_t program_of_script(struct slice text)
{
	size_t found = N_ELEMS(programs);
	for (size_t from = 0, i = 0; i <= text.len; i++) {
		if (i < text.len && !strchr("\n;&|()", text.at[i]))
			continue;
		size_t p = program_of_statement(slice_sub(text, from, i - from));
		found = p < N_ELEMS(programs) ? p : found;
		from = i + 1;
	}
	return found;
}

static bool is_shell(struct slice name)
{
	static const char *const shells[] = {"sh", "bash", "dash", "ash"};
	for (size_t i = 0; i < N_ELEMS(shells); i++)
		if (slice_is(name, shells[i]))
			return true;
	return false;
}

/* Word I of command and args together; NULL: there are fewer. */
static const char *word_of(const struct container *c, size_t i)
{
	size_t n = 0;
	while (c->command[n])
		n++;
	if (i < n)
		return c->command[i];
	for (size_t k = 0; c->args[k]; k++)
		if (k == i - n)
			return c->args[k];
	return NULL;
}

/* What the container runs, as far as its command says; without one, as its image is called. */
static size_t program_of(const struct container *c)
{
	size_t at = 0;
	const char *word = word_of(c, at);
	if (!word || (!c->command[0] && word[0] == '-'))
		return program_of_image(c->image);
	if (slice_ends(slice_of(word), SLICE("entrypoint.sh")))
		word = word_of(c, ++at);
	if (!word)
		return program_of_image(c->image);
	struct slice name = last_part(slice_of(word));
	if (!is_shell(name))
		return find(name, false);
	size_t found = N_ELEMS(programs);
	while ((word = word_of(c, ++at)))
		if (word[0] != '-') {
			found = program_of_script(slice_of(word));
			break;
		}
	return found;
}

/* The container that listens on PORT: the one that declares it, or the only one. */
static const struct container *container_of(const struct pod_spec *spec, uint16_t port)
{
	for (size_t i = 0; i < spec->n_containers; i++)
		for (size_t j = 0; j < spec->containers[i].n_ports; j++)
			if (spec->containers[i].ports[j].port == port)
				return &spec->containers[i];
	return spec->n_containers == 1 ? &spec->containers[0] : NULL;
}

/* The name that a container gives PORT, or "". */
static const char *name_of(const struct pod_spec *spec, uint16_t port)
{
	for (size_t i = 0; i < spec->n_containers; i++)
		for (size_t j = 0; j < spec->containers[i].n_ports; j++)
			if (spec->containers[i].ports[j].port == port)
				return spec->containers[i].ports[j].name;
	return "";
}

const char *talk_hint(uint16_t port)
{
	for (size_t i = 0; i < N_ELEMS(hints); i++)
		if (hints[i].port == port)
			return hints[i].what;
	return NULL;
}

static bool by_hint(const struct analysis *a, const struct target *t, struct talk *out)
{
	const char *name = name_of(t->group->spec, t->number);
	enum protocol_why why = t->port->why;
	if (why == WHY_NAME || why == WHY_APP_PROTOCOL)
		return false; /* who declares it knows better */
	for (size_t i = 0; i < N_ELEMS(hints); i++) {
		bool by_name = strcmp(name, hints[i].name) == 0;
		if (!by_name && (name[0] || hints[i].port != t->number))
			continue;
		*out = (struct talk){
			.speaks = SPEAKS_SERVER_FIRST,
			.declare = hints[i].declare,
			.why = say(a, "port %u of %s is %s %s", t->number, group_name(a, t->group),
				   by_name ? "called" : "the usual one of",
				   by_name ? name : hints[i].what),
		};
		return true;
	}
	return false;
}

static bool guess(const struct analysis *a, const struct target *t, struct talk *out)
{
	const struct container *c = container_of(t->group->spec, t->number);
	size_t p = c && t->number ? program_of(c) : N_ELEMS(programs);
	if (p == N_ELEMS(programs))
		return by_hint(a, t, out);
	if (programs[p].but && programs[p].but == t->number)
		return false;
	*out = (struct talk){
		.speaks = programs[p].speaks,
		.declare = programs[p].declare,
		.why = say(a, "container %s of %s runs %s", c->name, group_name(a, t->group),
			   programs[p].what),
	};
	return true;
}

static const char *times(const struct analysis *a, unsigned n)
{
	return say(a, "%u connection%s", n, n == 1 ? "" : "s");
}

/* False: nothing was. */
static bool learned(const struct analysis *a, const struct live_port *live, struct talk *out)
{
	struct learned l;
	learn_read(live, &l);
	unsigned client = l.client_http + l.client_tls + l.client_opaque;
	if (!l.server_first && !client)
		return false;
	out->seen = true;
	out->declare = learn_suggest(live);
	if (l.server_first && client) {
		out->speaks = SPEAKS_BOTH;
		out->why = say(a, "the server spoke first on %s, the client on %s",
			       times(a, l.server_first), times(a, client));
	} else if (l.server_first) {
		bool known = l.greeting != GREET_IS_UNKNOWN;
		out->speaks = SPEAKS_SERVER_FIRST;
		out->why = say(a, "the server spoke first on %s%s%s%s", times(a, l.server_first),
			       known ? " (" : "", known ? greet_name(l.greeting) : "",
			       known ? ")" : "");
	} else {
		bool http = !l.client_tls && !l.client_opaque,
		     tls = !l.client_http && !l.client_opaque;
		out->speaks = http ? SPEAKS_HTTP : tls ? SPEAKS_TLS : SPEAKS_OPAQUE;
		out->why = say(a, "the client spoke first on %s (HTTP %u, TLS %u, other %u)",
			       times(a, client), l.client_http, l.client_tls, l.client_opaque);
	}
	return true;
}

struct talk talk_of(const struct analysis *a, const struct view_port *p)
{
	struct talk talk = {.why = ""};
	if (learned(a, p->live, &talk))
		return talk;
	for (size_t i = 0; i < a->n_targets; i++)
		if (a->targets[i].port == p && guess(a, &a->targets[i], &talk))
			return talk;
	return talk;
}
