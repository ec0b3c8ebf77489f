/* A link to a training core of gradloom on a board. C99 and POSIX; docs/link.md has the bytes. */
#ifndef GRADLOOM_LINK_H
#define GRADLOOM_LINK_H

#include <stddef.h>
#include <stdint.h>

enum {
    GL_VERSION = 1,
    /* Commands. */
    GL_HELLO = 1,
    GL_WRITE = 2,
    GL_READ = 3,
    GL_SEND = 4,
    GL_RECEIVE = 5,
    GL_RUN = 6,
    GL_STATUS = 7,
    GL_RESET = 8,
    /* Statuses. */
    GL_STATUS_OK = 0,
    GL_STATUS_SESSION = 1,
    GL_STATUS_NUMBER = 2,
    GL_STATUS_COMMAND = 3,
    GL_STATUS_LENGTH = 4,
    GL_STATUS_ROOM = 5,
    GL_STATUS_VERSION = 6,
    GL_STATUS_DESIGN = 7
};

/* What functions return in place of a status: no answer, or the line is gone. */
#define GL_SILENCE (-1)
#define GL_BROKEN (-2)

typedef struct {
    uint8_t version;
    uint64_t design;
    uint16_t longest;    /* bytes of a payload */
    uint8_t in_words, in_bits, out_words, out_bits;
    uint16_t in_depth, out_depth; /* beats that the board keeps */
    uint32_t frequency;  /* hertz */
    char name[33];
} gl_about;

typedef struct {
    int file;
    uint16_t number;
    gl_about about;
} gl_link;

typedef struct {
    uint32_t status, steps_done, fault; /* registers */
    uint16_t room, held;                /* beats of the input and of the output stream */
} gl_state;

/* Open a serial port, as /dev/ttyUSB0. Returns 0, or GL_BROKEN with errno. */
int gl_open(gl_link *link, const char *port, unsigned baud);
void gl_close(gl_link *link);

/* All others return a status, or GL_SILENCE, or GL_BROKEN. HELLO must be the first one; with the
 * status GL_STATUS_DESIGN, link->about says what the board is, and there is no session. */
int gl_hello(gl_link *link, uint64_t design);
/* Addresses count bytes, as those of gradloom_core.h. */
int gl_write(gl_link *link, unsigned address, uint32_t word);
int gl_read(gl_link *link, unsigned address, uint32_t *word);
/* Beats as the streams have them: words of whole bytes; those received have `last` behind them. */
int gl_send(gl_link *link, const uint8_t *beats, size_t count, int last);
int gl_receive(gl_link *link, uint8_t *beats, size_t most, size_t *count);
int gl_run(gl_link *link, uint32_t steps);
int gl_state_of(gl_link *link, gl_state *state);
int gl_reset(gl_link *link);
/* Any command: a payload, and the answer after its status, of at most 4096 bytes. */
int gl_ask(gl_link *link, uint8_t command, const uint8_t *payload, size_t size, uint8_t *answer,
           size_t *length);

#endif
