//! The real service as a child process: started, killed, stopped, and watched through `/proc`.
//!
//! It is an ordinary `dcu run` with an ordinary configuration. Peak memory and written octets are the child's own, added
//! up over all its lives.

use std::fs::{self, File};
use std::io::{self, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tokio::process::{Child, Command};
use tokio::time::{Instant, sleep};

use crate::clock::Pace;
use crate::task::clock::PACE;

#[derive(Debug)]
pub struct Service {
    program: PathBuf,
    config: PathBuf,
    log: PathBuf,
    pace: Option<Pace>,
    child: Option<Child>,
    usage: Usage,
    /// Of the lives before this one.
    past_written: u64,
    past_cpu: Duration,
    lives: u64,
}

/// What the kernel says of the service.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Usage {
    /// The most memory any of its lives held, octets.
    pub peak_rss_bytes: u64,
    /// Octets that went to the block device on its behalf. None on a file system in memory, where nothing is written.
    pub written_bytes: Option<u64>,
}

#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("write {}", path.display())]
    Log { path: PathBuf, source: io::Error },
    #[error("start {}", path.display())]
    Start { path: PathBuf, source: io::Error },
    #[error("signal the service")]
    Signal(#[from] nix::Error),
    #[error("wait for the service")]
    Wait(#[source] io::Error),
    #[error("the service ended by itself ({status}); its last words:\n{words}")]
    Ended { status: ExitStatus, words: String },
}

impl Service {
    /// A service that was not started yet. What it says goes to `log`, which is begun anew; its time passes at `pace`.
    pub fn new(program: PathBuf, config: PathBuf, log: PathBuf, pace: Option<Pace>) -> Result<Self, Error> {
        File::create(&log).map_err(|source| Error::Log { path: log.clone(), source })?;
        Ok(Self {
            program,
            config,
            log,
            pace,
            child: None,
            usage: Usage::default(),
            past_written: 0,
            past_cpu: Duration::ZERO,
            lives: 0,
        })
    }

    /// Starts it. It ends with this process, whatever happens.
    pub fn start(&mut self) -> Result<(), Error> {
        let log = |source| Error::Log { path: self.log.clone(), source };
        let output = fs::OpenOptions::new().append(true).open(&self.log).map_err(log)?;
        let errors = output.try_clone().map_err(log)?;
        let mut command = Command::new(&self.program);
        command.envs(self.pace.map(|pace| (PACE, pace.to_string())));
        let child = command
            .arg("run")
            .arg("--config")
            .arg(&self.config)
            // As systemd/dcu.service sets them.
            .env("MALLOC_ARENA_MAX", "1")
            .env("MALLOC_MMAP_THRESHOLD_", "131072")
            .stdin(Stdio::null())
            .stdout(output)
            .stderr(errors)
            // A group of its own: Ctrl-C on the terminal is ours to handle.
            .process_group(0)
            .kill_on_drop(true)
            .spawn()
            .map_err(|source| Error::Start { path: self.program.clone(), source })?;
        self.past_written = self.usage.written_bytes.unwrap_or(0);
        self.child = Some(child);
        self.lives += 1;
        Ok(())
    }

    /// Its process number while it lives.
    pub fn pid(&self) -> Option<u32> {
        self.child.as_ref().and_then(Child::id)
    }

    /// How often it was started.
    pub const fn lives(&self) -> u64 {
        self.lives
    }

    pub const fn usage(&self) -> Usage {
        self.usage
    }

    /// Looks at memory and written octets, and whether it is still there.
    ///
    /// # Errors
    /// It ended without having been told to.
    pub fn watch(&mut self) -> Result<Usage, Error> {
        self.sample();
        let Some(child) = &mut self.child else { return Ok(self.usage) };
        match child.try_wait().map_err(Error::Wait)? {
            None => Ok(self.usage),
            Some(status) => {
                self.child = None;
                Err(Error::Ended { status, words: self.last_words() })
            }
        }
    }

    /// Ends it at once, in the middle of whatever it does.
    pub async fn kill(&mut self) -> Result<(), Error> {
        self.end(Signal::SIGKILL, Duration::MAX).await.map(drop)
    }

    /// The time that its threads have had on all cores, in all its lives.
    pub fn cpu(&self) -> Duration {
        self.past_cpu + self.pid().map_or(Duration::ZERO, Self::cpu_of)
    }

    fn cpu_of(pid: u32) -> Duration {
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
        // Fields 14 and 15, utime and stime; the name, field 2, is in brackets and may hold anything.
        let fields = stat.rsplit_once(')').into_iter().flat_map(|(_, rest)| rest.split_whitespace().skip(11).take(2));
        let ticks: u64 = fields.filter_map(|field| field.parse::<u64>().ok()).sum();
        let hertz = nix::unistd::sysconf(nix::unistd::SysconfVar::CLK_TCK).ok().flatten().unwrap_or(100);
        Duration::from_secs_f64(ticks as f64 / hertz as f64)
    }

    /// Tells it to stop, and kills it after `patience`. None where it was not running.
    pub async fn stop(&mut self, patience: Duration) -> Result<Option<ExitStatus>, Error> {
        self.end(Signal::SIGTERM, patience).await
    }

    /// The end of its log.
    pub fn last_words(&self) -> String {
        tail(&self.log).unwrap_or_default()
    }

    async fn end(&mut self, signal: Signal, patience: Duration) -> Result<Option<ExitStatus>, Error> {
        self.sample();
        let Some(mut child) = self.child.take() else { return Ok(None) };
        if let Some(pid) = child.id() {
            kill(process(pid), signal)?;
            let deadline = Instant::now().checked_add(patience);
            // Until it is a zombie its counters can be read: what it writes on its way out counts too.
            while is_running(pid) {
                if deadline.is_some_and(|deadline| Instant::now() > deadline) {
                    kill(process(pid), Signal::SIGKILL)?;
                }
                sleep(Duration::from_millis(5)).await;
                self.sample_of(pid);
            }
            self.sample_of(pid);
            // As a zombie it still has what it has had.
            self.past_cpu += Self::cpu_of(pid);
        }
        child.wait().await.map(Some).map_err(Error::Wait)
    }

    fn sample(&mut self) {
        if let Some(pid) = self.pid() {
            self.sample_of(pid);
        }
    }

    fn sample_of(&mut self, pid: u32) {
        if let Some(peak) = number(pid, "status", "VmHWM:") {
            self.usage.peak_rss_bytes = self.usage.peak_rss_bytes.max(peak * 1024);
        }
        if let Some(written) = number(pid, "io", "write_bytes:") {
            let written = self.past_written + written;
            self.usage.written_bytes = Some(self.usage.written_bytes.unwrap_or(0).max(written));
        }
    }
}

fn process(pid: u32) -> Pid {
    Pid::from_raw(i32::try_from(pid).expect("process numbers of Linux are below 2^22"))
}

/// The number after `label` in a file of `/proc/PID`.
fn number(pid: u32, file: &str, label: &str) -> Option<u64> {
    let text = fs::read_to_string(format!("/proc/{pid}/{file}")).ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix(label))?;
    line.split_whitespace().next()?.parse().ok()
}

/// Whether a process is neither gone nor a zombie.
fn is_running(pid: u32) -> bool {
    let Ok(stat) = fs::read_to_string(format!("/proc/{pid}/stat")) else { return false };
    // The state comes after the name, which is in brackets and may hold anything.
    stat.rsplit_once(')').is_some_and(|(_, rest)| !matches!(rest.trim_start().chars().next(), Some('Z' | 'X')))
}

fn tail(path: &Path) -> io::Result<String> {
    let mut file = File::open(path)?;
    let length = file.metadata()?.len();
    file.seek(SeekFrom::Start(length.saturating_sub(TAIL)))?;
    let mut octets = Vec::new();
    file.take(TAIL).read_to_end(&mut octets)?;
    let text = String::from_utf8_lossy(&octets);
    let lines: Vec<_> = text.lines().collect();
    Ok(lines.get(lines.len().saturating_sub(LINES)..).unwrap_or_default().join("\n"))
}

const TAIL: u64 = 8 << 10;
const LINES: usize = 12;

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    /// A program that stands in for `dcu`: the way to start, watch and end it is what is tested.
    fn service(script: &str) -> (tempfile::TempDir, Service) {
        let dir = tempfile::tempdir().unwrap();
        let program = dir.path().join("program");
        fs::write(&program, format!("#!/bin/sh\n{script}\n")).unwrap();
        fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
        let service = Service::new(program, dir.path().join("dcu.toml"), dir.path().join("log"), None).unwrap();
        (dir, service)
    }

    async fn started(script: &str) -> (tempfile::TempDir, Service) {
        let (dir, mut service) = service(script);
        // Another test's fork may hold the program open for writing for a moment.
        while let Err(error) = service.start() {
            assert!(matches!(&error, Error::Start { source, .. } if source.raw_os_error() == Some(26)), "{error:?}");
            sleep(Duration::from_millis(10)).await;
        }
        (dir, service)
    }

    #[tokio::test]
    async fn a_killed_service_is_started_again_and_its_written_octets_add_up() {
        let (dir, mut service) =
            started("dd if=/dev/zero of=\"$(dirname \"$0\")/data\" bs=1M count=2 conv=fsync 2>/dev/null; sleep 60")
                .await;
        let file = dir.path().join("data");
        for life in 1..=2 {
            while fs::metadata(&file).map_or(0, |data| data.len()) < 2 << 20 {
                sleep(Duration::from_millis(5)).await;
            }
            service.watch().unwrap();
            service.kill().await.unwrap();
            assert_eq!((service.pid(), service.lives()), (None, life));
            fs::remove_file(&file).unwrap();
            if life == 1 {
                service.start().unwrap();
            }
        }
        let usage = service.usage();
        assert!(usage.peak_rss_bytes > 100 << 10, "{usage:?}");
        assert!(usage.written_bytes.is_some());
    }

    #[tokio::test]
    async fn what_a_killed_service_had_of_the_processor_counts() {
        let (_dir, mut service) = started("while :; do :; done").await;
        let had = Duration::from_millis(50);
        while service.cpu() < had {
            sleep(Duration::from_millis(5)).await;
        }
        service.kill().await.unwrap();
        assert!(service.cpu() >= had, "{:?}", service.cpu());
    }

    #[tokio::test]
    async fn a_service_that_ends_by_itself_is_an_error_with_its_last_words() {
        let (_dir, mut service) = started("echo dcu.toml: five faults >&2; exit 78").await;
        let error = loop {
            match service.watch() {
                Ok(_) => sleep(Duration::from_millis(5)).await,
                Err(error) => break error,
            }
        };
        let Error::Ended { status, words } = error else { panic!("{error}") };
        assert_eq!((status.code(), words.as_str()), (Some(78), "dcu.toml: five faults"));
    }

    #[tokio::test]
    async fn a_service_that_does_not_stop_is_killed() {
        let (_dir, mut service) = started("trap '' TERM; while :; do sleep 0.05; done").await;
        sleep(Duration::from_millis(50)).await;
        let status = service.stop(Duration::from_millis(100)).await.unwrap().unwrap();
        assert!(!status.success());
        assert_eq!(service.stop(Duration::ZERO).await.unwrap(), None);
    }
}
