"""C prototypes of libc's functions, from its public headers, parsed by libclang."""
import collections
import re

import clang.cindex as clang

# Which headers to read; every function they declare is taken. One that a host lacks is passed over.
HEADERS = """
aio alloca argp argz assert byteswap complex cpio crypt ctype dirent dlfcn elf endian envz err errno error execinfo
fcntl features fenv fmtmsg fnmatch fstab fts ftw gconv getopt glob gnu-versions grp gshadow iconv ifaddrs inttypes
langinfo libgen libintl limits link locale malloc math mcheck memory mntent monetary mqueue netdb nl_types nss obstack
paths poll printf proc_service pthread pty pwd re_comp regex resolv sched search semaphore setjmp sgtty shadow
signal spawn stab stdio stdio_ext stdint stdlib string strings syscall sysexits syslog tar termio termios tgmath
thread_db threads time ttyent uchar ucontext ulimit unistd utime utmp utmpx values wait wchar wctype wordexp
arpa/ftp arpa/inet arpa/nameser arpa/telnet arpa/tftp
net/ethernet net/if net/if_arp net/route net/ppp_defs netinet/ether netinet/in netinet/ip netinet/tcp netinet/udp
netpacket/packet rpc/netdb protocols/routed protocols/rwhod protocols/talkd protocols/timed scsi/scsi
sys/acct sys/auxv sys/bitypes sys/cdefs sys/debugreg sys/dir sys/epoll sys/errno sys/eventfd sys/fanotify
sys/fcntl sys/file sys/fsuid sys/gmon sys/inotify sys/io sys/ioctl sys/ipc sys/kd sys/klog sys/mman sys/mount sys/msg
sys/mtio sys/param sys/perm sys/personality sys/pidfd sys/platform/x86 sys/poll sys/prctl sys/procfs sys/profil
sys/ptrace sys/queue sys/quota sys/random sys/raw sys/reboot sys/reg sys/resource sys/rseq sys/select sys/sem
sys/sendfile sys/shm sys/signal sys/signalfd sys/single_threaded sys/socket sys/socketvar sys/soundcard sys/stat
sys/statfs sys/statvfs sys/stropts sys/swap sys/syscall sys/sysinfo sys/syslog sys/sysmacros sys/termios sys/time
sys/timeb sys/timerfd sys/times sys/timex sys/ttychars sys/ttydefaults sys/types sys/ucontext sys/uio sys/un
sys/unistd sys/user sys/utsname sys/vfs sys/vlimit sys/vt sys/wait sys/xattr
""".split()

# Headers declare __open_2 only to a compiler with these two, which clang lacks.
FORTIFY = ["-O2", "-D_FORTIFY_SOURCE=2", "-D__va_arg_pack()=0", "-D__va_arg_pack_len()=0"]

Prototype = collections.namedtuple("Prototype", "name text header variadic")


class HeaderError(Exception):
    """The headers cannot be parsed; the message is for the user."""


def read_prototypes():
    """Symbol name -> Prototype for every function a public header declares. Where a header gives a function another
    symbol (sigpause is __xpg_sigpause), it stands under both. The second reading is for what only
    _FORTIFY_SOURCE declares (__read_chk); it also renames much, so it comes second."""
    found = {}
    for arguments in ([], FORTIFY):
        for cursor in parse(arguments).cursor.get_children():
            if cursor.kind == clang.CursorKind.FUNCTION_DECL:
                prototype = Prototype(cursor.spelling, prototype_text(cursor), header_name(cursor),
                                      cursor.type.is_function_variadic())
                found.setdefault(cursor.spelling, prototype)
                found.setdefault(cursor.mangled_name, prototype)
    return found


def parse(arguments):
    lines = ["#define _GNU_SOURCE 1\n"]
    for header in HEADERS:
        lines.append("#if __has_include(<%s.h>)\n#include <%s.h>\n#endif\n" % (header, header))
    try:
        unit = clang.Index.create().parse("all.c", args=["-std=gnu11"] + arguments,
                                          unsaved_files=[("all.c", "".join(lines))])
    except (clang.TranslationUnitLoadError, clang.LibclangError) as error:
        raise HeaderError("libclang: %s" % error) from None
    errors = [d for d in unit.diagnostics if d.severity >= clang.Diagnostic.Error]
    if errors:
        place = errors[0].location
        raise HeaderError("%s:%d: %s" % (place.file, place.line, errors[0].spelling))
    return unit


def header_name(cursor):
    """The name under which it can be included: no path of this host."""
    return re.sub(r"^.*/include/(?:[^/]+-linux-gnu/)?", "", cursor.location.file.name)


def prototype_text(cursor):
    parameters = [declaration(a.type.spelling, a.spelling.lstrip("_")) for a in cursor.get_arguments()]
    if cursor.type.is_function_variadic():
        parameters.append("...")
    return declaration(cursor.result_type.spelling, "%s(%s)" % (cursor.spelling, ", ".join(parameters) or "void"))


def declaration(type_text, name):
    """C's own order: the name stands inside the type where that is a function pointer or an array."""
    if not name:
        return type_text
    for mark in ("(*)", "(*const)", "(*restrict)"):
        if mark in type_text:
            return type_text.replace(mark, mark[:-1] + ("" if mark == "(*)" else " ") + name + ")", 1)
    if type_text.endswith("]"):
        at = type_text.index("[")
        return "%s %s%s" % (type_text[:at].rstrip(), name, type_text[at:])
    return type_text + ("" if type_text.endswith("*") else " ") + name
