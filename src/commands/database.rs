//! Which database a command reads: the one that is configured, else that of the daemon that runs.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use super::{client, output};
use crate::base::address::Address;
use crate::config::{self, Config, Environment};
use crate::library::lock::{self, Found};
use crate::library::{Library, OpenError};
use tokio_util::sync::CancellationToken;

/// Where the packages' and the container's service keeps its database.
const SERVICE: &str = "/var/lib/vpo/library.db";

/// Where a user's own database is by default.
const OWN: &str = "~/.vpo/library.db";

/// The database that a flag, a variable or the configuration names. If none does: the default one, unless only a service has a
/// running daemon.
pub(super) fn find(config: &Config, environment: &Environment) -> PathBuf {
    find_beside(&config.database.path, config.is_default_path, environment)
}

/// As [`find`], for a path that may be the default one.
pub(super) fn find_beside(path: &Path, is_default: bool, environment: &Environment) -> PathBuf {
    let is_held =
        |path: &Path| matches!(lock::find(path, environment.runtime_directory()), Ok(Found::Held(_)));
    choose(path, is_default, Path::new(SERVICE), &is_held)
}

/// Whether a user's own database is there by default.
pub(super) fn is_own(path: &Path, environment: &Environment) -> bool {
    config::absolute(Path::new(OWN), environment).is_ok_and(|own| own == path)
}

fn choose(own: &Path, is_default: bool, service: &Path, is_held: &dyn Fn(&Path) -> bool) -> PathBuf {
    let is_of_service = is_default && own != service && !is_held(own) && is_held(service);
    if is_of_service { service } else { own }.to_owned()
}

/// What to do about a running daemon that has a root that contains, or is below, one of `paths`. Of the daemons that can be found:
/// on the user's database, on the service's, and at the configured address.
pub(super) fn daemon_of(paths: &[&Path], config: &Config, environment: &Environment) -> Option<String> {
    let own = config::absolute(Path::new(OWN), environment).ok();
    let databases = own.iter().map(PathBuf::as_path).chain([Path::new(SERVICE)]);
    let held = databases.filter_map(|path| {
        let address = client::holder(path, environment.runtime_directory())?.address?;
        Some((address, format!(" {}", path.display())))
    });
    let server = &config.server;
    let configured = Address::Tcp(SocketAddr::new(server.bind.get(), server.port));
    let configured = Some((configured, String::new())).filter(|_| server.port != 0);
    held.chain(configured).find_map(|(address, database)| {
        let health = client::health(&address, None)?;
        let is_shared =
            |root: &str| paths.iter().any(|path| path.starts_with(root) || Path::new(root).starts_with(path));
        let (root, _) = client::roots(&health).find(|(root, _)| is_shared(root))?;
        let address = client::shown(&address);
        Some(format!(
            "the daemon at {address} scans {root} already. Name its database with --database{database}"
        ))
    })
}

/// Opens the database for reading.
///
/// # Errors
/// As [`Library::view`]. If there is none and the service's may not be read, that is reported, too.
pub(super) fn view(config: &Config, environment: &Environment) -> Result<Library, OpenError> {
    let path = find(config, environment);
    let library = Library::view(&path, &CancellationToken::new());
    if matches!(library, Err(OpenError::Missing(_)))
        && config.is_default_path
        && is_closed(Path::new(SERVICE))
    {
        output::warn(&format_args!(
            "{SERVICE} may be the database, but you may not read it: use sudo, or join the group of its directory"
        ));
    }
    library
}

/// Whether this user may not even see whether the file is there.
fn is_closed(path: &Path) -> bool {
    path.metadata().is_err_and(|error| error.kind() == std::io::ErrorKind::PermissionDenied)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn database_of_a_service_is_read_only_where_nothing_else_is_meant() {
        let (own, service) = (Path::new("/home/a/.vpo/library.db"), Path::new("/var/lib/vpo/library.db"));
        let chosen =
            |is_default, held: &[&Path]| choose(own, is_default, service, &|path| held.contains(&path));
        assert_eq!(chosen(true, &[service]), service);
        for (is_default, held) in
            [(true, &[own, service][..]), (true, &[]), (true, &[own]), (false, &[service])]
        {
            assert_eq!(chosen(is_default, held), own, "{is_default} {held:?}");
        }
    }
}
