//! Walking, hashing, copying and compressing files.

use std::fs;
use std::hash::{DefaultHasher, Hasher};
use std::io::Write;
use std::path::{Path, PathBuf};

use crate::run::Result;

/// Adds the path to an error of the file system.
pub fn at<T>(path: &Path, result: std::io::Result<T>) -> Result<T> {
    result.map_err(|error| format!("{}: {error}", path.display()))
}

/// Every file below `dir` (or `dir` itself if it is one), sorted; nothing if absent.
pub fn walk(dir: &Path) -> Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    let mut open = vec![dir.to_path_buf()];
    while let Some(path) = open.pop() {
        if path.is_dir() {
            for entry in at(&path, fs::read_dir(&path))? {
                open.push(at(&path, entry)?.path());
            }
        } else if path.is_file() {
            found.push(path);
        }
    }
    found.sort();
    Ok(found)
}

/// One number for the names and contents of some files. It tells whether they
/// changed; it protects nothing.
pub fn fingerprint(files: &[PathBuf], also: &str) -> Result<String> {
    let mut hasher = DefaultHasher::new();
    hasher.write(also.as_bytes());
    for file in files {
        hasher.write(file.as_os_str().as_encoded_bytes());
        let bytes = at(file, fs::read(file))?;
        hasher.write_usize(bytes.len());
        hasher.write(&bytes);
    }
    Ok(format!("{:016x}", hasher.finish()))
}

/// Makes `to` hold the files of `from`, except below `to/keep`, which stays.
pub fn mirror(from: &Path, to: &Path, keep: &str) -> Result<()> {
    let kept = to.join(keep);
    for old in walk(to)? {
        let Ok(name) = old.strip_prefix(to) else {
            continue;
        };
        if !old.starts_with(&kept) && !from.join(name).is_file() {
            at(&old, fs::remove_file(&old))?;
        }
    }
    for file in walk(from)? {
        let Ok(name) = file.strip_prefix(from) else {
            continue;
        };
        write(&to.join(name), &at(&file, fs::read(&file))?)?;
    }
    Ok(())
}

/// Writes a file and the folders above it.
pub fn write(path: &Path, bytes: &[u8]) -> Result<()> {
    if let Some(parent) = path.parent() {
        at(parent, fs::create_dir_all(parent))?;
    }
    at(path, fs::write(path, bytes))
}

/// Lays `path.br` and `path.gz` beside a file and tells the length of the first.
pub fn compress(path: &Path) -> Result<usize> {
    let bytes = at(path, fs::read(path))?;

    let mut brotli = Vec::new();
    let params = brotli::enc::BrotliEncoderParams {
        quality: 11,
        lgwin: 22,
        size_hint: bytes.len(),
        ..Default::default()
    };
    brotli::BrotliCompress(&mut bytes.as_slice(), &mut brotli, &params)
        .map_err(|error| format!("{}: {error}", path.display()))?;
    write(&with_suffix(path, "br"), &brotli)?;

    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    at(path, gzip.write_all(&bytes))?;
    write(&with_suffix(path, "gz"), &at(path, gzip.finish())?)?;
    Ok(brotli.len())
}

/// `app.js` and `br` make `app.js.br`.
pub fn with_suffix(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".");
    name.push(suffix);
    PathBuf::from(name)
}

/// The length of a file, 0 if it is not there.
pub fn length(path: &Path) -> usize {
    fs::metadata(path).map_or(0, |meta| usize::try_from(meta.len()).unwrap_or(usize::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scratch(name: &str) -> PathBuf {
        let dir = std::env::temp_dir().join(format!("attorn-xtask-{name}-{}", std::process::id()));
        fs::remove_dir_all(&dir).ok();
        dir
    }

    #[test]
    fn a_mirror_drops_what_its_source_no_longer_has_and_keeps_the_bundle() {
        let dir = scratch("mirror");
        let (from, to) = (dir.join("from"), dir.join("to"));
        write(&from.join("icons/a.svg"), b"a").unwrap();
        write(&to.join("old.txt"), b"old").unwrap();
        write(&to.join("pkg/app.js"), b"js").unwrap();

        mirror(&from, &to, "pkg").unwrap();

        let names: Vec<_> = walk(&to)
            .unwrap()
            .iter()
            .map(|f| f.strip_prefix(&to).unwrap().to_owned())
            .collect();
        assert_eq!(names, [Path::new("icons/a.svg"), Path::new("pkg/app.js")]);
        fs::remove_dir_all(&dir).unwrap();
    }

    #[test]
    fn a_fingerprint_changes_with_one_byte_and_with_a_name() {
        let dir = scratch("fingerprint");
        let (a, b) = (dir.join("a"), dir.join("b"));
        write(&a, b"one").unwrap();
        write(&b, b"one").unwrap();
        let first = fingerprint(std::slice::from_ref(&a), "").unwrap();
        assert_ne!(first, fingerprint(&[b], "").unwrap());
        write(&a, b"onf").unwrap();
        assert_ne!(first, fingerprint(&[a], "").unwrap());
        fs::remove_dir_all(&dir).unwrap();
    }
}
