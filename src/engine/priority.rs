//! Training takes the cores that are left.

/// How far back, in the system's units of 0 to 19.
#[cfg(target_os = "linux")]
const BACK: libc::c_int = 5;

/// Has this thread stand behind those of the window wherever both want a core. What else runs in this process goes on as
/// before; systems that know no such thing of a single thread leave it as it is.
pub(super) fn stand_back() {
    #[cfg(target_os = "linux")]
    {
        #[expect(unsafe_code, reason = "setpriority has no safe form")]
        // SAFETY: a system call on plain numbers; 0 is the calling thread.
        let _ = unsafe { libc::setpriority(libc::PRIO_PROCESS, 0, BACK) };
    }
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;

    fn nice() -> libc::c_int {
        #[expect(unsafe_code, reason = "getpriority has no safe form")]
        // SAFETY: a system call on plain numbers.
        unsafe {
            libc::getpriority(libc::PRIO_PROCESS, 0)
        }
    }

    #[test]
    fn one_thread_stands_back_and_the_others_do_not() {
        let before = nice();
        let theirs = std::thread::spawn(|| {
            stand_back();
            nice()
        });
        let theirs = theirs.join().unwrap_or_default();
        assert_eq!(theirs, BACK.max(before));
        assert_eq!(nice(), before);
    }
}
