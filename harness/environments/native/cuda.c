/* libcuda.so.1 of a machine that is not there: enough of the driver for a program to find the
   GPUs, read what they are and hold contexts on them. Whatever would need a GPU to do work
   answers that it is not supported and leaves its name in unanswered.txt.

   The tables of cuGetExportTable are not here. The runtime library (libcudart, seen with 11.7 to
   13.5) asks for several, the last of them a proof that the driver is NVIDIA's own, which is not
   ours to forge. A program of the runtime library therefore starts, finds no device and is told
   an error; a llama-server linked against it runs on the CPU and its list of devices says so. */
#include "machine.h"

#include <stdint.h>

enum {
    SUCCESS = 0,
    INVALID_VALUE = 1,
    NOT_INITIALIZED = 3,
    NO_DEVICE = 100,
    INVALID_DEVICE = 101,
    INVALID_CONTEXT = 201,
    CONTEXT_ALREADY_IN_USE = 216,
    NOT_FOUND = 500,
    NOT_SUPPORTED = 801,
};

enum { LAST_ATTRIBUTE = 147 }; /* of CUDA 13.0 */

typedef int status;
typedef int device;

struct context {
    device device;
    unsigned flags;
    unsigned uses;
    unsigned long long id;
};

static int initialised;
static int order[MAX_CARDS];
static int visible;
static int named_twice;
static struct context primary[MAX_CARDS];
static unsigned long long last_id;

static __thread struct context *stack[64];
static __thread int depth;

EXPORT status cuInit(unsigned flags) {
    if (flags) return INVALID_VALUE;
    if (!initialised) {
        visible = visible_cards(order);
        named_twice = visible == NAMED_TWICE;
        if (named_twice) visible = 0;
        for (int i = 0; i < visible; i++) primary[i].device = i;
        initialised = 1;
    }
    if (named_twice) return INVALID_DEVICE;
    return visible ? SUCCESS : NO_DEVICE;
}

EXPORT status cuDriverGetVersion(int *version) {
    if (!version) return INVALID_VALUE;
    know_machine();
    *version = machine.cuda_version;
    return SUCCESS;
}

static struct card *card_of(device device) { return &machine.cards[order[device]]; }

#define READY(condition)                          \
    do {                                          \
        if (!initialised) return NOT_INITIALIZED; \
        if (!(condition)) return INVALID_VALUE;   \
    } while (0)

#define DEVICE(condition, number)                                          \
    do {                                                                   \
        READY(condition);                                                  \
        if ((number) < 0 || (number) >= visible) return INVALID_DEVICE;    \
    } while (0)

EXPORT status cuDeviceGetCount(int *count) {
    READY(count);
    *count = visible;
    return SUCCESS;
}

EXPORT status cuDeviceGet(device *into, int ordinal) {
    DEVICE(into, ordinal);
    *into = ordinal;
    return SUCCESS;
}

EXPORT status cuDeviceGetName(char *name, int length, device device) {
    DEVICE(name && length > 0, device);
    snprintf(name, (size_t)length, "%s", card_of(device)->name);
    return SUCCESS;
}

EXPORT status cuDeviceGetUuid(unsigned char *uuid, device device) {
    DEVICE(uuid, device);
    const char *digit = card_of(device)->uuid + strlen("GPU-");
    for (int i = 0; i < 16; i++) {
        unsigned byte = 0;
        if (*digit == '-') digit++;
        if (sscanf(digit, "%2x", &byte) != 1) return INVALID_DEVICE;
        uuid[i] = (unsigned char)byte;
        digit += 2;
    }
    return SUCCESS;
}

EXPORT status cuDeviceGetUuid_v2(unsigned char *uuid, device device) {
    return cuDeviceGetUuid(uuid, device);
}

/* CUDA does not count what the driver reserves. */
static size_t total_bytes(const struct card *card) {
    return (card->total_mib - card->reserved_mib) * MIB;
}

EXPORT status cuDeviceTotalMem_v2(size_t *bytes, device device) {
    DEVICE(bytes, device);
    *bytes = total_bytes(card_of(device));
    return SUCCESS;
}

EXPORT status cuDeviceTotalMem(unsigned *bytes, device device) {
    DEVICE(bytes, device);
    unsigned long long total = total_bytes(card_of(device));
    *bytes = total > UINT32_MAX ? UINT32_MAX : (unsigned)total;
    return SUCCESS;
}

EXPORT status cuDeviceComputeCapability(int *major, int *minor, device device) {
    DEVICE(major && minor, device);
    *major = card_of(device)->major;
    *minor = card_of(device)->minor;
    return SUCCESS;
}

EXPORT status cuDeviceGetPCIBusId(char *text, int length, device device) {
    DEVICE(text && length > 0, device);
    struct card *card = card_of(device);
    snprintf(text, (size_t)length, "%04X:%02X:%02X.0", card->domain & 0xFFFF, card->bus, card->slot);
    return SUCCESS;
}

EXPORT status cuDeviceGetByPCIBusId(device *into, const char *text) {
    READY(into && text);
    unsigned domain, bus, slot;
    if (sscanf(text, "%x:%x:%x", &domain, &bus, &slot) != 3) return INVALID_VALUE;
    for (int i = 0; i < visible; i++) {
        struct card *card = card_of(i);
        if (card->domain == domain && card->bus == bus && card->slot == slot) {
            *into = i;
            return SUCCESS;
        }
    }
    return INVALID_DEVICE;
}

/* What a multiprocessor of each generation holds (CUDA C++ programming guide, "Compute
   Capabilities"): threads, blocks, shared memory in KiB. */
static const struct limits {
    int capability, threads, blocks, shared_kib;
} generations[] = {
    {120, 1536, 24, 100}, {100, 2048, 32, 228}, {90, 2048, 32, 228}, {89, 1536, 24, 100},
    {87, 1536, 16, 164},  {86, 1536, 16, 100},  {80, 2048, 32, 164}, {75, 1024, 16, 64},
    {70, 2048, 32, 96},   {0, 2048, 32, 96},
};

static const struct limits *limits_of(const struct card *card) {
    const struct limits *found = generations;
    while (found->capability > card->major * 10 + card->minor) found++;
    return found;
}

EXPORT status cuDeviceGetAttribute(int *value, int attribute, device device) {
    DEVICE(value, device);
    const struct card *card = card_of(device);
    const struct limits *limits = limits_of(card);
    switch (attribute) {
        case 1: *value = 1024; break;                   /* threads per block */
        case 2: case 3: *value = 1024; break;           /* block x, y */
        case 4: *value = 64; break;                     /* block z */
        case 5: *value = 2147483647; break;             /* grid x */
        case 6: case 7: *value = 65535; break;          /* grid y, z */
        case 8: *value = 49152; break;                  /* shared memory per block */
        case 9: *value = 65536; break;                  /* constant memory */
        case 10: *value = 32; break;                    /* warp */
        case 11: *value = 2147483647; break;            /* pitch */
        case 12: case 82: *value = 65536; break;        /* registers per block, multiprocessor */
        case 13: *value = card->sm_clock * 1000; break; /* kHz */
        case 14: *value = 512; break;                   /* texture alignment */
        case 15: case 19: case 31: case 41: *value = 1; break;
        case 16: *value = card->multiprocessors; break;
        case 21: case 22: case 56: case 70: *value = card->major >= 8 ? 131072 : 65536; break;
        case 23: *value = 65536; break;
        case 24: case 25: case 26: *value = 16384; break;
        case 29: *value = 2048; break;
        case 30: *value = 512; break;
        case 32: *value = card->ecc; break;
        case 33: *value = (int)card->bus; break;
        case 34: *value = (int)card->slot; break;
        case 36: *value = card->memory_clock * 1000; break;
        case 37: *value = card->bus_bits; break;
        case 38: *value = card->l2_kib * 1024; break;
        case 39: *value = limits->threads; break;
        case 40: *value = card->major >= 9 ? 3 : 2; break; /* copy engines */
        case 43: case 62: case 65: *value = 2048; break; /* layers */
        case 54: case 68: *value = 2046; break;
        case 47: case 48: *value = 8192; break;
        case 57: *value = 65536; break;
        case 58: case 59: case 60: *value = 16384; break;
        case 69: *value = 268435456; break;
        case 71: *value = 65000; break;
        case 72: *value = 2097120; break;
        case 27: case 28: case 42: case 45: case 46: case 49: case 52: case 53: case 55: case 61:
        case 63: case 64: case 66: case 67: case 73: case 74: case 77:
            *value = 32768; /* textures and surfaces, from 8.0 on */
            break;
        case 44: *value = 1; break;
        case 50: *value = (int)card->domain; break;
        case 51: *value = 32; break;
        case 75: *value = card->major; break;
        case 76: *value = card->minor; break;
        case 78: case 79: case 80: *value = 1; break;
        case 81: *value = limits->shared_kib * 1024; break;
        case 83: case 89: case 90: case 91: *value = 1; break;
        case 87: *value = card->minor == 0 && card->major < 12 ? 2 : 32; break;
        case 95: case 96: *value = 1; break;
        case 97: *value = (limits->shared_kib - 1) * 1024; break;
        case 99: *value = 1; break;
        case 106: *value = limits->blocks; break;
        case 111: *value = 1024; break;
        case 102: case 103: case 107: case 110: case 112: case 113: case 114: case 115: case 116:
        case 117: case 121: case 122: case 123: case 124: case 125:
            *value = 1; /* virtual memory, memory pools, sparse arrays, RDMA */
            break;
        case 108: *value = card->l2_kib / 8 * 5 * 1024; break; /* persisting L2 */
        case 109: *value = 134217728; break;                   /* access policy window */
        case 118: *value = 100; break;
        case 119: *value = 9; break;
        case 126: *value = 4; break;
        case 120: case 127: case 128: case 129: case 141: case 142: case 144: case 145:
            *value = card->major >= 9; /* clusters, tensor maps, unified function pointers */
            break;
        case 131: *value = -1; break;
        case 139: *value = (int)card->device_id; break;
        case 140: *value = (int)card->subsystem_id; break;
        default:
            if (attribute < 1 || attribute > LAST_ATTRIBUTE) return INVALID_VALUE;
            *value = 0; /* a feature that this card does not have */
    }
    return SUCCESS;
}

struct properties {
    int threads_per_block, block[3], grid[3], shared, constant, warp, pitch, registers, clock, align;
};

EXPORT status cuDeviceGetProperties(struct properties *into, device device) {
    DEVICE(into, device);
    int *fields[] = {&into->threads_per_block, &into->block[0], &into->block[1], &into->block[2],
                     &into->grid[0], &into->grid[1], &into->grid[2], &into->shared,
                     &into->constant, &into->warp, &into->pitch, &into->registers,
                     &into->clock, &into->align};
    for (int i = 0; i < (int)(sizeof fields / sizeof *fields); i++)
        cuDeviceGetAttribute(fields[i], i + 1, device);
    return SUCCESS;
}

EXPORT status cuDeviceCanAccessPeer(int *can, device one, device two) {
    DEVICE(can, one);
    DEVICE(can, two);
    *can = 0;
    return SUCCESS;
}

EXPORT status cuDeviceGetP2PAttribute(int *value, int attribute, device one, device two) {
    (void)attribute;
    return cuDeviceCanAccessPeer(value, one, two);
}

/* Contexts are bookkeeping: they hold no work. */

static struct context *current(void) { return depth ? stack[depth - 1] : NULL; }

EXPORT status cuDevicePrimaryCtxRetain(struct context **into, device device) {
    DEVICE(into, device);
    if (!primary[device].uses++) primary[device].id = ++last_id;
    *into = &primary[device];
    return SUCCESS;
}

EXPORT status cuDevicePrimaryCtxRelease_v2(device device) {
    DEVICE(1, device);
    if (!primary[device].uses) return INVALID_CONTEXT;
    primary[device].uses--;
    return SUCCESS;
}

EXPORT status cuDevicePrimaryCtxRelease(device device) {
    return cuDevicePrimaryCtxRelease_v2(device);
}

EXPORT status cuDevicePrimaryCtxReset_v2(device device) {
    DEVICE(1, device);
    primary[device].uses = 0;
    return SUCCESS;
}

EXPORT status cuDevicePrimaryCtxReset(device device) { return cuDevicePrimaryCtxReset_v2(device); }

EXPORT status cuDevicePrimaryCtxSetFlags_v2(device device, unsigned flags) {
    DEVICE(1, device);
    primary[device].flags = flags;
    return SUCCESS;
}

EXPORT status cuDevicePrimaryCtxSetFlags(device device, unsigned flags) {
    return cuDevicePrimaryCtxSetFlags_v2(device, flags);
}

EXPORT status cuDevicePrimaryCtxGetState(device device, unsigned *flags, int *active) {
    DEVICE(flags && active, device);
    *flags = primary[device].flags;
    *active = primary[device].uses > 0;
    return SUCCESS;
}

EXPORT status cuCtxPushCurrent_v2(struct context *context) {
    READY(context);
    if (depth == (int)(sizeof stack / sizeof *stack)) return INVALID_VALUE;
    stack[depth++] = context;
    return SUCCESS;
}

EXPORT status cuCtxPushCurrent(struct context *context) { return cuCtxPushCurrent_v2(context); }

EXPORT status cuCtxPopCurrent_v2(struct context **into) {
    READY(1);
    if (!depth) return INVALID_CONTEXT;
    depth--;
    if (into) *into = stack[depth];
    return SUCCESS;
}

EXPORT status cuCtxPopCurrent(struct context **into) { return cuCtxPopCurrent_v2(into); }

EXPORT status cuCtxSetCurrent(struct context *context) {
    READY(1);
    if (depth) depth--;
    return context ? cuCtxPushCurrent_v2(context) : SUCCESS;
}

EXPORT status cuCtxGetCurrent(struct context **into) {
    READY(into);
    *into = current();
    return SUCCESS;
}

EXPORT status cuCtxCreate_v2(struct context **into, unsigned flags, device device) {
    DEVICE(into, device);
    struct context *made = calloc(1, sizeof *made);
    if (!made) return INVALID_VALUE;
    made->device = device;
    made->flags = flags;
    made->id = ++last_id;
    *into = made;
    return cuCtxPushCurrent_v2(made);
}

EXPORT status cuCtxCreate(struct context **into, unsigned flags, device device) {
    return cuCtxCreate_v2(into, flags, device);
}

EXPORT status cuCtxCreate_v4(struct context **into, void *parameters, unsigned flags,
                             device device) {
    (void)parameters;
    return cuCtxCreate_v2(into, flags, device);
}

EXPORT status cuCtxDestroy_v2(struct context *context) {
    READY(context);
    if (context >= primary && context < primary + MAX_CARDS) return INVALID_CONTEXT;
    if (current() == context) depth--;
    free(context);
    return SUCCESS;
}

EXPORT status cuCtxDestroy(struct context *context) { return cuCtxDestroy_v2(context); }

EXPORT status cuCtxGetDevice(device *into) {
    READY(into);
    if (!current()) return INVALID_CONTEXT;
    *into = current()->device;
    return SUCCESS;
}

EXPORT status cuCtxGetFlags(unsigned *into) {
    READY(into);
    if (!current()) return INVALID_CONTEXT;
    *into = current()->flags;
    return SUCCESS;
}

EXPORT status cuCtxGetId(struct context *context, unsigned long long *into) {
    READY(into);
    if (!context) context = current();
    if (!context) return INVALID_CONTEXT;
    *into = context->id;
    return SUCCESS;
}

EXPORT status cuCtxGetApiVersion(struct context *context, unsigned *into) {
    (void)context;
    READY(into);
    *into = 3020;
    return SUCCESS;
}

EXPORT status cuCtxGetStreamPriorityRange(int *least, int *greatest) {
    READY(1);
    if (least) *least = 0;
    if (greatest) *greatest = -5;
    return SUCCESS;
}

EXPORT status cuCtxSynchronize(void) {
    READY(1);
    return current() ? SUCCESS : INVALID_CONTEXT;
}

EXPORT status cuMemGetInfo_v2(size_t *free_bytes, size_t *all_bytes) {
    READY(free_bytes && all_bytes);
    if (!current()) return INVALID_CONTEXT;
    const struct card *card = card_of(current()->device);
    /* The context in which the question is asked takes its share. */
    size_t held = (card->used_mib + card->context_mib) * MIB;
    *all_bytes = total_bytes(card);
    *free_bytes = held < *all_bytes ? *all_bytes - held : 0;
    if (*free_bytes < card->floor_mib * MIB) *free_bytes = card->floor_mib * MIB;
    return SUCCESS;
}

EXPORT status cuMemGetInfo(unsigned *free_bytes, unsigned *total_bytes) {
    size_t free_now, total;
    READY(free_bytes && total_bytes);
    status problem = cuMemGetInfo_v2(&free_now, &total);
    if (problem) return problem;
    *free_bytes = free_now > UINT32_MAX ? UINT32_MAX : (unsigned)free_now;
    *total_bytes = total > UINT32_MAX ? UINT32_MAX : (unsigned)total;
    return SUCCESS;
}

/* Freeing nothing is how programs of the runtime library make it open a context. */
EXPORT status cuMemFree_v2(unsigned long long pointer) {
    READY(1);
    return pointer ? INVALID_VALUE : SUCCESS;
}

EXPORT status cuMemFree(unsigned pointer) { return cuMemFree_v2(pointer); }

static const struct {
    status code;
    const char *name, *text;
} errors[] = {
    {SUCCESS, "CUDA_SUCCESS", "no error"},
    {INVALID_VALUE, "CUDA_ERROR_INVALID_VALUE", "invalid argument"},
    {2, "CUDA_ERROR_OUT_OF_MEMORY", "out of memory"},
    {NOT_INITIALIZED, "CUDA_ERROR_NOT_INITIALIZED", "initialization error"},
    {NO_DEVICE, "CUDA_ERROR_NO_DEVICE", "no CUDA-capable device is detected"},
    {INVALID_DEVICE, "CUDA_ERROR_INVALID_DEVICE", "invalid device ordinal"},
    {INVALID_CONTEXT, "CUDA_ERROR_INVALID_CONTEXT", "invalid device context"},
    {NOT_FOUND, "CUDA_ERROR_NOT_FOUND", "named symbol not found"},
    {NOT_SUPPORTED, "CUDA_ERROR_NOT_SUPPORTED", "operation not supported"},
    {999, "CUDA_ERROR_UNKNOWN", "unknown error"},
};

static status describe(status code, const char **into, int name) {
    if (!into) return INVALID_VALUE;
    *into = NULL;
    for (size_t i = 0; i < sizeof errors / sizeof *errors; i++)
        if (errors[i].code == code) *into = name ? errors[i].name : errors[i].text;
    return *into ? SUCCESS : INVALID_VALUE;
}

EXPORT status cuGetErrorName(status code, const char **into) { return describe(code, into, 1); }
EXPORT status cuGetErrorString(status code, const char **into) { return describe(code, into, 0); }

EXPORT status cuModuleGetLoadingMode(int *mode) {
    if (!mode) return INVALID_VALUE;
    *mode = 2; /* lazy */
    return SUCCESS;
}

static status unsupported(const char *name) {
    know_machine();
    note_unanswered(name);
    return NOT_SUPPORTED;
}

#define CALL(name) \
    EXPORT status name(void) { return unsupported(#name); }
#include "unsupported.h"
#undef CALL

EXPORT status cuGetExportTable(const void **table, const unsigned char *uuid) {
    char name[80] = "cuGetExportTable ";
    if (!table || !uuid) return INVALID_VALUE;
    for (int i = 0; i < 16; i++) sprintf(name + strlen(name), "%02x", uuid[i]);
    note_unanswered(name);
    *table = NULL;
    return NOT_FOUND;
}

/* Among the versions of a call, the newest that a program of that CUDA version knows. */
static void *newest(const char *name, int version) {
    static const struct {
        const char *suffix;
        int since;
        const char *only;
    } versions[] = {
        {"_v4", 13000, "cuCtxCreate"},
        {"_v2", 12000, "cuGetProcAddress"},
        {"_v2", 11040, "cuDeviceGetUuid"},
        {"_v2", 3020, NULL},
        {"", 0, NULL},
    };
    char symbol[128];
    for (size_t i = 0; i < sizeof versions / sizeof *versions; i++) {
        int of_another = versions[i].only && strcmp(versions[i].only, name);
        int too_new = version < versions[i].since;
        int general = !versions[i].only && *versions[i].suffix;
        if (of_another || too_new || (general && !strcmp(name, "cuGetProcAddress"))) continue;
        snprintf(symbol, sizeof symbol, "%s%s", name, versions[i].suffix);
        void *found = own_symbol(symbol);
        if (found) return found;
    }
    return NULL;
}

EXPORT status cuGetProcAddress_v2(const char *name, void **into, int version, uint64_t flags,
                                  int *found) {
    (void)flags;
    if (!name || !into) return INVALID_VALUE;
    know_machine();
    *into = newest(name, version);
    if (found) *found = *into ? 0 : 1;
    return *into ? SUCCESS : NOT_FOUND;
}

EXPORT status cuGetProcAddress(const char *name, void **into, int version, uint64_t flags) {
    return cuGetProcAddress_v2(name, into, version, flags, NULL);
}
