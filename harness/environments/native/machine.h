/* The spoofed machine as both libraries read it: a text file beside the library. */
#ifndef LLAMA_HARNESS_MACHINE_H
#define LLAMA_HARNESS_MACHINE_H

#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#ifdef _WIN32
#define WIN32_LEAN_AND_MEAN
#include <windows.h>
#else
#include <dlfcn.h>
#include <pthread.h>
#endif

#define MAX_CARDS 16
#ifdef _WIN32
#define EXPORT __declspec(dllexport)
#else
#define EXPORT __attribute__((visibility("default")))
#endif
#define MIB (1024ULL * 1024ULL)

struct card {
    char name[96];
    char uuid[64];
    char serial[32];
    char bus_id[32];
    char vbios[32];
    unsigned domain, bus, slot;
    unsigned device_id, subsystem_id;
    int major, minor;
    unsigned long long total_mib, reserved_mib, used_mib, context_mib, floor_mib;
    int multiprocessors, cores_per_multiprocessor;
    int sm_clock, memory_clock, bus_bits;
    int l2_kib;
    unsigned power_mw, idle_power_mw;
    int pcie_generation, pcie_width, temperature;
    int ecc, mig, fan, persistence, display, architecture, brand;
};

static struct {
    char driver_version[64];
    int cuda_version; /* 12040 is 12.4 */
    int no_driver;
    int unmasked;
    int count;
    struct card cards[MAX_CARDS];
} machine;

/* What each system does in its own way: opening a file beside this library, to read it or to add to
   it; looking a name up in this library; doing something once. */
static void read_machine(void);

enum access { TO_READ, TO_ADD };

#ifdef _WIN32

static HMODULE this_library(void) {
    HMODULE library = NULL;
    DWORD how = GET_MODULE_HANDLE_EX_FLAG_FROM_ADDRESS;
    how |= GET_MODULE_HANDLE_EX_FLAG_UNCHANGED_REFCOUNT;
    return GetModuleHandleExW(how, (LPCWSTR)(void *)&machine, &library) ? library : NULL;
}

static FILE *open_beside(const char *name, enum access access) {
    wchar_t path[1100];
    HMODULE library = this_library();
    DWORD length = library ? GetModuleFileNameW(library, path, 1024) : 0;
    if (!length || length >= 1024) return NULL;
    wchar_t *slash = wcsrchr(path, L'\\');
    if (!slash) return NULL;
    do *++slash = (wchar_t)*name;
    while (*name++);
    return _wfopen(path, access == TO_READ ? L"rN" : L"aN");
}

__attribute__((unused)) static void *own_symbol(const char *name) {
    HMODULE library = this_library();
    return library ? (void *)GetProcAddress(library, name) : NULL;
}

static INIT_ONCE machine_read = INIT_ONCE_STATIC_INIT;

static BOOL CALLBACK read_once(PINIT_ONCE once, PVOID parameter, PVOID *context) {
    (void)once, (void)parameter, (void)context;
    read_machine();
    return TRUE;
}

static void know_machine(void) { InitOnceExecuteOnce(&machine_read, read_once, NULL, NULL); }

#else

static FILE *open_beside(const char *name, enum access access) {
    Dl_info here;
    char path[1100];
    if (!dladdr((void *)&machine, &here) || !here.dli_fname) return NULL;
    const char *slash = strrchr(here.dli_fname, '/');
    if (!slash || slash - here.dli_fname >= 1024) return NULL;
    snprintf(path, sizeof path, "%.*s/%s", (int)(slash - here.dli_fname), here.dli_fname, name);
    return fopen(path, access == TO_READ ? "re" : "ae");
}

__attribute__((unused)) static void *own_symbol(const char *name) {
    Dl_info here;
    if (!dladdr((void *)&machine, &here)) return NULL;
    void *library = dlopen(here.dli_fname, RTLD_NOLOAD | RTLD_LAZY);
    void *found = library ? dlsym(library, name) : NULL;
    if (library) dlclose(library);
    return found;
}

static pthread_once_t machine_read = PTHREAD_ONCE_INIT;

static void know_machine(void) { pthread_once(&machine_read, read_machine); }

#endif

static void read_card(struct card *card, const char *key, const char *value) {
    struct {
        const char *key;
        char *into;
        size_t size;
    } texts[] = {
        {"name", card->name, sizeof card->name},
        {"uuid", card->uuid, sizeof card->uuid},
        {"serial", card->serial, sizeof card->serial},
        {"pci_bus_id", card->bus_id, sizeof card->bus_id},
        {"vbios_version", card->vbios, sizeof card->vbios},
    };
    struct {
        const char *key;
        int *into;
    } numbers[] = {
        {"multiprocessors", &card->multiprocessors},
        {"cores_per_multiprocessor", &card->cores_per_multiprocessor},
        {"max_sm_clock_mhz", &card->sm_clock},
        {"max_memory_clock_mhz", &card->memory_clock},
        {"memory_bus_bits", &card->bus_bits},
        {"l2_cache_kib", &card->l2_kib},
        {"pcie_generation", &card->pcie_generation},
        {"pcie_width", &card->pcie_width},
        {"temperature_c", &card->temperature},
        {"ecc", &card->ecc},
        {"mig", &card->mig},
        {"fan", &card->fan},
        {"persistence_mode", &card->persistence},
        {"display_active", &card->display},
        {"nvml_architecture", &card->architecture},
        {"nvml_brand", &card->brand},
    };
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
        if (!strcmp(key, texts[i].key)) snprintf(texts[i].into, texts[i].size, "%s", value);
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++)
        if (!strcmp(key, numbers[i].key)) *numbers[i].into = atoi(value);
    if (!strcmp(key, "pci_bus_id"))
        sscanf(value, "%x:%x:%x", &card->domain, &card->bus, &card->slot);
    else if (!strcmp(key, "pci_device_id"))
        card->device_id = (unsigned)strtoul(value, NULL, 10);
    else if (!strcmp(key, "pci_subsystem_id"))
        card->subsystem_id = (unsigned)strtoul(value, NULL, 10);
    else if (!strcmp(key, "compute_capability"))
        sscanf(value, "%d.%d", &card->major, &card->minor);
    else if (!strcmp(key, "memory_total_mib"))
        card->total_mib = strtoull(value, NULL, 10);
    else if (!strcmp(key, "memory_reserved_mib"))
        card->reserved_mib = strtoull(value, NULL, 10);
    else if (!strcmp(key, "memory_used_mib"))
        card->used_mib = strtoull(value, NULL, 10);
    else if (!strcmp(key, "context_mib"))
        card->context_mib = strtoull(value, NULL, 10);
    else if (!strcmp(key, "cuda_floor_mib"))
        card->floor_mib = strtoull(value, NULL, 10);
    else if (!strcmp(key, "power_limit_mw"))
        card->power_mw = (unsigned)strtoul(value, NULL, 10);
    else if (!strcmp(key, "idle_power_mw"))
        card->idle_power_mw = (unsigned)strtoul(value, NULL, 10);
}

static void read_machine(void) {
    char line[256];
    machine.no_driver = 1; /* a library without its file knows no machine */
    FILE *file = open_beside("machine.txt", TO_READ);
    if (!file) return;
    machine.no_driver = 0;
    struct card *card = NULL;
    while (fgets(line, sizeof line, file)) {
        line[strcspn(line, "\n")] = 0;
        char *value = strchr(line, ' ');
        if (value) *value++ = 0;
        if (!strcmp(line, "card") && machine.count < MAX_CARDS) {
            card = &machine.cards[machine.count++];
            memset(card, 0, sizeof *card);
        } else if (!value) {
            continue;
        } else if (card) {
            read_card(card, line, value);
        } else if (!strcmp(line, "driver_version")) {
            snprintf(machine.driver_version, sizeof machine.driver_version, "%s", value);
        } else if (!strcmp(line, "cuda_version")) {
            int major = 0, minor = 0;
            sscanf(value, "%d.%d", &major, &minor);
            machine.cuda_version = major * 1000 + minor * 10;
        } else if (!strcmp(line, "no_driver")) {
            machine.no_driver = atoi(value);
        } else if (!strcmp(line, "unmasked_smi")) {
            machine.unmasked = atoi(value);
        }
    }
    fclose(file);
}

/* One line per thing asked for that the spoof does not have, for whoever wonders why. */
__attribute__((unused)) static void note_unanswered(const char *name) {
    FILE *file = open_beside("unanswered.txt", TO_ADD);
    if (!file) return;
    fprintf(file, "%s\n", name);
    fclose(file);
}

static int card_by_number(const char *entry, size_t length) {
    size_t i = 0;
    int negative = 0;
    long number = 0;
    if (i < length && (entry[i] == '+' || entry[i] == '-')) negative = entry[i++] == '-';
    if (i >= length || !isdigit((unsigned char)entry[i])) return -1;
    for (; i < length && isdigit((unsigned char)entry[i]); i++)
        if (number <= MAX_CARDS) number = number * 10 + (entry[i] - '0');
    if (number >= machine.count || (negative && number)) return -1;
    return (int)number;
}

static int card_by_uuid(const char *entry, size_t length) {
    int found = -1;
    if (length < 4 || strncmp(entry, "GPU-", 4)) return -1;
    for (int i = 0; i < machine.count; i++)
        if (!strncmp(machine.cards[i].uuid, entry, length)) {
            if (found >= 0) return -1;
            found = i;
        }
    return found;
}

enum { NAMED_TWICE = -1 };

/* Fills `order` with the visible cards as CUDA_VISIBLE_DEVICES orders them; see visibility.py. */
static int visible_cards(int order[MAX_CARDS]) {
    const char *variable = getenv("CUDA_VISIBLE_DEVICES");
    int count = 0;
    know_machine();
    if (machine.no_driver) return 0;
    if (!variable) {
        for (; count < machine.count; count++) order[count] = count;
        return count;
    }
    int by_uuid = !strncmp(variable, "GPU-", 4);
    for (const char *entry = variable;; entry++) {
        const char *end = entry + strcspn(entry, ",");
        const char *from = entry, *to = end;
        while (from < to && isspace((unsigned char)*from)) from++;
        while (to > from && isspace((unsigned char)to[-1])) to--;
        size_t length = (size_t)(to - from);
        int card = by_uuid ? card_by_uuid(from, length) : card_by_number(from, length);
        if (card < 0) break;
        for (int i = 0; i < count; i++)
            if (order[i] == card) return NAMED_TWICE;
        order[count++] = card;
        entry = end;
        if (!*end) break;
    }
    return count;
}

#endif
