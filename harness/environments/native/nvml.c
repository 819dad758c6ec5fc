/* libnvidia-ml.so.1 of a machine that is not there: the calls that applications make to find
   GPUs and to read their state. Of all others it says that they are not supported. */
#include "machine.h"

enum {
    SUCCESS = 0,
    UNINITIALIZED = 1,
    INVALID_ARGUMENT = 2,
    NOT_SUPPORTED = 3,
    NOT_FOUND = 6,
    INSUFFICIENT_SIZE = 7,
    DRIVER_NOT_LOADED = 9,
    ARGUMENT_VERSION_MISMATCH = 25,
};

typedef int status;
typedef struct card *device;

static int initialised;
static int order[MAX_CARDS];
static int visible;

static int ascending(const void *a, const void *b) { return *(const int *)a - *(const int *)b; }

EXPORT status nvmlInit_v2(void) {
    know_machine();
    if (machine.no_driver) return DRIVER_NOT_LOADED;
    if (machine.unmasked)
        for (visible = 0; visible < machine.count; visible++) order[visible] = visible;
    else
        visible = visible_cards(order);
    if (visible < 0) visible = 0;
    qsort(order, (size_t)visible, sizeof *order, ascending);
    initialised++;
    return SUCCESS;
}

EXPORT status nvmlInit(void) { return nvmlInit_v2(); }
EXPORT status nvmlInitWithFlags(unsigned flags) { return (void)flags, nvmlInit_v2(); }

EXPORT status nvmlShutdown(void) {
    if (!initialised) return UNINITIALIZED;
    initialised--;
    return SUCCESS;
}

EXPORT const char *nvmlErrorString(status code) {
    switch (code) {
        case SUCCESS: return "Success";
        case UNINITIALIZED: return "Uninitialized";
        case INVALID_ARGUMENT: return "Invalid Argument";
        case NOT_SUPPORTED: return "Not Supported";
        case NOT_FOUND: return "Not Found";
        case INSUFFICIENT_SIZE: return "Insufficient Size";
        case DRIVER_NOT_LOADED: return "Driver Not Loaded";
        case ARGUMENT_VERSION_MISMATCH: return "Argument Version Mismatch";
        default: return "Unknown Error";
    }
}

static status give_text(char *into, unsigned size, const char *text) {
    if (!initialised) return UNINITIALIZED;
    if (!into) return INVALID_ARGUMENT;
    if (strlen(text) + 1 > size) return INSUFFICIENT_SIZE;
    strcpy(into, text);
    return SUCCESS;
}

static status checked(device card, const void *into) {
    if (!initialised) return UNINITIALIZED;
    if (!into || card < machine.cards || card >= machine.cards + machine.count)
        return INVALID_ARGUMENT;
    return SUCCESS;
}

#define GIVE(card, into, value)                       \
    do {                                              \
        status problem = checked(card, into);         \
        if (problem) return problem;                  \
        *(into) = (value);                            \
        return SUCCESS;                               \
    } while (0)

#define NUMBER(function, value) \
    EXPORT status function(device card, unsigned *into) { GIVE(card, into, (unsigned)(value)); }

#define ABSENT(function)                                   \
    EXPORT status function(device card, void *into) {      \
        status problem = checked(card, into);              \
        return problem ? problem : NOT_SUPPORTED;          \
    }

EXPORT status nvmlSystemGetDriverVersion(char *into, unsigned size) {
    return give_text(into, size, machine.driver_version);
}

EXPORT status nvmlSystemGetNVMLVersion(char *into, unsigned size) {
    char version[96];
    snprintf(version, sizeof version, "%d.%s", machine.cuda_version / 1000, machine.driver_version);
    return give_text(into, size, version);
}

EXPORT status nvmlSystemGetCudaDriverVersion(int *into) {
    if (!into) return INVALID_ARGUMENT;
    if (!initialised) return UNINITIALIZED;
    *into = machine.cuda_version;
    return SUCCESS;
}

EXPORT status nvmlSystemGetCudaDriverVersion_v2(int *into) {
    return nvmlSystemGetCudaDriverVersion(into);
}

EXPORT status nvmlDeviceGetCount_v2(unsigned *into) {
    if (!initialised) return UNINITIALIZED;
    if (!into) return INVALID_ARGUMENT;
    *into = (unsigned)visible;
    return SUCCESS;
}

EXPORT status nvmlDeviceGetCount(unsigned *into) { return nvmlDeviceGetCount_v2(into); }

EXPORT status nvmlDeviceGetHandleByIndex_v2(unsigned index, device *into) {
    if (!initialised) return UNINITIALIZED;
    if (!into || index >= (unsigned)visible) return INVALID_ARGUMENT;
    *into = &machine.cards[order[index]];
    return SUCCESS;
}

EXPORT status nvmlDeviceGetHandleByIndex(unsigned index, device *into) {
    return nvmlDeviceGetHandleByIndex_v2(index, into);
}

static int same_bus(const struct card *card, const char *text) {
    unsigned domain = 0, bus = 0, slot = 0;
    if (sscanf(text, "%x:%x:%x", &domain, &bus, &slot) != 3) {
        domain = 0;
        if (sscanf(text, "%x:%x", &bus, &slot) != 2) return 0;
    }
    return domain == card->domain && bus == card->bus && slot == card->slot;
}

static int same_uuid(const struct card *card, const char *text) { return !strcmp(card->uuid, text); }

static int same_serial(const struct card *card, const char *text) {
    return *card->serial && !strcmp(card->serial, text);
}

static status find(const char *text, int (*same)(const struct card *, const char *), device *into) {
    if (!initialised) return UNINITIALIZED;
    if (!text || !into) return INVALID_ARGUMENT;
    for (int i = 0; i < visible; i++)
        if (same(&machine.cards[order[i]], text)) {
            *into = &machine.cards[order[i]];
            return SUCCESS;
        }
    return NOT_FOUND;
}

EXPORT status nvmlDeviceGetHandleByUUID(const char *uuid, device *into) {
    return find(uuid, same_uuid, into);
}
EXPORT status nvmlDeviceGetHandleBySerial(const char *serial, device *into) {
    return find(serial, same_serial, into);
}
EXPORT status nvmlDeviceGetHandleByPciBusId_v2(const char *bus_id, device *into) {
    return find(bus_id, same_bus, into);
}
EXPORT status nvmlDeviceGetHandleByPciBusId(const char *bus_id, device *into) {
    return find(bus_id, same_bus, into);
}

#define STRING(function, text)                                          \
    EXPORT status function(device card, char *into, unsigned size) {    \
        status problem = checked(card, into);                           \
        return problem ? problem : give_text(into, size, text);         \
    }

STRING(nvmlDeviceGetName, card->name)
STRING(nvmlDeviceGetUUID, card->uuid)
STRING(nvmlDeviceGetVbiosVersion, card->vbios)

EXPORT status nvmlDeviceGetSerial(device card, char *into, unsigned size) {
    status problem = checked(card, into);
    if (problem) return problem;
    return *card->serial ? give_text(into, size, card->serial) : NOT_SUPPORTED;
}

NUMBER(nvmlDeviceGetIndex, card - machine.cards)
NUMBER(nvmlDeviceGetMinorNumber, card - machine.cards)
NUMBER(nvmlDeviceGetBoardId, card->bus << 8)
NUMBER(nvmlDeviceGetBrand, card->brand)
NUMBER(nvmlDeviceGetArchitecture, card->architecture)
NUMBER(nvmlDeviceGetNumGpuCores, card->multiprocessors * card->cores_per_multiprocessor)
NUMBER(nvmlDeviceGetMemoryBusWidth, card->bus_bits)
NUMBER(nvmlDeviceGetMultiGpuBoard, 0)
NUMBER(nvmlDeviceGetPersistenceMode, card->persistence)
NUMBER(nvmlDeviceGetComputeMode, 0)
NUMBER(nvmlDeviceGetDisplayMode, card->display)
NUMBER(nvmlDeviceGetDisplayActive, card->display)
NUMBER(nvmlDeviceGetAccountingMode, 0)
NUMBER(nvmlDeviceGetPerformanceState, card->ecc ? 0 : 8)
NUMBER(nvmlDeviceGetPowerState, card->ecc ? 0 : 8)
NUMBER(nvmlDeviceGetPowerManagementMode, 1)
NUMBER(nvmlDeviceGetPowerUsage, card->idle_power_mw)
NUMBER(nvmlDeviceGetPowerManagementLimit, card->power_mw)
NUMBER(nvmlDeviceGetPowerManagementDefaultLimit, card->power_mw)
NUMBER(nvmlDeviceGetEnforcedPowerLimit, card->power_mw)
NUMBER(nvmlDeviceGetMaxPcieLinkGeneration, card->pcie_generation)
NUMBER(nvmlDeviceGetMaxPcieLinkWidth, card->pcie_width)
NUMBER(nvmlDeviceGetCurrPcieLinkGeneration, card->ecc ? card->pcie_generation : 1)
NUMBER(nvmlDeviceGetCurrPcieLinkWidth, card->pcie_width)
NUMBER(nvmlDeviceIsMigDeviceHandle, 0)
NUMBER(nvmlDeviceGetMaxMigDeviceCount, 0) /* while MIG is off */
ABSENT(nvmlDeviceGetTotalEnergyConsumption)
ABSENT(nvmlDeviceGetDriverModel_v2)

EXPORT status nvmlDeviceGetFanSpeed(device card, unsigned *into) {
    status problem = checked(card, into);
    if (problem) return problem;
    if (!card->fan) return NOT_SUPPORTED;
    *into = 0;
    return SUCCESS;
}

EXPORT status nvmlDeviceGetNumFans(device card, unsigned *into) {
    GIVE(card, into, (unsigned)card->fan);
}

EXPORT status nvmlDeviceGetEccMode(device card, unsigned *current, unsigned *pending) {
    status problem = checked(card, current);
    if (problem) return problem;
    if (!pending) return INVALID_ARGUMENT;
    if (!card->ecc) return NOT_SUPPORTED;
    *current = *pending = 1;
    return SUCCESS;
}

EXPORT status nvmlDeviceGetMigMode(device card, unsigned *current, unsigned *pending) {
    status problem = checked(card, current);
    if (problem) return problem;
    if (!pending) return INVALID_ARGUMENT;
    if (!card->mig) return NOT_SUPPORTED;
    *current = *pending = 0;
    return SUCCESS;
}

EXPORT status nvmlDeviceGetMigDeviceHandleByIndex(device card, unsigned index, device *into) {
    (void)index;
    status problem = checked(card, into);
    return problem ? problem : card->mig ? NOT_FOUND : NOT_SUPPORTED;
}

EXPORT status nvmlDeviceGetCudaComputeCapability(device card, int *major, int *minor) {
    status problem = checked(card, major);
    if (problem) return problem;
    if (!minor) return INVALID_ARGUMENT;
    *major = card->major;
    *minor = card->minor;
    return SUCCESS;
}

EXPORT status nvmlDeviceGetTemperature(device card, unsigned sensor, unsigned *into) {
    if (sensor) return INVALID_ARGUMENT;
    GIVE(card, into, (unsigned)card->temperature);
}

struct temperature {
    unsigned version;
    unsigned sensor;
    int celsius;
};

EXPORT status nvmlDeviceGetTemperatureV(device card, struct temperature *into) {
    status problem = checked(card, into);
    if (problem) return problem;
    into->celsius = card->temperature;
    return SUCCESS;
}

/* Clock domains are graphics, SM, memory, video. */
static unsigned idle_clock(device card, unsigned domain) {
    if (card->ecc) return domain == 2 ? (unsigned)card->memory_clock : domain == 3 ? 765 : 345;
    return domain == 2 ? 405 : domain == 3 ? 525 : 210;
}

EXPORT status nvmlDeviceGetClockInfo(device card, unsigned domain, unsigned *into) {
    if (domain > 3) return INVALID_ARGUMENT;
    GIVE(card, into, idle_clock(card, domain));
}

EXPORT status nvmlDeviceGetClock(device card, unsigned domain, unsigned kind, unsigned *into) {
    (void)kind;
    return nvmlDeviceGetClockInfo(card, domain, into);
}

EXPORT status nvmlDeviceGetMaxClockInfo(device card, unsigned domain, unsigned *into) {
    if (domain > 3) return INVALID_ARGUMENT;
    GIVE(card, into, (unsigned)(domain == 2 ? card->memory_clock : card->sm_clock));
}

EXPORT status nvmlDeviceGetPowerManagementLimitConstraints(device card, unsigned *low,
                                                           unsigned *high) {
    status problem = checked(card, low);
    if (problem) return problem;
    if (!high) return INVALID_ARGUMENT;
    *low = card->power_mw / 3;
    *high = card->power_mw;
    return SUCCESS;
}

EXPORT status nvmlDeviceGetCurrentClocksThrottleReasons(device card, unsigned long long *into) {
    GIVE(card, into, 1ULL); /* idle */
}
EXPORT status nvmlDeviceGetCurrentClocksEventReasons(device card, unsigned long long *into) {
    GIVE(card, into, 1ULL);
}

static unsigned long long free_bytes(device card) {
    return (card->total_mib - card->reserved_mib - card->used_mib) * MIB;
}

struct memory {
    unsigned long long total, free, used;
};

/* The first version of the call counts what the driver reserves as used. */
EXPORT status nvmlDeviceGetMemoryInfo(device card, struct memory *into) {
    status problem = checked(card, into);
    if (problem) return problem;
    into->total = card->total_mib * MIB;
    into->free = free_bytes(card);
    into->used = into->total - into->free;
    return SUCCESS;
}

struct memory_v2 {
    unsigned version;
    unsigned long long total, reserved, free, used;
};

EXPORT status nvmlDeviceGetMemoryInfo_v2(device card, struct memory_v2 *into) {
    status problem = checked(card, into);
    if (problem) return problem;
    if (into->version != (sizeof *into | 2u << 24)) return ARGUMENT_VERSION_MISMATCH;
    into->total = card->total_mib * MIB;
    into->reserved = card->reserved_mib * MIB;
    into->free = free_bytes(card);
    into->used = card->used_mib * MIB;
    return SUCCESS;
}

EXPORT status nvmlDeviceGetBAR1MemoryInfo(device card, struct memory *into) {
    status problem = checked(card, into);
    if (problem) return problem;
    unsigned long long window = 256;
    while (card->ecc && window < card->total_mib) window *= 2;
    into->total = window * MIB;
    into->used = MIB;
    into->free = into->total - into->used;
    return SUCCESS;
}

struct rates {
    unsigned gpu, memory;
};

EXPORT status nvmlDeviceGetUtilizationRates(device card, struct rates *into) {
    GIVE(card, into, ((struct rates){0, 0}));
}

static status idle_engine(device card, unsigned *use, unsigned *period) {
    status problem = checked(card, use);
    if (problem) return problem;
    if (!period) return INVALID_ARGUMENT;
    *use = 0;
    *period = 100000;
    return SUCCESS;
}

EXPORT status nvmlDeviceGetEncoderUtilization(device card, unsigned *use, unsigned *period) {
    return idle_engine(card, use, period);
}
EXPORT status nvmlDeviceGetDecoderUtilization(device card, unsigned *use, unsigned *period) {
    return idle_engine(card, use, period);
}

struct pci {
    char legacy_bus_id[16];
    unsigned domain, bus, device, device_id, subsystem_id;
    char bus_id[32];
};

EXPORT status nvmlDeviceGetPciInfo_v3(device card, struct pci *into) {
    status problem = checked(card, into);
    if (problem) return problem;
    memset(into, 0, sizeof *into);
    snprintf(into->legacy_bus_id, sizeof into->legacy_bus_id, "%04X:%02X:%02X.0",
             card->domain & 0xFFFF, card->bus & 0xFF, card->slot & 0xFF);
    snprintf(into->bus_id, sizeof into->bus_id, "%s", card->bus_id);
    into->domain = card->domain;
    into->bus = card->bus;
    into->device = card->slot;
    into->device_id = card->device_id;
    into->subsystem_id = card->subsystem_id;
    return SUCCESS;
}

struct pci_v2 {
    char bus_id[16];
    unsigned domain, bus, device, device_id, subsystem_id, reserved[4];
};

EXPORT status nvmlDeviceGetPciInfo_v2(device card, struct pci_v2 *into) {
    struct pci now;
    status problem = checked(card, into);
    if (problem) return problem;
    nvmlDeviceGetPciInfo_v3(card, &now);
    memset(into, 0, sizeof *into);
    memcpy(into->bus_id, now.legacy_bus_id, sizeof into->bus_id);
    into->domain = now.domain;
    into->bus = now.bus;
    into->device = now.device;
    into->device_id = now.device_id;
    into->subsystem_id = now.subsystem_id;
    return SUCCESS;
}

EXPORT status nvmlDeviceGetPciInfo(device card, struct pci_v2 *into) {
    return nvmlDeviceGetPciInfo_v2(card, into);
}

/* No process runs on a card that is not there. */
#define PROCESSES(function)                                                        \
    EXPORT status function(device card, unsigned *count, void *processes) {        \
        (void)processes;                                                           \
        GIVE(card, count, 0u);                                                     \
    }

PROCESSES(nvmlDeviceGetComputeRunningProcesses)
PROCESSES(nvmlDeviceGetComputeRunningProcesses_v2)
PROCESSES(nvmlDeviceGetComputeRunningProcesses_v3)
PROCESSES(nvmlDeviceGetGraphicsRunningProcesses)
PROCESSES(nvmlDeviceGetGraphicsRunningProcesses_v2)
PROCESSES(nvmlDeviceGetGraphicsRunningProcesses_v3)
PROCESSES(nvmlDeviceGetMPSComputeRunningProcesses_v3)

EXPORT status nvmlDeviceGetP2PStatus(device one, device two, unsigned kind, unsigned *into) {
    (void)kind;
    status problem = checked(two, into);
    if (problem) return problem;
    GIVE(one, into, 3u); /* the chipset does not support it */
}

EXPORT status nvmlDeviceGetTopologyCommonAncestor(device one, device two, unsigned *into) {
    status problem = checked(two, into);
    if (problem) return problem;
    GIVE(one, into, 30u); /* one host bridge */
}

EXPORT status nvmlDeviceGetNvLinkState(device card, unsigned link, unsigned *into) {
    (void)link;
    status problem = checked(card, into);
    return problem ? problem : NOT_SUPPORTED;
}

/* Arguments differ; none is looked at. */
#define CALL(name) \
    EXPORT status name(void) { return initialised ? NOT_SUPPORTED : UNINITIALIZED; }
#include "nvml_unsupported.h"
#undef CALL
