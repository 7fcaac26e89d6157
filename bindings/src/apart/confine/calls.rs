//! System calls of a guest: those that reading, writing and computing need are allowed, all others refused (seccomp).
//!
//! A call that is not allowed fails with "operation not permitted", as if the user had no right to it, so that a library that tries
//! something and can do without goes on.

use std::collections::BTreeMap;

use lota_script::Result;
use seccompiler::{
    BpfProgram, SeccompAction, SeccompCmpArgLen as Length, SeccompCmpOp as Op, SeccompCondition,
    SeccompFilter, SeccompRule, TargetArch,
};

use super::refused;

/// Allowed whatever their arguments are.
const ALLOWED: &[libc::c_long] = &[
    // Open files.
    libc::SYS_read,
    libc::SYS_readv,
    libc::SYS_pread64,
    libc::SYS_preadv,
    libc::SYS_write,
    libc::SYS_writev,
    libc::SYS_pwrite64,
    libc::SYS_pwritev,
    libc::SYS_close,
    libc::SYS_lseek,
    libc::SYS_fstat,
    libc::SYS_fsync,
    libc::SYS_fdatasync,
    libc::SYS_ftruncate,
    libc::SYS_fallocate,
    libc::SYS_fadvise64,
    libc::SYS_sync_file_range,
    libc::SYS_flock,
    libc::SYS_fcntl,
    libc::SYS_fchmod,
    libc::SYS_dup,
    libc::SYS_dup3,
    libc::SYS_copy_file_range,
    libc::SYS_sendfile,
    libc::SYS_fstatfs,
    libc::SYS_ppoll,
    // Files by their names; Landlock and the engine say which.
    libc::SYS_openat,
    libc::SYS_newfstatat,
    libc::SYS_statx,
    libc::SYS_statfs,
    libc::SYS_faccessat,
    libc::SYS_faccessat2,
    libc::SYS_readlinkat,
    libc::SYS_getdents64,
    libc::SYS_getcwd,
    libc::SYS_mkdirat,
    libc::SYS_renameat,
    libc::SYS_renameat2,
    libc::SYS_unlinkat,
    libc::SYS_fchmodat,
    libc::SYS_utimensat,
    libc::SYS_umask,
    // Memory; what maps it is below.
    libc::SYS_munmap,
    libc::SYS_mremap,
    libc::SYS_madvise,
    libc::SYS_msync,
    libc::SYS_mincore,
    libc::SYS_brk,
    // Threads of this process; what starts one is below.
    libc::SYS_futex,
    libc::SYS_membarrier,
    libc::SYS_set_robust_list,
    libc::SYS_set_tid_address,
    libc::SYS_rseq,
    libc::SYS_gettid,
    libc::SYS_getpid,
    libc::SYS_sched_yield,
    libc::SYS_sched_getaffinity,
    libc::SYS_getcpu,
    libc::SYS_exit,
    libc::SYS_exit_group,
    libc::SYS_restart_syscall,
    libc::SYS_rt_sigaction,
    libc::SYS_rt_sigprocmask,
    libc::SYS_rt_sigreturn,
    libc::SYS_sigaltstack,
    // Clocks, random numbers, and what the process may know of itself.
    libc::SYS_clock_gettime,
    libc::SYS_clock_getres,
    libc::SYS_clock_nanosleep,
    libc::SYS_nanosleep,
    libc::SYS_gettimeofday,
    libc::SYS_getrandom,
    libc::SYS_uname,
    libc::SYS_sysinfo,
    libc::SYS_getrusage,
    libc::SYS_times,
    libc::SYS_getuid,
    libc::SYS_geteuid,
    libc::SYS_getgid,
    libc::SYS_getegid,
];

/// What older interfaces call the same.
#[cfg(target_arch = "x86_64")]
const OLDER: &[libc::c_long] = &[
    libc::SYS_open,
    libc::SYS_stat,
    libc::SYS_lstat,
    libc::SYS_access,
    libc::SYS_readlink,
    libc::SYS_mkdir,
    libc::SYS_rmdir,
    libc::SYS_rename,
    libc::SYS_unlink,
    libc::SYS_chmod,
    libc::SYS_poll,
    libc::SYS_dup2,
    libc::SYS_time,
];
#[cfg(not(target_arch = "x86_64"))]
const OLDER: &[libc::c_long] = &[];

#[cfg(target_arch = "x86_64")]
const ARCHITECTURE: TargetArch = TargetArch::x86_64;
#[cfg(target_arch = "aarch64")]
const ARCHITECTURE: TargetArch = TargetArch::aarch64;

type Backend<T> = std::result::Result<T, seccompiler::BackendError>;

/// A rule that one argument must keep.
fn if_argument(index: u8, length: Length, op: Op, value: u64) -> Backend<Vec<SeccompRule>> {
    Ok(vec![SeccompRule::new(vec![SeccompCondition::new(index, length, op, value)?])?])
}

fn filter(
    rules: BTreeMap<i64, Vec<SeccompRule>>,
    otherwise: SeccompAction,
    matching: SeccompAction,
) -> Backend<BpfProgram> {
    SeccompFilter::new(rules, otherwise, matching, ARCHITECTURE)?.try_into()
}

/// The filters: `clone3` is told to be unknown, since its arguments cannot be looked at and libraries then take `clone`; what is
/// not allowed is not permitted.
fn filters() -> Backend<[BpfProgram; 2]> {
    let unknown = BTreeMap::from([(libc::SYS_clone3, Vec::new())]);
    let unknown = filter(unknown, SeccompAction::Allow, SeccompAction::Errno(libc::ENOSYS as u32))?;
    let mut rules: BTreeMap<i64, Vec<SeccompRule>> =
        ALLOWED.iter().chain(OLDER).map(|call| (*call, Vec::new())).collect();
    rules.insert(libc::SYS_clone3, Vec::new());
    // No memory that can be run.
    let executable = libc::PROT_EXEC as u64;
    for call in [libc::SYS_mmap, libc::SYS_mprotect] {
        rules.insert(call, if_argument(2, Length::Dword, Op::MaskedEq(executable), 0)?);
    }
    // Threads, no processes.
    let thread = libc::CLONE_THREAD as u64;
    rules.insert(libc::SYS_clone, if_argument(0, Length::Qword, Op::MaskedEq(thread), thread)?);
    // Signals to this process alone, as `abort` sends one.
    rules.insert(libc::SYS_tgkill, if_argument(0, Length::Dword, Op::Eq, u64::from(std::process::id()))?);
    // Limits may be read.
    rules.insert(libc::SYS_prlimit64, if_argument(2, Length::Qword, Op::Eq, 0)?);
    // The name of a thread.
    rules.insert(libc::SYS_prctl, if_argument(0, Length::Dword, Op::Eq, libc::PR_SET_NAME as u64)?);
    // The pipes to the host, which have no address.
    rules.insert(libc::SYS_sendto, if_argument(4, Length::Qword, Op::Eq, 0)?);
    rules.insert(libc::SYS_recvfrom, if_argument(4, Length::Qword, Op::Eq, 0)?);
    let allowed = filter(rules, SeccompAction::Errno(libc::EPERM as u32), SeccompAction::Allow)?;
    Ok([unknown, allowed])
}

/// Gives up, for all threads, what is not allowed. False where the kernel has no seccomp.
pub(super) fn restrict() -> Result<bool> {
    let filters = filters().map_err(|e| refused("seccomp", &e))?;
    // The one applied last is asked too, and the stricter answer counts; the first one must allow what applies the second.
    let [unknown, allowed] = &filters;
    for filter in [unknown, allowed] {
        match seccompiler::apply_filter_all_threads(filter) {
            Ok(()) => {}
            Err(seccompiler::Error::Seccomp(e)) if e.raw_os_error() == Some(libc::EINVAL) => {
                return Ok(false);
            }
            Err(e) => return Err(refused("seccomp", &e)),
        }
    }
    Ok(true)
}
