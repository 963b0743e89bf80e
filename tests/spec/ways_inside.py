"""Run inside a workspace: each function tries one way out. It returns False, or raises, when the way is closed.

Started with one argument, JSON that names what the outside prepared: files, sockets, a process, shared memory.
The last line printed says, for each way, "closed" or what was reached.
"""

# ruff: noqa: PTH110, PTH115, PTH123, PTH202, PTH208
from __future__ import annotations

import ctypes
import json
import os
import resource
import socket
import subprocess
import sys
from pathlib import Path

AT: dict[str, object] = json.loads(sys.argv[1]) if __name__ == "__main__" else {}
LIBC = ctypes.CDLL(None, use_errno=True)
NEW_USER, NEW_NAMESPACE = 0x10000000, 0x00020000


def loopback_port_of_the_host() -> object:
    return socket.create_connection(("127.0.0.1", int(str(AT["port"]))), 2)


def address_on_the_internet() -> object:
    return socket.create_connection(("192.0.2.1", 80), 2)


def datagram_to_the_internet() -> object:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as opened:
        return opened.sendto(b"x", ("192.0.2.1", 53))


def name_lookup() -> object:
    return socket.getaddrinfo("example.org", 80)


def raw_socket() -> object:
    return socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP)


def further_network_interface() -> object:
    return [name for _, name in socket.if_nameindex() if name != "lo"]


def package_from_a_registry() -> object:
    done = subprocess.run([sys.executable, "-m", "pip", "download", "--retries", "0", "--timeout", "2", "six"], capture_output=True, check=False)
    return done.returncode == 0


def abstract_socket_of_the_host() -> object:
    with socket.socket(socket.AF_UNIX) as opened:
        opened.connect("\0" + str(AT["abstract"]))
    return True


def mounted_socket_of_the_host() -> object:
    with socket.socket(socket.AF_UNIX) as opened:
        opened.connect(str(AT["socket"]))
    return True


def sockets_of_services() -> object:
    return [place for place in ("/run/docker.sock", "/var/run/docker.sock", "/run/dbus/system_bus_socket", "/run/systemd/private") if os.path.exists(place)]


def database_of_the_portal() -> object:
    return Path(str(AT["secret"])).read_bytes()


def folder_of_another_project() -> object:
    return list(Path(str(AT["secret"])).parent.iterdir())


def accounts_of_the_host() -> object:
    return len(Path("/etc/passwd").read_text().splitlines()) > 1 or Path("/etc/shadow").exists()


def write_to_the_datamart() -> object:
    return Path("/work/datamart/new.csv").write_text("x")


def remount_the_datamart() -> object:
    return LIBC.mount(b"none", b"/work/datamart", None, 32 | 4096, None) == 0  # MS_REMOUNT | MS_BIND


def mount_something() -> object:
    return LIBC.mount(b"tmpfs", b"/work/home", b"tmpfs", 0, None) == 0


def hard_link_from_the_datamart() -> object:
    os.link("/work/datamart/patients.csv", "/work/out/linked.csv")
    return True


def write_to_the_system() -> object:
    return Path("/usr/bin/estran-was-here").write_text("x")


def change_the_client() -> object:
    return Path("/opt/estran/client/estran.py").write_text("x")


def write_to_the_root() -> object:
    return Path("/estran-was-here").write_text("x")


def processes_of_others() -> object:
    return Path(f"/proc/{AT['pid']}/cmdline").exists() and b"pytest" in Path(f"/proc/{AT['pid']}/cmdline").read_bytes()


def signal_to_a_process_of_the_host() -> object:
    seen = {int(name) for name in os.listdir("/proc") if name.isdigit()}
    if int(str(AT["pid"])) in seen:  # a number of our own, by chance
        return False
    os.kill(int(str(AT["pid"])), 0)
    return True


def memory_of_a_process_of_the_host() -> object:
    return LIBC.ptrace(16, int(str(AT["pid"])), 0, 0) == 0 and processes_of_others()  # PTRACE_ATTACH


def environment_of_the_portal() -> object:
    return [name for name in os.environ if "SECRET" in name]


def open_files_of_the_portal() -> object:
    kept = [os.readlink(f"/proc/self/fd/{n}") for n in os.listdir("/proc/self/fd") if int(n) > 2 and os.path.exists(f"/proc/self/fd/{n}")]
    return [place for place in kept if not place.startswith("/proc/")]


def shared_memory_by_key() -> object:
    return LIBC.shmget(int(str(AT["shared"])), 0, 0) >= 0


def shared_memory_by_name() -> object:
    return Path("/dev/shm", str(AT["named"])).exists()


def new_user_namespace() -> object:
    return LIBC.unshare(NEW_USER) == 0


def new_mount_namespace() -> object:
    return LIBC.unshare(NEW_NAMESPACE) == 0


def more_rights_by_a_program() -> object:
    return "NoNewPrivs:\t1" not in Path("/proc/self/status").read_text()


def capabilities() -> object:
    line = next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("CapEff"))
    return int(line.split()[1], 16) != 0


def devices() -> object:
    return [name for name in ("/dev/mem", "/dev/kmsg", "/dev/sda", "/dev/kvm", "/dev/fuse", "/dev/net/tun") if os.path.exists(name)]


def make_a_device() -> object:
    os.mknod("/tmp/disk", 0o060600, os.makedev(8, 0))
    return True


def settings_of_the_kernel() -> object:
    """Opened for writing, and left as they are."""
    return os.open("/proc/sys/kernel/core_pattern", os.O_WRONLY)


def restart_of_the_machine() -> object:
    return os.open("/proc/sysrq-trigger", os.O_WRONLY)


def control_groups() -> object:
    return os.path.exists("/sys/fs/cgroup")


def words_typed_into_a_terminal() -> object:
    return os.open("/dev/tty", os.O_RDWR)


def huge_file() -> object:
    with open("/work/out/huge.csv", "wb") as file:
        os.ftruncate(file.fileno(), 3 << 30)
    return True


def memory_of_the_kernel() -> object:
    return os.open("/proc/kcore", os.O_RDONLY) if os.access("/proc/kcore", os.R_OK) and os.path.getsize("/proc/kcore") else False


def all_of_the_memory() -> object:
    return len(bytearray(resource.getrlimit(resource.RLIMIT_AS)[0] + 1)) if resource.getrlimit(resource.RLIMIT_AS)[0] > 0 else True


def all_of_the_scratch_disk() -> object:
    told = os.statvfs("/tmp")
    return told.f_blocks * told.f_frsize > 1 << 30


def picture_of_a_crash() -> object:
    return resource.getrlimit(resource.RLIMIT_CORE)[0] != 0


WAYS = [name for name, thing in list(globals().items()) if callable(thing) and getattr(thing, "__module__", "") == __name__]

if __name__ == "__main__":
    import signal

    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    said = {}
    for name in WAYS:
        try:
            reached = globals()[name]()
        except (OSError, MemoryError, OverflowError, ValueError):
            reached = False
        said[name] = f"reached: {str(reached)[:80]}" if reached else "closed"
    print(json.dumps(said))
