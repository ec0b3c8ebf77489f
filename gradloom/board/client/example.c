/* Says what a board is, writes a program into its core, and reads back what it says of itself.
 *
 *     cc -std=c99 -o example example.c gradloom_link.c && ./example /dev/ttyUSB0 115200
 */
#define GRADLOOM_WITH_PROGRAM
#include "gradloom_core.h"
#include "gradloom_link.h"

#include <stdio.h>
#include <stdlib.h>

static void wants(int status, const char *what)
{
    if (status != GL_STATUS_OK) {
        fprintf(stderr, "%s: status %d\n", what, status);
        exit(1);
    }
}

/* Writes a list of an engine. */
static void load(gl_link *link, uint32_t list, const uint32_t *words, int count)
{
    wants(gl_write(link, GRADLOOM_PROGRAM_AT, list << 24), "program_at");
    for (int k = 0; k < count; k++)
        wants(gl_write(link, GRADLOOM_PROGRAM, words[k]), "program");
}

int main(int argc, char **argv)
{
    gl_link link;
    gl_state state;
    uint32_t id;
    if (argc < 2 || gl_open(&link, argv[1], argc > 2 ? (unsigned)atoi(argv[2]) : 115200)) {
        fprintf(stderr, "a serial port and its baud rate are wanted\n");
        return 2;
    }
    wants(gl_hello(&link, GRADLOOM_DESIGN), "hello");
    printf("%s, %lu Hz, design %016llx\n", link.about.name, (unsigned long)link.about.frequency,
           (unsigned long long)link.about.design);
    wants(gl_reset(&link), "reset");
    wants(gl_read(&link, GRADLOOM_ID, &id), "id");
    load(&link, 0, gradloom_program + GRADLOOM_TRAIN_ARRAY_AT, GRADLOOM_TRAIN_ARRAY_WORDS);
    wants(gl_state_of(&link, &state), "status");
    printf("id %08lx, status %lx, room for %u beats\n", (unsigned long)id,
           (unsigned long)state.status, (unsigned)state.room);
    gl_close(&link);
    return 0;
}
