//! All that the log sees of a disk, and the disk of the machine.
//!
//! The trait is as small as the log: positioned writes, so that a write that failed half-way is
//! repeated at the same place; syncs that say what they promise; no rename, no append mode.
//! [`faulty`] is the other implementation: a disk in memory that fails by a seed.

pub mod faulty;

use std::{
    fmt::Debug,
    fs, io,
    os::unix::fs::{DirBuilderExt as _, FileExt as _, OpenOptionsExt as _},
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

/// A lock that [`is_locked`] looks at is shared for a moment; a start is not to fail for that.
const LOCK_ATTEMPTS: u32 = 5;
const LOCK_PAUSE: Duration = Duration::from_millis(20);

/// Directories and files, as far as the log needs them.
pub trait FileSystem: Debug + Send + Sync + 'static {
    /// Makes a directory, and its parents, unless they are there.
    ///
    /// # Errors
    /// What the operating system says; so with all methods here.
    fn create_directory(&self, path: &Path) -> io::Result<()>;

    /// The names of the files in a directory, in no order. Names that are no UTF-8 are left out.
    fn list(&self, directory: &Path) -> io::Result<Vec<String>>;

    /// Makes an empty file, in place of one of this name.
    fn create(&self, path: &Path) -> io::Result<Arc<dyn File>>;

    /// Opens a file that is there, to read and write.
    fn open(&self, path: &Path) -> io::Result<Arc<dyn File>>;

    /// Opens a file that is there, to read only.
    fn open_to_read(&self, path: &Path) -> io::Result<Arc<dyn File>> {
        self.open(path)
    }

    /// Removes a file. Whoever has it open can still read it.
    fn remove(&self, path: &Path) -> io::Result<()>;

    /// Returns once files made and removed in this directory are so on the disk.
    fn sync_directory(&self, path: &Path) -> io::Result<()>;

    /// Bytes that this user may still write to the file system that holds this directory.
    fn available_bytes(&self, directory: &Path) -> io::Result<u64>;

    /// Takes a lock that ends with the process, at the latest. `WouldBlock` when it is taken.
    fn lock(&self, path: &Path) -> io::Result<Box<dyn Lock>>;
}

/// An open file.
pub trait File: Debug + Send + Sync {
    /// Reads up to `buffer.len()` bytes from `offset`; 0 at the end of the file.
    ///
    /// # Errors
    /// What the operating system says; so with all methods here.
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize>;

    /// Writes some of `bytes` at `offset`, and says how many.
    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<usize>;

    /// Cuts the file, or lengthens it with zeros.
    fn set_len(&self, bytes: u64) -> io::Result<()>;

    /// Size in bytes.
    fn size(&self) -> io::Result<u64>;

    /// Returns once what was written is on the disk, with as much of the metadata as is needed to
    /// read it (`fdatasync`).
    fn sync_data(&self) -> io::Result<()>;

    /// Returns once the file is on the disk with all metadata (`fsync`).
    fn sync_all(&self) -> io::Result<()>;
}

impl dyn File + '_ {
    /// Reads until the buffer is full or the file ends, and says how many bytes.
    ///
    /// # Errors
    /// What the operating system says.
    pub fn read_full_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        let mut filled = 0;
        while let Some(rest) = buffer.get_mut(filled..).filter(|rest| !rest.is_empty()) {
            match self.read_at(rest, offset + filled as u64) {
                Ok(0) => break,
                Ok(count) => filled += count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(filled)
    }

    /// Writes all of `bytes`, also where the system takes them in pieces.
    ///
    /// # Errors
    /// What the operating system says; some of the bytes may be written.
    pub fn write_all_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        let mut written = 0;
        while let Some(rest) = bytes.get(written..).filter(|rest| !rest.is_empty()) {
            match self.write_at(rest, offset + written as u64) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(count) => written += count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }
}

/// Held until dropped.
pub trait Lock: Debug + Send + Sync {}

/// The file systems of this machine.
#[derive(Clone, Copy, Debug, Default)]
pub struct RealFileSystem;

impl FileSystem for RealFileSystem {
    fn create_directory(&self, path: &Path) -> io::Result<()> {
        // What terminals sent is nobody else's business.
        fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(path)
    }

    fn list(&self, directory: &Path) -> io::Result<Vec<String>> {
        let mut names = Vec::new();
        for entry in fs::read_dir(directory)? {
            names.extend(entry?.file_name().into_string());
        }
        Ok(names)
    }

    fn create(&self, path: &Path) -> io::Result<Arc<dyn File>> {
        let file = options().create(true).truncate(true).open(path)?;
        Ok(Arc::new(RealFile(file)))
    }

    fn open(&self, path: &Path) -> io::Result<Arc<dyn File>> {
        Ok(Arc::new(RealFile(options().open(path)?)))
    }

    fn open_to_read(&self, path: &Path) -> io::Result<Arc<dyn File>> {
        Ok(Arc::new(RealFile(fs::File::open(path)?)))
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        fs::remove_file(path)
    }

    fn sync_directory(&self, path: &Path) -> io::Result<()> {
        fs::File::open(path)?.sync_all()
    }

    fn available_bytes(&self, directory: &Path) -> io::Result<u64> {
        let space = rustix::fs::statvfs(directory)?;
        Ok(space.f_bavail.saturating_mul(space.f_frsize))
    }

    fn lock(&self, path: &Path) -> io::Result<Box<dyn Lock>> {
        let mut attempts = LOCK_ATTEMPTS;
        loop {
            let file = options().create(true).truncate(false).open(path)?;
            match locked(file, path) {
                // It may only be looked at.
                Err(error) if error.kind() == io::ErrorKind::WouldBlock && attempts > 1 => {
                    attempts -= 1;
                    std::thread::sleep(LOCK_PAUSE);
                }
                result => return result,
            }
        }
    }
}

/// Takes a lock only where its file is there already, and changes nothing: `None` where it is not,
/// which is to say that nobody holds it. `WouldBlock` when it is taken.
///
/// # Errors
/// What the operating system says.
pub fn lock_existing(path: &Path) -> io::Result<Option<Box<dyn Lock>>> {
    match fs::File::open(path) {
        Ok(file) => locked(file, path).map(Some),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

fn locked(file: fs::File, path: &Path) -> io::Result<Box<dyn Lock>> {
    rustix::fs::flock(&file, rustix::fs::FlockOperation::NonBlockingLockExclusive)?;
    Ok(Box::new(RealLock {
        _file: file,
        path: path.to_owned(),
    }))
}

/// Whether somebody holds the lock. It is shared for a moment to find out.
///
/// # Errors
/// What the operating system says.
pub fn is_locked(path: &Path) -> io::Result<bool> {
    let file = match fs::File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
        Err(error) => return Err(error),
    };
    match rustix::fs::flock(&file, rustix::fs::FlockOperation::NonBlockingLockShared) {
        Ok(()) => Ok(false),
        Err(rustix::io::Errno::WOULDBLOCK) => Ok(true),
        Err(error) => Err(error.into()),
    }
}

fn options() -> fs::OpenOptions {
    let mut options = fs::OpenOptions::new();
    options.read(true).write(true).mode(0o600);
    options
}

#[derive(Debug)]
struct RealFile(fs::File);

impl File for RealFile {
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        self.0.read_at(buffer, offset)
    }

    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<usize> {
        self.0.write_at(bytes, offset)
    }

    fn set_len(&self, bytes: u64) -> io::Result<()> {
        self.0.set_len(bytes)
    }

    fn size(&self) -> io::Result<u64> {
        Ok(self.0.metadata()?.len())
    }

    fn sync_data(&self) -> io::Result<()> {
        self.0.sync_data()
    }

    fn sync_all(&self) -> io::Result<()> {
        self.0.sync_all()
    }
}

/// The lock lives as long as the open file: the kernel lets it go when the process dies.
#[derive(Debug)]
struct RealLock {
    _file: fs::File,
    #[expect(dead_code, reason = "shown by Debug")]
    path: PathBuf,
}

impl Lock for RealLock {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_real_file_is_written_read_cut_and_removed() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("a/b");
        let files = RealFileSystem;
        files.create_directory(&path).unwrap();
        let file = files.create(&path.join("file")).unwrap();
        file.write_all_at(b"hello world", 0).unwrap();
        file.write_all_at(b"W", 6).unwrap();
        file.sync_data().unwrap();
        file.set_len(7).unwrap();
        file.sync_all().unwrap();
        files.sync_directory(&path).unwrap();
        assert_eq!(files.list(&path).unwrap(), ["file"]);
        let mut buffer = [0; 20];
        let again = files.open(&path.join("file")).unwrap();
        assert_eq!(again.read_full_at(&mut buffer, 0).unwrap(), 7);
        assert_eq!(&buffer[..7], b"hello W");
        files.remove(&path.join("file")).unwrap();
        assert_eq!(
            files.open(&path.join("file")).unwrap_err().kind(),
            io::ErrorKind::NotFound
        );
        assert_eq!(again.size().unwrap(), 7, "who has it open still reads it");
        assert!(files.available_bytes(&path).unwrap() > 0);
    }

    #[test]
    fn a_lock_is_taken_once_and_ends_with_its_holder() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("lock");
        let held = RealFileSystem.lock(&path).unwrap();
        assert_eq!(
            RealFileSystem.lock(&path).unwrap_err().kind(),
            io::ErrorKind::WouldBlock
        );
        assert!(is_locked(&path).unwrap());
        assert_eq!(
            lock_existing(&path).unwrap_err().kind(),
            io::ErrorKind::WouldBlock
        );
        drop(held);
        assert!(!is_locked(&path).unwrap());
        RealFileSystem.lock(&path).unwrap();
        let nowhere = directory.path().join("nowhere");
        assert!(lock_existing(&nowhere).unwrap().is_none() && !is_locked(&nowhere).unwrap());
        assert!(!nowhere.exists(), "looking makes no file");
    }
}
