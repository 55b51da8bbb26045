/* connect.h
 *
 * How a client is told to use this gateway: the exact text for each client that people have, and the page that a
 * browser sees at the endpoint. One table makes both. Pure.
 */
#ifndef SNOWGATE_CONNECT_H
#define SNOWGATE_CONNECT_H

#include "snowgate/conf.h"

/* The names `snowgate connect` takes, separated by spaces, for usage texts: claude-code claude-desktop cursor vscode
 * codex python typescript curl. */
const char *connect_clients(void);
/* Where clients reach this gateway: listen.public_url, else http://ADDRESS:PORT/PATH as configured (an address that
 * stands for all is written as loopback; a Unix socket as localhost). Port 0 is written as it is: only the running
 * gateway knows better. */
bool connect_url(struct buf *b, const struct conf *conf);
/* Appends what to run or to paste, with a first comment line that says where it goes. `key`: an API key; NULL where
 * auth.mode is none. Whatever they hold, the text stays well formed. False (nothing appended) where there is no such
 * client, or a value is longer than 4096 bytes. */
bool connect_write(struct buf *b, const char *client, const char *url, const char *key) MUST_USE;
/* As connect_write() for a client that starts `program` itself and speaks to it over standard input and output; `file`:
 * its configuration, NULL for the default one. False also where the client starts no processes. Claude Desktop, which
 * reads nothing but processes from its file, needs no Node.js this way. */
bool connect_write_stdio(struct buf *b, const char *client, const char *program, const char *file) MUST_USE;
/* The page: every client, with YOUR_API_KEY where a key is needed. Complete HTML 5, no script, nothing from elsewhere.
 */
bool connect_page(struct buf *b, const struct conf *conf, const char *url);

#endif
