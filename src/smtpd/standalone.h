/* sendmail -bs: one session on standard input and output, as whoever runs it, without access control; its
 * mail goes to the maildrop. */
#ifndef SMTPD_STANDALONE_H
#define SMTPD_STANDALONE_H

/* Arguments: -S, -c DIRECTORY, -o name=value. Returns the exit status. */
int standalone_main(int argc, char **argv);

#endif
