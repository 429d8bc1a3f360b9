/* A meter served by libmodbus, for the tests: `libmodbus_meters tcp` listens on a free port of 127.0.0.1 and prints
 * `port N`; `libmodbus_meters rtu TTY` serves a serial port at 9600 baud, 8N1, and prints `ready`. It is unit 17; by
 * TCP any other unit is answered with exception 0B. Ends when standard input closes.
 *
 * Input registers, from 100 on (0x64); there are 40:
 *   100  -273.15     f32  ABCD     108  -2         i32  ABCD     120  0x7FFF…  f64  ABCD, 1/3
 *   102  230.0625    f32  CDAB     110  4e9 + 7    u32  CDAB     124  65535    u16
 *   104  0.1         f32  BADC     112  -2         i64  ABCD     125  -32768   i16
 *   106  1e-30       f32  DCBA     116  2^40 + 5   u64  ABCD     126  0x1234   u16
 * Holding registers, from 0 on; there are 20, register n holds n * 1000.
 * Coils, from 19 on (0x13), and discrete inputs, from 196 on (0xC4): the bits of the examples in the MODBUS Application
 * Protocol Specification V1.1b3, sections 6.1 and 6.2. */
#include <errno.h>
#include <modbus.h>
#include <netinet/in.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define UNIT 17

static const uint8_t COILS[] = {0xCD, 0x6B, 0x05};
#define COIL_COUNT 19
static const uint8_t INPUTS[] = {0xAC, 0xDB, 0x35};
#define INPUT_COUNT 22

static void stop(const char *what)
{
    fprintf(stderr, "libmodbus_meters: %s: %s\n", what, modbus_strerror(errno));
    exit(1);
}

static uint32_t bits_of(float value)
{
    uint32_t bits;
    memcpy(&bits, &value, sizeof bits);
    return bits;
}

static uint16_t swapped(uint16_t word) { return (uint16_t)(word << 8 | word >> 8); }

static void fill(modbus_mapping_t *map)
{
    uint16_t *words = map->tab_input_registers;
    double third = 1.0 / 3.0;
    int64_t bits = (1LL << 40) + 5;
    MODBUS_SET_INT32_TO_INT16(words, 0, bits_of(-273.15f));
    modbus_set_float(230.0625f, words + 2);
    MODBUS_SET_INT32_TO_INT16(words, 4, bits_of(0.1f));
    words[4] = swapped(words[4]);
    words[5] = swapped(words[5]);
    modbus_set_float(1e-30f, words + 6);
    words[6] = swapped(words[6]);
    words[7] = swapped(words[7]);
    MODBUS_SET_INT32_TO_INT16(words, 8, -2);
    words[10] = (uint16_t)4000000007u;
    words[11] = (uint16_t)(4000000007u >> 16);
    MODBUS_SET_INT64_TO_INT16(words, 12, -2LL);
    MODBUS_SET_INT64_TO_INT16(words, 16, bits);
    memcpy(&bits, &third, sizeof bits);
    MODBUS_SET_INT64_TO_INT16(words, 20, bits);
    words[24] = 65535;
    words[25] = (uint16_t)-32768;
    words[26] = 0x1234;
    for (int n = 0; n < map->nb_registers; n++)
        map->tab_registers[n] = (uint16_t)(n * 1000);
    modbus_set_bits_from_bytes(map->tab_bits, 0, COIL_COUNT, COILS);
    modbus_set_bits_from_bytes(map->tab_input_bits, 0, INPUT_COUNT, INPUTS);
}

static void *end_with_input(void *unused)
{
    char byte;
    while (read(STDIN_FILENO, &byte, 1) > 0)
        ;
    _exit(0);
    return unused;
}

/* Answers until the other side is gone or the line breaks. */
static void serve(modbus_t *ctx, modbus_mapping_t *map, int is_tcp)
{
    uint8_t asked[MODBUS_TCP_MAX_ADU_LENGTH];
    for (;;) {
        int length = modbus_receive(ctx, asked);
        if (length < 0) {
            if (is_tcp)
                return;
            modbus_flush(ctx); /* Noise, or a frame with a wrong check sum. */
            continue;
        }
        if (length == 0)
            continue; /* RTU: to another unit. */
        int unit = asked[modbus_get_header_length(ctx) - 1];
        int sent = is_tcp && unit != UNIT
                       ? modbus_reply_exception(ctx, asked, MODBUS_EXCEPTION_GATEWAY_TARGET)
                       : modbus_reply(ctx, asked, length, map);
        if (sent < 0 && is_tcp)
            return;
    }
}

int main(int argc, char **argv)
{
    int is_tcp = argc == 2 && strcmp(argv[1], "tcp") == 0;
    if (!is_tcp && !(argc == 3 && strcmp(argv[1], "rtu") == 0)) {
        fprintf(stderr, "usage: libmodbus_meters tcp | rtu TTY\n");
        return 64;
    }
    modbus_t *ctx = is_tcp ? modbus_new_tcp("127.0.0.1", 0) : modbus_new_rtu(argv[2], 9600, 'N', 8, 1);
    if (!ctx)
        stop("no context");
    modbus_mapping_t *map =
        modbus_mapping_new_start_address(19, COIL_COUNT, 196, INPUT_COUNT, 0, 20, 100, 40);
    if (!map)
        stop("no mapping");
    fill(map);
    pthread_t watch;
    if (pthread_create(&watch, NULL, end_with_input, NULL) != 0)
        stop("no thread");
    if (is_tcp) {
        int listener = modbus_tcp_listen(ctx, 4);
        struct sockaddr_in address;
        socklen_t length = sizeof address;
        if (listener < 0 || getsockname(listener, (struct sockaddr *)&address, &length) != 0)
            stop("cannot listen");
        printf("port %d\n", ntohs(address.sin_port));
        fflush(stdout);
        while (modbus_tcp_accept(ctx, &listener) >= 0) {
            serve(ctx, map, 1);
            modbus_close(ctx);
        }
        stop("cannot accept");
    }
    if (modbus_set_slave(ctx, UNIT) != 0 || modbus_connect(ctx) != 0)
        stop(argv[2]);
    printf("ready\n");
    fflush(stdout);
    serve(ctx, map, 0);
    return 0;
}
