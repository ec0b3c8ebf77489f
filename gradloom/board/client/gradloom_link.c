/* A link to a training core of gradloom on a board. */
#define _DEFAULT_SOURCE
#include "gradloom_link.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/select.h>
#include <termios.h>
#include <time.h>
#include <unistd.h>

enum { FLAG = 0x7E, ESCAPE = 0x7D, CHANGE = 0x20, HEADER = 5, SUM = 4, LONGEST = 4096, TRIES = 8 };

static uint32_t crc32_of(const uint8_t *bytes, size_t size)
{
    uint32_t crc = 0xFFFFFFFFu;
    for (size_t k = 0; k < size; k++) {
        crc ^= bytes[k];
        for (int bit = 0; bit < 8; bit++)
            crc = crc >> 1 ^ (crc & 1 ? 0xEDB88320u : 0);
    }
    return ~crc;
}

static uint64_t number_at(const uint8_t *bytes, int size)
{
    uint64_t number = 0;
    for (int k = 0; k < size; k++)
        number |= (uint64_t)bytes[k] << 8 * k;
    return number;
}

static void put(uint8_t *bytes, uint64_t number, int size)
{
    for (int k = 0; k < size; k++)
        bytes[k] = (uint8_t)(number >> 8 * k);
}

static speed_t speed_of(unsigned baud)
{
    switch (baud) {
    case 9600: return B9600;
    case 57600: return B57600;
    case 115200: return B115200;
    case 230400: return B230400;
#ifdef B1000000
    case 460800: return B460800;
    case 921600: return B921600;
    case 1000000: return B1000000;
    case 3000000: return B3000000;
#endif
    default: return B0;
    }
}

int gl_open(gl_link *link, const char *port, unsigned baud)
{
    struct termios line;
    memset(link, 0, sizeof *link);
    link->file = open(port, O_RDWR | O_NOCTTY);
    if (link->file < 0)
        return GL_BROKEN;
    if (tcgetattr(link->file, &line) == 0) {
        speed_t speed = speed_of(baud);
        if (speed == B0) {
            close(link->file);
            errno = EINVAL;
            return GL_BROKEN;
        }
        cfmakeraw(&line);
        line.c_cflag |= CLOCAL | CREAD;
        cfsetispeed(&line, speed);
        cfsetospeed(&line, speed);
        tcsetattr(link->file, TCSANOW, &line);
    }
    /* Any number begins a session; one of its own keeps answers of older ones apart. */
    link->number = (uint16_t)(time(NULL) * 40503u ^ (unsigned)getpid());
    return 0;
}

void gl_close(gl_link *link)
{
    close(link->file);
}

static int write_all(int file, const uint8_t *bytes, size_t size)
{
    while (size) {
        ssize_t done = write(file, bytes, size);
        if (done < 0 && errno != EINTR)
            return GL_BROKEN;
        if (done > 0) {
            bytes += done;
            size -= (size_t)done;
        }
    }
    return 0;
}

/* The next byte, or GL_SILENCE after some milliseconds. */
static int next_byte(int file, long milliseconds)
{
    static uint8_t kept[512];
    static size_t at, size;
    if (at == size) {
        fd_set files;
        struct timeval wait = {milliseconds / 1000, milliseconds % 1000 * 1000};
        FD_ZERO(&files);
        FD_SET(file, &files);
        int ready = select(file + 1, &files, NULL, NULL, &wait);
        if (ready == 0 || (ready < 0 && errno == EINTR))
            return GL_SILENCE;
        ssize_t got = ready < 0 ? -1 : read(file, kept, sizeof kept);
        if (got <= 0)
            return GL_BROKEN;
        at = 0;
        size = (size_t)got;
    }
    return kept[at++];
}

static long now(void)
{
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return time.tv_sec * 1000 + time.tv_nsec / 1000000;
}

/* A frame that comes before a time: its size without the checksum, or GL_SILENCE, or GL_BROKEN. */
static long frame_before(int file, long end, uint8_t *frame)
{
    static uint8_t inside[LONGEST + HEADER + SUM];
    long size = -1; /* no flag yet */
    int escaped = 0;
    for (;;) {
        long left = end - now();
        int byte = left > 0 ? next_byte(file, left) : GL_SILENCE;
        if (byte < 0)
            return byte;
        if (byte == FLAG) {
            if (!escaped && size >= HEADER + SUM &&
                number_at(inside + 3, 2) == (uint64_t)(size - HEADER - SUM) &&
                number_at(inside + size - SUM, SUM) == crc32_of(inside, (size_t)(size - SUM))) {
                memcpy(frame, inside, (size_t)(size - SUM));
                return size - SUM;
            }
            size = 0;
            escaped = 0;
        } else if (size < 0 || size == (long)sizeof inside) {
            size = -1;
        } else if (byte == ESCAPE && !escaped) {
            escaped = 1;
        } else {
            inside[size++] = (uint8_t)(escaped ? byte ^ CHANGE : byte);
            escaped = 0;
        }
    }
}

int gl_ask(gl_link *link, uint8_t command, const uint8_t *payload, size_t size, uint8_t *answer,
           size_t *length)
{
    static uint8_t content[LONGEST + HEADER + SUM], sent[2 * sizeof content + 2], got[LONGEST + HEADER];
    size_t bytes = 0;
    long patience = 400;
    if (size > LONGEST)
        return GL_STATUS_LENGTH;
    link->number++;
    content[0] = command;
    put(content + 1, link->number, 2);
    put(content + 3, size, 2);
    if (size)
        memcpy(content + HEADER, payload, size);
    put(content + HEADER + size, crc32_of(content, HEADER + size), SUM);
    sent[bytes++] = FLAG;
    for (size_t k = 0; k < HEADER + size + SUM; k++) {
        if (content[k] == FLAG || content[k] == ESCAPE) {
            sent[bytes++] = ESCAPE;
            sent[bytes++] = content[k] ^ CHANGE;
        } else {
            sent[bytes++] = content[k];
        }
    }
    sent[bytes++] = FLAG;
    for (int attempt = 0; attempt < TRIES; attempt++) {
        if (write_all(link->file, sent, bytes))
            return GL_BROKEN;
        long end = now() + patience;
        for (;;) {
            long found = frame_before(link->file, end, got);
            if (found == GL_BROKEN)
                return GL_BROKEN;
            if (found < 0)
                break;
            if (found > HEADER && got[0] == (command | 0x80) &&
                number_at(got + 1, 2) == link->number) {
                *length = (size_t)found - HEADER - 1;
                memcpy(answer, got + HEADER + 1, *length);
                return got[HEADER];
            }
        }
        if (patience < 3200)
            patience *= 2;
    }
    return GL_SILENCE;
}

int gl_hello(gl_link *link, uint64_t design)
{
    uint8_t payload[9] = {GL_VERSION}, answer[LONGEST];
    size_t length;
    gl_about *about = &link->about;
    put(payload + 1, design, 8);
    int status = gl_ask(link, GL_HELLO, payload, sizeof payload, answer, &length);
    if (status < 0 || status == GL_STATUS_LENGTH || length < 23)
        return status;
    about->version = answer[0];
    about->design = number_at(answer + 1, 8);
    about->longest = (uint16_t)number_at(answer + 9, 2);
    about->in_words = answer[11];
    about->in_bits = answer[12];
    about->in_depth = (uint16_t)number_at(answer + 13, 2);
    about->out_words = answer[15];
    about->out_bits = answer[16];
    about->out_depth = (uint16_t)number_at(answer + 17, 2);
    about->frequency = (uint32_t)number_at(answer + 19, 4);
    length = length - 23 < 32 ? length - 23 : 32;
    memcpy(about->name, answer + 23, length);
    about->name[length] = 0;
    return status;
}

int gl_write(gl_link *link, unsigned address, uint32_t word)
{
    uint8_t payload[6] = {1, (uint8_t)(address / 4)}, answer[LONGEST];
    size_t length;
    put(payload + 2, word, 4);
    return gl_ask(link, GL_WRITE, payload, sizeof payload, answer, &length);
}

int gl_read(gl_link *link, unsigned address, uint32_t *word)
{
    uint8_t payload = (uint8_t)(address / 4), answer[LONGEST];
    size_t length;
    int status = gl_ask(link, GL_READ, &payload, 1, answer, &length);
    if (status == GL_STATUS_OK)
        *word = (uint32_t)number_at(answer, 4);
    return status;
}

int gl_send(gl_link *link, const uint8_t *beats, size_t count, int last)
{
    uint8_t payload[LONGEST], answer[LONGEST];
    size_t length, size = count * link->about.in_words * ((link->about.in_bits + 7u) / 8);
    if (count > 255 || size + 2 > link->about.longest)
        return GL_STATUS_LENGTH;
    payload[0] = last != 0;
    payload[1] = (uint8_t)count;
    memcpy(payload + 2, beats, size);
    return gl_ask(link, GL_SEND, payload, size + 2, answer, &length);
}

int gl_receive(gl_link *link, uint8_t *beats, size_t most, size_t *count)
{
    uint8_t payload = most < 255 ? (uint8_t)most : 255;
    size_t length, size = link->about.out_words * ((link->about.out_bits + 7u) / 8) + 1;
    int status = gl_ask(link, GL_RECEIVE, &payload, 1, beats, &length);
    *count = status == GL_STATUS_OK ? length / size : 0;
    return status;
}

int gl_run(gl_link *link, uint32_t steps)
{
    uint8_t payload[4], answer[LONGEST];
    size_t length;
    put(payload, steps, 4);
    return gl_ask(link, GL_RUN, payload, sizeof payload, answer, &length);
}

int gl_state_of(gl_link *link, gl_state *state)
{
    uint8_t answer[LONGEST];
    size_t length;
    int status = gl_ask(link, GL_STATUS, NULL, 0, answer, &length);
    if (status != GL_STATUS_OK)
        return status;
    state->status = (uint32_t)number_at(answer, 4);
    state->steps_done = (uint32_t)number_at(answer + 4, 4);
    state->fault = (uint32_t)number_at(answer + 8, 4);
    state->room = (uint16_t)number_at(answer + 12, 2);
    state->held = (uint16_t)number_at(answer + 14, 2);
    return status;
}

int gl_reset(gl_link *link)
{
    uint8_t answer[LONGEST];
    size_t length;
    return gl_ask(link, GL_RESET, NULL, 0, answer, &length);
}
