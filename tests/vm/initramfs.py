"""The first file system of the emulated machine: busybox, the modules that reach the host's files, and two short scripts.

The machine's root is an overlay: the host's file system below, read only, and its own memory above. What a test writes ends with
the machine, so a run cannot change the host.
"""

from __future__ import annotations

import io
import lzma
import os
import shlex
import stat
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from kernel_image import KernelImage

FIRST_MODULES = ("virtio_pci", "virtio_console", "9pnet_virtio", "9p", "overlay")
OUTPUT_PORT, ERROR_PORT, STATUS_PORT = 1, 2, 3  # virtio-serial port numbers

# Larger messages halve the time that Python takes to start from the shared file system; loose caching is safe because nobody
# below writes what the machine reads.
MOUNT_9P = "trans=virtio,version=9p2000.L,msize=524288,cache=loose,ro"

FIRST_SCRIPT = """#!/bin/busybox sh
busybox=/bin/busybox
say() { $busybox echo "stock_kernel: $*" >/dev/console; $busybox poweroff -f; }
$busybox mount -t proc proc /proc
$busybox mount -t devtmpfs dev /dev
for module in {modules}; do $busybox insmod /modules/$module || say "cannot load $module"; done
$busybox mount -t 9p -o {mount_9p} host /host || say "cannot mount the host's file system"
$busybox mount -t tmpfs -o mode=755 own /own
$busybox mkdir /own/files /own/work
$busybox mount -t overlay -o lowerdir=/host,upperdir=/own/files,workdir=/own/work root /new || say "cannot make the root"
for folder in proc sys dev run lib/modules/{release}; do $busybox mkdir -p /new/$folder; done
$busybox mount --bind /host{modules_folder} /new/lib/modules/{release}
$busybox mount -t tmpfs -o mode=755 run /new/run
$busybox mkdir /new/run/stock_kernel
$busybox cp /bin/busybox /second /command /new/run/stock_kernel/
$busybox mount --move /dev /new/dev
$busybox umount /proc
exec $busybox switch_root /new /run/stock_kernel/busybox sh /run/stock_kernel/second
"""

SECOND_SCRIPT = """
cd /run/stock_kernel
busybox=/run/stock_kernel/busybox
$busybox mount -t proc proc /proc
$busybox mount -t sysfs sys /sys
$busybox mkdir -p /dev/pts /dev/shm /run/lock
$busybox mount -t devpts -o ptmxmode=0666 devpts /dev/pts
$busybox mount -t tmpfs shm /dev/shm
$busybox ln -sf /proc/self/fd /dev/fd
$busybox hostname stock-kernel
$busybox ifconfig lo up
port() {{ for name in /dev/vport*p$1; do $busybox echo $name; done; }}
$busybox mkfifo out err
$busybox cat out >$(port {output}) &
out=$!
$busybox cat err >$(port {error}) &
err=$!
/bin/sh ./command </dev/null >out 2>err
status=$?
# a command may leave children behind that still hold its output
$busybox timeout 2 $busybox sh -c "while [ -e /proc/$out/exe ] || [ -e /proc/$err/exe ]; do $busybox usleep 20000; done"
$busybox echo $status >$(port {status})
$busybox poweroff -f
"""


def build(image: KernelImage, command: Sequence[str], folder: Path, environment: Mapping[str, str]) -> bytes:
    """The archive to boot with, which runs `command` in `folder` with `environment` and reports its exit status."""
    modules = list(_with_dependencies(image))
    first = FIRST_SCRIPT
    for field, value in {
        "{modules}": " ".join(Path(module).name for module in modules),
        "{mount_9p}": MOUNT_9P,
        "{release}": image.release,
        "{modules_folder}": shlex.quote(str(image.modules)),
    }.items():
        first = first.replace(field, value)
    second = SECOND_SCRIPT.format(output=OUTPUT_PORT, error=ERROR_PORT, status=STATUS_PORT)
    run = [f"export {name}={shlex.quote(value)}" for name, value in environment.items()]
    run += [f"cd {shlex.quote(str(folder))} || exit 125", f"exec {shlex.join(command)}"]
    archive = Archive()
    for name in ("bin", "dev", "proc", "host", "own", "new", "modules"):
        archive.add(name, stat.S_IFDIR | 0o755)
    archive.add("dev/console", stat.S_IFCHR | 0o600, device=os.makedev(5, 1))
    archive.add("bin/busybox", stat.S_IFREG | 0o755, Path("/bin/busybox").read_bytes())
    for module in modules:
        archive.add(f"modules/{Path(module).name}", stat.S_IFREG | 0o644, _module(image.modules / module))
    archive.add("init", stat.S_IFREG | 0o755, first.encode())
    archive.add("second", stat.S_IFREG | 0o644, second.encode())
    archive.add("command", stat.S_IFREG | 0o644, "\n".join(run).encode())
    return archive.finish()


def _with_dependencies(image: KernelImage) -> Iterator[str]:
    """The modules to load first and what they need, each after all that it needs; paths as in modules.dep."""
    needs = {}
    for line in (image.modules / "modules.dep").read_text().splitlines():
        module, _, others = line.partition(":")
        needs[module] = others.split()
    by_name = {Path(module).name.split(".")[0].replace("-", "_"): module for module in needs}
    seen = set()
    for name in FIRST_MODULES:
        # depmod lists what a module needs with the nearest first
        for module in [*reversed(needs[by_name[name]]), by_name[name]] if name in by_name else []:
            if module not in seen:
                seen.add(module)
                yield module


def _module(path: Path) -> bytes:
    return lzma.decompress(path.read_bytes()) if path.suffix == ".xz" else path.read_bytes()


class Archive:
    """A cpio archive in the form that the kernel unpacks (Documentation/driver-api/early-userspace/buffer-format.rst)."""

    def __init__(self) -> None:
        self._bytes = io.BytesIO()
        self._inode = 0

    def add(self, name: str, mode: int, content: bytes = b"", *, device: int = 0) -> None:
        """Appends a file, folder or device node."""
        self._inode += 1
        path = name.encode() + b"\0"
        fields = (
            self._inode, mode, 0, 0, 1, 0, len(content), 0, 0, os.major(device), os.minor(device), len(path), 0,
        )  # fmt: skip
        self._padded(b"070701" + b"".join(b"%08x" % field for field in fields) + path)
        self._padded(content)

    def finish(self) -> bytes:
        """The whole archive."""
        self.add("TRAILER!!!", 0)
        return self._bytes.getvalue()

    def _padded(self, data: bytes) -> None:
        self._bytes.write(data + b"\0" * (-len(data) % 4))
