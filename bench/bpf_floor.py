"""Builds bpf_floor, the least a BPF tracer costs, and finds out whether it can be used here."""
import os
import shutil
import subprocess

HERE = os.path.dirname(os.path.abspath(__file__))
LIMIT = 60


class Refused(Exception):
    """Why there is no such tracer here."""


def told(command):
    """The command's output. Refused, with the first error it tells, if it fails."""
    if not shutil.which(command[0]):
        raise Refused("%s is not installed" % os.path.basename(command[0]))
    try:
        done = subprocess.run(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=LIMIT,
                              check=False, env=dict(os.environ, LC_ALL="C"))
    except subprocess.TimeoutExpired:
        raise Refused("%s does not end" % os.path.basename(command[0])) from None
    if done.returncode != 0:
        lines = done.stdout.strip().split("\n")
        raise Refused(next((line for line in lines if "error: " in line or line.startswith("bpf_floor: ")), lines[-1]))
    return done.stdout


def build(directory):
    """Makes bpf_floor and bpf_floor.o there and traces a program with it; the reason why it cannot be used, or None."""
    tool, made = os.path.join(directory, "bpf_floor"), os.path.join(directory, "bpf_floor.o")
    flags = ["-O2", "-Wall", "-Wextra"]
    try:
        # For another target, clang does not look where Debian has <asm/types.h>.
        headers = "/usr/include/" + told(["gcc", "-print-multiarch"]).strip()
        told(["clang", "-target", "bpf", "-g", *flags, "-idirafter", headers, "-c", os.path.join(HERE, "bpf_floor.bpf.c"), "-o", made])
        told(["gcc", *flags, "-D_GNU_SOURCE", os.path.join(HERE, "bpf_floor.c"), "-o", tool, "-lbpf"])
        told([tool, made, os.path.join(directory, "bpf_floor.try"), "true"])
    except Refused as refused:
        return str(refused)
    return None
