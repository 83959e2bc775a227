//! Takes the USB device behind a serial port from the bus and lets it be found again, as if it were plugged in anew.
//!
//! Only the device of that port is touched, through `authorized` in its directory in sysfs. Whoever runs the service
//! must be permitted to write there.

use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use tokio::task::block_in_place;
use tokio::time::sleep;

#[derive(Debug, thiserror::Error)]
pub(super) enum Error {
    #[error("{} is not a port of a USB device", .0.display())]
    NotUsb(PathBuf),
    #[error("not permitted to write {}", .0.display())]
    NotPermitted(PathBuf),
    #[error("write {}", path.display())]
    Write {
        path: PathBuf,
        #[source]
        source: io::Error,
    },
}

/// The directory of the USB device to which the port belongs. `sys` is where sysfs is.
pub(super) fn device_of(sys: &Path, port: &Path) -> Result<PathBuf, Error> {
    let not_usb = || Error::NotUsb(port.to_owned());
    // A link of udev's leads to the terminal.
    let terminal = std::fs::canonicalize(port).map_err(|_| not_usb())?;
    let name = terminal.file_name().ok_or_else(not_usb)?;
    let interface = std::fs::canonicalize(sys.join("class/tty").join(name).join("device")).map_err(|_| not_usb())?;
    let device = interface.ancestors().find(|dir| dir.join("authorized").is_file() && dir.join("idVendor").is_file());
    device.map(Path::to_owned).ok_or_else(not_usb)
}

/// Off and on again.
pub(super) async fn reenumerate(device: &Path) -> Result<(), Error> {
    let path = device.join("authorized");
    let write = |text: &str| {
        block_in_place(|| std::fs::write(&path, text)).map_err(|source| match source.kind() {
            io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem => Error::NotPermitted(path.clone()),
            _ => Error::Write { path: path.clone(), source },
        })
    };
    write("0")?;
    sleep(OFF).await;
    write("1")?;
    sleep(FOUND).await;
    Ok(())
}

/// How long the device is off.
const OFF: Duration = Duration::from_secs(1);
/// How long its port takes to come back.
const FOUND: Duration = Duration::from_secs(1);

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::symlink;

    use super::*;

    /// A port `ttyUSB3` of a USB device as sysfs shows it, and a plain `ttyS0`.
    struct Bench {
        dir: tempfile::TempDir,
    }

    impl Bench {
        fn new() -> Self {
            let bench = Self { dir: tempfile::tempdir().unwrap() };
            let [device, port] = [bench.device(), bench.path("sys/devices/usb1/1-1/1-1:1.0/ttyUSB3")];
            fs::create_dir_all(&port).unwrap();
            for name in ["authorized", "idVendor"] {
                fs::write(device.join(name), "1").unwrap();
            }
            // The hub above it is a USB device too.
            fs::write(bench.path("sys/devices/usb1/authorized"), "1").unwrap();
            fs::write(bench.path("sys/devices/usb1/idVendor"), "1").unwrap();
            let plain = bench.path("sys/devices/platform/serial8250");
            fs::create_dir_all(&plain).unwrap();
            for (name, device) in [("ttyUSB3", port), ("ttyS0", plain)] {
                let class = bench.path("sys/class/tty").join(name);
                fs::create_dir_all(&class).unwrap();
                symlink(device, class.join("device")).unwrap();
                fs::write(bench.path(name), "").unwrap();
            }
            symlink(bench.path("ttyUSB3"), bench.path("roof")).unwrap();
            bench
        }

        fn path(&self, name: &str) -> PathBuf {
            fs::canonicalize(self.dir.path()).unwrap().join(name)
        }

        fn device(&self) -> PathBuf {
            self.path("sys/devices/usb1/1-1")
        }

        fn of(&self, port: &str) -> Result<PathBuf, String> {
            device_of(&self.path("sys"), &self.path(port)).map_err(|error| error.to_string())
        }
    }

    #[test]
    fn the_device_of_a_port_is_found_also_through_a_link() {
        let bench = Bench::new();
        assert_eq!(bench.of("ttyUSB3"), Ok(bench.device()));
        assert_eq!(bench.of("roof"), Ok(bench.device()));
        for port in ["ttyS0", "ttyNowhere"] {
            let error = bench.of(port).unwrap_err();
            assert!(error.ends_with(" is not a port of a USB device"), "{error}");
        }
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn the_device_is_switched_off_and_on_and_only_where_it_is_permitted() {
        let bench = Bench::new();
        fs::write(bench.device().join("authorized"), "?").unwrap();
        reenumerate(&bench.device()).await.unwrap();
        assert_eq!(fs::read_to_string(bench.device().join("authorized")).unwrap(), "1");
        assert_eq!(fs::read_to_string(bench.path("sys/devices/usb1/authorized")).unwrap(), "1");
        let nothing = reenumerate(&bench.path("nowhere")).await;
        assert!(matches!(nothing, Err(Error::Write { .. })), "{nothing:?}");
    }
}
