//! `tollbell completions` and `tollbell man`: made of the command line's own definition, so that they say what it does.

use std::path::{Path, PathBuf};

use anyhow::Context as _;
use clap::CommandFactory as _;
use clap_complete::Shell;
use clap_mangen::Man;

use super::{Cli, Exit, output};

/// Arguments of `completions`.
#[derive(Debug, clap::Args)]
pub(super) struct CompletionsArgs {
    /// The shell
    #[arg(value_enum)]
    shell: Shell,
}

/// Arguments of `man`.
#[derive(Debug, clap::Args)]
pub(super) struct ManArgs {
    /// A folder for the pages of all commands, instead of tollbell(1) on standard output
    #[arg(long, value_name = "FOLDER")]
    dir: Option<PathBuf>,
}

pub(super) fn completions(args: &CompletionsArgs) -> anyhow::Result<Exit> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut Cli::command(), "tollbell", &mut script);
    output::line(String::from_utf8(script)?.trim_end());
    Ok(Exit::Ok)
}

pub(super) fn man(args: &ManArgs) -> anyhow::Result<Exit> {
    let mut command = Cli::command();
    command.build();
    match &args.dir {
        None => output::line(page(command)?.trim_end()),
        Some(dir) => {
            std::fs::create_dir_all(dir)
                .with_context(|| format!("cannot make {}", dir.display()))?;
            write(&command, "tollbell", dir)?;
        }
    }
    Ok(Exit::Ok)
}

/// A page for a command, and for each of its own.
fn write(command: &clap::Command, name: &str, dir: &Path) -> anyhow::Result<()> {
    let path = dir.join(format!("{name}.1"));
    std::fs::write(&path, page(command.clone())?)
        .with_context(|| format!("cannot write {}", path.display()))?;
    for one in command.get_subcommands().filter(|one| one.get_name() != "help") {
        write(one, &format!("{name}-{}", one.get_name()), dir)?;
    }
    Ok(())
}

fn page(command: clap::Command) -> anyhow::Result<String> {
    let mut page = Vec::new();
    Man::new(command).render(&mut page)?;
    Ok(String::from_utf8(page)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_command_has_a_page_that_names_its_flags() {
        let dir = tempfile::tempdir().expect("folder");
        assert!(matches!(man(&ManArgs { dir: Some(dir.path().to_owned()) }), Ok(Exit::Ok)));
        let page = |name: &str| std::fs::read_to_string(dir.path().join(name)).expect(name);
        assert!(page("tollbell.1").contains("silence"));
        assert!(page("tollbell-silence-add.1").contains("\\-\\-duration"));
        let commands = Cli::command();
        for one in commands.get_subcommands() {
            assert!(dir.path().join(format!("tollbell-{}.1", one.get_name())).exists());
        }
    }

    #[test]
    fn each_shell_gets_a_script() {
        for shell in [Shell::Bash, Shell::Zsh, Shell::Fish] {
            let mut script = Vec::new();
            clap_complete::generate(shell, &mut Cli::command(), "tollbell", &mut script);
            assert!(String::from_utf8_lossy(&script).contains("healthcheck"), "{shell}");
        }
    }
}
