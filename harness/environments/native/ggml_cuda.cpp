/* A ggml backend that has the spoofed machine's cards and lets the server's own CPU backend do the
   work.

   It is compiled against the headers of the one build that loads it and calls no function of ggml
   by name, only what the program hands over, so it loads into a static, stripped server too. What a
   build's headers do not have is left out by the compiler: one source serves every build.

   What a card does, how much memory it takes and what it refuses is from the CUDA sources of py0.3.16,
   b8929, b9294, b10435 and b11434 and from what an H100 did; see docs/cuda-spoof.md. */
#include <atomic>
#include <cstdarg>
#include <initializer_list>
#include <new>

#include "ggml-backend-impl.h"
#if __has_include("ggml-cuda.h")
#include "ggml-cuda.h"
#endif

#include "machine.h"

#ifndef CARD_HEADERS
#error "CARD_HEADERS is the digest of the headers that this is compiled with"
#endif

#ifdef _WIN32
#undef EXPORT
#define EXPORT extern "C" __declspec(dllexport)
#else
#include <limits.h>
#include <sys/mman.h>
#include <unistd.h>
#undef EXPORT
#define EXPORT extern "C" __attribute__((visibility("default")))
#endif
#ifdef __APPLE__
#include <mach-o/dyld.h>
#endif

// ---- what differs between builds ---------------------------------------------------------------

namespace without {
struct nothing {};
nothing ggml_backend_cuda_split_buffer_type(...);
}  // namespace without

namespace {

using namespace without;

template <class T> constexpr bool is_declared(T *) { return true; }
constexpr bool is_declared(nothing *) { return false; }

/* `-sm row` exists where the CUDA header of the build has its buffer type. */
constexpr bool has_row_split =
    is_declared((decltype(ggml_backend_cuda_split_buffer_type(0, nullptr)) *)nullptr);

/* What no header tells goes by what came at about the same time. */
constexpr int api = GGML_BACKEND_API_VERSION;
constexpr bool minimum_batch_is_a_variable = api >= 2;
constexpr bool lists_memory_at_start = api >= 2;
constexpr bool has_virtual_cards = !has_row_split;
constexpr bool survives_a_full_card = !has_row_split;
constexpr bool fetches_rows_of_every_type = !has_row_split;
constexpr bool attention_keeps_copies = !has_row_split;
constexpr bool attention_mixes_types = api >= 3;

/* Sets a member of a structure where the build has it. */
#define WHERE_THERE_IS(member)                                                             \
    template <class S, class V>                                                             \
    auto set_##member(S &in, V value, int) -> decltype((void)(in.member = value)) {         \
        in.member = value;                                                                  \
    }                                                                                       \
    template <class S, class V> void set_##member(S &, V, long) {}

WHERE_THERE_IS(device_id)
WHERE_THERE_IS(mmap_support)

// ---- what a card takes -------------------------------------------------------------------------

constexpr size_t mib = 1024 * 1024;
constexpr size_t page = 2 * mib;       /* cudaMalloc takes whole ones */
constexpr size_t small_share = mib;    /* smaller allocations share a page */

/* Measured: an H100 of 80 GB, driver 580, CUDA 13.0. */
constexpr size_t kernels_take = 72 * mib;    /* at the first graph of a process */
constexpr size_t attention_takes = 2 * mib;  /* at the first node of flash attention */
constexpr size_t events_take = 2 * mib;      /* at the first event */
constexpr size_t cublas_takes = (api >= 3 ? 92 : 60) * mib;       /* at its first use */
constexpr size_t cublas_takes_again = (api >= 3 ? 86 : 96) * mib; /* for each further context */

constexpr int64_t row_padding = 512; /* quantised rows end at a multiple */
constexpr int64_t row_rounding = 128;
constexpr int64_t largest_batch_without_cublas = 16;
constexpr int64_t attention_stride = 256;
constexpr int turing = 750, volta = 700, ada = 890;

size_t whole(size_t size, size_t unit) { return (size + unit - 1) / unit * unit; }

// ---- the cards ---------------------------------------------------------------------------------

/* A card of the machine. `free` is what a process that has done nothing on it finds. */
struct gpu {
    char description[160], slot[40];
    int major, minor;
    size_t total, free;
    int shares; /* how many devices of the program it is */
    std::atomic<size_t> held, held_in_shares;
    std::atomic<bool> kernels, attention, events, cublas;
};

/* A device of the program: a card, or with GGML_CUDA_DEVICES a share of one. */
struct device {
    int number;
    gpu *on;
    char name[16], description[192], slot[48];
    ggml_backend_device it;
    ggml_backend_buffer_type memory;
};

gpu gpus[MAX_CARDS];
device devices[MAX_CARDS];
int gpu_count, device_count;
ggml_backend_buffer_type pinned;
ggml_backend_reg registration;

device *of(ggml_backend_dev_t it) { return (device *)it->context; }
device *of(ggml_backend_buffer_type_t type) { return (device *)type->context; }

// ---- the program -------------------------------------------------------------------------------

/* What the starter in the program hands over; card_starter.c has the same declaration. */
struct program {
    const char *headers;
    void (*log)(ggml_log_level level, const char *format, ...);
    ggml_backend_reg_t (*cpu)(void);
    int (*nodes)(ggml_cgraph *graph);
    ggml_tensor *(*node)(ggml_cgraph *graph, int number);
};

program host;
std::atomic<ggml_backend_dev_t> cpu{nullptr};

/* Names of a program of shared libraries; a static one without a starter has none to find. */
void *symbol_of_program(const char *name) {
#ifdef _WIN32
    for (const char *library : {"ggml-base.dll", "ggml.dll"}) {
        HMODULE module = GetModuleHandleA(library);
        FARPROC found = module ? GetProcAddress(module, name) : nullptr;
        if (found) return (void *)found;
    }
    return nullptr;
#else
    return dlsym(RTLD_DEFAULT, name);
#endif
}

template <class F> void look_up(F *&into, const char *name) {
    if (!into) into = (F *)symbol_of_program(name);
}

void learn(ggml_backend_dev_t found) {
    if (found && found->iface.get_type(found) == GGML_BACKEND_DEVICE_TYPE_CPU) cpu = found;
}

ggml_backend_dev_t known_cpu() {
    if (cpu) return cpu;
    if (host.cpu) {
        ggml_backend_reg_t registered = host.cpu();
        learn(registered->iface.get_device(registered, 0));
    } else {
        /* Loaded after this backend; until then there is none. */
        auto by_type = (decltype(&ggml_backend_dev_by_type))symbol_of_program(
            "ggml_backend_dev_by_type");
        if (by_type) learn(by_type(GGML_BACKEND_DEVICE_TYPE_CPU));
    }
    return cpu;
}

/* A line of the program's log. Without a way to it warnings and errors go to stderr; the rest would
   not be shown by default either. */
__attribute__((format(printf, 2, 3))) void say(ggml_log_level level, const char *format, ...) {
    char line[512];
    va_list values;
    va_start(values, format);
    vsnprintf(line, sizeof line, format, values);
    va_end(values);
    if (host.log) {
        host.log(level, "%s", line);
    } else if (level >= GGML_LOG_LEVEL_WARN) {
        fputs(line, stderr);
        fflush(stderr);
    }
}

/* Ends the program as ggml does where a call of CUDA fails. */
[[noreturn]] void fail(const gpu *on, const char *function, const char *call) {
    constexpr int line = api >= 3 ? 109 : api == 2 ? (has_row_split ? 102 : 106) : 85;
    say(GGML_LOG_LEVEL_ERROR, "CUDA error: out of memory\n");
    say(GGML_LOG_LEVEL_ERROR, "  current device: %d, in function %s\n", (int)(on - gpus), function);
    say(GGML_LOG_LEVEL_ERROR, "  %s\n", call);
    /* The program's log is written by a thread. */
#ifdef _WIN32
    Sleep(20);
#else
    usleep(20000);
#endif
    fflush(stdout);
    fprintf(stderr, "ggml/src/ggml-cuda/ggml-cuda.cu:%d: CUDA error\n", line);
    fflush(stderr);
    abort();
}

// ---- memory of the cards -----------------------------------------------------------------------

/* Where nothing is free not even the context of the first call fits. */
bool has_context(const gpu *on) { return on->free > 0; }

size_t unused(const gpu *on) {
    size_t held = on->held + whole(on->held_in_shares, page);
    return held < on->free ? on->free - held : 0;
}

void need_context(const gpu *on, const char *function, const char *call) {
    if (!has_context(on)) fail(on, function, call);
}

bool take(gpu *on, size_t size) {
    if (!has_context(on)) return false;
    if (size < small_share) {
        if (whole(on->held_in_shares + size, page) > whole(on->held_in_shares, page) &&
            unused(on) < page)
            return false;
        on->held_in_shares += size;
        return true;
    }
    if (whole(size, page) > unused(on)) return false;
    on->held += whole(size, page);
    return true;
}

void give_back(gpu *on, size_t size) {
    if (size < small_share)
        on->held_in_shares -= size;
    else
        on->held -= whole(size, page);
}

/* Buffers take whole pages however small they are. */
size_t buffer_takes(size_t size) { return size < page ? page : size; }

/* What the driver and libraries take for themselves, once, and never give back. */
void take_once(gpu *on, std::atomic<bool> &taken, size_t size, const char *function,
               const char *call) {
    if (taken.exchange(true)) return;
    if (!take(on, size)) fail(on, function, call);
}

// ---- memory of this process --------------------------------------------------------------------

/* Address space whose pages are empty and not there before they are written: a context that fills a
   card of 80 GB costs the host nothing until it is used. */
void *reserve(size_t size) {
#ifdef _WIN32
    return VirtualAlloc(nullptr, size, MEM_RESERVE | MEM_COMMIT, PAGE_READWRITE);
#else
    int how = MAP_PRIVATE | MAP_ANONYMOUS;
#ifdef MAP_NORESERVE
    how |= MAP_NORESERVE;
#endif
    void *made = mmap(nullptr, size, PROT_READ | PROT_WRITE, how, -1, 0);
    return made == MAP_FAILED ? nullptr : made;
#endif
}

void release(void *base, size_t size) {
#ifdef _WIN32
    (void)size;
    VirtualFree(base, 0, MEM_RELEASE);
#else
    munmap(base, size);
#endif
}

/* Lets the pages be empty again without writing them. */
bool empty(void *base, size_t size) {
#ifdef _WIN32
    return VirtualFree(base, size, MEM_DECOMMIT) &&
           VirtualAlloc(base, size, MEM_COMMIT, PAGE_READWRITE);
#elif defined(__linux__)
    return !madvise(base, size, MADV_DONTNEED);
#else
    /* Elsewhere the advice does not promise empty pages. */
    return mmap(base, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1,
                0) == base;
#endif
}

struct block {
    void *base;
    size_t size;
    gpu *on; /* null: host memory, or rows of several cards */
    size_t taken;
    std::atomic<size_t> rows[MAX_CARDS]; /* by card, of a buffer split by rows */
};

block *block_of(ggml_backend_buffer_t buffer) { return (block *)buffer->context; }

void buffer_free(ggml_backend_buffer_t buffer) {
    block *it = block_of(buffer);
    if (it->on) give_back(it->on, it->taken);
    for (int i = 0; i < gpu_count; i++) gpus[i].held_in_shares -= it->rows[i];
    release(it->base, it->size);
    delete it;
}

void *buffer_base(ggml_backend_buffer_t buffer) { return block_of(buffer)->base; }

void tensor_fill(ggml_backend_buffer_t, ggml_tensor *tensor, uint8_t value, size_t from, size_t n) {
    memset((char *)tensor->data + from, value, n);
}

void tensor_put(ggml_backend_buffer_t, ggml_tensor *tensor, const void *data, size_t to, size_t n) {
    memcpy((char *)tensor->data + to, data, n);
}

void tensor_take(ggml_backend_buffer_t, const ggml_tensor *tensor, void *data, size_t from,
                 size_t n) {
    memcpy(data, (const char *)tensor->data + from, n);
}

void buffer_clear(ggml_backend_buffer_t buffer, uint8_t value) {
    block *it = block_of(buffer);
    if (value || !empty(it->base, it->size)) memset(it->base, value, buffer->size);
}

ggml_backend_buffer_t new_buffer(ggml_backend_buffer_type_t type, size_t size, gpu *on,
                                 size_t taken) {
    size_t reserved = whole(size ? size : 1, 65536);
    void *base = reserve(reserved);
    if (!base) return nullptr;
    /* ggml deletes this itself. */
    auto buffer = new ggml_backend_buffer{};
    buffer->iface.free_buffer = buffer_free;
    buffer->iface.get_base = buffer_base;
    buffer->iface.memset_tensor = tensor_fill;
    buffer->iface.set_tensor = tensor_put;
    buffer->iface.get_tensor = tensor_take;
    buffer->iface.clear = buffer_clear;
    buffer->buft = type;
    buffer->context = new block{base, reserved, on, taken, {}};
    buffer->size = size;
    buffer->usage = GGML_BACKEND_BUFFER_USAGE_ANY;
    return buffer;
}

ggml_backend_buffer_t memory_alloc(ggml_backend_buffer_type_t type, size_t size) {
    device *it = of(type);
    size_t taken = buffer_takes(size);
    if (!take(it->on, taken)) {
        say(GGML_LOG_LEVEL_ERROR,
            "ggml_backend_cuda_buffer_type_alloc_buffer: allocating %.2f MiB on device %d: "
            "cudaMalloc failed: out of memory\n",
            (double)size / mib, it->number);
        return nullptr;
    }
    ggml_backend_buffer_t made = new_buffer(type, size, it->on, taken);
    if (!made) give_back(it->on, taken);
    return made;
}

bool pins() { return !getenv("GGML_CUDA_NO_PINNED"); }

ggml_backend_buffer_type_t cpu_memory() {
    ggml_backend_dev_t known = known_cpu();
    return known ? known->iface.get_buffer_type(known) : nullptr;
}

ggml_backend_buffer_t pinned_alloc(ggml_backend_buffer_type_t type, size_t size) {
    if (!pins() || !device_count || !has_context(devices[0].on)) {
        ggml_backend_buffer_type_t plain = cpu_memory();
        if (plain) return plain->iface.alloc_buffer(plain, size);
    }
    return new_buffer(type, size, nullptr, 0);
}

const char *memory_name(ggml_backend_buffer_type_t type) { return of(type)->name; }
const char *pinned_name(ggml_backend_buffer_type_t) { return "CUDA_Host"; }
size_t card_alignment(ggml_backend_buffer_type_t) { return 128; }

size_t pinned_alignment(ggml_backend_buffer_type_t) {
    ggml_backend_buffer_type_t plain = cpu_memory();
    return plain ? plain->iface.get_alignment(plain) : 64;
}

bool no(ggml_backend_buffer_type_t) { return false; }
bool yes(ggml_backend_buffer_type_t) { return true; }

// ---- shapes ------------------------------------------------------------------------------------

int64_t rows_of(const ggml_tensor *tensor) {
    return tensor->ne[1] * tensor->ne[2] * tensor->ne[3];
}

int64_t elements_of(const ggml_tensor *tensor) { return tensor->ne[0] * rows_of(tensor); }

/* How many values the smallest piece of a type holds; 1 where it is not quantised. */
int64_t block_values(ggml_type type) {
    switch (type) {
        case GGML_TYPE_F64:
        case GGML_TYPE_F32:
        case GGML_TYPE_F16:
        case GGML_TYPE_BF16:
        case GGML_TYPE_I8:
        case GGML_TYPE_I16:
        case GGML_TYPE_I32:
        case GGML_TYPE_I64:
            return 1;
        default:
            return 32; /* or more: only whether it is 1 counts */
    }
}

bool quantised(ggml_type type) { return block_values(type) > 1; }

/* Bytes of a tensor that is no view of another. */
size_t bytes_of(const ggml_tensor *tensor) {
    size_t bytes = tensor->nb[1];
    for (int i = 1; i < GGML_MAX_DIMS; i++) {
        if (tensor->ne[i] <= 0) return 0;
        bytes += (size_t)(tensor->ne[i] - 1) * tensor->nb[i];
    }
    return tensor->ne[0] > 0 ? bytes : 0;
}

/* What is added to the last row, as bytes of one row, so that it ends at a multiple of 512 values. */
size_t padding_of(const ggml_tensor *tensor) {
    int64_t over = tensor->ne[0] % row_padding;
    return over ? tensor->nb[1] * (size_t)(row_padding - over) / (size_t)tensor->ne[0] : 0;
}

bool contiguous_from(const ggml_tensor *tensor, int dimension) {
    for (int i = dimension; i < GGML_MAX_DIMS - 1; i++)
        if (tensor->ne[i + 1] != 1 &&
            tensor->nb[i + 1] != tensor->nb[i] * (size_t)tensor->ne[i])
            return false;
    return true;
}

// ---- flash attention ---------------------------------------------------------------------------

enum kernel { no_kernel, tile_kernel, vector_kernel, matrix_kernel };

struct attention {
    const ggml_tensor *q, *k, *v, *mask;
    int64_t heads_by_key;
    bool grouped; /* the queries of a group are computed together */

    explicit attention(const ggml_tensor *node)
        : q(node->src[0]), k(node->src[1]), v(node->src[2]), mask(node->src[3]) {
        float bias;
        memcpy(&bias, (const char *)node->op_params + sizeof(float), sizeof bias);
        heads_by_key = k->ne[2] ? q->ne[2] / k->ne[2] : 0;
        grouped = heads_by_key >= 2 && mask && bias == 0.0f && k->ne[1] % attention_stride == 0;
        for (const ggml_tensor *each : {q, k, v, mask}) {
            if (!each || quantised(each->type)) continue;
            for (int i = 1; i < GGML_MAX_DIMS; i++)
                if (each->nb[i] % 16) grouped = false;
        }
    }
};

bool has_kernel_for_heads(const attention &of) {
    int64_t key = of.k->ne[0], value = of.v->ne[0];
    switch (key) {
        case 40: case 64: case 72: case 80: case 96: case 112: case 128: case 256:
            return value == key;
        case 192:
            return value == 128 && of.grouped && of.heads_by_key % 8 == 0;
        case 320:
            return value == 256 && of.grouped && of.heads_by_key % 32 == 0;
        case 512:
            return value == key && of.grouped;
        case 576:
            return value == 512 && of.grouped;
        default:
            return false;
    }
}

bool attends_by_type(ggml_type type) {
    switch (type) {
        case GGML_TYPE_F32: case GGML_TYPE_F16: case GGML_TYPE_BF16:
        case GGML_TYPE_Q4_0: case GGML_TYPE_Q8_0:
            return true;
        case GGML_TYPE_Q4_1: case GGML_TYPE_Q5_0: case GGML_TYPE_Q5_1:
            return attention_mixes_types;
        default:
            return false;
    }
}

/* The vector kernels that are compiled by default. */
bool has_vector_kernel(ggml_type key, ggml_type value) {
    if (key == GGML_TYPE_F32) key = GGML_TYPE_F16;
    if (value == GGML_TYPE_F32) value = GGML_TYPE_F16;
    return key == value && (key == GGML_TYPE_F16 || key == GGML_TYPE_BF16 ||
                            key == GGML_TYPE_Q4_0 || key == GGML_TYPE_Q8_0);
}

/* Of builds with API version 1, cards from Volta on. */
bool attended_at_first(const ggml_tensor *node) {
    const ggml_tensor *q = node->src[0], *k = node->src[1], *v = node->src[2], *mask = node->src[3];
    bool halves = k->type == GGML_TYPE_F16 && v->type == GGML_TYPE_F16;
    if (k->ne[0] != v->ne[0])
        return k->ne[0] == 576 && v->ne[0] == 512 && mask && (q->ne[2] / k->ne[2]) % 16 == 0;
    if (q->ne[0] == 192) return false;
    if (k->type == GGML_TYPE_BF16 || v->type == GGML_TYPE_BF16) return false;
    if (q->ne[0] == 64 && k->type == GGML_TYPE_F16) return true;
    if (q->ne[0] == 128) return true;
    if (q->ne[0] == 256 && halves) return true;
    if (mask && mask->ne[2] != 1) return false;
    return halves;
}

kernel attention_kernel(const gpu *on, const ggml_tensor *node) {
    if (api < 2) return attended_at_first(node) ? matrix_kernel : no_kernel;
    attention it(node);
    const ggml_tensor *q = it.q, *k = it.k, *v = it.v;
    if (!has_kernel_for_heads(it)) return no_kernel;
    if (!attention_mixes_types && k->type != v->type) return no_kernel;
    if (!attends_by_type(k->type) || !attends_by_type(v->type)) return no_kernel;
    if (it.mask && it.mask->ne[2] != 1) return no_kernel;

    int capability = 100 * on->major + 10 * on->minor;
    bool plain = !quantised(k->type) && !quantised(v->type);
    bool vectors = q->ne[0] <= 256 && q->ne[0] % 64 == 0 && q->ne[0] != 192 &&
                   k->ne[1] % attention_stride == 0;
    bool odd = q->ne[0] == 40 || q->ne[0] == 72;
    if (capability >= turing && !odd) {
        if (!vectors) return matrix_kernel;
        bool many = it.heads_by_key > 4 && ((api >= 3 && q->ne[0] >= 256) || k->ne[1] >= 8192);
        if (plain) {
            if (capability >= ada && q->ne[1] == 1 && q->ne[3] == 1 && !many) return vector_kernel;
        } else if (q->ne[1] <= (capability >= ada ? 2 : 1)) {
            return vector_kernel;
        }
        return !it.grouped && q->ne[1] == 1 ? vector_kernel : matrix_kernel;
    }
    if (capability >= volta && !odd && q->ne[1] > 16) return matrix_kernel;
    if (vectors && (plain ? q->ne[1] == 1 && !it.grouped : q->ne[1] <= 2)) return vector_kernel;
    return tile_kernel;
}

/* Kernels work on halves: what is of another type is copied into the node's own memory. */
size_t attention_bytes(const gpu *on, const ggml_tensor *node) {
    size_t size = bytes_of(node);
    if (!attention_keeps_copies) return size;
    const ggml_tensor *k = node->src[1], *v = node->src[2];
    kernel by = attention_kernel(on, node);
    if (by == no_kernel) return size;
    bool all = by != vector_kernel || !has_vector_kernel(k->type, v->type);
    bool same = v->view_src && (v->view_src == k || (v->view_src == k->view_src &&
                                                     v->view_offs == k->view_offs));
    for (const ggml_tensor *each : {k, v}) {
        bool copied = each->type == GGML_TYPE_F32 || (all && each->type != GGML_TYPE_F16);
        if (copied && !(each == v && same)) size = whole(size, 128) + 2 * (size_t)elements_of(each);
    }
    return size;
}

// ---- rows of several cards (-sm row) -----------------------------------------------------------

struct split {
    int main;
    float from[MAX_CARDS]; /* where each device begins, as a share of the rows */
    char name[24];
    ggml_backend_buffer_type type;
    split *next;
};

split *splits;

const char *rows_name(ggml_backend_buffer_type_t type) { return ((split *)type->context)->name; }

bool is_split(ggml_backend_buffer_type_t type) { return type->iface.get_name == rows_name; }

int64_t row_at(const split *by, const ggml_tensor *tensor, int number) {
    int64_t rows = rows_of(tensor);
    if (number <= 0) return 0;
    if (number >= device_count) return rows;
    auto row = (int64_t)((float)rows * by->from[number]);
    bool rounds = false;
    for (int i = 0; i < device_count; i++)
        if (by->from[i] < (i + 1 < device_count ? by->from[i + 1] : 1.0f)) rounds = true;
    return rounds ? row - row % row_rounding : row;
}

size_t rows_takes(const split *by, const ggml_tensor *tensor, int number) {
    int64_t rows = row_at(by, tensor, number + 1) - row_at(by, tensor, number);
    return rows ? (size_t)rows * tensor->nb[1] + padding_of(tensor) : 0;
}

size_t rows_size(ggml_backend_buffer_type_t type, const ggml_tensor *tensor) {
    size_t size = 0;
    for (int i = 0; i < device_count; i++)
        size += rows_takes((const split *)type->context, tensor, i);
    return size;
}

ggml_status rows_place(ggml_backend_buffer_t buffer, ggml_tensor *tensor) {
    auto by = (const split *)buffer->buft->context;
    for (int i = 0; i < device_count; i++) {
        size_t size = rows_takes(by, tensor, i);
        gpu *on = devices[i].on;
        if (!size) continue;
        if (whole(on->held_in_shares + size, page) > whole(on->held_in_shares, page) &&
            unused(on) < whole(size, page))
            fail(on, "ggml_backend_cuda_split_buffer_init_tensor", "ggml_cuda_device_malloc");
        on->held_in_shares += size;
        block_of(buffer)->rows[on - gpus] += size;
    }
    return GGML_STATUS_SUCCESS;
}

ggml_backend_buffer_t rows_alloc(ggml_backend_buffer_type_t type, size_t size) {
    ggml_backend_buffer_t buffer = new_buffer(type, size, nullptr, 0);
    if (buffer) buffer->iface.init_tensor = rows_place;
    return buffer;
}

ggml_backend_buffer_type_t rows_type(int main, const float *shares) {
    split wanted = {};
    wanted.main = main >= 0 && main < device_count ? main : 0;
    double sum = 0, before = 0;
    for (int i = 0; shares && i < device_count; i++) sum += shares[i];
    for (int i = 0; i < device_count; i++) {
        const gpu *on = devices[i].on;
        double share = sum > 0 ? shares[i] : (double)on->total / on->shares;
        wanted.from[i] = (float)before;
        before += share;
    }
    for (int i = 0; i < device_count; i++) wanted.from[i] /= (float)before;
    for (split *known = splits; known; known = known->next)
        if (known->main == wanted.main && !memcmp(known->from, wanted.from, sizeof wanted.from))
            return &known->type;
    auto made = new split(wanted);
    snprintf(made->name, sizeof made->name, "CUDA%d_Split", made->main);
    made->type.iface.get_name = rows_name;
    made->type.iface.alloc_buffer = rows_alloc;
    made->type.iface.get_alignment = card_alignment;
    made->type.iface.get_alloc_size = rows_size;
    made->type.iface.is_host = no;
    made->type.device = &devices[made->main].it;
    made->type.context = made;
    made->next = splits;
    splits = made;
    return &made->type;
}

// ---- what a card computes ----------------------------------------------------------------------

bool is_memory(ggml_backend_buffer_type_t type) { return type->iface.get_name == memory_name; }

bool multiplies(const device *by, const ggml_tensor *node) {
    const ggml_tensor *a = node->src[0], *b = node->src[1];
    if (a->buffer && is_split(a->buffer->buft)) {
        auto rows = (const split *)a->buffer->buft->context;
        if (a->ne[2] > 1 || a->ne[3] > 1) return false;
        /* A card that gets no rows cannot be the one that gathers them. */
        if (row_at(rows, a, by->number) == row_at(rows, a, by->number + 1)) return false;
    }
    if (b->type == GGML_TYPE_F16 && a->type != GGML_TYPE_F16) return false;
    switch (a->type) {
        case GGML_TYPE_TQ1_0: case GGML_TYPE_TQ2_0:
        case GGML_TYPE_I8: case GGML_TYPE_I16: case GGML_TYPE_I32: case GGML_TYPE_I64:
        case GGML_TYPE_F64:
            return false;
        default:
            return true;
    }
}

bool fetches(ggml_type type) {
    switch (type) {
        case GGML_TYPE_F16: case GGML_TYPE_F32: case GGML_TYPE_BF16: case GGML_TYPE_I32:
        case GGML_TYPE_Q4_0: case GGML_TYPE_Q4_1: case GGML_TYPE_Q5_0: case GGML_TYPE_Q5_1:
        case GGML_TYPE_Q8_0:
            return true;
        case GGML_TYPE_TQ1_0: case GGML_TYPE_TQ2_0: case GGML_TYPE_Q8_K:
            return false;
        default:
            return fetches_rows_of_every_type;
    }
}

bool stores(const ggml_tensor *node) {
    if (node->src[0]->type != GGML_TYPE_F32)
        return api >= 3 && node->type == GGML_TYPE_F16 && node->src[0]->type == GGML_TYPE_F16;
    switch (node->type) {
        case GGML_TYPE_F32: case GGML_TYPE_F16: case GGML_TYPE_BF16:
        case GGML_TYPE_Q4_0: case GGML_TYPE_Q4_1: case GGML_TYPE_Q5_0: case GGML_TYPE_Q5_1:
        case GGML_TYPE_Q8_0: case GGML_TYPE_IQ4_NL:
            return true;
        default:
            return false;
    }
}

bool converts(const ggml_tensor *node) {
    ggml_type from = node->src[0]->type, to = node->src[1]->type;
    auto plain = [](ggml_type type) {
        return type == GGML_TYPE_F32 || type == GGML_TYPE_F16 || type == GGML_TYPE_BF16;
    };
    auto simple = [](ggml_type type) {
        return type == GGML_TYPE_Q8_0 || type == GGML_TYPE_Q4_0 || type == GGML_TYPE_Q4_1 ||
               type == GGML_TYPE_Q5_0 || type == GGML_TYPE_Q5_1;
    };
    if (plain(from) && plain(to)) return true;
    if (from == GGML_TYPE_F32 && (simple(to) || to == GGML_TYPE_IQ4_NL)) return true;
    if (to == GGML_TYPE_F32 && simple(from)) return true;
    if (api >= 2 && to == GGML_TYPE_I32 && (from == GGML_TYPE_F32 || from == to)) return true;
    if (api >= 2 && from == GGML_TYPE_I32 && to == GGML_TYPE_F32) return true;
    return from == to && contiguous_from(node->src[0], 1) && contiguous_from(node->src[1], 1);
}

/* The scans of Mamba and its second version. */
bool scans(const ggml_tensor *node) {
    int64_t state = node->src[0]->ne[0];
    if (node->src[3]->ne[0] == 1)
        return (state == 128 || state == 256 || (api >= 3 && state == 96)) &&
               node->src[0]->ne[1] % 16 == 0;
    return state == 16 && node->src[0]->ne[1] == 1 && node->src[0]->ne[2] % 128 == 0 &&
           node->src[4]->ne[1] == 1;
}

/* What CUDA refuses of that which the CPU takes; the CPU is asked besides. */
bool computes_in_cuda(const device *by, const ggml_tensor *node) {
    for (const ggml_tensor *source : node->src) {
        if (!source || !source->buffer) continue;
        ggml_backend_buffer_type_t type = source->buffer->buft;
        if (is_memory(type) && of(type) != by) return false;
        if (is_split(type) && node->op != GGML_OP_MUL_MAT) return false;
    }
    switch (node->op) {
        case GGML_OP_MUL_MAT:
        case GGML_OP_MUL_MAT_ID:
            return multiplies(by, node);
        case GGML_OP_GET_ROWS:
            return fetches(node->src[0]->type);
        case GGML_OP_SET_ROWS:
            return stores(node);
        case GGML_OP_CPY:
            return converts(node);
        case GGML_OP_SSM_SCAN:
            return scans(node);
        case GGML_OP_SSM_CONV:
            return node->src[0]->ne[1] % 128 == 0;
        case GGML_OP_FLASH_ATTN_EXT:
            return attention_kernel(by->on, node) != no_kernel;
        default:
            return true;
    }
}

bool device_computes(ggml_backend_dev_t it, const ggml_tensor *node) {
    if (!computes_in_cuda(of(it), node)) return false;
    ggml_backend_dev_t worker = known_cpu();
    return !worker || worker->iface.supports_op(worker, node);
}

bool device_reads(ggml_backend_dev_t it, ggml_backend_buffer_type_t type) {
    return type == &of(it)->memory || (is_split(type) && type->device == it);
}

/* Weights in host memory are worth fetching for a batch that is large enough. */
bool device_wants(ggml_backend_dev_t, const ggml_tensor *node) {
    const char *variable = getenv("GGML_OP_OFFLOAD_MIN_BATCH");
    int64_t batch = rows_of(node);
    switch (node->op) {
        case GGML_OP_GET_ROWS:
            batch = 0;
            break;
        case GGML_OP_MUL_MAT:
            batch = node->ne[1];
            break;
        case GGML_OP_MUL_MAT_ID:
        case GGML_OP_ROPE:
        case GGML_OP_ROPE_BACK:
            batch = node->ne[2];
            break;
        default:
            break;
    }
    return batch >= (variable && minimum_batch_is_a_variable ? atoi(variable) : 32);
}

// ---- computing ---------------------------------------------------------------------------------

struct stream {
    device *on;
    ggml_backend_t worker; /* the CPU's, once there was something to compute */
    bool cublas;
};

stream *stream_of(ggml_backend_t backend) { return (stream *)backend->context; }

const char *backend_name(ggml_backend_t backend) { return stream_of(backend)->on->name; }

void backend_free(ggml_backend_t backend) {
    stream *it = stream_of(backend);
    if (it->worker) it->worker->iface.free(it->worker);
    delete it;
    delete backend;
}

void put_async(ggml_backend_t, ggml_tensor *tensor, const void *data, size_t to, size_t n) {
    tensor_put(nullptr, tensor, data, to, n);
}

void take_async(ggml_backend_t, const ggml_tensor *tensor, void *data, size_t from, size_t n) {
    tensor_take(nullptr, tensor, data, from, n);
}

/* The scheduler offers the copy from the CPU's part of a graph here: where a program without a
   starter shows its CPU backend. The copy itself is left to the scheduler. */
bool copy_async(ggml_backend_t from, ggml_backend_t, const ggml_tensor *, ggml_tensor *) {
    if (!cpu) learn(from->device);
    return false;
}

void backend_wait(ggml_backend_t backend) {
    need_context(stream_of(backend)->on->on, "stream",
                 "cudaStreamCreateWithFlags(&streams[device][stream], cudaStreamNonBlocking)");
}

ggml_backend_t worker_of(ggml_backend_t backend) {
    stream *it = stream_of(backend);
    if (it->worker) return it->worker;
    ggml_backend_dev_t known = known_cpu();
    if (!known) return nullptr;
    it->worker = known->iface.init_backend(known, nullptr);
    auto set_threads = (ggml_backend_set_n_threads_t)known->reg->iface.get_proc_address(
        known->reg, "ggml_backend_set_n_threads");
    /* As on a card the program's own threads have nothing to do. */
    if (it->worker && set_threads) set_threads(it->worker, 1);
    return it->worker;
}

bool uses_cublas(const ggml_tensor *node) {
    return (node->op == GGML_OP_MUL_MAT || node->op == GGML_OP_MUL_MAT_ID) &&
           !quantised(node->src[0]->type) &&
           (node->op == GGML_OP_MUL_MAT ? node->ne[1] : node->ne[2]) > largest_batch_without_cublas;
}

const char *type_name(ggml_type type) {
    switch (type) {
        case GGML_TYPE_F32: return "f32";
        case GGML_TYPE_F16: return "f16";
        case GGML_TYPE_BF16: return "bf16";
        case GGML_TYPE_Q4_0: return "q4_0";
        case GGML_TYPE_Q4_1: return "q4_1";
        case GGML_TYPE_Q5_0: return "q5_0";
        case GGML_TYPE_Q5_1: return "q5_1";
        case GGML_TYPE_Q8_0: return "q8_0";
        default: return "?";
    }
}

void attend(gpu *on, const ggml_tensor *node) {
    static std::atomic<bool> warned{false};
    take_once(on, on->attention, attention_takes, "alloc", "cuMemCreate(&handle, reserve_size)");
    const char *k = type_name(node->src[1]->type), *v = type_name(node->src[2]->type);
    if (attention_mixes_types && attention_kernel(on, node) == vector_kernel &&
        !has_vector_kernel(node->src[1]->type, node->src[2]->type) && !warned.exchange(true))
        say(GGML_LOG_LEVEL_WARN,
            "ggml_cuda_flash_attn_ext_vec: no FlashAttention vector kernel compiled for K/V types "
            "%s-%s, converting K and V to f16 instead (slow). Add \"%s-%s\" to GGML_CUDA_FA_QUANTS "
            "to compile it.\n",
            k, v, k, v);
}

/* Takes what a graph needs of the card besides the buffers. */
void start_kernels(stream *by, ggml_cgraph *graph) {
    gpu *on = by->on->on;
    take_once(on, on->kernels, kernels_take, "ggml_cuda_compute_forward", "cudaGetLastError()");
    if (!host.nodes || !host.node) return;
    for (int i = 0, count = host.nodes(graph); i < count; i++) {
        const ggml_tensor *node = host.node(graph, i);
        if (node->op == GGML_OP_FLASH_ATTN_EXT) attend(on, node);
        if (by->cublas || !uses_cublas(node)) continue;
        by->cublas = true;
        bool again = on->cublas.exchange(true);
        if (!take(on, again ? cublas_takes_again : cublas_takes))
            fail(on, "cublas_handle", "cublasCreate_v2(&cublas_handles[device])");
    }
}

/* Whatever else a build passes along with the graph is passed on. */
template <class... More>
ggml_status backend_compute(ggml_backend_t backend, ggml_cgraph *graph, More... more) {
    ggml_backend_t worker = worker_of(backend);
    if (!worker) {
        say(GGML_LOG_LEVEL_ERROR, "spoofed card: a graph before the program showed its CPU\n");
        return GGML_STATUS_FAILED;
    }
    start_kernels(stream_of(backend), graph);
    return worker->iface.graph_compute(worker, graph, more...);
}

void event_record(ggml_backend_t, ggml_backend_event_t) {}
void event_wait(ggml_backend_t, ggml_backend_event_t) {}

ggml_guid guid = {0x6c, 0x6c, 0x61, 0x6d, 0x61, 0x2d, 0x68, 0x61,
                  0x72, 0x6e, 0x65, 0x73, 0x73, 0x20, 0x20, 0x01};

ggml_backend_t device_init(ggml_backend_dev_t it, const char *) {
    auto backend = new ggml_backend{};
    backend->guid = &guid;
    backend->iface.get_name = backend_name;
    backend->iface.free = backend_free;
    backend->iface.set_tensor_async = put_async;
    backend->iface.get_tensor_async = take_async;
    backend->iface.cpy_tensor_async = copy_async;
    backend->iface.synchronize = backend_wait;
    backend->iface.graph_compute = backend_compute;
    backend->iface.event_record = event_record;
    backend->iface.event_wait = event_wait;
    backend->device = it;
    backend->context = new stream{of(it), nullptr, false};
    return backend;
}

// ---- devices -----------------------------------------------------------------------------------

const char *device_name(ggml_backend_dev_t it) { return of(it)->name; }
const char *device_description(ggml_backend_dev_t it) { return of(it)->description; }

void device_memory(ggml_backend_dev_t it, size_t *free, size_t *total) {
    const gpu *on = of(it)->on;
    if (!has_context(on)) {
        if (!survives_a_full_card)
            fail(on, "ggml_backend_cuda_device_get_memory", "cudaMemGetInfo(free, total)");
        say(GGML_LOG_LEVEL_WARN, "ggml_backend_cuda_device_get_memory: cudaMemGetInfo failed "
                                 "(out of memory), returning 0/0\n");
        *free = *total = 0;
        return;
    }
    *free = unused(on) / (size_t)on->shares;
    *total = on->total / (size_t)on->shares;
}

enum ggml_backend_dev_type device_type(ggml_backend_dev_t) { return GGML_BACKEND_DEVICE_TYPE_GPU; }

void device_props(ggml_backend_dev_t it, ggml_backend_dev_props *props) {
    props->name = device_name(it);
    props->description = device_description(it);
    props->type = device_type(it);
    device_memory(it, &props->memory_free, &props->memory_total);
    set_device_id(*props, (const char *)of(it)->slot, 0);
    props->caps = {};
    props->caps.async = true;
    props->caps.host_buffer = pins();
    props->caps.events = true;
    set_mmap_support(props->caps, true, 0);
}

ggml_backend_buffer_type_t device_memory_type(ggml_backend_dev_t it) { return &of(it)->memory; }
ggml_backend_buffer_type_t device_pinned_type(ggml_backend_dev_t) { return &pinned; }

size_t memory_size(ggml_backend_buffer_type_t type, const ggml_tensor *tensor) {
    if (tensor->op == GGML_OP_FLASH_ATTN_EXT) return attention_bytes(of(type)->on, tensor);
    return bytes_of(tensor) + (quantised(tensor->type) ? padding_of(tensor) : 0);
}

ggml_backend_event_t event_new(ggml_backend_dev_t it) {
    gpu *on = of(it)->on;
    take_once(on, on->events, events_take, "ggml_backend_cuda_device_event_new",
              "cudaEventCreateWithFlags(&event, cudaEventDisableTiming)");
    return new ggml_backend_event{it, nullptr};
}

void event_free(ggml_backend_dev_t, ggml_backend_event_t event) { delete event; }
void event_synchronize(ggml_backend_dev_t, ggml_backend_event_t) {}

void fit_out(device *made, int number, gpu *on) {
    made->number = number;
    made->on = on;
    snprintf(made->name, sizeof made->name, "CUDA%d", number);

    made->memory.iface.get_name = memory_name;
    made->memory.iface.alloc_buffer = memory_alloc;
    made->memory.iface.get_alignment = card_alignment;
    made->memory.iface.get_alloc_size = memory_size;
    made->memory.iface.is_host = no;
    made->memory.device = &made->it;
    made->memory.context = made;

    made->it.iface.get_name = device_name;
    made->it.iface.get_description = device_description;
    made->it.iface.get_memory = device_memory;
    made->it.iface.get_type = device_type;
    made->it.iface.get_props = device_props;
    made->it.iface.init_backend = device_init;
    made->it.iface.get_buffer_type = device_memory_type;
    made->it.iface.get_host_buffer_type = device_pinned_type;
    made->it.iface.supports_op = device_computes;
    made->it.iface.supports_buft = device_reads;
    made->it.iface.offload_op = device_wants;
    made->it.iface.event_new = event_new;
    made->it.iface.event_free = event_free;
    made->it.iface.event_synchronize = event_synchronize;
    made->it.reg = &registration;
    made->it.context = made;
}

// ---- where the cards come from -----------------------------------------------------------------

enum status { success = 0, invalid_device = 101, no_device = 100 };

#if defined(__linux__)

void *driver;

template <class... Values> int ask(const char *name, Values... values) {
    auto call = (int (*)(Values...))dlsym(driver, name);
    return call ? call(values...) : no_device;
}

/* The driver library: the spoof's, which knows the profile, its variants and
   CUDA_VISIBLE_DEVICES. */
status cards_of_driver() {
    int found = 0;
    status said = (status)ask("cuInit", 0u);
    if (said) return said;
    ask("cuDeviceGetCount", &found);
    for (int i = 0; i < found && gpu_count < MAX_CARDS; i++) {
        gpu *made = &gpus[gpu_count++];
        void *context = nullptr;
        ask("cuDeviceGetName", made->description, (int)sizeof made->description, i);
        ask("cuDeviceTotalMem_v2", &made->total, i);
        ask("cuDeviceGetAttribute", &made->major, 75, i);
        ask("cuDeviceGetAttribute", &made->minor, 76, i);
        ask("cuDeviceGetPCIBusId", made->slot, (int)sizeof made->slot, i);
        if (ask("cuDevicePrimaryCtxRetain", &context, i) || ask("cuCtxSetCurrent", context) ||
            ask("cuMemGetInfo_v2", &made->free, &made->total))
            made->free = 0;
    }
    return success;
}

bool open_driver() {
    driver = dlopen("libcuda.so.1", RTLD_NOW | RTLD_LOCAL);
    return driver;
}

#else

bool open_driver() { return false; }
status cards_of_driver() { return no_device; }

#endif

/* The file beside this library from which the driver has the machine, where no driver is spoofed. */
status cards_of_file() {
    int order[MAX_CARDS];
    int visible = visible_cards(order);
    if (visible == NAMED_TWICE) return invalid_device;
    for (int i = 0; i < visible; i++) {
        const card *seen = &machine.cards[order[i]];
        gpu *made = &gpus[gpu_count++];
        size_t held = (seen->used_mib + seen->context_mib) * mib;
        snprintf(made->description, sizeof made->description, "%s", seen->name);
        snprintf(made->slot, sizeof made->slot, "%04x:%02x:%02x.0", seen->domain & 0xFFFF, seen->bus,
                 seen->slot);
        made->major = seen->major;
        made->minor = seen->minor;
        made->total = (seen->total_mib - seen->reserved_mib) * mib;
        made->free = held < made->total ? made->total - held : 0;
        if (made->free < seen->floor_mib * mib) made->free = seen->floor_mib * mib;
    }
    return visible ? success : no_device;
}

int wanted_devices() {
    const char *variable = getenv("GGML_CUDA_DEVICES");
    if (!has_virtual_cards || !variable || !gpu_count) return gpu_count;
    int wanted = atoi(variable);
    if (wanted <= 0) {
        say(GGML_LOG_LEVEL_WARN, "ggml_cuda_init: ignoring invalid GGML_CUDA_DEVICES=\"%s\"\n",
            variable);
        return gpu_count;
    }
    if (wanted > MAX_CARDS) {
        say(GGML_LOG_LEVEL_WARN,
            "ggml_cuda_init: requested %d devices, clamping to GGML_CUDA_MAX_DEVICES=%d\n", wanted,
            MAX_CARDS);
        return MAX_CARDS;
    }
    return wanted;
}

void tell_of(const device *it) {
    const gpu *on = it->on;
    char memory[40] = "";
    if (lists_memory_at_start)
        snprintf(memory, sizeof memory, ", VRAM: %zu MiB", on->total / (size_t)on->shares / mib);
    say(GGML_LOG_LEVEL_INFO, "  Device %d: %s, compute capability %d.%d, VMM: yes%s\n", it->number,
        on->description, on->major, on->minor, memory);
}

void find_devices() {
    status said = open_driver() ? cards_of_driver() : cards_of_file();
    if (!said && !gpu_count) said = no_device;
    if (said) {
        const char *why = said == invalid_device ? "invalid device ordinal"
                                                 : "no CUDA-capable device is detected";
        say(GGML_LOG_LEVEL_ERROR, "ggml_cuda_init: failed to initialize CUDA: %s\n", why);
        return;
    }
    size_t all = 0;
    for (int i = 0; i < gpu_count; i++) {
        all += gpus[i].total;
        for (char *at = gpus[i].slot; *at; at++)
            if (*at >= 'A' && *at <= 'F') *at = (char)(*at - 'A' + 'a');
    }
    device_count = wanted_devices();
    if (lists_memory_at_start)
        say(GGML_LOG_LEVEL_INFO, "ggml_cuda_init: found %d CUDA devices (Total VRAM: %zu MiB):\n",
            gpu_count, all / mib);
    else
        say(GGML_LOG_LEVEL_INFO, "ggml_cuda_init: found %d CUDA devices:\n", gpu_count);
    bool shared = device_count != gpu_count;
    if (shared)
        say(GGML_LOG_LEVEL_INFO,
            "ggml_cuda_init: emulating %d virtual device(s) on %d physical device(s) "
            "(GGML_CUDA_DEVICES)\n",
            device_count, gpu_count);
    for (int i = 0; i < device_count; i++) {
        device *made = &devices[i];
        gpu *on = &gpus[i % gpu_count];
        fit_out(made, i, on);
        int share = on->shares++;
        snprintf(made->description, sizeof made->description, "%s", on->description);
        snprintf(made->slot, sizeof made->slot, "%s", on->slot);
        if (device_count > gpu_count) {
            snprintf(made->description, sizeof made->description, "%s (dev p%d/v%d)",
                     on->description, i % gpu_count, share);
            snprintf(made->slot, sizeof made->slot, "%s-v%d", on->slot, i);
        }
    }
    for (int i = 0; i < device_count; i++) tell_of(&devices[i]);
}

// ---- the backend -------------------------------------------------------------------------------

const char *reg_name(ggml_backend_reg_t) { return "CUDA"; }
size_t reg_count(ggml_backend_reg_t) { return (size_t)device_count; }
ggml_backend_dev_t reg_device(ggml_backend_reg_t, size_t index) { return &devices[index].it; }

/* As upstream's releases are compiled. */
ggml_backend_feature features[] = {
    {"ARCHS", "500,610,700,750,800,860,890,900,1200"},
    {"USE_GRAPHS", "1"},
    api >= 3 ? ggml_backend_feature{"FA_QUANTS", "q4_0-q4_0,q8_0-q8_0,f16-f16,bf16-bf16"}
             : ggml_backend_feature{"PEER_MAX_BATCH_SIZE", "128"},
    {nullptr, nullptr},
};

ggml_backend_feature *reg_features(ggml_backend_reg_t) { return features; }
bool register_nothing(void *, size_t) { return false; }
void unregister_nothing(void *) {}

/* Sums of several cards (-sm tensor): as a build without NCCL, whose own way takes two cards; the
   sums themselves are left to ggml. */
void *sums_start(ggml_backend_t *, size_t count) {
    static int started;
    say(GGML_LOG_LEVEL_WARN,
        "NCCL not compiled in; falling back to internal AllReduce.  Recompile with "
        "-DGGML_CUDA_NCCL=ON for best multi-GPU performance.\n");
    if (count == 2)
        say(GGML_LOG_LEVEL_INFO,
            "ggml_cuda_ar_pipeline_init: initialized AllReduce pipeline: 2 GPUs, 1024 KB chunked "
            "kernel staging + 32 MB copy-engine staging per GPU\n");
    else
        say(GGML_LOG_LEVEL_WARN, "internal AllReduce init failed (n_devices != 2?); falling back to "
                                 "meta-backend butterfly\n");
    return &started;
}

void sums_end(void *) {}
bool sums_not_here(void *, ggml_tensor **) { return false; }

void *reg_address(ggml_backend_reg_t, const char *name) {
    const struct {
        const char *name;
        void *address;
    } known[] = {
        {"ggml_backend_split_buffer_type", has_row_split ? (void *)rows_type : nullptr},
        {"ggml_backend_register_host_buffer", (void *)register_nothing},
        {"ggml_backend_unregister_host_buffer", (void *)unregister_nothing},
        {"ggml_backend_get_features", (void *)reg_features},
        {"ggml_backend_comm_init", (void *)sums_start},
        {"ggml_backend_comm_free", (void *)sums_end},
        {"ggml_backend_comm_allreduce_tensor", (void *)sums_not_here},
    };
    for (const auto &each : known)
        if (!strcmp(each.name, name)) return each.address;
    return nullptr;
}

ggml_backend_reg_t start() {
    if (registration.api_version) return &registration;
    registration.api_version = api;
    registration.iface.get_name = reg_name;
    registration.iface.get_device_count = reg_count;
    registration.iface.get_device = reg_device;
    registration.iface.get_proc_address = reg_address;
    pinned.iface.get_name = pinned_name;
    pinned.iface.alloc_buffer = pinned_alloc;
    pinned.iface.get_alignment = pinned_alignment;
    pinned.iface.is_host = yes;
    pinned.device = &devices[0].it;
    find_devices();
    return &registration;
}

/* Whether this process runs the program that the library is meant for. */
bool is_meant() {
    const char *meant = getenv("LLAMA_HARNESS_CARD_PROGRAM");
    if (!meant || !*meant) return true;
#ifdef _WIN32
    char running[1100];
    DWORD length = GetModuleFileNameA(nullptr, running, sizeof running);
    return length && length < sizeof running && !lstrcmpiA(running, meant);
#else
    char running[PATH_MAX] = "", real[PATH_MAX] = "";
#ifdef __APPLE__
    char given[PATH_MAX];
    uint32_t size = sizeof given;
    if (_NSGetExecutablePath(given, &size) || !realpath(given, running)) return true;
#else
    if (!realpath("/proc/self/exe", running)) return true;
#endif
    return realpath(meant, real) && !strcmp(running, real);
#endif
}

}  // namespace

/* For the starter in static servers. */
EXPORT void *llama_harness_card(const program *by) {
    if (strcmp(by->headers, CARD_HEADERS)) {
        by->log(GGML_LOG_LEVEL_ERROR,
                "spoofed card: made for a build with headers " CARD_HEADERS ", this one has %s\n",
                by->headers);
        return nullptr;
    }
    host = *by;
    return start();
}

/* For programs that load backends: 0 is "not on this system". */
EXPORT int ggml_backend_score(void) { return is_meant() ? 1 : 0; }

EXPORT ggml_backend_reg_t ggml_backend_init(void) {
    if (!is_meant()) return nullptr;
    look_up(host.log, "ggml_log_internal");
    look_up(host.nodes, "ggml_graph_n_nodes");
    look_up(host.node, "ggml_graph_node");
    return start();
}
