//! A small file system of its own, to be filled: in memory, which only root may mount.

use std::{
    fs::File,
    io::Write as _,
    path::{Path, PathBuf},
    process::Command,
};

/// A mounted file system; it is unmounted when this is dropped.
#[derive(Debug)]
pub struct Tmpfs {
    path: PathBuf,
}

impl Tmpfs {
    /// Mounts one of so many MiB on a directory that is made for it; `None`, with a word on standard
    /// error, where that is not allowed.
    #[must_use]
    pub fn mount(path: &Path, mib: u32) -> Option<Self> {
        std::fs::create_dir_all(path).unwrap();
        let mounted = Command::new("mount")
            .args(["-t", "tmpfs", "-o", &format!("size={mib}m,mode=0700")])
            .args(["tmpfs".as_ref(), path.as_os_str()])
            .output();
        if mounted.is_ok_and(|output| output.status.success()) {
            return Some(Self {
                path: path.to_owned(),
            });
        }
        // Past the capture of the test runner: a skipped test must be seen.
        let mut stderr = std::io::stderr();
        writeln!(stderr, "SKIPPED: a tmpfs cannot be mounted (only root may)").unwrap_or_default();
        None
    }

    /// Takes all the room that is left, again and again until something is so.
    pub fn fill_until(&self, is_so: impl Fn() -> bool) {
        let mut ballast = File::options()
            .create(true)
            .append(true)
            .open(self.path.join("ballast"))
            .unwrap();
        let started = std::time::Instant::now();
        while !is_so() {
            while ballast.write_all(&[0; 4_096]).is_ok() {}
            std::thread::sleep(std::time::Duration::from_millis(5));
            assert!(
                started.elapsed() < crate::PATIENCE,
                "a full disk is not noticed"
            );
        }
    }

    /// Gives the room back.
    pub fn make_room(&self) {
        std::fs::remove_file(self.path.join("ballast")).unwrap();
    }
}

impl Drop for Tmpfs {
    fn drop(&mut self) {
        // Lazily: who still has a file open keeps it.
        let unmounted = Command::new("umount").arg("-l").arg(&self.path).status();
        assert!(unmounted.is_ok_and(|status| status.success()) || std::thread::panicking());
    }
}
