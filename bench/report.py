"""What the suites of bench/run.sh share: figures with their spread, and the machine that they are of."""
import os
import platform
import statistics


def spread(values):
    """The median of a figure over the rounds, with the lowest and the highest."""
    return {"value": statistics.median(values), "low": min(values), "high": max(values)}


def machine():
    with open("/proc/cpuinfo") as file:
        model = next((line.split(":")[1].strip() for line in file if line.startswith("model name")), "unknown")
    return {
        "cores": os.cpu_count(), "model": model, "kernel": platform.release(),
        "memory_mb": os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // 2**20, "load_before": os.getloadavg(),
    }


def text(figure, digits, factor=1):
    """A spread as `middle (low-high)`, or the middle alone where there is no other."""
    middle, low, high = (f"{figure[name] * factor:.{digits}f}" for name in ("value", "low", "high"))
    return middle if low == high else f"{middle} ({low}-{high})"


def print_ratios(ratio_spreads):
    for name, ratio in ratio_spreads.items():
        expected = ratio.get("at_least")
        verdict = "" if expected is None else f"  at least {expected:g}: {'yes' if ratio['value'] >= expected else 'NO'}"
        print(f"{name:<50} {text(ratio, 2):<22}{verdict}")
