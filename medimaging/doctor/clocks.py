"""How far this machine's clock is from that of a service."""

from medimaging.doctor.findings import Finding, error, ok

TOLERANCE_S = 2.0


def compare(name: str, *, before_s: float, theirs_s: float, after_s: float) -> Finding:
    """Judge a clock that was asked between `before_s` and `after_s`, all in seconds since 1970."""
    ahead = (before_s + after_s) / 2 - theirs_s
    if abs(ahead) <= TOLERANCE_S + (after_s - before_s) / 2:
        return ok("clock_right", f"The clock agrees with that of {name}.")
    side = "ahead of" if ahead > 0 else "behind"
    return error(
        "clock_off",
        f"The clock of this machine is {abs(ahead):.1f} s {side} that of {name}.",
        "Have both set by NTP: leases of workers and times in the audit trail depend on it.",
    )
