//! The stand-alone verifier: checks an export of the audit log, on any machine, with nothing but this crate.
//!
//! Exit code 0: everything is as it was signed. 1: it is not, and the one line says what was found first. 2: it could
//! not be checked.

use evidence::decision::in_log::{Attested, InLog, NotAttested};
use evidence::leaf::Leaf;
use evidence::note::VerifierKey;
use evidence::verify::{Finding, Report, read_line, split_notes, verify_export};
use std::cell::RefCell;
use std::ffi::OsString;
use std::fs;
use std::io::{self, BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

const USAGE: &str = "\
Checks an export of an Attorn audit log.

Usage: attorn-verify --key KEY [--key KEY]... [--outside FILE] [--decision FILE] ENTRIES CHECKPOINTS

  ENTRIES         the export's entries, JSON lines
  CHECKPOINTS     the export's signed checkpoints
  --key KEY       the log's verifier key (name+id+key), from a source other than the export;
                  several if the log's key was rotated
  --outside FILE  a signed checkpoint that was kept elsewhere; without one a second history
                  by the holder of the log's key cannot be shown
  --decision FILE the evidence of a decision (attorn approval verify ID --evidence FILE):
                  shows which passkey decided over which bytes and which text";

struct Asked {
    keys: Vec<VerifierKey>,
    outside: Option<PathBuf>,
    decision: Option<PathBuf>,
    entries: PathBuf,
    checkpoints: PathBuf,
}

fn main() -> ExitCode {
    let args: Vec<OsString> = std::env::args_os().skip(1).collect();
    if args.iter().any(|arg| arg == "--help" || arg == "-h") {
        println!("{USAGE}");
        return ExitCode::SUCCESS;
    }
    match read_args(args).and_then(|asked| check(&asked)) {
        Ok(Ok((report, decision))) => {
            println!("{report}");
            match decision {
                None => ExitCode::SUCCESS,
                Some(Ok(attested)) => {
                    println!("{attested}");
                    ExitCode::SUCCESS
                }
                Some(Err(finding)) => {
                    println!("{finding}");
                    ExitCode::from(1)
                }
            }
        }
        Ok(Err(finding)) => {
            println!("{finding}");
            ExitCode::from(1)
        }
        Err(problem) => {
            eprintln!("attorn-verify: {problem}");
            ExitCode::from(2)
        }
    }
}

fn read_args(args: Vec<OsString>) -> Result<Asked, String> {
    let (mut keys, mut outside, mut decision, mut files) = (Vec::new(), None, None, Vec::new());
    let mut args = args.into_iter();
    while let Some(arg) = args.next() {
        let mut value = |name: &str| {
            args.next()
                .ok_or_else(|| format!("{name} needs a value\n\n{USAGE}"))
        };
        match arg.to_str() {
            Some("--key") => {
                let text = value("--key")?;
                let text = text.to_string_lossy();
                let key =
                    VerifierKey::parse(&text).map_err(|error| format!("--key {text}: {error}"))?;
                keys.push(key);
            }
            Some("--outside") => outside = Some(PathBuf::from(value("--outside")?)),
            Some("--decision") => decision = Some(PathBuf::from(value("--decision")?)),
            Some(option) if option.starts_with('-') => {
                return Err(format!("there is no option {option}\n\n{USAGE}"));
            }
            _ => files.push(PathBuf::from(arg)),
        }
    }
    if keys.is_empty() {
        return Err(format!("without --key nothing can be proved\n\n{USAGE}"));
    }
    let [entries, checkpoints] = <[PathBuf; 2]>::try_from(files)
        .map_err(|_| format!("two files are needed, entries and checkpoints\n\n{USAGE}"))?;
    Ok(Asked {
        keys,
        outside,
        decision,
        entries,
        checkpoints,
    })
}

/// What was found of a decision, if one was asked about.
type Decided = Option<Result<Attested, NotAttested>>;

fn check(asked: &Asked) -> Result<Result<(Report, Decided), Finding>, String> {
    let checkpoints = split_notes(&read(&asked.checkpoints)?);
    let outside = asked.outside.as_deref().map(read).transpose()?;
    let file = fs::File::open(&asked.entries).map_err(|error| about(&asked.entries, &error))?;
    // The checker takes lines, not failures; a failed read ends the lines and is told instead of a finding.
    let failed = RefCell::new(None);
    let evidence = asked.decision.as_deref().map(read).transpose()?;
    let decision = RefCell::new(evidence.map(|text| InLog::new(text.trim_end())));
    let lines = BufReader::new(file).split(b'\n').map_while(|line| {
        line.map_err(|error| *failed.borrow_mut() = Some(error))
            .ok()
    });
    // Read as they pass; it counts only if they turn out to be as they were signed.
    let lines = lines.inspect(|line| {
        if let Some(Ok(decision)) = &mut *decision.borrow_mut()
            && let Some((_, leaf)) = read_line(line)
            && let Ok(leaf) = Leaf::parse(&leaf)
        {
            decision.read(&leaf);
        }
    });
    let found = verify_export(lines, &checkpoints, &asked.keys, outside.as_deref());
    match failed.into_inner() {
        Some(error) => Err(about(&asked.entries, &error)),
        None => Ok(found.map(|report| {
            let decision = decision.into_inner();
            (report, decision.map(|read| read.and_then(InLog::end)))
        })),
    }
}

fn read(path: &Path) -> Result<String, String> {
    fs::read_to_string(path).map_err(|error| about(path, &error))
}

fn about(path: &Path, error: &io::Error) -> String {
    format!("{}: {error}", path.display())
}
