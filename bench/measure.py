"""What the kernel says of processes and of the machine: CPU time, busy time, memory."""
import os
import re


def threads(pid):
    try:
        return [f"/proc/{pid}/task/{t}" for t in os.listdir(f"/proc/{pid}/task")]
    except FileNotFoundError:
        return []


def children(pid):
    """PID and all that descend from it."""
    found = [pid]
    for task in threads(pid):
        try:
            with open(f"{task}/children") as f:
                for child in f.read().split():
                    found += children(int(child))
        except OSError:
            pass
    return found


def cpu_ns(pids):
    """CPU time that these processes have used, all threads, from the scheduler's own accounting (nanoseconds)."""
    total = 0
    for pid in pids:
        for task in threads(pid):
            try:
                with open(f"{task}/schedstat") as f:
                    total += int(f.read().split()[0])
            except OSError:
                pass
    return total


def busy_ns():
    """Time in which any processor was not idle since boot: kernel threads and interrupts included (nanoseconds, in ticks)."""
    with open("/proc/stat") as f:
        user, nice, system, _idle, _iowait, irq, softirq, *_ = map(int, f.readline().split()[1:])
    return (user + nice + system + irq + softirq) * 1_000_000_000 // os.sysconf("SC_CLK_TCK")


def established(port):
    """Connections that a server of this network namespace has at PORT of IPv4."""
    with open("/proc/net/tcp") as f:
        return sum(1 for line in f if re.match(rf"\s*\d+: [0-9A-F]+:{port:04X} \S+ 01 ", line))


def memory_kib(pids):
    """(resident, private) memory in KiB."""
    rss = private = 0
    for pid in pids:
        with open(f"/proc/{pid}/smaps_rollup") as f:
            text = f.read()
        rss += int(re.search(r"^Rss:\s+(\d+)", text, re.M).group(1))
        private += sum(int(n) for n in re.findall(r"^Private_(?:Clean|Dirty):\s+(\d+)", text, re.M))
    return rss, private


def machine():
    """What the figures were measured on, without naming it."""
    model = "unknown"
    with open("/proc/cpuinfo") as f:
        m = re.search(r"^model name\s*:\s*(.*)$", f.read(), re.M)
        if m:
            model = m.group(1)
    with open("/proc/meminfo") as f:
        memory = int(re.search(r"^MemTotal:\s+(\d+)", f.read(), re.M).group(1)) // (1 << 20)
    return {"cpu": model, "cores": os.cpu_count(), "memory_gib": memory, "kernel": os.uname().release,
            "note": "small shared virtual machine: ratios are the result, absolute times are not"}
