//! Which user Postgres runs as. It refuses root, and a user other than root can't enter folders
//! such as `/root`, so that is checked first and said with advice.

use std::{
    fs,
    os::unix::{fs::chown, process::CommandExt},
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use anyhow::{Context as _, bail};

use crate::data_dir::set_mode;

/// Who is asked, in order, when `up` runs as root: Debian's package makes the first.
const CANDIDATES: [&str; 3] = ["postgres", "holdfast", "nobody"];

/// The user that Postgres's processes run as.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Account {
    /// The user who runs this program, who is not root.
    Own,
    /// Another, because this program runs as root.
    Other {
        /// Login name.
        name: String,
        /// User id, never 0.
        uid: u32,
        /// Primary group.
        gid: u32,
    },
}

impl Account {
    /// The one to use.
    ///
    /// # Errors
    /// Running as root on a machine that has none of the candidates.
    pub(crate) fn find() -> anyhow::Result<Self> {
        if !rustix::process::geteuid().is_root() {
            return Ok(Self::Own);
        }
        let passwd = fs::read_to_string("/etc/passwd").context("can't read /etc/passwd")?;
        CANDIDATES.iter().find_map(|name| Self::in_passwd(&passwd, name)).with_context(|| {
            format!("Postgres doesn't run as root, and none of the users {} is there; install Postgres's package, or run `holdfast up` as another user", CANDIDATES.join(", "))
        })
    }

    fn in_passwd(passwd: &str, name: &str) -> Option<Self> {
        passwd.lines().find_map(|line| {
            let mut fields = line.split(':');
            (fields.next()? == name).then_some(())?;
            let uid = fields.nth(1)?.parse().ok().filter(|uid| *uid != 0)?;
            let gid = fields.next()?.parse().ok()?;
            Some(Self::Other {
                name: name.to_owned(),
                uid,
                gid,
            })
        })
    }

    /// A command that runs as this user, from `/`, with nothing of the caller's Postgres settings.
    pub(crate) fn command(&self, program: &Path) -> Command {
        let mut command = Command::new(program);
        if let Self::Other { uid, gid, .. } = self {
            command.uid(*uid).gid(*gid);
        }
        command
            .current_dir("/")
            .env_clear()
            .env("PATH", "/usr/local/bin:/usr/bin:/bin")
            .env("LC_ALL", "C.UTF-8");
        command
    }

    /// Makes `path` this user's.
    ///
    /// # Errors
    /// What the file system says.
    pub(crate) fn own(&self, path: &Path) -> anyhow::Result<()> {
        if let Self::Other { uid, gid, name } = self {
            chown(path, Some(*uid), Some(*gid))
                .with_context(|| format!("can't give {} to {name}", path.display()))?;
        }
        Ok(())
    }

    /// Makes sure that this user can get to folders inside `dir`, which is ours to open up; what
    /// lies above it is not.
    ///
    /// # Errors
    /// A folder above that this user can't enter, with advice.
    pub(crate) fn check_reach(&self, dir: &Path) -> anyhow::Result<()> {
        let Self::Other { name, .. } = self else {
            return Ok(());
        };
        let mut above: Vec<PathBuf> = dir.ancestors().skip(1).map(Path::to_owned).collect();
        above.reverse();
        for folder in above {
            if !self.can_enter(&folder)? {
                bail!(
                    "Postgres runs as user {name}, who can't enter {}; choose a data directory elsewhere (--data-dir /var/lib/holdfast), run as a user other than root, or name a server of your own in DATABASE_URL",
                    folder.display(),
                );
            }
        }
        if !self.can_enter(dir)? {
            set_mode(dir, 0o711)?;
        }
        Ok(())
    }

    fn can_enter(&self, folder: &Path) -> anyhow::Result<bool> {
        let status = self
            .command(Path::new("/usr/bin/test"))
            .arg("-x")
            .arg(folder)
            .stdin(Stdio::null())
            .status()
            .context("can't run /usr/bin/test")?;
        Ok(status.success())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_unprivileged_users_of_the_file_are_taken() {
        let passwd = "root:x:0:0:root:/root:/bin/bash\npostgres:x:101:104:,,,:/var/lib/postgresql:/bin/bash\nnobody:x:0:1::/:\n";
        assert_eq!(
            Account::in_passwd(passwd, "postgres"),
            Some(Account::Other {
                name: "postgres".into(),
                uid: 101,
                gid: 104
            })
        );
        assert_eq!(Account::in_passwd(passwd, "nobody"), None);
        assert_eq!(Account::in_passwd(passwd, "holdfast"), None);
    }
}
